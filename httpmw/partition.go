package httpmw

import (
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
)

const (
	maxPartition  = 64 // bytes of a partition key that is printed
	hashPartition = 12 // bytes of one made by HashPartition
	minSecret     = 16 // bytes
)

// HashPartition returns a function for Config.PartitionKey that prints 12 bytes
// of HMAC-SHA-256 over what value returns, and over the name of the policy, so
// that nobody can tell the value, an address say, from it: a plain hash of an
// address is soon found by trying all of them. If value returns "" there is no
// partition key.
//
// The secret has at least 16 bytes, and is best the same on all servers and
// over restarts. It is copied.
func HashPartition(secret []byte, value func(r *http.Request, policy string) string) (func(r *http.Request, policy string) []byte, error) {
	if len(secret) < minSecret {
		return nil, fmt.Errorf("httpmw: the secret of HashPartition has %d bytes: want at least %d", len(secret), minSecret)
	}
	if value == nil {
		return nil, errors.New("httpmw: the value function of HashPartition is nil")
	}
	secret = append([]byte(nil), secret...)
	return func(r *http.Request, policy string) []byte {
		v := value(r, policy)
		if v == "" {
			return nil
		}
		mac := hmac.New(sha256.New, secret)
		mac.Write([]byte{byte(len(policy))}) // a name is short: marks it off from the value
		mac.Write([]byte(policy))
		mac.Write([]byte(v))
		return mac.Sum(nil)[:hashPartition]
	}, nil
}

// checkPartition returns an error if there is no field for partition keys.
func checkPartition(f func(*http.Request, string) []byte, set FieldSet) error {
	if f != nil && set&Draft11 == 0 {
		return fmt.Errorf("httpmw: PartitionKey is set and Fields is %v: want Draft11 among them, the only form with partition keys", set)
	}
	return nil
}

// partition asks for the partition key of a request under the i-th policy.
func (m *Middleware) partition(s *scratch, r *http.Request, i int) {
	if s.costs[i] < 0 {
		return
	}
	pk := m.partitionKey(r, m.names[i])
	if len(pk) > maxPartition {
		m.warn(r, warnPartition, i)
		pk = nil
	}
	s.partitions[i] = pk
}
