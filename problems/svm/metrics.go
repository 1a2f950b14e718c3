package svm

// metrics are the family's figures at y = y_g and, with the suffix _gamma, at
// the penalised solution: accuracies are shares of rows with s (w'a + b) > 0,
// losses are means of exp(1 - s (w'a + b)), or of ln(1 + exp(-s (w'a + b))) in
// the ridge formulation. They never include the term in C.
func (t *instanceTask) metrics(_, y, penalised []float64) map[string]float64 {
	m := map[string]float64{}
	t.measure(m, "", y)
	if penalised != nil {
		t.measure(m, "_gamma", penalised)
	}
	return m
}

func (t *instanceTask) measure(m map[string]float64, suffix string, y []float64) {
	wb := y[:t.d]
	m["test_accuracy"+suffix] = accuracy(t.test, wb)
	m["validation_accuracy"+suffix] = accuracy(t.validation, wb)
	m["train_accuracy"+suffix] = accuracy(t.train, wb)
	m["validation_loss"+suffix] = mean(t.validation, t.lossShape(), wb)
	m["test_loss"+suffix] = mean(t.test, t.lossShape(), wb)
	m["half_norm2"+suffix] = t.halfNorm2(wb)
}

// lossShape is the loss of the upper level.
func (t *instanceTask) lossShape() shape {
	if t.o.Formulation == "ridge" {
		return logistic
	}
	return exponential
}
