package engine

// libraries are the function libraries, which are part of the data set: the scripts' host keeps them.
type libraries struct {
	save func() []string
	load func(codes []string, how LibraryLoad) error

	count func() (scripts, functions, libraries int)
}

// OnCodeCounts sets who knows how many scripts and functions there are: fn is called under the exclusive lock.
func (e *Engine) OnCodeCounts(fn func() (scripts, functions, libraries int)) { e.libraries.count = fn }

// CodeCounts tells how many scripts, functions and libraries are kept. The lock must be held exclusively.
func (e *Engine) CodeCounts() (scripts, functions, libraries int) {
	if e.libraries.count == nil {
		return 0, 0, 0
	}
	return e.libraries.count()
}

// OnLibraries sets what keeps the function libraries. Both functions are called under the exclusive lock; set them before
// anything is loaded.
func (e *Engine) OnLibraries(save func() []string, load func(codes []string, how LibraryLoad) error) {
	e.libraries.save, e.libraries.load = save, load
}

// Libraries are the sources of the function libraries. The lock must be held exclusively.
func (e *Engine) Libraries() []string {
	if e.libraries.save == nil {
		return nil
	}
	return e.libraries.save()
}

// LibraryLoad tells what becomes of the libraries that there are when others are loaded.
type LibraryLoad uint8

// Ways to load.
const (
	Instead LibraryLoad = iota // they go
	Beside                     // they stay; one of the same name is an error
	Over                       // they stay, but for those of the same name
)

// LoadLibraries takes the libraries of a data set that was loaded. The lock must be held exclusively.
func (e *Engine) LoadLibraries(codes []string, how LibraryLoad) error {
	if e.libraries.load == nil {
		return nil
	}
	return e.libraries.load(codes, how)
}
