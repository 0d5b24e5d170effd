// Package abuse is the suite that throws bad input at a real server process: garbage on every port, announced lengths
// that never come, crowds, wrong passwords, lying masters and replicas, strangers' certificates, a full disk, damaged
// files. Each test ends in one check: the process is the same one, every key written before is there, the digest is
// unchanged, descriptors and memory are back to normal. It has no code but tests.
package abuse
