package tokenizer

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/dlclark/regexp2"
)

// Oniguruma's \w is Alphabetic, marks, decimal digits and connectors; outside of
// [] also the Latin-1 fractions and superscripts.
const (
	wordInClass = `\p{L}\p{M}\p{Nd}\p{Nl}\p{Pc}` + "\u24b6-\u24e9\U0001f130-\U0001f149\U0001f150-\U0001f169\U0001f170-\U0001f189"
	wordClass   = wordInClass + "²³¹¼½¾"
	hexClass    = `0-9a-fA-F`
	boundary    = `(?:(?<=[` + wordClass + `])(?![` + wordClass + `])|(?<![` + wordClass + `])(?=[` + wordClass + `]))`
	noBoundary  = `(?:(?<=[` + wordClass + `])(?=[` + wordClass + `])|(?<![` + wordClass + `])(?![` + wordClass + `]))`
)

// multiFold are the pairs of letters that some single character folds to.
var multiFold = []string{"ss", "ff", "fi", "fl", "st"}

// translate rewrites what the two syntaxes understand differently: \w, \b, \h (a
// hexadecimal digit), possessive quantifiers, repeated intervals, and the folding
// of the long s and the Kelvin sign without case. It refuses what cannot be
// rewritten, and repetition of what itself repeats or chooses, whose matching
// time can grow exponentially.
func translate(expr string) (string, error) {
	t := translator{in: []rune(strings.ReplaceAll(expr, "\x00", `\x00`))}
	if _, err := t.alternatives(false, 0); err != nil {
		return "", err
	}
	if t.pos < len(t.in) {
		return "", errors.New("has a ) without (")
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
// whether letters match without case. varies reports a choice or a varying
// repetition inside, which must not be repeated again.
func (t *translator) alternatives(fold bool, depth int) (varies bool, err error) {
	if depth > 50 {
		return false, errors.New("nests groups deeper than 50")
	}
	for t.pos < len(t.in) && t.in[t.pos] != ')' {
		if t.in[t.pos] == '|' {
			t.out.WriteByte('|')
			t.pos++
			varies = true
			continue
		}
		before := t.out.Len()
		inner, err := t.atom(&fold, depth)
		if err != nil {
			return false, err
		}
		inner, err = t.quantifiers(before, inner)
		if err != nil {
			return false, err
		}
		varies = varies || inner
	}
	return varies, nil
}

func (t *translator) atom(fold *bool, depth int) (varies bool, err error) {
	r := t.in[t.pos]
	t.pos++
	switch r {
	case '(':
		return t.group(fold, depth)
	case '[':
		return false, t.class(*fold)
	case '\\':
		return false, t.escape()
	}
	if *fold && t.pos < len(t.in) && slices.Contains(multiFold, strings.ToLower(string(t.in[t.pos-1:t.pos+1]))) {
		return false, fmt.Errorf("matches %s without case, which is not supported because one character can stand for both", string(t.in[t.pos-1:t.pos+1]))
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
			return false, fmt.Errorf("has the group (?%s; supported are (?:, (?=, (?!, (?<=, (?<!, (?> and the flag i", string(t.in[t.pos+1:min(len(t.in), end+1)]))
		}
		t.out.WriteString(string(t.in[t.pos:end]))
		t.pos = end
	}
	varies, err := t.alternatives(inner, depth+1)
	if err != nil {
		return false, err
	}
	if t.pos == len(t.in) {
		return false, errors.New("lacks a )")
	}
	t.pos++
	t.out.WriteByte(')')
	return varies, nil
}

// quantifiers translates what follows the atom that starts at before in the
// output; varies is whether the atom has parts of its own that match in several
// ways. It returns whether the atom matches a varying number of times.
func (t *translator) quantifiers(before int, varies bool) (bool, error) {
	for count := 0; t.pos < len(t.in); count++ {
		q := t.quantifier()
		if q.text == "" {
			return varies, nil
		}
		isInterval := q.text[0] == '{'
		if isInterval && q.least <= 1 && (t.peek("+") || t.peek("*")) {
			// Up to m of an atom, repeated, is any number of it.
			if q.least == 1 && t.in[t.pos] == '+' {
				q.text = "+"
			} else {
				q.text = "*"
			}
			t.pos++
			isInterval, q.loop, q.fixed = false, true, false
		}
		if q.loop && varies {
			return false, errExponential
		}
		varies = varies || !q.fixed
		if count > 0 {
			t.wrap(before, "(?:")
		}
		t.out.WriteString(q.text)
		if t.peek("?") {
			t.pos++
			t.out.WriteByte('?')
		} else if t.peek("+") && !isInterval {
			t.pos++
			t.wrap(before, "(?>")
		}
	}
	return varies, nil
}

var errExponential = errors.New("repeats a part that itself repeats or chooses, which could take exponential time")

// quantifier is one of ? * + {n} {n,} {n,m}, or nothing.
type quantifier struct {
	text  string
	least int
	loop  bool // more than 4 times, perhaps
	fixed bool // always the same number of times
}

// quantifier steps over a quantifier.
func (t *translator) quantifier() quantifier {
	start := t.pos
	switch t.in[t.pos] {
	case '?':
		t.pos++
		return quantifier{text: "?"}
	case '*':
		t.pos++
		return quantifier{text: "*", loop: true}
	case '+':
		t.pos++
		return quantifier{text: "+", least: 1, loop: true}
	case '{':
		m := interval.FindStringSubmatch(string(t.in[start:min(len(t.in), start+16)]))
		if m == nil {
			return quantifier{}
		}
		t.pos += len(m[0])
		least, _ := strconv.Atoi(m[1])
		most, err := strconv.Atoi(m[3])
		if err != nil {
			most = least // {n}
			if m[2] == "," {
				most = 1 << 16 // {n,}
			}
		}
		return quantifier{m[0], least, most > 4, most == least}
	}
	return quantifier{}
}

var interval = regexp.MustCompile(`^\{([0-9]{1,4})(,?)([0-9]{0,4})\}`)

// wrap puts the output from before on into a group.
func (t *translator) wrap(before int, open string) {
	all := t.out.String()
	t.out.Reset()
	t.out.WriteString(all[:before] + open + all[before:] + ")")
}

// escape translates what follows a backslash outside of [].
func (t *translator) escape() error {
	if t.pos >= len(t.in) {
		return errors.New(`ends in \`)
	}
	r := t.in[t.pos]
	t.pos++
	switch r {
	case 'w':
		t.out.WriteString("[" + wordClass + "]")
	case 'W':
		t.out.WriteString("[^" + wordClass + "]")
	case 'h':
		t.out.WriteString("[" + hexClass + "]")
	case 'H':
		t.out.WriteString("[^" + hexClass + "]")
	case 'b':
		t.out.WriteString(boundary)
	case 'B':
		t.out.WriteString(noBoundary)
	default:
		return t.plain(r)
	}
	return nil
}

// plain writes the escape of r as it stands; unless it means something else
// to one of the two engines.
func (t *translator) plain(r rune) error {
	if strings.ContainsRune("RXKGgkyYONMCcQE", r) || r >= '1' && r <= '9' {
		return fmt.Errorf(`has \%c, which is not supported`, r)
	}
	switch {
	case r == 'x' && t.peek("{"):
		end := slices.Index(t.in[t.pos:], '}')
		if end < 0 {
			return errors.New(`has \x{ without }`)
		}
		digits := string(t.in[t.pos+1 : t.pos+end])
		t.pos += end + 1
		return t.code(digits)
	case r == 'x' || r == 'u':
		n := map[rune]int{'x': 2, 'u': 4}[r]
		digits := string(t.in[t.pos:min(len(t.in), t.pos+n)])
		t.pos += len([]rune(digits))
		return t.code(digits)
	case (r == 'p' || r == 'P') && t.peek("{"):
		end := slices.Index(t.in[t.pos:], '}')
		if end < 0 {
			return fmt.Errorf(`has \%c{ without }`, r)
		}
		t.out.WriteString(`\` + string(r) + string(t.in[t.pos:t.pos+end+1]))
		t.pos += end + 1
		return nil
	}
	t.out.WriteByte('\\')
	t.out.WriteRune(r)
	return nil
}

// code writes the character with the hexadecimal number digits.
func (t *translator) code(digits string) error {
	n, err := strconv.ParseUint(digits, 16, 21)
	if err != nil || !utf8.ValidRune(rune(n)) {
		return fmt.Errorf("has the character number %q, which is none", digits)
	}
	t.out.WriteString(regexp2.Escape(string(rune(n))))
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
			return fmt.Errorf("has %s inside [], which is not supported", string(t.in[t.pos:t.pos+2]))
		case r == '[':
			t.pos++
			depth++
			continue
		case r == '\\':
			if err := t.escapeInClass(); err != nil {
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
	return errors.New("lacks a ]")
}

func (t *translator) escapeInClass() error {
	t.pos++
	if t.pos >= len(t.in) {
		return errors.New(`ends in \`)
	}
	r := t.in[t.pos]
	t.pos++
	switch r {
	case 'w':
		t.out.WriteString(wordInClass)
	case 'h':
		t.out.WriteString(hexClass)
	case 'W', 'H', 'B':
		return fmt.Errorf(`has \%c inside [], which is not supported`, r)
	default:
		return t.plain(r)
	}
	return nil
}
