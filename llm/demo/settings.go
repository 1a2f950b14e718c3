package demo

import (
	"github.com/bilevel-go/bilevel/internal/option"
	"github.com/bilevel-go/bilevel/llm/tune"
)

// Name is the demo's name on the command line.
const Name = "llm/demo"

// Title says in one line what the demo is.
const Title = "post-training of a tiny language model, preferences over supervised answers"

// Settings are what can be changed. Zero fields are defaults; see Fields.
type Settings struct {
	Backend  string  `opt:"backend" default:"auto" doc:"go, xla, xla:cpu, xla:cuda, xla:PATH of a plugin, or auto"`
	Pretrain int     `opt:"pretrain" default:"600" range:"[1,100000]" doc:"steps of pre-training"`
	Budget   int     `opt:"budget" default:"180000" range:"[1,1000000000]" doc:"budget of each method: token places in forward and backward passes of the backbone"`
	Stage2   int     `opt:"stage2" default:"25000" range:"[1,1000000000]" doc:"budget of the second stage, the head alone"`
	Gamma    float64 `opt:"gamma" default:"10" range:"(0,inf)" doc:"penalty gamma of PBGD-Free and V-PBGD"`
	Inner    int     `opt:"inner" default:"3" range:"[1,1000]" doc:"inner steps K of V-PBGD"`
	RateX    float64 `opt:"rate.x" default:"0.0015" range:"(0,inf)" doc:"learning rate of the updates"`
	RateY    float64 `opt:"rate.y" default:"0.0005" range:"(0,inf)" doc:"learning rate of the head"`
	Conflict float64 `opt:"conflict" default:"0.75" range:"(0,1]" doc:"share of pairs that reject the supervised answer itself"`
	Points   int     `opt:"points" default:"6" range:"[1,1000]" doc:"evaluations of each method on the way, about"`
	HeldOut  int     `opt:"held_out" default:"200" range:"[48,200]" doc:"held-out prompts"`
	Prompts  int     `opt:"prompts" default:"100" range:"[1,200]" doc:"how many of them every model answers"`
}

// Fill sets zero fields to their defaults and checks all of them. Errors are
// *bilevel.SettingError.
func (s *Settings) Fill() error { return option.Fill(s) }

// The sizes of the experiment. Batches have one shape at each level, because every
// new one is compiled.
const (
	trainRows            = 1200
	batchRows            = 16 // of pre-training and of each level
	pretrainRate         = 0.01
	hidden, layers       = 32, 2
	heads, window        = 4, 64
	rank, alpha          = 8, 16
	beta                 = 0.1 // of DPO
	flatnessBatches      = 3   // held out, for flatness
	flatnessMeasurements = 2   // after the one at the start
	longestAnswer        = 16
)

// compared are the ways to train, the answer of the demo first.
var compared = []string{"pbgd-free", "v-pbgd", "alright", "dpo-then-sft", "sft-then-dpo", "dpo", "sft"}

// algorithms finds them.
func algorithms() []tune.Algorithm {
	var all []tune.Algorithm
	for _, name := range compared {
		for _, a := range tune.Algorithms() {
			if a.Name == name {
				all = append(all, a)
			}
		}
	}
	return all
}
