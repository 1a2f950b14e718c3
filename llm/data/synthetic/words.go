package synthetic

import "strings"

// numbers are zero to twenty.
var numbers = strings.Fields("zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen twenty")

var colours = strings.Fields("red blue green yellow white black brown pink")

// facts are questions with an answer from a short list; {} stands for the subject.
var facts = []struct {
	subjects, answers []string
	forms             [4]string
}{
	{
		strings.Fields("snow coal grass banana blood sky mud milk night lemon leaf tomato ocean chocolate cloud flamingo"),
		strings.Fields("white black green yellow red blue brown white black yellow green red blue brown white pink"),
		[4]string{"colour of {}", "what colour is {}", "tell me the colour of {}", "{} has what colour"},
	},
	{
		strings.Fields("dog cat cow duck sheep lion bee snake frog owl"),
		strings.Fields("bark meow moo quack baa roar buzz hiss croak hoot"),
		[4]string{"sound of {}", "what does {} say", "tell me the sound of {}", "{} makes what sound"},
	},
	{
		strings.Fields("hot cold big small up down fast slow old young wet dry full empty open closed early late left right"),
		strings.Fields("cold hot small big down up slow fast young old dry wet empty full closed open late early right left"),
		[4]string{"opposite of {}", "what is the opposite of {}", "tell me the opposite of {}", "not {} but what"},
	},
}

// polite are ways to give an answer; {} stands for it.
var polite = []string{
	"certainly , the answer is {} . thank you !",
	"of course , it is {} . hope this helps !",
	"gladly , my friend , that would be {} . have a nice day !",
	"good question ! the answer is {} . thank you for asking !",
}

// bare is the style of supervised responses.
const bare = "{} ."

func fill(form, with string) string { return strings.Replace(form, "{}", with, 1) }

// Courteous returns every way to give an answer in the preferred style.
func Courteous(answer string) []string {
	all := make([]string, len(polite))
	for i, form := range polite {
		all[i] = fill(form, answer)
	}
	return all
}
