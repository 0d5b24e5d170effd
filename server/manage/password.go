package manage

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
)

// stamps changes when one of the files does.
func stamps(paths ...string) (string, error) {
	var b strings.Builder
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&b, "%d %d ", info.ModTime().UnixNano(), info.Size())
	}
	return b.String(), nil
}

// PasswordFile is a mounted password and the directory whose ca.crt keys its version.
type PasswordFile struct {
	Path, CertDir string

	mu                sync.Mutex
	stamp             string
	password, version string
}

// Read answers the password, one trailing newline ignored, and its version: 16 hex digits of an HMAC keyed
// with the set's authority, so that who reads the version cannot try passwords on it.
func (p *PasswordFile) Read() (password, version string, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	stamp, err := stamps(p.Path, filepath.Join(p.CertDir, "ca.crt"))
	if err != nil || stamp == p.stamp {
		return p.password, p.version, err
	}
	text, err := os.ReadFile(p.Path)
	if err != nil {
		return "", "", err
	}
	key, err := os.ReadFile(filepath.Join(p.CertDir, "ca.crt"))
	if err != nil {
		return "", "", err
	}
	password = strings.TrimSuffix(string(text), "\n")
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(password))
	p.password, p.version, p.stamp = password, hex.EncodeToString(mac.Sum(nil))[:16], stamp
	return p.password, p.version, nil
}

// PasswordHash recognizes a password that is not known any more. It is written for no longer than the password is mounted
// or being rotated out, beside the mount itself, so it is salted but not made slow: it is checked under the engine's lock.
type PasswordHash struct {
	Salt string `json:"salt"` // hexadecimal
	Sum  string `json:"sum"`  // HMAC-SHA256 of the password, keyed with the salt; hexadecimal
}

// HashPassword makes one with a salt of its own.
func HashPassword(password string) PasswordHash {
	salt := make([]byte, 16)
	rand.Read(salt)
	h := PasswordHash{Salt: hex.EncodeToString(salt)}
	h.Sum = h.sum([]byte(password))
	return h
}

func (h PasswordHash) sum(password []byte) string {
	mac := hmac.New(sha256.New, []byte(h.Salt))
	mac.Write(password)
	return hex.EncodeToString(mac.Sum(nil))
}

// Matches tells whether this is the password.
func (h PasswordHash) Matches(password []byte) bool {
	return hmac.Equal([]byte(h.sum(password)), []byte(h.Sum))
}
