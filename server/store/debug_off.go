//go:build !race && !debugstore

package store

// debug is off: handles are not checked and freed slots keep their bytes.
const debug = false
