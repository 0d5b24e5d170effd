// Package offheap gives the store memory outside the Go heap, so that neither the collector's pacing nor its cost
// depends on the data: with pages on the heap the process could grow to twice its live data before a collection. Pages
// come from anonymous mappings; freed ones go back to the kernel, all but a few. It holds no data of its own.
package offheap
