package tokenizer

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
)

const maxNesting = 16 // of Sequence in Sequence

// flatten reads an object that may be a Sequence of others, under key, into the
// list of what is in it.
func flatten(f fields, key string, depth int) []fields {
	if *f.err != nil {
		return nil
	}
	if f.str("type") != "Sequence" {
		return []fields{f}
	}
	if depth > maxNesting {
		f.fail("type", "Sequence", fmt.Sprintf("nesting of at most %d", maxNesting))
		return nil
	}
	var out []fields
	for _, g := range f.list(key) {
		out = append(out, flatten(g, key, depth+1)...)
	}
	return out
}

func (f fields) unknown(kind string, allowed ...string) {
	f.fail("type", f.str("type"), "one of "+strings.Join(append(allowed, "Sequence"), ", "))
}

// readNormalizers reads the field normalizer.
func readNormalizers(f fields) []normalizer {
	var out []normalizer
	for _, g := range flatten(f, "normalizers", 0) {
		if *f.err != nil {
			return nil
		}
		switch t := g.str("type"); t {
		case "NFC", "NFD", "NFKC", "NFKD":
			out = append(out, keepsStart(normalForm(forms[t])))
		case "Lowercase":
			out = append(out, keepsStart(lowercase))
		case "Prepend":
			out = append(out, keepsStart(prepend(g.str("prepend"))))
		case "Replace":
			out = append(out, replace(g.pattern("pattern"), g.str("content")))
		case "Strip":
			out = append(out, strip(g.boolean("strip_left"), g.boolean("strip_right")))
		case "StripAccents":
			out = append(out, stripAccents)
		case "ByteLevel":
			out = append(out, keepsStart(byteChars))
		default:
			g.unknown("normalizer", "NFC", "NFD", "NFKC", "NFKD", "Lowercase", "Prepend", "Replace", "Strip", "StripAccents", "ByteLevel")
		}
	}
	return out
}

// readSplitters reads the field pre_tokenizer. atEnd reports that the last stage
// writes byte-level characters, which the model then does word by word.
func readSplitters(f fields) (stages []splitter, atEnd bool) {
	all := flatten(f, "pretokenizers", 0)
	for i, g := range all {
		if *f.err != nil {
			return nil, false
		}
		switch t := g.str("type"); t {
		case "ByteLevel":
			if g.boolean("add_prefix_space") {
				stages = append(stages, splitFunc(prefixSpace))
			}
			if g.boolean("use_regex", true) {
				stages = append(stages, knownPatterns[gpt2Pattern])
			}
			if atEnd = i == len(all)-1; !atEnd {
				stages = append(stages, splitFunc(func(p piece, yield func(piece)) {
					p.s = byteChars(p.s)
					yield(p)
				}))
			}
		case "Metaspace":
			stages = append(stages, metaspace(g.char("replacement"), prependScheme(g), g.boolean("split", true)))
		case "Split":
			stages = append(stages, readSplit(g))
		case "Digits":
			stages = append(stages, runs(unicode.IsNumber, g.boolean("individual_digits"), false))
		case "Punctuation":
			stages = append(stages, patternSplit{punctuation, g.oneOf("behavior", behaviors, "Isolated"), false})
		case "Whitespace":
			stages = append(stages, splitFunc(whitespaceWords))
		case "WhitespaceSplit":
			stages = append(stages, runs(unicode.IsSpace, false, true))
		case "CharDelimiterSplit":
			delimiter := pattern{text: g.char("delimiter"), literal: true}
			stages = append(stages, patternSplit{delimiter.matches, "Removed", false})
		case "FixedLength":
			n := g.count("length", 5)
			if n == 0 {
				g.fail("length", n, "a whole number from 1 to 1000000")
			}
			stages = append(stages, fixedLength(n))
		default:
			g.unknown("pre-tokenizer", "ByteLevel", "Metaspace", "Split", "Digits", "Punctuation", "Whitespace", "WhitespaceSplit", "CharDelimiterSplit", "FixedLength")
		}
	}
	return stages, atEnd
}

func readSplit(g fields) splitter {
	invert := g.boolean("invert")
	behavior := g.oneOf("behavior", behaviors)
	p := g.pattern("pattern")
	if known, ok := knownPatterns[p.text]; ok && !p.literal && behavior == "Isolated" {
		return known
	}
	return patternSplit{p.matches, behavior, invert}
}

func prependScheme(g fields) string {
	scheme := g.oneOf("prepend_scheme", []string{"always", "first", "never"}, "always")
	if !g.boolean("add_prefix_space", true) {
		if g.has("prepend_scheme") && scheme != "never" {
			g.fail("prepend_scheme", scheme, "never, because add_prefix_space is false")
		}
		return "never"
	}
	return scheme
}

// readTemplate reads the field post_processor: the ids it puts before and after
// a single text. Those of several in a Sequence surround each other.
func readTemplate(f fields) (prefix, suffix []int) {
	for _, g := range flatten(f, "processors", 0) {
		if *f.err != nil {
			return nil, nil
		}
		var before, after []int
		switch t := g.str("type"); t {
		case "ByteLevel": // moves offsets only
		case "TemplateProcessing":
			before, after = readSingle(g)
		case "BertProcessing", "RobertaProcessing":
			before, after = []int{g.tokenPair("cls")}, []int{g.tokenPair("sep")}
		default:
			g.unknown("post-processor", "ByteLevel", "TemplateProcessing", "BertProcessing", "RobertaProcessing")
		}
		prefix = slices.Concat(before, prefix)
		suffix = slices.Concat(suffix, after)
	}
	return prefix, suffix
}

func readSingle(g fields) (before, after []int) {
	known := object(g.name("special_tokens"), g.m["special_tokens"], g.err)
	texts := 0
	for _, p := range g.list("single") {
		switch {
		case p.has("Sequence"):
			s := object(p.name("Sequence"), p.m["Sequence"], g.err)
			if id := s.str("id"); id != "A" {
				s.fail("id", id, "A")
			}
			texts++
		case p.has("SpecialToken"):
			name := object(p.name("SpecialToken"), p.m["SpecialToken"], g.err).str("id")
			ids := value[[]uint32](object(known.name(name), known.m[name], g.err), "ids", "a list of ids")
			for _, id := range ids {
				if texts == 0 {
					before = append(before, int(id))
				} else {
					after = append(after, int(id))
				}
			}
		default:
			p.fail("Sequence", "missing", "a Sequence or a SpecialToken")
		}
	}
	if texts != 1 {
		g.fail("single", fmt.Sprintf("%d texts", texts), "the text A exactly once")
	}
	return before, after
}

// tokenPair reads ["token", id].
func (f fields) tokenPair(key string) int {
	const allowed = `a pair ["token", id]`
	raw := value[[]any](f, key, allowed)
	if len(raw) == 2 {
		if n, ok := raw[1].(float64); ok && n >= 0 && n < 1<<31 {
			return int(n)
		}
	}
	f.fail(key, fmt.Sprint(raw), allowed)
	return 0
}

// readDecoders reads the field decoder.
func readDecoders(f fields) []decoder {
	var out []decoder
	fused := false // tokens arrive in parts
	add := func(d func() decodeState, whole bool) {
		if whole && fused {
			out = append(out, func() decodeState { return &gather{} })
			fused = false
		}
		out = append(out, d)
	}
	for _, g := range flatten(f, "decoders", 0) {
		if *f.err != nil {
			return nil
		}
		switch t := g.str("type"); t {
		case "ByteLevel":
			add(func() decodeState { return &byteLevel{} }, true)
			fused = true
		case "Fuse":
			add(func() decodeState { return &fuse{} }, false)
			fused = true
		case "ByteFallback":
			add(func() decodeState { return &byteFallback{} }, true)
		case "Metaspace":
			mark, drop := g.char("replacement"), prependScheme(g) != "never"
			add(func() decodeState { return &metaspaceDecoder{mark: mark, drop: drop} }, false)
		case "Replace":
			p := g.pattern("pattern")
			do := replace(p, g.str("content"))
			oneChar := p.literal && len([]rune(p.text)) == 1
			add(func() decodeState {
				return stateless(func(s string) string { s, _ = do(s, true); return s })
			}, !oneChar)
		case "Strip":
			d := stripDecoder{content: g.char("content"), start: g.count("start"), stop: g.count("stop")}
			add(func() decodeState { state := d; return &state }, d.stop > 0)
		case "BPEDecoder":
			suffix := g.str("suffix")
			add(func() decodeState { return &suffixDecoder{suffix: suffix} }, true)
		default:
			g.unknown("decoder", "ByteLevel", "Fuse", "ByteFallback", "Metaspace", "Replace", "Strip", "BPEDecoder")
		}
	}
	return out
}
