// Package app assembles the server from its parts and owns its life: configuration, log file, loading the data set,
// listening, signals, saving and the end. It decides nothing that another package could decide; nobody but main and the
// tests' servertest imports it.
package app
