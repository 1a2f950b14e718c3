package run

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"time"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/certify"
	"github.com/bilevel-go/bilevel/problems"
)

// Recording writes the run directory of something that solves by itself, which is
// no problem on []float64: the same files as [Execute] writes, for the same readers.
// It has no checkpoint.
type Recording struct {
	Dir     *Dir
	Details *Details
	Log     *slog.Logger
	logFile file
	trace   *trace
	begin   time.Time
	cpu     float64
}

// Record begins a recording: the configuration, the details and an empty trace are
// written. extra, when not nil, receives what log.jsonl receives.
func Record(d *Dir, c Config, details *Details, extra slog.Handler) (_ *Recording, err error) {
	c.Version = Version()
	r := &Recording{Dir: d, Details: details, begin: time.Now(), cpu: cpuSeconds()}
	details.Started = r.begin.UTC().Truncate(time.Second)
	if err := d.WriteFile(ConfigFile, c.Write); err != nil {
		return nil, err
	}
	if err := r.writeDetails(); err != nil {
		return nil, err
	}
	if r.logFile, err = d.disk.append(d.Join(LogFile)); err != nil {
		return nil, unwritable(d.Path, err)
	}
	handler := slog.Handler(slog.NewJSONHandler(r.logFile, nil))
	if extra != nil {
		handler = slog.NewMultiHandler(handler, extra)
	}
	r.Log = slog.New(handler)
	if r.trace, err = newTrace(d, 0); err != nil {
		return nil, errors.Join(err, r.logFile.Close())
	}
	r.Log.LogAttrs(context.Background(), slog.LevelInfo, "start", slog.String("problem", c.Problem), slog.String("version", Version()))
	return r, nil
}

// Iteration adds an outer iteration to the trace.
func (r *Recording) Iteration(p *bilevel.Progress) error { return r.trace.Record(p) }

// File writes a file of its own, all of it or none, and lists it in the details.
func (r *Recording) File(name string, write func(io.Writer) error) error {
	f, err := r.Dir.create(name)
	if err != nil {
		return err
	}
	if err := errors.Join(write(f), f.Close()); err != nil {
		return first(err)
	}
	r.Details.Files = append(r.Details.Files, name)
	return nil
}

// Sections are the parts of the report that are its own.
func (r *Recording) Sections(all []problems.Section) { r.Details.Sections = all }

// End writes the document, whose version is filled in, and its times where it has
// none, after everything that belongs to it; a nil document is none. The point goes to a file of its own
// where it is long.
func (r *Recording) End(d *Document, p *Point) (err error) {
	defer func() { err = errors.Join(err, r.logFile.Close()) }()
	if err := r.trace.close(); err != nil {
		return err
	}
	if err := r.writeDetails(); err != nil {
		return err
	}
	if d == nil {
		return nil
	}
	d.Version = Version()
	if d.Stats.Wall == 0 {
		d.Stats.Wall, d.Stats.CPU = certify.Number(time.Since(r.begin).Seconds()), certify.Number(cpuSeconds()-r.cpu)
	}
	if p != nil {
		d.X, d.Y, d.Multipliers = p.X, p.Y, p.Multipliers
		if len(d.X)+len(d.Y)+len(d.Multipliers) > longest {
			d.PointFile, d.X, d.Y, d.Multipliers = PointFile, nil, nil, nil
			if err := r.Dir.WriteFile(PointFile, func(w io.Writer) error { return WriteJSON(w, p) }); err != nil {
				return err
			}
		}
	}
	r.Log.Info("end", "status", d.Status.String(), "wall_s", float64(d.Stats.Wall))
	return r.Dir.WriteFile(ResultFile, func(w io.Writer) error { return WriteJSON(w, d) })
}

func (r *Recording) writeDetails() error {
	return r.Dir.WriteFile(DetailsFile, func(w io.Writer) error { return WriteJSON(w, r.Details) })
}
