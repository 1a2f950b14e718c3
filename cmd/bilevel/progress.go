package main

import (
	"fmt"
	"io"
	"math"
	"strings"
	"sync"
	"time"

	"github.com/vbauerster/cupwriter"
	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/run"
)

// display shows how a run goes.
type display interface {
	run.Observer
	// Show shows how far work is that has no outer iterations of its own: done of the
	// number that the display was made with.
	Show(elapsed time.Duration, done int, text string)
	// Interrupting says that the run is about to stop.
	Interrupting()
	// Above is where the log is written, so that it does not meet the display.
	Above() io.Writer
	// Close takes the display off the terminal.
	Close()
}

// newDisplay shows a bar on a terminal and lines elsewhere. A run of known
// length fills the bar; others turn a spinner.
func (a *app) newDisplay(iterations int) display {
	switch {
	case a.quiet:
		return silent{a.err}
	case cupwriter.New(a.err, false).IsTerminal():
		return newBar(a.err, iterations)
	}
	return &lines{w: a.err}
}

type silent struct{ w io.Writer }

func (silent) Phase(string)                    {}
func (silent) Iteration(*bilevel.Progress)     {}
func (silent) Show(time.Duration, int, string) {}
func (silent) Interrupting()                   {}
func (s silent) Above() io.Writer              { return s.w }
func (silent) Close()                          {}

const interrupting = "stopping after this iteration; interrupt again to quit at once"

// lines prints a line at once, then more and more rarely: at most one a second
// in the first ten, one in ten seconds later.
type lines struct {
	mu   sync.Mutex
	w    io.Writer
	next time.Duration
}

func (l *lines) print(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	fmt.Fprintf(l.w, format+"\n", args...)
}

func (l *lines) Phase(text string) { l.print("%s", text) }
func (l *lines) Interrupting()     { l.print("%s", interrupting) }
func (l *lines) Above() io.Writer  { return l.w }
func (l *lines) Close()            {}

func (l *lines) Iteration(p *bilevel.Progress) {
	if l.due(p.Elapsed) || p.Verdict != "" {
		l.print("  %s", progressText(p))
	}
}

// due reports whether it is time for a line, and sets the time of the next.
func (l *lines) due(elapsed time.Duration) bool {
	if elapsed < l.next {
		return false
	}
	l.next = elapsed + time.Second
	if elapsed > 10*time.Second {
		l.next = elapsed + 10*time.Second
	}
	return true
}

func (l *lines) Show(elapsed time.Duration, _ int, text string) {
	if l.due(elapsed) {
		l.print("  %s", text)
	}
}

// progressText is one iteration in one line: what is known of it.
func progressText(p *bilevel.Progress) string {
	parts := []string{fmt.Sprintf("%6.1f s", p.Elapsed.Seconds()), fmt.Sprintf("iteration %-7d", p.Iteration)}
	add := func(name string, v float64, format string) {
		if !math.IsNaN(v) {
			parts = append(parts, name+" "+fmt.Sprintf(format, v))
		}
	}
	add("f", p.Upper, "%.6g")
	add("gap", p.Gap, "%.1e")
	add("stationarity", p.Stationarity, "%.1e")
	if p.Phase != "" {
		parts = append(parts, p.Phase)
	}
	if p.Verdict != "" {
		parts = append(parts, p.Verdict)
	}
	return strings.Join(parts, "  ")
}

// bar is one line of a terminal.
type bar struct {
	progress *mpb.Progress
	bar      *mpb.Bar
	mu       sync.Mutex
	phase    string
	text     string
	next     time.Duration
}

const refresh = 100 * time.Millisecond

func newBar(w io.Writer, iterations int) *bar {
	b := &bar{progress: mpb.New(mpb.WithOutput(w), mpb.WithRefreshRate(refresh), mpb.WithWidth(24))}
	show := decor.Any(func(decor.Statistics) string {
		b.mu.Lock()
		defer b.mu.Unlock()
		return " " + b.phase + b.text
	})
	if iterations > 0 {
		b.bar = b.progress.New(int64(iterations), mpb.BarStyle(), mpb.AppendDecorators(show))
	} else {
		b.bar = b.progress.New(0, mpb.SpinnerStyle(), mpb.BarWidth(1), mpb.AppendDecorators(show))
	}
	return b
}

func (b *bar) Phase(text string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.phase, b.text = text, ""
}

func (b *bar) Above() io.Writer { return b.progress }

func (b *bar) Interrupting() { b.Phase(interrupting) }

func (b *bar) Iteration(p *bilevel.Progress) {
	if p.Verdict != "" {
		fmt.Fprintln(b.progress, progressText(p)) // stays above the bar
	}
	b.Show(p.Elapsed, p.Iteration, progressText(p))
}

func (b *bar) Show(elapsed time.Duration, done int, text string) {
	if elapsed < b.next {
		return
	}
	b.next = elapsed + refresh
	b.show(int64(done), text)
}

// show puts the text of an iteration behind the bar.
func (b *bar) show(iteration int64, text string) {
	b.mu.Lock()
	if b.phase != interrupting {
		b.phase, b.text = "", text
	}
	b.mu.Unlock()
	b.bar.SetCurrent(iteration)
}

func (b *bar) Close() {
	b.bar.Abort(true)
	b.progress.Wait()
}
