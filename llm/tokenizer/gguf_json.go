package tokenizer

import (
	"bytes"
	"cmp"
	"encoding/json"
	"slices"
	"strings"
)

// dict is a JSON object.
type dict = map[string]any

// JSON writes the tokenizer as Hugging Face's tools read it: tokenizer.json, and
// tokenizer_config.json with the tokens that have a role and, where it is not empty,
// a chat template. Parse of the first gives the same ids as FromGGUF.
func (g GGUF) JSON(chatTemplate string) (tokenizer, config []byte, err error) {
	if _, err := FromGGUF(g); err != nil { // everything in it is in order
		return nil, nil, err
	}
	vocabulary := dict{}
	for id, s := range g.Tokens {
		vocabulary[s] = id
	}
	added := []dict{}
	for id, kind := range g.Types {
		if kind == typeControl || kind == typeUser {
			added = append(added, dict{
				"id": id, "content": g.Tokens[id], "special": kind == typeControl,
				"single_word": false, "lstrip": false, "rstrip": false, "normalized": false,
			})
		}
	}
	model := dict{
		"type": "BPE", "dropout": nil, "unk_token": nil, "continuing_subword_prefix": nil, "end_of_word_suffix": nil,
		"fuse_unk": false, "byte_fallback": false, "ignore_merges": false, "vocab": vocabulary,
	}
	root := dict{"version": "1.0", "truncation": nil, "padding": nil, "added_tokens": added, "model": model, "post_processor": g.template()}
	if g.Model == "llama" {
		g.scoredJSON(root, model)
	} else {
		g.byteLevelJSON(root, model)
	}
	settings := dict{"tokenizer_class": "PreTrainedTokenizerFast", "clean_up_tokenization_spaces": false}
	for role, id := range map[string]int{"bos_token": g.BOS, "eos_token": g.EOS, "pad_token": g.PAD, "unk_token": g.UNK} {
		if id != None {
			settings[role] = g.Tokens[id]
		}
	}
	if chatTemplate != "" {
		settings["chat_template"] = chatTemplate
	}
	return indented(root), indented(settings), nil
}

// template is the post-processor that puts BOS and EOS around a text; nil: none.
func (g GGUF) template() any {
	single, tokens := []dict{}, dict{}
	pair := []dict{}
	part := func(list *[]dict, add bool, id, kind int) {
		if !add || id == None {
			return
		}
		name := g.Tokens[id]
		*list = append(*list, dict{"SpecialToken": dict{"id": name, "type_id": kind}})
		tokens[name] = dict{"id": name, "ids": []int{id}, "tokens": []string{name}}
	}
	text := func(list *[]dict, name string, kind int) {
		part(list, g.AddBOS, g.BOS, kind)
		*list = append(*list, dict{"Sequence": dict{"id": name, "type_id": kind}})
		part(list, g.AddEOS, g.EOS, kind)
	}
	text(&single, "A", 0)
	text(&pair, "A", 0)
	text(&pair, "B", 1)
	if len(tokens) == 0 {
		return nil
	}
	return dict{"type": "TemplateProcessing", "single": single, "pair": pair, "special_tokens": tokens}
}

func (g GGUF) byteLevelJSON(root, model dict) {
	pre := pres[g.Pre]
	byteLevel := func(regex bool) dict {
		return dict{"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": regex}
	}
	stages := []dict{}
	if pre.digits {
		stages = append(stages, dict{"type": "Digits", "individual_digits": true})
	}
	if pre.pattern == gpt2Pattern {
		stages = append(stages, byteLevel(true))
	} else {
		split := dict{"type": "Split", "pattern": dict{"Regex": pre.pattern}, "behavior": "Isolated", "invert": false}
		stages = append(stages, split, byteLevel(false))
	}
	root["pre_tokenizer"] = dict{"type": "Sequence", "pretokenizers": stages}
	root["decoder"] = byteLevel(true)
	root["normalizer"] = nil
	if pre.nfc {
		root["normalizer"] = dict{"type": "NFC"}
	}
	model["ignore_merges"] = pre.ignoreMerges
	merges := [][]string{}
	for _, line := range g.Merges {
		merges = append(merges, strings.SplitN(line, " ", 2))
	}
	model["merges"] = merges
}

// scoredJSON writes the merges that scores stand for, see llama2c.go. Pieces of
// equal scores go by their ids: a list of merges knows no equal ranks.
func (g GGUF) scoredJSON(root, model dict) {
	type join struct {
		left, right string
		id, l, r    int
	}
	ids := map[string]int{}
	for id, s := range g.Tokens {
		ids[s] = id
	}
	text := func(id int) bool { return len(g.Types) == 0 || g.Types[id] == 1 }
	var joins []join
	for id, s := range g.Tokens {
		if _, isByte := byteToken(s); isByte || !text(id) {
			continue
		}
		for cut := range s {
			l, ok := ids[s[:cut]]
			r, ok2 := ids[s[cut:]]
			if cut > 0 && ok && ok2 && text(l) && text(r) {
				joins = append(joins, join{s[:cut], s[cut:], id, l, r})
			}
		}
	}
	slices.SortStableFunc(joins, func(a, b join) int {
		return cmp.Or(cmp.Compare(g.Scores[b.id], g.Scores[a.id]), a.id-b.id, a.l-b.l, a.r-b.r)
	})
	merges := [][]string{}
	for _, j := range joins {
		merges = append(merges, []string{j.left, j.right})
	}
	model["merges"], model["fuse_unk"], model["byte_fallback"] = merges, true, true
	if g.UNK != None {
		model["unk_token"] = g.Tokens[g.UNK]
	}
	space := dict{"String": " "}
	normalizers := []dict{{"type": "Replace", "pattern": space, "content": wordMark}}
	decoders := []dict{{"type": "Replace", "pattern": dict{"String": wordMark}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"}}
	if g.AddSpacePrefix {
		normalizers = slices.Insert(normalizers, 0, dict{"type": "Prepend", "prepend": wordMark})
		decoders = append(decoders, dict{"type": "Strip", "content": " ", "start": 1, "stop": 0})
	}
	root["normalizer"] = dict{"type": "Sequence", "normalizers": normalizers}
	root["pre_tokenizer"] = nil
	root["decoder"] = dict{"type": "Sequence", "decoders": decoders}
}

// indented is v as JSON. Maps of strings, numbers and lists cannot fail to be
// encoded; their keys come sorted.
func indented(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	_ = e.Encode(v)
	return b.Bytes()
}
