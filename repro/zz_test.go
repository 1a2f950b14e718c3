package repro
import ("testing";"context";"time";"github.com/bilevel-go/bilevel";"github.com/bilevel-go/bilevel/run")
func TestZZ(t *testing.T) {
	for _, c := range []struct{m, f string; st string}{{"blocc","slack-free","3"},{"blocc","blocc-code","uniform"}} {
		seed := uint64(0)
		job, err := run.Prepare(run.Config{Problem:"svm/diabetes", Mode:"faithful", Method:c.m, Seed:&seed, Data:"../../shared/data", ProblemSettings: map[string]string{"formulation":c.f, "start":c.st}}, 1)
		if err!=nil { t.Log(err); continue }
		b := time.Now()
		r, err := bilevel.Solve(context.Background(), job.Instance.Problem, job.Method, job.Settings)
		if err!=nil { t.Log(err); continue }
		m := job.Instance.Metrics(r.X, r.Y, r.PenalisedY)
		t.Log(r.Status, r.Iterations, time.Since(b),  r.Counts)
		for k, v := range m { t.Log(k, v) }
	}
}
