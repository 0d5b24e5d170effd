// Package fakemember simulates members behind the real protocol: real mutual TLS, real api/member
// lines, the server's real fencing machine; only the data is a list of strings and links between
// members are function calls. The operator's suites on a real API server run against it.
//
// A World holds the members of all sets of a test and moves them every few milliseconds. A Member is
// a pod with its supervisor; a process inside it can be killed, stopped, continued and terminated.
package fakemember
