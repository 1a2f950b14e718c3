package weights

import (
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	"github.com/bilevel-go/bilevel/internal/wholefile"
)

// AdapterConfig is adapter_config.json of a LoRA adapter, as far as it says what
// the adapter computes and where it belongs.
type AdapterConfig struct {
	Base     string  // base_model_name_or_path, may be empty
	TaskType string  // CAUSAL_LM, may be empty
	Rank     int     // r
	Alpha    float64 // lora_alpha
	Dropout  float64 // lora_dropout, used in training only
	// UseRSLoRA scales by alpha/sqrt(r) and not by alpha/r.
	UseRSLoRA bool
	// Targets name the adapted layers; see Targets.
	Targets Targets
	// ModulesToSave name modules that are stored whole, such as the head.
	ModulesToSave []string
	// RankPattern and AlphaPattern give single layers another rank or alpha; keys
	// are regular expressions for the end of a layer's name.
	RankPattern  map[string]int
	AlphaPattern map[string]float64
}

// Targets say which layers are adapted, as PEFT's target_modules does: a list of
// names, each matching a layer of that name or one whose name ends in "." and it;
// or one regular expression for whole names (with Pattern set); "all-linear" as
// Pattern or as the only name is every linear layer but the head.
type Targets struct {
	Names   []string
	Pattern string
}

// AllLinear is the word for every linear layer but the head.
const AllLinear = "all-linear"

// Choose lists the layers of a model that are adapted, in the model's order; none
// is an error that names what there is.
func (t *Targets) Choose(c *Config) ([]Linear, error) {
	matches, err := t.matcher()
	if err != nil {
		return nil, err
	}
	var chosen []Linear
	kinds := []string{}
	for _, l := range c.Linears() {
		if matches(l.Module) {
			chosen = append(chosen, l)
		}
		if kind := l.Module[strings.LastIndexByte(l.Module, '.')+1:]; !slices.Contains(kinds, kind) {
			kinds = append(kinds, kind)
		}
	}
	if len(chosen) == 0 {
		return nil, refuse("LoRA", "target_modules", t.String(), "names or an expression that match a linear layer: "+strings.Join(kinds, ", ")+", or "+AllLinear)
	}
	return chosen, nil
}

func (t *Targets) matcher() (func(module string) bool, error) {
	if t.Pattern == AllLinear || len(t.Names) == 1 && t.Names[0] == AllLinear {
		return func(string) bool { return true }, nil
	}
	if t.Pattern == "" {
		return func(module string) bool {
			return slices.ContainsFunc(t.Names, func(n string) bool { return matchesName(n, module) })
		}, nil
	}
	re, err := regexp.Compile("^(?:" + t.Pattern + ")$")
	if err != nil {
		return nil, refuse("LoRA", "target_modules", t.Pattern, "a regular expression: "+err.Error())
	}
	return re.MatchString, nil
}

// matchesName is PEFT's rule for an entry of a list of modules.
func matchesName(entry, module string) bool {
	return module == entry || strings.HasSuffix(module, "."+entry)
}

// String is the targets as a setting would give them.
func (t *Targets) String() string {
	if t.Pattern != "" {
		return t.Pattern
	}
	return strings.Join(t.Names, ",")
}

// MarshalJSON writes the pattern or the sorted names.
func (t Targets) MarshalJSON() ([]byte, error) {
	if t.Pattern != "" {
		return json.Marshal(t.Pattern)
	}
	names := slices.Sorted(slices.Values(t.Names))
	if names == nil {
		names = []string{}
	}
	return json.Marshal(names)
}

// UnmarshalJSON reads a string (a pattern) or a list (names).
func (t *Targets) UnmarshalJSON(b []byte) error {
	*t = Targets{}
	if json.Unmarshal(b, &t.Pattern) == nil {
		return nil
	}
	return json.Unmarshal(b, &t.Names)
}

// rank is the rank of a layer.
func (c *AdapterConfig) rank(module string) int { return byPattern(c.RankPattern, module, c.Rank) }

// alpha is the alpha of a layer.
func (c *AdapterConfig) alpha(module string) float64 {
	return byPattern(c.AlphaPattern, module, c.Alpha)
}

// byPattern is the value of the key that is the end of the layer's name.
func byPattern[V any](patterns map[string]V, module string, otherwise V) V {
	for _, key := range matching(patterns, module) {
		return patterns[key]
	}
	return otherwise
}

// ambiguous reports whether several keys give a layer different values; PEFT takes
// the first in the file, an order that JSON does not have.
func ambiguous[V comparable](patterns map[string]V, module string) bool {
	keys := matching(patterns, module)
	return slices.ContainsFunc(keys, func(k string) bool { return patterns[k] != patterns[keys[0]] })
}

func matching[V any](patterns map[string]V, module string) []string {
	return slices.DeleteFunc(sortedKeys(patterns), func(key string) bool {
		re, err := regexp.Compile(`^(?:.*\.)?(?:` + key + ")$")
		return err != nil || !re.MatchString(module)
	})
}

func (c *AdapterConfig) validate(file string) error {
	switch {
	case c.Rank < 1 || c.Rank > 1<<16:
		return refuse(file, "r", c.Rank, "1 to 65536")
	case !positive(c.Alpha):
		return refuse(file, "lora_alpha", c.Alpha, "a finite number > 0")
	case !(c.Dropout >= 0 && c.Dropout < 1):
		return refuse(file, "lora_dropout", c.Dropout, "a number in [0, 1)")
	}
	for key, r := range c.RankPattern {
		if r < 1 || r > 1<<16 {
			return refuse(file, "rank_pattern "+clip(key), r, "1 to 65536")
		}
	}
	for key, v := range c.AlphaPattern {
		if !positive(v) {
			return refuse(file, "alpha_pattern "+clip(key), v, "a finite number > 0")
		}
	}
	for _, key := range append(sortedKeys(c.RankPattern), sortedKeys(c.AlphaPattern)...) {
		if _, err := regexp.Compile(key); err != nil {
			return refuse(file, "rank_pattern or alpha_pattern", key, "a regular expression: "+err.Error())
		}
	}
	return nil
}

// adapterJSON is what is read and written of adapter_config.json.
type adapterJSON struct {
	PeftType      string             `json:"peft_type"`
	TaskType      *string            `json:"task_type"`
	Base          *string            `json:"base_model_name_or_path"`
	R             int                `json:"r"`
	Alpha         float64            `json:"lora_alpha"`
	Dropout       float64            `json:"lora_dropout"`
	Bias          string             `json:"bias"`
	FanInFanOut   bool               `json:"fan_in_fan_out"`
	UseRSLoRA     bool               `json:"use_rslora"`
	UseDoRA       bool               `json:"use_dora"`
	Targets       Targets            `json:"target_modules"`
	ModulesToSave []string           `json:"modules_to_save"`
	RankPattern   map[string]int     `json:"rank_pattern"`
	AlphaPattern  map[string]float64 `json:"alpha_pattern"`
	InferenceMode bool               `json:"inference_mode"`
	InitLoRA      any                `json:"init_lora_weights"`
}

// adapterHarmless are settings that concern training or how the factors were
// begun, and leave what the finished adapter computes alone.
var adapterHarmless = []string{
	"auto_mapping", "base_model_class", "corda_config", "eva_config", "exclude_modules", "inference_mode", "layers_pattern",
	"layers_to_transform", "lora_ga_config", "megatron_config", "megatron_core", "parent_library", "peft_version",
	"qalora_group_size", "revision", "runtime_config", "loftq_config", "ensure_weight_tying",
}

// adapterKnown are the settings that adapterJSON reads.
var adapterKnown = []string{
	"peft_type", "task_type", "base_model_name_or_path", "r", "lora_alpha", "lora_dropout", "use_rslora", "target_modules",
	"modules_to_save", "rank_pattern", "alpha_pattern", "init_lora_weights",
}

// read reads adapter_config.json.
func (c *AdapterConfig) read(path string) error {
	var all map[string]json.RawMessage
	if err := readJSON(path, &all); err != nil {
		return err
	}
	for _, key := range sortedKeys(all) {
		if slices.Contains(adapterKnown, key) || slices.Contains(adapterHarmless, key) {
			continue
		}
		switch v := string(all[key]); v {
		case "null", "false", "{}", "[]", `"none"`, `""`, "0":
		default:
			return refuse(path, key, v, "null or false: this setting changes what the adapter computes, in a way that is not supported")
		}
	}
	var j adapterJSON
	if err := readJSON(path, &j); err != nil {
		return err
	}
	if j.PeftType != "LORA" {
		return refuse(path, "peft_type", j.PeftType, "LORA")
	}
	// With these the base weights were changed before training began.
	if name, ok := j.InitLoRA.(string); ok && (strings.HasPrefix(name, "pissa") || slices.Contains([]string{"olora", "corda", "loftq", "lora_ga"}, name)) {
		return refuse(path, "init_lora_weights", name, "an initialisation that leaves the base weights alone")
	}
	*c = AdapterConfig{
		Base: value(j.Base, ""), TaskType: value(j.TaskType, ""), Rank: j.R, Alpha: j.Alpha, Dropout: j.Dropout, UseRSLoRA: j.UseRSLoRA,
		Targets: j.Targets, ModulesToSave: j.ModulesToSave,
	}
	if len(j.RankPattern) > 0 {
		c.RankPattern = j.RankPattern
	}
	if len(j.AlphaPattern) > 0 {
		c.AlphaPattern = j.AlphaPattern
	}
	return c.validate(path)
}

// write writes adapter_config.json with the settings that every version of PEFT knows.
func (c *AdapterConfig) write(path string) error {
	if err := c.validate(path); err != nil {
		return err
	}
	if len(c.Targets.Names) == 0 && c.Targets.Pattern == "" {
		return refuse(path, "target_modules", "empty", fmt.Sprintf("names of layers, an expression or %s", AllLinear))
	}
	j := adapterJSON{
		PeftType: "LORA", R: c.Rank, Alpha: c.Alpha, Dropout: c.Dropout, Bias: "none", UseRSLoRA: c.UseRSLoRA, Targets: c.Targets,
		ModulesToSave: c.ModulesToSave, RankPattern: c.RankPattern, AlphaPattern: c.AlphaPattern, InferenceMode: true, InitLoRA: true,
	}
	if j.RankPattern == nil {
		j.RankPattern = map[string]int{}
	}
	if j.AlphaPattern == nil {
		j.AlphaPattern = map[string]float64{}
	}
	if c.TaskType != "" {
		j.TaskType = &c.TaskType
	}
	if c.Base != "" {
		j.Base = &c.Base
	}
	return wholefile.Write(path, func(w io.Writer) error {
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		return e.Encode(j)
	})
}
