package plan

// Plan decides one pass.
func Plan(o Observed) Decision {
	return Decision{Status: o.Status}
}
