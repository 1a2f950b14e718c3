package bilevel

import (
	"math"
	"time"

	"github.com/bilevel-go/bilevel/vec"
)

// Method is one bilevel algorithm with its parameters.
type Method interface {
	// Name is the method's name on the command line.
	Name() string
	// Start checks that the method applies to the problem of e and that its
	// parameters are allowed, and returns an iteration at the starting point.
	Start(e *Env) (Iteration, error)
	// Defaults are the outer iteration limit (0: none) and the tolerance used
	// where Settings leave them zero.
	Defaults(m Mode) (maxIterations int, tolerance float64)
}

// Iteration is a started method. It holds every vector it needs: Step allocates
// nothing on []float64 problems.
type Iteration interface {
	// Step does one outer iteration and reports it in p, which arrives reset.
	// It returns Running to go on. It polls Env.Stopped in every inner
	// iteration and returns Running at once when that is true.
	Step(p *Progress) (Status, error)
}

// Finisher is an Iteration that completes its answer when it is not interrupted:
// in corrected mode it replaces y by the lower solution at the final x.
type Finisher interface {
	Finish(p *Progress) error
}

// Progress is what one outer iteration reports. Vectors are the method's own
// persistent blocks (Env.Block). A number that the method did not compute is NaN.
type Progress struct {
	Iteration int           // outer iterations done
	Elapsed   time.Duration // wall time since the start, earlier parts of a resumed run included
	Phase     string        // what a composite method is doing
	// X and Y are the current answer; Mu the multiplier at Y. PenalisedY and
	// PenalisedMu are y_gamma and its multiplier (scale of g) where the method
	// has them, else nil.
	X, Y, Mu                vec.Vector
	PenalisedY, PenalisedMu vec.Vector
	Gamma                   float64
	Upper, Lower            float64 // f and g at (X, Y)
	// Stationarity is the size of what the method drives to zero, in the units
	// of a gradient; its method's file says of which function.
	Stationarity float64
	Gap          float64 // g(x, y_gamma) - g(x, y_g) >= 0 as the method sees it
	Violation    float64 // largest violation of h <= 0 at (X, Y)
	Step         float64 // length of the step in x
	// Flatness (spec: delta = max(|f(x,y_g)-f(x,y_gamma)| - c|y_g-y_gamma|^alpha, 0))
	// and the size of the omitted term relative to that of grad_x f.
	Delta, Omitted float64
	// Verdict is what a certificate measured in this iteration says of (X, Y), in a few
	// words; "" where none was.
	Verdict string
	Counts  Counts
}

// reset makes p the report of a fresh iteration; what the method set last time
// for its vectors stays.
func (p *Progress) reset() {
	n := math.NaN()
	p.Upper, p.Lower, p.Stationarity, p.Gap, p.Violation = n, n, n, n, n
	p.Step, p.Delta, p.Omitted, p.Gamma = n, n, n, n
	p.Verdict = ""
}
