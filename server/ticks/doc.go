// Package ticks measures short spans of time with the processor's own counter, where that is known to run steadily: to read it
// takes a third of what a reading of the system's clock takes, which counts where every command is measured. Longer spans are
// the system's clock's business. It keeps no time of its own.
package ticks
