package certs

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/understudy-db/understudy/server/settings"
)

// TestEncryptedKeys reads keys as OpenSSL encrypts them, with the password hush.
func TestEncryptedKeys(t *testing.T) {
	for _, name := range []string{"pkcs8.key", "pkcs8-sha1.key", "old.key"} {
		cert, key := filepath.Join("testdata", "cert.pem"), filepath.Join("testdata", name)
		if _, err := keyPair(cert, key, "hush"); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for _, wrong := range []string{"", "loud"} {
			if _, err := keyPair(cert, key, wrong); err == nil {
				t.Errorf("%s: password %q was taken", name, wrong)
			}
		}
	}
}

// TestWhatIsNotThereIsRefused: an option whose protection would be missing is an error, not a shrug.
func TestWhatIsNotThereIsRefused(t *testing.T) {
	dir, err := filepath.Abs("testdata")
	if err != nil {
		t.Fatal(err)
	}
	good := "tls-port 1\ntls-cert-file " + dir + "/cert.pem\ntls-key-file " + dir + "/pkcs8.key\ntls-key-file-pass hush\ntls-ca-cert-file " + dir + "/cert.pem\n"
	for more, want := range map[string]string{
		"":                                  "",
		"tls-protocols \"TLSv1.3\"":         "",
		"tls-protocols \"TLSv1.2 TLSv1.3\"": "",
		"tls-protocols \"TLSv1.1 TLSv1.3\"": "follow each other",
		"tls-protocols SSLv3":               "invalid tls-protocols",
		"tls-ciphers DEFAULT":               "",
		"tls-ciphers ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES128-GCM-SHA256": "",
		"tls-ciphers HIGH:!MD5":                   "not known",
		"tls-ciphersuites TLS_AES_256_GCM_SHA384": "cannot leave out",
		"tls-ciphersuites TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256": "",
		"tls-ca-cert-file \"\"":                         "must be given",
		"tls-ca-cert-file \"\"\ntls-auth-clients no":    "",
		"tls-ca-cert-file \"\"\ntls-ca-cert-dir " + dir: "",
		"tls-ca-cert-file " + dir + "/old.key":          "holds no certificate",
		"tls-cert-file \"\"":                            "no tls-cert-file",
		"tls-key-file \"\"":                             "no tls-key-file",
	} {
		cfg := settings.New()
		if err := cfg.LoadText("test", good+more); err != nil {
			t.Fatalf("%s: %v", more, err)
		}
		err := New(cfg).Load()
		switch {
		case err == nil && want != "":
			t.Errorf("%s: accepted", more)
		case err != nil && (want == "" || !strings.Contains(err.Error(), want)):
			t.Errorf("%s: %v", more, err)
		}
	}
}

// TestAFailureChangesNothing: the configuration in force stays.
func TestAFailureChangesNothing(t *testing.T) {
	dir := t.TempDir()
	for from, to := range map[string]string{"cert.pem": "cert", "pkcs8.key": "key"} {
		text, err := os.ReadFile(filepath.Join("testdata", from))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, to), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cfg := settings.New()
	if err := cfg.LoadText("test", "tls-port 1\ntls-auth-clients no\ntls-key-file-pass hush\ntls-cert-file "+dir+"/cert\ntls-key-file "+dir+"/key\n"); err != nil {
		t.Fatal(err)
	}
	c := New(cfg)
	if err := c.Load(); err != nil {
		t.Fatal(err)
	}
	before := c.Server()
	if err := os.Remove(filepath.Join(dir, "key")); err != nil {
		t.Fatal(err)
	}
	if err := c.Load(); err == nil {
		t.Fatal("a key that is gone was loaded")
	}
	if c.Server() != before {
		t.Error("the configuration in force was given up")
	}
	if c.Client() != nil {
		t.Error("links use TLS though tls-replication is off")
	}
}
