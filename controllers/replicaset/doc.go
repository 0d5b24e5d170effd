// Package replicaset is the reconciler: observe -> plan -> apply -> status, on one page.
//
// It is woken by changes of the resource and of everything owned, and by what members say. It must hold
// no state of its own and no logic: what is remembered stands in status or in memberclient.
package replicaset
