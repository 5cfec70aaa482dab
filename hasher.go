package weir

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
)

// maxKey is the longest key, in bytes, that is kept as it is.
const maxKey = 64

// A hasher names keys: in the file by a hash that tells nobody who has not the
// secret what the key was, and in memory, where they are long, by one of fixed
// size.
type hasher struct {
	secret []byte
	keys   *mac // under a secret of its own
}

// newHasher returns a hasher with that secret, or with a random one.
func newHasher(secret []byte) hasher {
	if secret == nil {
		secret = make([]byte, sha256.Size)
		rand.Read(secret) // never fails
	}
	h := hasher{secret: secret}
	h.keys = newMAC(h.sum("keys", ""))
	return h
}

// hash returns the hash of a key in the file: its HMAC-SHA-256, cut to 64 bits.
// At a million keys the odds that any two of them have the same are 1 in 37
// million; where one of them is evicted the other may then find its debt. The
// policy has no part in it, so that it can be renamed.
func (h hasher) hash(key string) uint64 {
	digest := h.keys.sum(key)
	if hash := binary.BigEndian.Uint64(digest[:]); hash != others {
		return hash
	}
	return ^uint64(others)
}

// sum returns the HMAC of a text for some purpose.
func (h hasher) sum(purpose, text string) []byte {
	digest := newMAC(h.secret).sum(purpose + "\x00" + text)
	return digest[:]
}

// A mac is HMAC-SHA-256 (RFC 2104) with a key of at most 64 bytes, written out
// over sha256.Sum256, which unlike crypto/hmac allocates nothing for short
// messages: this runs for each key that is not in memory.
type mac struct {
	inner, outer [sha256.BlockSize]byte
}

func newMAC(key []byte) *mac {
	var m mac
	copy(m.inner[:], key)
	copy(m.outer[:], key)
	for i := range m.inner {
		m.inner[i] ^= 0x36
		m.outer[i] ^= 0x5c
	}
	return &m
}

func (m *mac) sum(message string) [sha256.Size]byte {
	var room [sha256.BlockSize + maxKey]byte
	digest := sha256.Sum256(append(append(room[:0], m.inner[:]...), message...))
	return sha256.Sum256(append(append(room[:0], m.outer[:]...), digest[:]...))
}

// fit returns the keys with the long ones replaced by a hash of 128 bits. No
// client can make up a short key that is the hash of a long one, since it has
// not the secret.
func (h hasher) fit(keys []string) []string {
	for i, key := range keys {
		if len(key) > maxKey {
			return h.cut(keys, i)
		}
	}
	return keys
}

// cut is fit for keys of which the i-th is the first long one.
func (h hasher) cut(keys []string, i int) []string {
	fitted := append([]string(nil), keys...)
	for ; i < len(fitted); i++ {
		if len(fitted[i]) > maxKey {
			fitted[i] = "long\x00" + string(h.sum("key", fitted[i])[:16])
		}
	}
	return fitted
}
