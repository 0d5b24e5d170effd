package certs

import (
	"crypto/tls"
	"fmt"
	"strings"
)

var versions = map[string]uint16{"tlsv1": tls.VersionTLS10, "tlsv1.1": tls.VersionTLS11, "tlsv1.2": tls.VersionTLS12, "tlsv1.3": tls.VersionTLS13}

// protocols reads tls-protocols; crypto/tls takes a range without holes.
func protocols(text string) (from, to uint16, err error) {
	words := strings.Fields(text)
	if len(words) == 0 {
		return tls.VersionTLS12, tls.VersionTLS13, nil
	}
	named := map[uint16]bool{}
	for _, w := range words {
		v, ok := versions[strings.ToLower(w)]
		if !ok {
			return 0, 0, fmt.Errorf("invalid tls-protocols %q: use a combination of TLSv1, TLSv1.1, TLSv1.2 and TLSv1.3", text)
		}
		if named[v] = true; from == 0 || v < from {
			from = v
		}
		to = max(to, v)
	}
	for v := from; v <= to; v++ {
		if !named[v] {
			return 0, 0, fmt.Errorf("invalid tls-protocols %q: the versions must follow each other", text)
		}
	}
	return from, to, nil
}

// openSSL are OpenSSL's names of the suites up to TLS 1.2 that crypto/tls has.
var openSSL = map[string]uint16{
	"ECDHE-ECDSA-AES128-GCM-SHA256": tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
	"ECDHE-RSA-AES128-GCM-SHA256":   tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
	"ECDHE-ECDSA-AES256-GCM-SHA384": tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
	"ECDHE-RSA-AES256-GCM-SHA384":   tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
	"ECDHE-ECDSA-CHACHA20-POLY1305": tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
	"ECDHE-RSA-CHACHA20-POLY1305":   tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
	"ECDHE-ECDSA-AES128-SHA":        tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA,
	"ECDHE-RSA-AES128-SHA":          tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA,
	"ECDHE-ECDSA-AES256-SHA":        tls.TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA,
	"ECDHE-RSA-AES256-SHA":          tls.TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA,
	"AES128-GCM-SHA256":             tls.TLS_RSA_WITH_AES_128_GCM_SHA256,
	"AES256-GCM-SHA384":             tls.TLS_RSA_WITH_AES_256_GCM_SHA384,
	"AES128-SHA":                    tls.TLS_RSA_WITH_AES_128_CBC_SHA,
	"AES256-SHA":                    tls.TLS_RSA_WITH_AES_256_CBC_SHA,
}

// ciphers reads tls-ciphers, a list of names separated by colons; nil means the default. Classes and exclusions
// (HIGH, !MD5) are refused: what they stand for is OpenSSL's affair.
func ciphers(text string) (list []uint16, err error) {
	if text == "" || text == "DEFAULT" || text == "DEFAULT:!MEDIUM" {
		return nil, nil
	}
	for _, name := range strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune(":, ", r) }) {
		suite, ok := openSSL[name]
		if !ok {
			return nil, fmt.Errorf("failed to configure ciphers: %q is not known; name suites such as ECDHE-RSA-AES128-GCM-SHA256", name)
		}
		list = append(list, suite)
	}
	return list, nil
}

// suites13 accepts the only list of TLS 1.3's suites that crypto/tls offers: all three.
func suites13(text string) error {
	if text == "" {
		return nil
	}
	left := map[string]bool{"TLS_AES_128_GCM_SHA256": true, "TLS_AES_256_GCM_SHA384": true, "TLS_CHACHA20_POLY1305_SHA256": true}
	for _, name := range strings.Split(text, ":") {
		delete(left, name)
	}
	if len(left) > 0 {
		return fmt.Errorf("failed to configure ciphersuites: this build cannot leave out any of TLS 1.3's suites, and %q does not name them all", text)
	}
	return nil
}
