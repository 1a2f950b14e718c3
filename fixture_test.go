package bilevel_test

import (
	"math"
	"testing"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/vec"
)

// smooth is a problem with NX = 2, NY = 3, every derivative and a coupling
// constraint with curvature:
//
//	f = sin(x0 y0) + x1^2 y1 + y2^2,   g = |y|^2 (1 + x0^2)/2 + x0 x1 y2,
//	h0 = x0 y0^2 + x1 y1 - 4,   h1 = x1^2 + y2 - 9.
func smooth() *bilevel.Problem {
	return &bilevel.Problem{
		Name: "smooth", NX: 2, NY: 3,
		Upper: bilevel.Objective{
			Value: func(x, y []float64) float64 { return math.Sin(x[0]*y[0]) + x[1]*x[1]*y[1] + y[2]*y[2] },
			GradX: func(dst, x, y []float64) { dst[0], dst[1] = y[0]*math.Cos(x[0]*y[0]), 2*x[1]*y[1] },
			GradY: func(dst, x, y []float64) {
				dst[0], dst[1], dst[2] = x[0]*math.Cos(x[0]*y[0]), x[1]*x[1], 2*y[2]
			},
			HessXX: func(dst, x, y, u []float64) {
				dst[0], dst[1] = -y[0]*y[0]*math.Sin(x[0]*y[0])*u[0], 2*y[1]*u[1]
			},
			HessXY: func(dst, x, y, v []float64) {
				dst[0], dst[1] = (math.Cos(x[0]*y[0])-x[0]*y[0]*math.Sin(x[0]*y[0]))*v[0], 2*x[1]*v[1]
			},
			HessYX: func(dst, x, y, u []float64) {
				dst[0], dst[1], dst[2] = (math.Cos(x[0]*y[0])-x[0]*y[0]*math.Sin(x[0]*y[0]))*u[0], 2*x[1]*u[1], 0
			},
			HessYY: func(dst, x, y, v []float64) {
				dst[0], dst[1], dst[2] = -x[0]*x[0]*math.Sin(x[0]*y[0])*v[0], 0, 2*v[2]
			},
		},
		Lower: bilevel.Objective{
			Value: func(x, y []float64) float64 {
				return (y[0]*y[0]+y[1]*y[1]+y[2]*y[2])*(1+x[0]*x[0])/2 + x[0]*x[1]*y[2]
			},
			GradX: func(dst, x, y []float64) {
				dst[0], dst[1] = (y[0]*y[0]+y[1]*y[1]+y[2]*y[2])*x[0]+x[1]*y[2], x[0]*y[2]
			},
			GradY: func(dst, x, y []float64) {
				s := 1 + x[0]*x[0]
				dst[0], dst[1], dst[2] = s*y[0], s*y[1], s*y[2]+x[0]*x[1]
			},
			HessXX: func(dst, x, y, u []float64) {
				dst[0], dst[1] = (y[0]*y[0]+y[1]*y[1]+y[2]*y[2])*u[0]+y[2]*u[1], y[2]*u[0]
			},
			HessXY: func(dst, x, y, v []float64) {
				dst[0], dst[1] = 2*x[0]*(y[0]*v[0]+y[1]*v[1]+y[2]*v[2])+x[1]*v[2], x[0]*v[2]
			},
			HessYX: func(dst, x, y, u []float64) {
				s := 2 * x[0] * u[0]
				dst[0], dst[1], dst[2] = s*y[0], s*y[1], s*y[2]+u[0]*x[1]+x[0]*u[1]
			},
			HessYY: func(dst, x, _, v []float64) {
				s := 1 + x[0]*x[0]
				dst[0], dst[1], dst[2] = s*v[0], s*v[1], s*v[2]
			},
		},
		Coupling: &bilevel.Coupling{
			Rows: 2,
			Value: func(dst, x, y []float64) {
				dst[0], dst[1] = x[0]*y[0]*y[0]+x[1]*y[1]-4, x[1]*x[1]+y[2]-9
			},
			JacXT: func(dst, x, y, mu []float64) { dst[0], dst[1] = y[0]*y[0]*mu[0], y[1]*mu[0]+2*x[1]*mu[1] },
			JacYT: func(dst, x, y, mu []float64) {
				dst[0], dst[1], dst[2] = 2*x[0]*y[0]*mu[0], x[1]*mu[0], mu[1]
			},
			JacX: func(dst, x, y, u []float64) { dst[0], dst[1] = y[0]*y[0]*u[0]+y[1]*u[1], 2*x[1]*u[1] },
			JacY: func(dst, x, y, v []float64) { dst[0], dst[1] = 2*x[0]*y[0]*v[0]+x[1]*v[1], v[2] },
			HessYY: func(dst, x, y, mu, v []float64) {
				dst[0], dst[1], dst[2] = 2*x[0]*mu[0]*v[0], 0, 0
			},
			HessXY: func(dst, x, y, mu, v []float64) { dst[0], dst[1] = 2*y[0]*mu[0]*v[0], mu[0]*v[1] },
			HessYX: func(dst, x, y, mu, u []float64) {
				dst[0], dst[1], dst[2] = 2*y[0]*mu[0]*u[0], mu[0]*u[1], 0
			},
		},
		X0: []float64{0.7, -1.2}, Y0: []float64{0.4, 1.1, -0.8},
	}
}

// bowl is min (x - 3)^2 + y^2 with the follower min (y - x)^2, x and y in R^2.
func bowl() *bilevel.Problem {
	return &bilevel.Problem{
		Name: "bowl", NX: 2, NY: 2,
		Upper: bilevel.Objective{
			Value: func(x, y []float64) float64 {
				return (x[0]-3)*(x[0]-3) + (x[1]-3)*(x[1]-3) + y[0]*y[0] + y[1]*y[1]
			},
			GradX: func(dst, x, _ []float64) { dst[0], dst[1] = 2*(x[0]-3), 2*(x[1]-3) },
			GradY: func(dst, _, y []float64) { dst[0], dst[1] = 2*y[0], 2*y[1] },
		},
		Lower: bilevel.Objective{
			Value: func(x, y []float64) float64 { return (y[0]-x[0])*(y[0]-x[0]) + (y[1]-x[1])*(y[1]-x[1]) },
			GradX: func(dst, x, y []float64) { dst[0], dst[1] = 2*(x[0]-y[0]), 2*(x[1]-y[1]) },
			GradY: func(dst, x, y []float64) { dst[0], dst[1] = 2*(y[0]-x[0]), 2*(y[1]-x[1]) },
		},
	}
}

// walker is a small stochastic method: Adam on x along f at a noisy point, y
// follows x. Its state is in blocks, scalars and a stream, so it can be resumed.
// The hooks intervene in step k (from 1).
type walker struct {
	start  func(e *bilevel.Env) error
	during func(it *walk, k int) (bilevel.Status, error)
	finish func(p *bilevel.Progress) error
}

func (walker) Name() string                         { return "walker" }
func (walker) Defaults(bilevel.Mode) (int, float64) { return 50, 1e-3 }
func (w walker) Start(e *bilevel.Env) (bilevel.Iteration, error) {
	if w.start != nil {
		if err := w.start(e); err != nil {
			return nil, err
		}
	}
	it := &walk{w: w, e: e}
	it.x = e.BlockFrom("x", e.StartX())
	it.y = e.BlockFrom("y", e.StartY())
	it.g = it.x.New()
	it.noise = vec.Slice(it.x.New())
	it.best = e.Scalar("best", math.Inf(1))
	it.adam = vec.Adam.New(e.Sub("x"), "adam", 0.05, it.x)
	rng := e.Rand("noise")
	it.draw = rng.NormFloat64
	if w.finish != nil {
		return finishing{it}, nil
	}
	return it, nil
}

type walk struct {
	w       walker
	e       *bilevel.Env
	x, y, g vec.Vector
	noise   []float64
	best    *float64
	adam    vec.Optimizer
	draw    func() float64
}

func (it *walk) Step(p *bilevel.Progress) (bilevel.Status, error) {
	p.X, p.Y = it.x, it.y
	it.e.UpperGradX(it.g, it.x, it.y)
	for i := range it.noise {
		it.g.(vec.Dense)[i] += 0.1 * it.draw()
	}
	it.adam.Step(it.x, it.g)
	it.y.Copy(it.x)
	p.Upper = it.e.Upper(it.x, it.y)
	*it.best = math.Min(*it.best, p.Upper)
	p.Stationarity = vec.Norm(it.g)
	if it.w.during != nil {
		return it.w.during(it, it.e.Outer()+1)
	}
	return bilevel.Running, nil
}

type finishing struct{ *walk }

func (f finishing) Finish(p *bilevel.Progress) error { return f.w.finish(p) }

// recorder collects the iterations it sees and can fail.
type recorder struct {
	seen []int
	fail error
}

func (r *recorder) Record(p *bilevel.Progress) error {
	r.seen = append(r.seen, p.Iteration)
	return r.fail
}

func finite(t *testing.T, what string, v []float64) {
	t.Helper()
	if v == nil || !vec.Dense(v).Finite() {
		t.Errorf("%s = %v is not finite", what, v)
	}
}
