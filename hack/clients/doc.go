// Package clients drives the server with a client library that many people use, family by family, in RESP2 and RESP3, and
// compares every typed result with what the same calls get from a redis-server. It is a module of its own, so that the
// library is no dependency of the product.
package clients
