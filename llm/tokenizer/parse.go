package tokenizer

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
)

// Parse reads the content of a tokenizer.json. Errors are
// *bilevel.SettingError: they name the field, its value and what is allowed.
func Parse(data []byte) (*Tokenizer, error) {
	var err error
	var syntax json.RawMessage
	if e := json.Unmarshal(data, &syntax); e != nil {
		return nil, fmt.Errorf("%w (%v)", refuse("tokenizer.json", fmt.Sprintf("%d bytes", len(data)), "a complete JSON file"), e)
	}
	root := object("", data, &err)
	if err != nil {
		return nil, err
	}
	root.oneOf("version", []string{"1.0"}, "1.0")
	p := parts{model: readModel(root)}
	if root.has("normalizer") {
		p.normalizers = readNormalizers(object("normalizer", root.m["normalizer"], &err))
	}
	byteLevel := false
	if root.has("pre_tokenizer") {
		p.stages, byteLevel = readSplitters(object("pre_tokenizer", root.m["pre_tokenizer"], &err))
	}
	if root.has("post_processor") {
		p.prefix, p.suffix = readTemplate(object("post_processor", root.m["post_processor"], &err))
	}
	if root.has("decoder") {
		p.decoders = readDecoders(object("decoder", root.m["decoder"], &err))
	} else {
		p.decoders = []decoder{func() decodeState { return &spaced{} }}
	}
	if root.has("added_tokens") {
		for _, f := range root.list("added_tokens") {
			p.added = append(p.added, addedToken{
				content:    f.str("content"),
				singleWord: f.boolean("single_word", false),
				lstrip:     f.boolean("lstrip", false),
				rstrip:     f.boolean("rstrip", false),
				normalized: f.boolean("normalized", true),
				isSpecial:  f.boolean("special", false),
			})
		}
	}
	if err != nil {
		return nil, err
	}
	p.special = Special{None, None, None, int(p.model.unk)}
	if len(p.prefix) > 0 {
		p.special.BOS = p.prefix[0]
	}
	if len(p.suffix) > 0 {
		p.special.EOS = p.suffix[len(p.suffix)-1]
	}
	return p.build(byteLevel, root)
}

// readModel reads the field model.
func readModel(root fields) *bpe {
	m := &bpe{unk: None}
	f := object("model", value[json.RawMessage](root, "model", "a JSON object"), root.err)
	f.oneOf("type", []string{"BPE"}, "BPE")
	if d := value(f, "dropout", "null or 0", 0.0); d != 0 {
		f.fail("dropout", d, "null or 0: random merges are for training")
	}
	m.fuseUnk = f.boolean("fuse_unk", false)
	m.ignoreMerges = f.boolean("ignore_merges", false)
	m.byteFallback = f.boolean("byte_fallback", false)
	m.prefix = f.str("continuing_subword_prefix", "")
	m.suffix = f.str("end_of_word_suffix", "")
	m.vocab = value[map[string]int32](f, "vocab", "an object of tokens and their ids, from 0 to 2147483647")
	for s, id := range m.vocab {
		if id < 0 {
			f.fail("vocab."+s, id, "an id from 0 to 2147483647")
			return m
		}
	}
	m.setUnknown(f.str("unk_token", ""))
	if *root.err == nil {
		readMerges(f, m)
	}
	return m
}

// setUnknown makes token the unknown token when the vocabulary has it.
func (m *bpe) setUnknown(token string) {
	m.unkToken = token
	if id, ok := m.vocab[token]; ok && token != "" {
		m.unk = id
	}
}

// readMerges reads model.merges, written as pairs or as "left right".
func readMerges(f fields, m *bpe) {
	const allowed = `a list of pairs ["left", "right"] or of strings "left right"`
	var list [][]string
	if raw := f.m["merges"]; json.Unmarshal(raw, &list) != nil {
		lines := value[[]string](f, "merges", allowed)
		list = make([][]string, len(lines))
		for i, line := range lines {
			list[i] = strings.Split(line, " ")
		}
	}
	m.merges = make(map[uint64]merge, len(list))
	for rank, pair := range list {
		key := fmt.Sprintf("merges[%d]", rank)
		if len(pair) != 2 {
			f.fail(key, strings.Join(pair, " "), "two tokens with one space between them")
			return
		}
		if err := m.addMerge(pair[0], pair[1], rank); err != nil {
			f.fail(key, strings.Join(pair, " "), "two tokens that the vocabulary has, with their result: "+err.Error())
			return
		}
	}
}

// parts is what a tokenizer is put together from.
type parts struct {
	model          *bpe
	added          []addedToken
	silent         []int // special tokens that text never becomes
	normalizers    []normalizer
	stages         []splitter
	prefix, suffix []int
	decoders       []decoder
	special        Special
}

// build puts a tokenizer together; root is where errors are reported. byteLevel
// says that the model writes words in byte-level characters.
func (p parts) build(byteLevel bool, root fields) (*Tokenizer, error) {
	m := p.model
	m.finish(byteLevel)
	if m.unkToken != "" && m.unk == None && !m.complete() {
		root.fail("model.unk_token", m.unkToken, "a token of model.vocab")
		return nil, *root.err
	}
	t := &Tokenizer{
		ids:       make(map[string]int32, len(m.vocab)+len(p.added)),
		special:   p.special,
		normalize: chainNormalizers(p.normalizers),
		stages:    p.stages,
		model:     m,
		prefix:    p.prefix,
		suffix:    p.suffix,
		decoders:  p.decoders,
	}
	for s, id := range m.vocab {
		if !t.set(id, s, len(m.vocab)) {
			root.fail("model.vocab."+s, id, fmt.Sprintf("an id of no other token, below %d", t.limit(len(m.vocab))))
			return nil, *root.err
		}
	}
	for _, id := range p.silent {
		t.isSpecial[id] = true
	}
	if err := t.addTokens(p.added, root); err != nil {
		return nil, err
	}
	for _, id := range append(append([]int(nil), p.prefix...), p.suffix...) {
		if _, ok := t.Token(id); !ok {
			root.fail("post_processor", id, "ids of tokens")
			return nil, *root.err
		}
	}
	t.encoders.New = func() any { return newEncoder(t) }
	return t, nil
}

// limit bounds the ids of n tokens, so that a file cannot ask for a huge table.
func (t *Tokenizer) limit(n int) int { return min(16*n+1<<16, math.MaxInt32) }

// set gives a token its id; false when the id is taken or too large.
func (t *Tokenizer) set(id int32, content string, count int) bool {
	if int(id) >= t.limit(count) {
		return false
	}
	for len(t.tokens) <= int(id) {
		t.tokens, t.has, t.isSpecial = append(t.tokens, ""), append(t.has, false), append(t.isSpecial, false)
	}
	if t.has[id] {
		return false
	}
	t.tokens[id], t.has[id] = content, true
	t.ids[content] = id
	return true
}

// addTokens enters added tokens as the library does: one that the model has
// keeps its id there, another gets the next free id, whatever id the file
// declares. Special ones come first among patterns that are equal.
func (t *Tokenizer) addTokens(added []addedToken, root fields) error {
	next := int32(len(t.model.vocab))
	last := map[string]addedToken{} // of equal entries the last one decides
	var order []string
	for i, a := range added {
		if a.content == "" {
			continue
		}
		id, ok := t.ids[a.content]
		if !ok {
			id = next
			if !t.set(id, a.content, len(t.model.vocab)+len(added)) {
				root.fail(fmt.Sprintf("added_tokens[%d].content", i), a.content, fmt.Sprintf("a token of the vocabulary, or a vocabulary that leaves the id %d free", id))
				return *root.err
			}
		}
		next = max(next, id+1)
		if _, seen := last[a.content]; !seen {
			order = append(order, a.content)
		}
		a.isSpecial = a.isSpecial || t.isSpecial[id]
		last[a.content], t.isSpecial[id] = a, a.isSpecial
	}
	slices.SortStableFunc(order, func(a, b string) int {
		switch x, y := last[a].isSpecial, last[b].isSpecial; {
		case x && !y:
			return -1
		case y && !x:
			return 1
		}
		return 0
	})
	t.raw, t.normalized, t.shown = newMatcher(), newMatcher(), map[int]string{}
	for _, content := range order {
		a, id := last[content], t.ids[content]
		if !a.normalized {
			t.raw.add(content, a, id)
			continue
		}
		if t.normalize != nil {
			content, _ = t.normalize(content, true)
			t.shown[int(id)] = content
		}
		t.normalized.add(content, a, id)
	}
	for id, is := range t.isSpecial {
		if is {
			t.specialIDs = append(t.specialIDs, id)
		}
	}
	return nil
}
