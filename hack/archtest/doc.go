// Package archtest holds the import rules of the design as a failing test.
//
// Each rule names the packages it binds, what they must not import, and the reason that is printed
// when one does. The rules are read from the source with go/parser, so the test needs no build and
// no network. The package must not import anything of the project.
package archtest
