package weir

import (
	"crypto/hmac"
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
}

// newHasher returns a hasher with that secret, or with a random one.
func newHasher(secret []byte) hasher {
	if secret == nil {
		secret = make([]byte, sha256.Size)
		rand.Read(secret) // never fails
	}
	return hasher{secret}
}

// policy returns the hash for the keys of a policy: HMAC-SHA-256 of the key,
// cut to 64 bits, under a secret of the policy's own. At a million keys the
// odds that any two of them have the same are 1 in 37 million; they would share
// a bucket.
func (h hasher) policy(name string) func(key string) uint64 {
	own := h.sum("policy", name)
	// HMAC (RFC 2104) written out over sha256.Sum256, which unlike crypto/hmac
	// allocates nothing: this runs for each key that is not in memory.
	var inner, outer [sha256.BlockSize]byte
	copy(inner[:], own)
	copy(outer[:], own)
	for i := range inner {
		inner[i] ^= 0x36
		outer[i] ^= 0x5c
	}
	return func(key string) uint64 {
		var room [sha256.BlockSize + maxKey]byte
		message := append(append(room[:0], inner[:]...), key...)
		digest := sha256.Sum256(message)
		message = append(append(room[:0], outer[:]...), digest[:]...)
		digest = sha256.Sum256(message)
		return binary.BigEndian.Uint64(digest[:])
	}
}

// sum returns the HMAC of a text for some purpose.
func (h hasher) sum(purpose, text string) []byte {
	mac := hmac.New(sha256.New, h.secret)
	mac.Write([]byte(purpose))
	mac.Write([]byte{0})
	mac.Write([]byte(text))
	return mac.Sum(nil)
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
