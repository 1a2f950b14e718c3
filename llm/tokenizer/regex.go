package tokenizer

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/dlclark/regexp2"
)

// pattern is what Split and Replace look for: a literal text or a regular
// expression.
type pattern struct {
	text    string
	literal bool
	regex   *regexp2.Regexp
}

// matches calls yield for every match in s, in order; adjacent to each other or
// empty they may be.
func (p pattern) matches(s string, yield func(start, end int)) {
	if p.literal && p.text != "" {
		for at := 0; ; {
			k := strings.Index(s[at:], p.text)
			if k < 0 {
				return
			}
			yield(at+k, at+k+len(p.text))
			at += k + len(p.text)
		}
	}
	if p.literal {
		for i := range s {
			yield(i, i)
		}
		yield(len(s), len(s))
		return
	}
	// The engine counts runes; byte positions follow along.
	runes := []rune(s)
	at, b := 0, 0
	to := func(r int) int {
		for ; at < r; at++ {
			b += utf8.RuneLen(runes[at])
		}
		return b
	}
	m, err := p.regex.FindRunesMatch(runes)
	for ; m != nil && err == nil; m, err = p.regex.FindNextMatch(m) {
		start := to(m.Index)
		yield(start, to(m.Index+m.Length))
	}
}

// compile makes a pattern of a regular expression in Oniguruma's syntax, the one
// that tokenizer.json is written in.
func compile(expr string) (pattern, error) {
	translated, err := translate(expr)
	if err != nil {
		return pattern{}, err
	}
	// In Oniguruma ^ and $ are the ends of lines.
	re, err := regexp2.Compile(translated, regexp2.Multiline)
	if err != nil {
		return pattern{}, fmt.Errorf("does not compile: %w", err)
	}
	return pattern{text: expr, regex: re}, nil
}

const (
	wordClass = `\p{L}\p{M}\p{N}\p{Pc}` + "\u24b6-\u24e9\U0001f130-\U0001f149\U0001f150-\U0001f169\U0001f170-\U0001f189"
	hexClass  = `0-9a-fA-F`
)

// translate rewrites what the two syntaxes understand differently: \w (letters,
// marks, all numbers, connectors, enclosed letters), \h (a hexadecimal digit),
// possessive quantifiers, and the folding of the long s and the Kelvin sign
// without case. It refuses what cannot be rewritten, and nested unbounded
// repetition, whose matching time grows exponentially.
func translate(expr string) (string, error) {
	t := translator{in: []rune(strings.ReplaceAll(expr, "\x00", `\x00`))}
	t.out.Grow(2 * len(expr))
	if _, err := t.alternatives(false, 0); err != nil {
		return "", err
	}
	if t.pos < len(t.in) {
		return "", errors.New("unmatched )")
	}
	return t.out.String(), nil
}

type translator struct {
	in  []rune
	pos int
	out strings.Builder
}

func (t *translator) peek(s string) bool {
	return t.pos < len(t.in) && strings.HasPrefix(string(t.in[t.pos:min(len(t.in), t.pos+len(s))]), s)
}

// alternatives translates up to the closing parenthesis or the end. fold is
// whether letters match without case. repeats reports an unbounded repetition
// or a choice inside, which must not be repeated without bound again.
func (t *translator) alternatives(fold bool, depth int) (repeats bool, err error) {
	if depth > 50 {
		return false, errors.New("groups are nested deeper than 50")
	}
	for t.pos < len(t.in) && t.in[t.pos] != ')' {
		if t.in[t.pos] == '|' {
			t.out.WriteByte('|')
			t.pos++
			repeats = true
			continue
		}
		before := t.out.Len()
		inner, err := t.atom(&fold, depth)
		if err != nil {
			return false, err
		}
		unbounded, err := t.quantifiers(before, inner)
		if err != nil {
			return false, err
		}
		repeats = repeats || inner || unbounded
	}
	return repeats, nil
}

func (t *translator) atom(fold *bool, depth int) (repeats bool, err error) {
	r := t.in[t.pos]
	t.pos++
	switch r {
	case '(':
		return t.group(fold, depth)
	case '[':
		return false, t.class(*fold)
	case '\\':
		return false, t.escape(false)
	}
	if *fold && strings.ContainsRune("sSkK", r) {
		t.out.WriteString(map[rune]string{'s': "[sSſ]", 'S': "[sSſ]", 'k': "[kK\u212a]", 'K': "[kK\u212a]"}[r])
		return false, nil
	}
	t.out.WriteRune(r)
	return false, nil
}

func (t *translator) group(fold *bool, depth int) (bool, error) {
	inner := *fold
	t.out.WriteByte('(')
	if t.peek("?") {
		end := t.pos + 1
		for end < len(t.in) && strings.ContainsRune("imx-:=!<>", t.in[end]) {
			end++
			if strings.ContainsRune(":=!>", t.in[end-1]) {
				break
			}
		}
		head := string(t.in[t.pos+1 : end])
		flags := strings.TrimSuffix(head, ":")
		switch {
		case head == ":" || head == "=" || head == "!" || head == ">" || head == "<=" || head == "<!":
		case strings.Trim(flags, "i-") == "" && flags != "":
			inner = !strings.Contains(flags, "-")
			if end < len(t.in) && t.in[end] == ')' && flags == head {
				*fold = inner // (?i): up to the end of the enclosing group
			}
		default:
			return false, fmt.Errorf("the group (?%s is not supported; supported are (?:, (?=, (?!, (?<=, (?<!, (?> and the flag i", string(t.in[t.pos+1:min(len(t.in), end+1)]))
		}
		t.out.WriteString(string(t.in[t.pos:end]))
		t.pos = end
	}
	repeats, err := t.alternatives(inner, depth+1)
	if err != nil {
		return false, err
	}
	if t.pos == len(t.in) {
		return false, errors.New("missing )")
	}
	t.pos++
	t.out.WriteByte(')')
	return repeats, nil
}

// quantifiers translates what follows the atom that starts at before in the output.
func (t *translator) quantifiers(before int, repeats bool) (unbounded bool, err error) {
	for count := 0; t.pos < len(t.in); count++ {
		start := t.pos
		r := t.in[t.pos]
		more := r == '*' || r == '+'
		switch {
		case more || r == '?':
			t.pos++
		case r == '{' && t.bounds(&more):
		default:
			return unbounded, nil
		}
		if more && (repeats || count > 0) {
			return false, errors.New("an unbounded repetition of a part that itself repeats or chooses could take exponential time")
		}
		unbounded = unbounded || more
		interval := r == '{'
		if count > 0 {
			t.wrap(before, "(?:")
		}
		t.out.WriteString(string(t.in[start:t.pos]))
		if t.peek("?") {
			t.pos++
			t.out.WriteByte('?')
		} else if t.peek("+") && !interval {
			t.pos++
			t.wrap(before, "(?>")
		}
	}
	return unbounded, nil
}

// wrap puts the output from before on into a group.
func (t *translator) wrap(before int, open string) {
	all := t.out.String()
	t.out.Reset()
	t.out.WriteString(all[:before] + open + all[before:] + ")")
}

// bounds steps over {n}, {n,} and {n,m}; anything else is literal text.
func (t *translator) bounds(unbounded *bool) bool {
	i, digits, comma := t.pos+1, 0, false
	for ; i < len(t.in) && t.in[i] != '}'; i++ {
		switch {
		case t.in[i] >= '0' && t.in[i] <= '9':
			digits++
		case t.in[i] == ',' && !comma && digits > 0:
			comma = true
		default:
			return false
		}
	}
	if i >= len(t.in) || digits == 0 {
		return false
	}
	*unbounded = comma && t.in[i-1] == ','
	t.pos = i + 1
	return true
}

func (t *translator) escape(inClass bool) error {
	if t.pos >= len(t.in) {
		return errors.New(`ends in \`)
	}
	r := t.in[t.pos]
	t.pos++
	group := func(open, class string) string {
		if inClass {
			return class
		}
		return open + class + "]"
	}
	switch r {
	case 'w':
		t.out.WriteString(group("[", wordClass))
	case 'h':
		t.out.WriteString(group("[", hexClass))
	case 'W', 'H':
		if inClass {
			return fmt.Errorf(`\%c inside [] is not supported`, r)
		}
		t.out.WriteString(group("[^", map[rune]string{'W': wordClass, 'H': hexClass}[r]))
	case 'R', 'X', 'K', 'G', 'g', 'k', 'y', 'Y', 'O', 'N':
		return fmt.Errorf(`\%c is not supported`, r)
	default:
		t.out.WriteByte('\\')
		t.out.WriteRune(r)
	}
	return nil
}

func (t *translator) class(fold bool) error {
	t.out.WriteByte('[')
	if t.peek("^") {
		t.pos++
		t.out.WriteByte('^')
	}
	depth := 0 // of classes inside: a union, so their brackets can go
	for first := true; t.pos < len(t.in); first = false {
		r := t.in[t.pos]
		switch {
		case r == ']' && !first:
			t.pos++
			if depth == 0 {
				t.out.WriteByte(']')
				return nil
			}
			depth--
			continue
		case t.peek("[^") || t.peek("[:") || t.peek("&&"):
			return fmt.Errorf("%s inside [] is not supported", string(t.in[t.pos:t.pos+2]))
		case r == '[':
			t.pos++
			depth++
			continue
		case r == '\\':
			t.pos++
			if err := t.escape(true); err != nil {
				return err
			}
			continue
		}
		t.pos++
		t.out.WriteRune(r)
		if fold && strings.ContainsRune("sS", r) {
			t.out.WriteRune('ſ')
		}
	}
	return errors.New("missing ]")
}
