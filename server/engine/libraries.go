package engine

// libraries are the function libraries, which are part of the data set: the scripts' host keeps them.
type libraries struct {
	save func() []string
	load func(codes []string, beside bool) error
}

// OnLibraries sets what keeps the function libraries. Both functions are called under the exclusive lock; set them before
// anything is loaded.
func (e *Engine) OnLibraries(save func() []string, load func(codes []string, beside bool) error) {
	e.libraries = libraries{save, load}
}

// Libraries are the sources of the function libraries. The lock must be held exclusively.
func (e *Engine) Libraries() []string {
	if e.libraries.save == nil {
		return nil
	}
	return e.libraries.save()
}

// LoadLibraries makes the libraries of a data set that was loaded the only ones, or with beside adds them to those that
// there are. The lock must be held exclusively.
func (e *Engine) LoadLibraries(codes []string, beside bool) error {
	if e.libraries.load == nil {
		return nil
	}
	return e.libraries.load(codes, beside)
}
