// Package weights reads and writes the files that language models live in, and
// knows nothing of how a model computes.
//
// Open gives one uniform view of a model, whatever it is stored in: a Hugging
// Face folder (config.json with safetensors, sharded or not), a GGUF file, a
// llama2.c file, or an "hf:owner/name" reference that package hub resolves. The
// view holds the Config, and every parameter under its Hugging Face name as
// row-major float32 ([out, in] for a linear layer), read and de-quantised when it
// is asked for. Query and key rows are always in the half-split rotary order that
// Hugging Face uses; interleaved files are permuted while they are read.
//
// The package also writes safetensors, config.json, and adapters in PEFT's format.
//
// Nothing a file says about its own size is believed before it has been compared
// with the file's real length, so that a truncated or hostile file gives an error,
// not an allocation. Errors that report a file's content match bilevel.ErrInvalid
// and name the file, the tensor or key, its value and what is allowed.
package weights

import (
	"fmt"

	"github.com/bilevel-go/bilevel"
)

// refuse is the error about one value in one file.
func refuse(file, what string, value any, allowed string) error {
	if s, ok := value.(string); ok {
		value = clip(s)
	}
	return fmt.Errorf("%s: %w", file, &bilevel.SettingError{Field: what, Value: value, Allowed: allowed})
}

// clip keeps what a file says from flooding an error message.
func clip(s string) string {
	const most = 120
	if len(s) > most {
		return fmt.Sprintf("%q... (%d bytes)", s[:most], len(s))
	}
	return fmt.Sprintf("%q", s)
}
