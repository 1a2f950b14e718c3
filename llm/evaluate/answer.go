package evaluate

import (
	"math/big"
	"regexp"
	"strings"
)

// Normalize makes every run of white space one space and drops it at the ends.
func Normalize(text string) string { return strings.Join(strings.Fields(text), " ") }

// ExactMatch reports whether two texts are equal but for white space.
func ExactMatch(a, b string) bool { return Normalize(a) == Normalize(b) }

const answerMark = "####"

// number is digits with commas between groups of three or none, and a fraction; or
// a fraction alone.
var number = regexp.MustCompile(`\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+`)

// Answer is the final answer of a solution: the first number after the first "####",
// or the last number of a text without this mark or without a number after it. The
// number is returned in plain form: no commas, currency or units, no zeros that mean
// nothing ("1,200.50 dollars" is "1200.5", "$18.00" is "18"). ok is false where there
// is no number.
//
// A minus sign counts unless it subtracts: after a digit, a closing bracket or a
// percent sign, spaces between or not, or right after a letter, so that 7 - 5 ends in
// 5. A currency sign may stand between it and the number.
func Answer(text string) (answer string, ok bool) {
	if _, after, marked := strings.Cut(text, answerMark); marked {
		if at := number.FindStringIndex(after); at != nil {
			return plain(after, at), true
		}
	}
	all := number.FindAllStringIndex(text, -1)
	if len(all) == 0 {
		return "", false
	}
	return plain(text, all[len(all)-1]), true
}

// plain is the number at text[at[0]:at[1]] in plain form, with its sign.
func plain(text string, at []int) string {
	digits := strings.ReplaceAll(text[at[0]:at[1]], ",", "")
	whole, fraction, _ := strings.Cut(digits, ".")
	whole = strings.TrimLeft(whole, "0")
	if whole == "" {
		whole = "0"
	}
	if fraction = strings.TrimRight(fraction, "0"); fraction != "" {
		whole += "." + fraction
	}
	if whole != "0" && negative(text[:at[0]]) {
		return "-" + whole
	}
	return whole
}

// negative reports whether what stands before a number ends in its minus sign.
func negative(before string) bool {
	before = strings.TrimRight(before, "$€£¥ ")
	rest, ok := strings.CutSuffix(before, "-")
	if !ok {
		if rest, ok = strings.CutSuffix(before, "−"); !ok { // U+2212
			return false
		}
	}
	return !operand.MatchString(rest)
}

// operand matches a text after which a minus sign subtracts.
var operand = regexp.MustCompile(`(?:[\p{N})\]%]\s*|\p{L})$`)

// SameAnswer reports whether a prediction's final answer equals a reference's, as
// numbers. A prediction without a number is wrong.
func SameAnswer(prediction, reference string) bool {
	a, ok := Answer(prediction)
	b, ok2 := Answer(reference)
	if !ok || !ok2 {
		return false
	}
	x, ok := new(big.Rat).SetString(a)
	y, ok2 := new(big.Rat).SetString(b)
	return ok && ok2 && x.Cmp(y) == 0
}
