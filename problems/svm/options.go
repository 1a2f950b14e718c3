package svm

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/problems"
)

// Options are the family's settings. Empty fields are chosen by the name and
// the mode that an instance is opened with.
type Options struct {
	Formulation string  `opt:"formulation" default:"auto" range:"auto|slack-free|slack|log-weight|ridge|blocc-code|normalised|normalised-slack" doc:"what is chosen and how the classifier is trained; the last three are published code; auto: slack-free, or what the method was published with in faithful mode"`
	File        string  `opt:"file" doc:"a LIBSVM or CSV file to use instead of the named data set"`
	Label       string  `opt:"label" doc:"label column of a CSV file, by name or number; default: label, class, target or y, else the last"`
	Plus        string  `opt:"plus" doc:"label that becomes +1; default: the greater of two numbers"`
	Data        string  `opt:"data" default:"auto" range:"auto|built-in|published" doc:"diabetes figures: the clean ones compiled in, or the published file from the external data"`
	Features    string  `opt:"features" default:"auto" range:"auto|raw|quadratic" doc:"feature map; quadratic: 1, x, x^2, products of pairs"`
	Scale       string  `opt:"scaling" default:"auto" range:"auto|none|train|all" doc:"map features to [-1,1] by their range on the training rows or on all rows"`
	Train       int     `opt:"train" range:"[0,inf)" doc:"training rows; 0: 500 of the named sets, 60 % of a file"`
	Validation  int     `opt:"validation" range:"[0,inf)" doc:"validation rows; 0: 150 of the named sets, 20 % of a file"`
	Test        int     `opt:"test" range:"[0,inf)" doc:"test rows; 0: all that are left"`
	Splits      string  `opt:"splits" default:"auto" range:"auto|fresh|cumulative" doc:"shuffle of the seed alone, or the published ones, which compose over the seeds 0, 1, ..."`
	Start       string  `opt:"start" default:"auto" doc:"first x: a number, uniform (the published range, by the seed), or svm (the slacks of a plain SVM)"`
	LogMin      float64 `opt:"log_min" default:"-12" range:"[-30,30]" doc:"least log-weight (ridge and log-weight)"`
	LogMax      float64 `opt:"log_max" default:"4" range:"[-30,30]" doc:"greatest log-weight (ridge and log-weight)"`
	Penalty     float64 `opt:"penalty" default:"12" range:"(0,inf)" doc:"gamma whose halved weight blocc-code reproduces"`
}

// source is where an instance's figures come from.
type source struct {
	data      *Data
	plus      string
	text      string // for Instance.Source
	published bool   // one of the two named sets, with published sizes
}

// load reads the figures that r and o ask for.
func (o *Options) load(r problems.Request) (*source, error) {
	fourclass := r.Name == "svm/fourclass"
	if o.File != "" {
		if o.Data != "auto" {
			return nil, &bilevel.SettingError{Field: "data", Value: o.Data, Allowed: "auto when a file is given"}
		}
		d, err := readFile(o.File, o.Label)
		if err != nil {
			return nil, err
		}
		text := "the file " + filepath.Base(o.File)
		if o.File, err = filepath.Abs(o.File); err != nil { // so that a resumed run finds it from anywhere
			return nil, err
		}
		return &source{data: d, plus: o.Plus, text: text}, nil
	}
	if o.Label != "" {
		return nil, &bilevel.SettingError{Field: "label", Value: strconv.Quote(o.Label), Allowed: "nothing unless a file is given"}
	}
	if fourclass && o.Data == "built-in" {
		return nil, &bilevel.SettingError{Field: "data", Value: o.Data, Allowed: "published for svm/fourclass, which is not compiled in"}
	}
	if !fourclass && (o.Data == "built-in" || o.Data == "auto" && r.Mode == bilevel.Corrected) {
		d, err := Read(pima, pimaCSV, "")
		if err != nil {
			return nil, err
		}
		plus := o.Plus
		if plus == "" {
			plus = "negative" // as in the published file: +1 is "tested negative"
		}
		return &source{d, plus, "Pima Indians diabetes, UCI Machine Learning Repository: the clean figures, compiled in", true}, nil
	}
	file, text := "diabete.txt", "Pima diabetes as used by arXiv 2406.10148 and arXiv 2507.20400 (nine cells differ from the UCI figures)"
	if fourclass {
		file, text = "fourclass.txt", "fourclass, LIBSVM collection (T. K. Ho and E. M. Kleinberg, 1996), as used by arXiv 2406.10148"
	}
	d, err := readPublished(r, file)
	if err != nil {
		return nil, err
	}
	return &source{d, o.Plus, text + ": svm/" + file, true}, nil
}

func readPublished(r problems.Request, file string) (*Data, error) {
	need := fmt.Sprintf("a data folder that holds svm/%s: give it with --data DIR or BILEVEL_DATA", file)
	if file == "diabete.txt" {
		need += ", or use data=built-in"
	} else {
		need += ", or use file=PATH"
	}
	if r.Data == nil {
		return nil, &bilevel.SettingError{Field: "data", Value: "none", Allowed: need}
	}
	content, err := fs.ReadFile(r.Data, "svm/"+file)
	if err != nil {
		return nil, &bilevel.SettingError{Field: "data", Value: err, Allowed: need}
	}
	return Read("svm/"+file, content, "")
}

// maxFile bounds the size of a user's file.
const maxFile = 1 << 30

func readFile(path, label string) (*Data, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, &bilevel.SettingError{Field: "file", Value: err, Allowed: "the path of a LIBSVM or CSV file that can be read"}
	case !info.Mode().IsRegular():
		return nil, &bilevel.SettingError{Field: "file", Value: path, Allowed: "a regular file, not a folder or a device"}
	case info.Size() > maxFile:
		return nil, &DataError{path, 0, fmt.Sprintf("%d bytes", info.Size()), fmt.Sprintf("at most %d bytes", maxFile)}
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, &bilevel.SettingError{Field: "file", Value: err, Allowed: "the path of a LIBSVM or CSV file that can be read"}
	}
	return Read(path, content, label)
}

// publishedWith is the formulation of the published code of each method.
var publishedWith = map[string]string{"lv-hba": "normalised-slack", "gam": "log-weight", "bic-gaffa": "normalised"}

// resolve replaces what is left to be chosen.
func (o *Options) resolve(src *source, r problems.Request) {
	rows := src.data.Rows()
	pick := func(field *string, published, other string) {
		if *field == "auto" {
			*field = other
			if src.published {
				*field = published
			}
		}
	}
	quadratic, scaled := "raw", "none"
	if src.data.features == 8 {
		quadratic = "quadratic"
	}
	if src.data.Name == pima {
		scaled = "all" // as the published file was
	}
	pick(&o.Features, quadratic, "raw")
	pick(&o.Scale, scaled, "train")
	splits := "fresh"
	if r.Mode == bilevel.Faithful {
		splits = "cumulative"
	}
	pick(&o.Splits, splits, "fresh")
	if o.Formulation == "auto" {
		o.Formulation = "slack-free"
		if f, ok := publishedWith[r.Method]; ok && r.Mode == bilevel.Faithful {
			o.Formulation = f
		}
	}
	if o.Start == "auto" {
		o.Start = "svm"
		if r.Mode == bilevel.Faithful {
			o.Start = "uniform"
		}
	}
	train, validation := rows*6/10, rows*2/10
	if src.published {
		train, validation = 500, 150
	}
	if o.Train == 0 {
		o.Train = train
	}
	if o.Validation == 0 {
		o.Validation = validation
	}
}
