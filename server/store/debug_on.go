//go:build race || debugstore

package store

// debug turns on poisoning and the generation check of handles.
const debug = true
