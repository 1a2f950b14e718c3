package training

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"os"
	"path/filepath"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/bilevel-go/bilevel/llm/tune"
)

// EventsFolder holds TensorBoard's files.
const EventsFolder = "events"

// events writes a TensorBoard event file: records of TFRecord framing, each an Event
// message,
//
//	Event       { double wall_time = 1; int64 step = 2; string file_version = 3;
//	              Summary summary = 5; SessionLog session_log = 7; }
//	Summary     { repeated Value value = 1; }
//	Value       { string tag = 1; float simple_value = 2; }
//	SessionLog  { SessionStatus status = 1; }       START = 1
//
// (tensorflow/core/util/event.proto, tensorflow/core/framework/summary.proto).
type events struct {
	f      *os.File
	now    func() time.Time
	stage  string
	base   int // steps of the stages before
	latest int
	buf    []byte
}

// openEvents begins a file in the run directory. Steps count over all stages; a
// training that goes on behind step from tells TensorBoard to forget later ones.
func openEvents(dir string, stage string, base, from int) (*events, error) {
	folder := filepath.Join(dir, EventsFolder)
	if err := os.MkdirAll(folder, 0o777); err != nil {
		return nil, err
	}
	e := &events{now: time.Now, stage: stage, base: base, latest: base + from}
	var err error
	for begin := e.now().Unix(); e.f == nil; begin++ { // names say when, and sort by that
		name := filepath.Join(folder, fmt.Sprintf("events.out.tfevents.%010d.bilevel", begin))
		if e.f, err = os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o666); err != nil && !errors.Is(err, os.ErrExist) {
			return nil, err
		}
	}
	err = e.record(0, func(b []byte) []byte {
		return protowire.AppendString(protowire.AppendTag(b, 3, protowire.BytesType), "brain.Event:2")
	})
	if err == nil && stage != "" {
		err = e.record(e.latest+1, func(b []byte) []byte {
			status := protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), 1)
			return protowire.AppendBytes(protowire.AppendTag(b, 7, protowire.BytesType), status)
		})
	}
	return e, err
}

// at is the step over all stages.
func (e *events) at(stage string, step int) int {
	if stage != e.stage {
		e.stage, e.base = stage, e.latest
	}
	e.latest = e.base + step
	return e.latest
}

// scalar is a named value of a step.
type scalarValue struct {
	tag   string
	value float64
}

func (e *events) step(p *tune.StepReport) error {
	return e.scalars(e.at(p.Stage, p.Step), []scalarValue{
		{"train/dpo_loss", p.Upper.Loss}, {"train/dpo_accuracy", p.Upper.Accuracy}, {"train/dpo_margin", p.Upper.Margin}, {"train/sft_loss", p.Lower.Loss},
		{"flatness/delta", p.Delta}, {"flatness/omitted", p.Omitted}, {"train/grad_x", p.GradX}, {"speed/tokens_per_s", p.TokensPerSecond},
	})
}

func (e *events) evaluation(v *tune.Evaluation) error {
	return e.scalars(e.at(v.Stage, v.Step), []scalarValue{
		{"held-out/dpo_loss", v.Upper.Loss}, {"held-out/dpo_accuracy", v.Upper.Accuracy}, {"held-out/dpo_margin", v.Upper.Margin},
		{"held-out/sft_loss", v.Lower.Loss}, {"held-out/perplexity", math.Exp(v.Lower.Loss)},
	})
}

// scalars writes the values that are numbers.
func (e *events) scalars(step int, all []scalarValue) error {
	var summary []byte
	for _, s := range all {
		if s.value-s.value != 0 {
			continue
		}
		v := protowire.AppendString(protowire.AppendTag(nil, 1, protowire.BytesType), s.tag)
		v = protowire.AppendFixed32(protowire.AppendTag(v, 2, protowire.Fixed32Type), math.Float32bits(float32(s.value)))
		summary = protowire.AppendBytes(protowire.AppendTag(summary, 1, protowire.BytesType), v)
	}
	if len(summary) == 0 {
		return nil
	}
	return e.record(step, func(b []byte) []byte {
		return protowire.AppendBytes(protowire.AppendTag(b, 5, protowire.BytesType), summary)
	})
}

// record writes one event in the framing of TFRecord: length, masked CRC-32C of the
// length, the bytes, masked CRC-32C of them, all little endian.
func (e *events) record(step int, what func(b []byte) []byte) error {
	now := float64(e.now().UnixNano()) / 1e9
	event := protowire.AppendFixed64(protowire.AppendTag(nil, 1, protowire.Fixed64Type), math.Float64bits(now))
	event = protowire.AppendVarint(protowire.AppendTag(event, 2, protowire.VarintType), uint64(step))
	event = what(event)
	b := binary.LittleEndian.AppendUint64(e.buf[:0], uint64(len(event)))
	b = binary.LittleEndian.AppendUint32(b, masked(b))
	b = append(b, event...)
	e.buf = binary.LittleEndian.AppendUint32(b, masked(event))
	_, err := e.f.Write(e.buf)
	return err
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// masked is the checksum of TFRecord.
func masked(b []byte) uint32 {
	c := crc32.Checksum(b, castagnoli)
	return (c>>15 | c<<17) + 0xa282ead8
}

func (e *events) close() error { return e.f.Close() }
