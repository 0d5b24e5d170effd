// Command conformance runs Redis's own test suite, unmodified, against our server.
//
//	go run ./hack/conformance                      every file of the list, compared with results.txt
//	go run ./hack/conformance -only unit/type/hash one file
//	go run ./hack/conformance -update              rewrites results.txt with what was seen
//	go run ./hack/conformance -server redis-server the suite against Redis itself: the harness's own check
//
// The suite comes from Debian's source package of redis, fetched with apt into a cache directory by a configuration of
// our own (the machine's stays untouched) and unpacked as it is. In its tree src/redis-server becomes a link to our
// binary; the client tools are those of the package redis-tools. Tests of features that are not there yet are named with
// their reason in the file skips; a test that fails and is not in results.txt makes the run fail. Tests of values beyond 4 GB
// run with -large, and count as skipped without it.
package main
