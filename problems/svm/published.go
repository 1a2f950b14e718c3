package svm

// published are the settings of the published runs, by formulation and method:
// those of arXiv 2507.20400 for slack-free, normalised, normalised-slack and
// log-weight (50 epochs), and those of arXiv 2406.10148 for blocc-code (80
// iterations; its runs of LV-HBA and GAM differ from the others' in the number
// of iterations only).
func published(formulation string) map[string]map[string]string {
	switch formulation {
	case "slack-free":
		return map[string]map[string]string{
			"pbgd-free": {"gamma": "15", "beta": "0.005", "eta": "0.005", "inner": "5", "dual_steps": "10", "dual_step": "0.001",
				"inner_tol": "1e-4", "floor": "1e-5", "max_iterations": "50"},
			"blocc": {"gamma": "15", "eta": "0.005", "inner": "maxmin", "step": "fixed", "scale": "g",
				"dual_steps": "20", "primal_steps": "20", "primal_step_g": "0.005", "primal_step_f": "0.005",
				"dual_step_g": "0.001", "dual_step_f": "0.001", "stop": "gradients", "gradient_norm": "split", "inner_tol": "1e-4", "floor": "1e-5",
				"max_iterations": "50"},
		}
	case "blocc-code":
		return map[string]map[string]string{
			"blocc": {"gamma": "12", "eta": "0.01", "inner": "maxmin", "step": "fixed", "scale": "f",
				"dual_steps": "20", "primal_steps": "20", "primal_step_g": "1e-3", "primal_step_f": "1e-5",
				"dual_step_g": "1e-4", "dual_step_f": "1e-4", "stop": "gradients", "gradient_norm": "split", "inner_tol": "1e-4", "floor": "1e-5",
				"max_iterations": "80"},
		}
	case "normalised-slack":
		return map[string]map[string]string{
			"lv-hba": {"alpha": "0.01", "eta": "0.001", "gamma1": "10", "gamma2": "10", "c": "1", "p": "0.5",
				"lambda0": "1", "z0": "1", "deviations": "true", "max_iterations": "50"},
		}
	case "normalised":
		return map[string]map[string]string{
			"bic-gaffa": {"alpha": "0.001", "eta": "0.01", "gamma1": "10", "gamma2": "1", "c": "1", "p": "0.5",
				"lambda0": "1", "z0": "1", "max_iterations": "50"},
		}
	case "log-weight":
		return map[string]map[string]string{"gam": {"alpha": "0.05", "max_iterations": "50"}}
	}
	return nil
}

// recommended are settings for corrected mode where a method's own defaults would
// not do. The hyper-objective of the slack-free formulation has kinks at which
// descent on it stalls, and its global optimum is that of the relaxation without
// the lower objective: penalty methods get near it with a small penalty, of
// which F_gamma is a smooth upper neighbour of that relaxation, and need not
// make it large.
func recommended(formulation string) map[string]map[string]string {
	switch formulation {
	case "slack-free":
		return map[string]map[string]string{
			"blocc":     {"gamma": "0.01", "max_iterations": "100"},
			"lv-hba":    {"c": "0.1", "max_iterations": "40"},
			"bic-gaffa": {"c": "1000", "max_iterations": "500"},
			"pbgd-free": {"gamma": "15", "beta": "0.005", "eta": "0.005", "inner": "20", "dual_steps": "20", "dual_step": "0.001",
				"inner_tol": "1e-8", "max_iterations": "50"},
		}
	case "log-weight":
		return map[string]map[string]string{"gam": {"max_iterations": "200"}}
	}
	return nil
}
