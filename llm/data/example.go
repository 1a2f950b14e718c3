package data

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"hash"
)

// Supervised is a row for supervised fine-tuning (SFT). The sequence is Prompt
// followed by Response; only the tokens of Response are scored.
type Supervised struct {
	Prompt, Response []int32 // neither is empty
	Row              int     // id of the row it was made from
}

// Preference is a row for direct preference optimisation (DPO): two responses to
// the same prompt.
type Preference struct {
	Prompt, Chosen, Rejected []int32 // none is empty
	Row                      int     // id of the row it was made from
}

// Example is what batches are made of.
type Example interface {
	Supervised | Preference
}

// sequence is one row of a batch.
type sequence struct {
	prompt, response []int32
}

func (s sequence) len() int { return len(s.prompt) + len(s.response) }

// sequences returns the rows that an example takes in a batch, one or two, how
// many they are, and the id of its row.
func sequences[E Example](e *E) (s [2]sequence, n, row int) {
	switch e := any(e).(type) {
	case *Supervised:
		return [2]sequence{{e.Prompt, e.Response}}, 1, e.Row
	case *Preference:
		return [2]sequence{{e.Prompt, e.Chosen}, {e.Prompt, e.Rejected}}, 2, e.Row
	}
	return s, 0, 0
}

// Fingerprint is a SHA-256 in hexadecimal of the token ids and row ids of
// examples, in order: what is computed once for a set of examples, such as the log-probabilities of a
// reference model, can be kept under this name.
func Fingerprint[E Example](examples []E) string {
	h := sha256.New()
	for i := range examples {
		s, n, row := sequences(&examples[i])
		writeInt(h, row)
		for _, q := range s[:n] {
			writeIDs(h, q.prompt)
			writeIDs(h, q.response)
		}
	}
	return hex.EncodeToString(h.Sum(nil))
}

func writeInt(h hash.Hash, v int) {
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], uint64(v))
	h.Write(b[:])
}

func writeIDs(h hash.Hash, ids []int32) {
	writeInt(h, len(ids))
	buf := make([]byte, 0, 4*len(ids))
	for _, id := range ids {
		buf = binary.LittleEndian.AppendUint32(buf, uint32(id))
	}
	h.Write(buf)
}
