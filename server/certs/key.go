package certs

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/pbkdf2"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
)

// decrypt answers the PEM of a private key that may be encrypted: in PKCS #8 with PBES2 (RFC 8018), as OpenSSL 3 writes
// it, or with the older headers of RFC 1421.
func decrypt(text []byte, pass string) ([]byte, error) {
	block, rest := pem.Decode(text)
	for block != nil && block.Type != "ENCRYPTED PRIVATE KEY" && !x509.IsEncryptedPEMBlock(block) { //nolint:staticcheck // old keys exist
		block, rest = pem.Decode(rest)
	}
	if block == nil {
		return text, nil
	}
	if pass == "" {
		return nil, errors.New("the key is encrypted, and tls-key-file-pass is empty")
	}
	if block.Type != "ENCRYPTED PRIVATE KEY" {
		der, err := x509.DecryptPEMBlock(block, []byte(pass)) //nolint:staticcheck // old keys exist
		return pem.EncodeToMemory(&pem.Block{Type: block.Type, Bytes: der}), err
	}
	der, err := pbes2(block.Bytes, pass)
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), err
}

type encryptedKey struct {
	Algorithm pkix.AlgorithmIdentifier
	Data      []byte
}

type pbes2Params struct{ KDF, Scheme pkix.AlgorithmIdentifier }

type pbkdf2Params struct {
	Salt       []byte
	Iterations int
	Length     int                      `asn1:"optional"`
	PRF        pkix.AlgorithmIdentifier `asn1:"optional"`
}

var (
	oidPBES2  = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 13}
	oidPBKDF2 = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 12}
	oidSHA256 = asn1.ObjectIdentifier{1, 2, 840, 113549, 2, 9} // HMAC with it
	keySizes  = map[string]int{"2.16.840.1.101.3.4.1.2": 16, "2.16.840.1.101.3.4.1.22": 24, "2.16.840.1.101.3.4.1.42": 32}
)

// pbes2 decrypts a key in AES-CBC whose secret is derived by PBKDF2.
func pbes2(der []byte, pass string) ([]byte, error) {
	var key encryptedKey
	var params pbes2Params
	var kdf pbkdf2Params
	var iv []byte
	if _, err := asn1.Unmarshal(der, &key); err != nil {
		return nil, err
	}
	if !key.Algorithm.Algorithm.Equal(oidPBES2) {
		return nil, fmt.Errorf("encrypted in a way (%v) that is not known: use PBES2", key.Algorithm.Algorithm)
	}
	_, err := asn1.Unmarshal(key.Algorithm.Parameters.FullBytes, &params)
	if err == nil {
		_, err = asn1.Unmarshal(params.KDF.Parameters.FullBytes, &kdf)
	}
	if err == nil {
		_, err = asn1.Unmarshal(params.Scheme.Parameters.FullBytes, &iv)
	}
	size := keySizes[params.Scheme.Algorithm.String()]
	switch {
	case err != nil:
		return nil, err
	case !params.KDF.Algorithm.Equal(oidPBKDF2) || size == 0 || len(iv) != aes.BlockSize || len(key.Data) == 0 || len(key.Data)%aes.BlockSize != 0:
		return nil, errors.New("encrypted in a way that is not known: use PBKDF2 with AES-CBC")
	}
	prf := sha1.New
	if kdf.PRF.Algorithm.Equal(oidSHA256) {
		prf = sha256.New
	} else if kdf.PRF.Algorithm != nil {
		return nil, errors.New("encrypted in a way that is not known: use HMAC with SHA-256")
	}
	secret, err := pbkdf2.Key(prf, pass, kdf.Salt, kdf.Iterations, size)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(secret)
	if err != nil {
		return nil, err
	}
	plain := make([]byte, len(key.Data))
	cipher.NewCBCDecrypter(block, iv).CryptBlocks(plain, key.Data)
	pad := int(plain[len(plain)-1])
	if pad < 1 || pad > aes.BlockSize {
		return nil, errors.New("wrong password")
	}
	return plain[:len(plain)-pad], nil
}
