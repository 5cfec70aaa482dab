package replay

import (
	"fmt"
	"hash/maphash"
	"net/url"
	"path"
	"strings"

	"github.com/seed-0c889b51/weir/bucket"
	"github.com/seed-0c889b51/weir/internal/policy"
)

// A keyer makes the keys of one policy from what a log says, as weir serve makes
// them from a request: of a user that is missing the client is asked.
type keyer struct {
	key  policy.Key
	bits int // of IPv6 networks, where the key does not say
	seed maphash.Seed
	buf  []byte
}

// CheckKey returns an error if a key is by what no log says, such as a header.
func CheckKey(key policy.Key) error {
	for _, part := range key {
		switch part.Kind {
		case policy.IP, policy.User, policy.Basic, policy.Path, policy.Global:
		default:
			return fmt.Errorf("key %q is not in an access log: want ip, ip/BITS, user, basic, path, global, or several joined by '+'", part)
		}
	}
	return nil
}

// hash returns the hash of the key of a request.
func (k *keyer) hash(client, user, target []byte) uint64 {
	k.buf = k.buf[:0]
	for _, part := range k.key {
		start := len(k.buf)
		switch part.Kind {
		case policy.Path:
			k.buf = appendPath(append(k.buf, tagPath), target)
		case policy.Global:
			k.buf = append(k.buf, tagGlobal)
		case policy.IP:
			k.buf = appendClient(k.buf, client, k.bitsOf(part))
		default:
			if len(user) > 0 {
				k.buf = append(append(k.buf, tagUser), user...)
			} else {
				k.buf = appendClient(k.buf, client, k.bits)
			}
		}
		if len(k.key) > 1 { // so that no two lists of parts are alike
			n := len(k.buf) - start
			k.buf = append(k.buf, byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
		}
	}
	return maphash.Bytes(k.seed, k.buf)
}

func (k *keyer) bitsOf(part policy.Part) int {
	if part.Bits > 0 {
		return part.Bits
	}
	return k.bits
}

// name returns a key as a person would write it.
func (k *keyer) name(client, user, target []byte) string {
	var names []string
	for _, part := range k.key {
		switch part.Kind {
		case policy.Path:
			names = append(names, string(appendPath(nil, target)))
		case policy.Global:
			names = append(names, "all")
		case policy.IP:
			names = append(names, clientName(client, k.bitsOf(part)))
		default:
			if len(user) > 0 {
				names = append(names, string(user))
			} else {
				names = append(names, clientName(client, k.bits))
			}
		}
	}
	return strings.Join(names, " + ")
}

// appendPath appends the path of a target in the one form that weir knows it by:
// decoded once, cleaned, without what follows a '?'.
func appendPath(b, target []byte) []byte {
	plain := len(target) > 0 && target[0] == '/'
	for i, c := range target {
		if c == '?' || c == '#' {
			target = target[:i]
			break
		}
		// "//" and "/." may need cleaning, '%' decoding, '\' and ';' are read in
		// more than one way.
		if c == '%' || c == ';' || c == '\\' || c == '/' && i > 0 && target[i-1] == '/' || c == '.' && i > 0 && (target[i-1] == '/' || target[i-1] == '.') {
			plain = false
		}
	}
	if plain && (len(target) == 1 || target[len(target)-1] != '/') {
		return append(b, target...)
	}
	return append(b, cleanPath(string(target))...)
}

// cleanPath is appendPath for targets that are not as they should be.
func cleanPath(target string) string {
	if _, rest, ok := strings.Cut(target, "://"); ok && !strings.HasPrefix(target, "/") { // http://host/path
		slash := strings.IndexByte(rest, '/')
		if slash < 0 {
			return "/"
		}
		target = rest[slash:]
	}
	if decoded, err := url.PathUnescape(target); err == nil {
		target = decoded
	}
	if !strings.HasPrefix(target, "/") {
		target = "/" + target
	}
	if strings.ContainsAny(target, `;\`) {
		segments := strings.Split(strings.ReplaceAll(target, `\`, "/"), "/")
		for i, segment := range segments {
			segments[i], _, _ = strings.Cut(segment, ";")
		}
		target = strings.Join(segments, "/")
	}
	return path.Clean(target)
}

// rules returns the rules of policies.
func rules(policies []policy.Policy) ([]bucket.Rule, error) {
	list := make([]bucket.Rule, len(policies))
	for i, p := range policies {
		rule, err := bucket.NewRule(p.Limit)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", p, err)
		}
		list[i] = rule
	}
	return list, nil
}
