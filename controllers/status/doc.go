// Package status turns what was decided into the resource's status and is its only writer.
//
// The record of the term is written by Writer.Record alone, by compare-and-set on the resource version
// that the pass began with (protocol rules 4 and 7); everything else of status goes along with it, or is
// written once at the end of the pass, on every path, and only if it changed. The package must not
// decide anything.
package status
