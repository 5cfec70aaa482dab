package httpmw

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/seed-0c889b51/weir/bucket"
)

const (
	fingerprintPrefix = "sha256:"
	maxLimiterKey     = 64 // bytes; longer keys have a hash in their place in a weir.Limiter
)

// Tiers returns a function for a policy's LimitFor: it gives the identities in
// limits those limits, and all others the zero Limit, which is the policy's
// own. What an identity is called in limits is what a request has for it: the
// address, the result of the function of [Func], or the path. What keys have
// only a hash of, as of a header field, a cookie or a token, is called by its
// [Key.Fingerprint], so that no credential has to be written down.
//
// Under a key made by [Join], an identity is looked for in each of its parts,
// so that it has the same limit with each of the others. ip is that of the
// [Config], for addresses.
//
// It is an error if k is [Global], if no part of k can be what limits has, or
// if a key of that identity could be longer than the 64 bytes of which a
// limiter knows more than a hash.
func Tiers(k Key, ip ClientIP, limits map[string]bucket.Limit) (func(key string) bucket.Limit, error) {
	if err := k.check(); err != nil {
		return nil, fmt.Errorf("httpmw: key of Tiers: %w", err)
	}
	parts := k.parts
	if k.tag != tagJoin {
		parts = []Key{k}
	}
	found := make(map[string]bucket.Limit, len(limits))
	for _, value := range slices.Sorted(maps.Keys(limits)) {
		var why error
		known := false
		for i := range parts {
			encoded, err := parts[i].encode(ip, value)
			if err != nil {
				why = err
				continue
			}
			if most := len(encoded) + others(parts, i); most > maxLimiterKey {
				why = fmt.Errorf("its key can have %d bytes, with what else is in it: want at most %d", most, maxLimiterKey)
				continue
			}
			if other, ok := found[encoded]; ok && other != limits[value] {
				return nil, errors.New("httpmw: Tiers has two limits for one identity: want one")
			}
			found[encoded], known = limits[value], true
		}
		if !known {
			// Without the value, which may be a credential.
			return nil, fmt.Errorf("httpmw: an identity of Tiers: %w", why)
		}
	}
	return func(key string) bucket.Limit { return lookUp(found, key) }, nil
}

// others returns the longest that a key can be but for its i-th part.
func others(parts []Key, i int) int {
	n := 1 // of a preflight
	if len(parts) > 1 {
		n++ // of a join
	}
	for j, p := range parts {
		switch {
		case j == i:
		case p.tag == tagGlobal:
			n++
		case p.tag == tagIP, p.tag == tagNetwork:
			n += 1 + 1 + 16
		case p.tag == tagFunc, p.tag == tagPath:
			n += 1 + 1 + maxPlain
		default:
			n += 1 + 1 + 16 // a digest is no longer than an address in its place
		}
	}
	return n
}

// lookUp returns the limit of the first part of an encoded key that has one.
func lookUp(limits map[string]bucket.Limit, key string) bucket.Limit {
	key = strings.TrimPrefix(key, string(tagPreflight))
	key = strings.TrimPrefix(key, string(tagJoin))
	for key != "" {
		n := partLength(key)
		if n > len(key) {
			break // a hash of a long key, say
		}
		if limit, ok := limits[key[:n]]; ok {
			return limit
		}
		key = key[n:]
	}
	return bucket.Limit{}
}

// partLength returns how long the part is that an encoded key begins with.
func partLength(key string) int {
	switch key[0] {
	case tagIPv4:
		return 1 + 4
	case tagIPv6:
		return 1 + 16
	case tagNetwork4:
		return 2 + 4
	case tagNetwork6:
		return 2 + 16
	case tagUnknown, tagShared, tagGlobal:
		return 1
	case tagMissing:
		if len(key) > 1 {
			return 1 + partLength(key[1:])
		}
	case tagHeader, tagCookie, tagBearer, tagBasic, tagCert, tagLongFunc, tagLongPath:
		return 1 + digestSize
	case tagFunc, tagPath:
		if len(key) > 1 {
			return 2 + int(key[1])
		}
	}
	return len(key) + 1
}

// Fingerprint returns what stands for a credential in [Tiers]: "sha256:" and 32
// hexadecimal digits, of a hash over the kind of the key, its name and the
// value. It is the hash that is in the keys of requests with that credential,
// and the same in every process. A short or guessable value can be found from
// it by trying.
//
// It is an error if k is no [Header], [Cookie], [Bearer], [BasicUser] or
// [ClientCert], or if no request has that value under k. For ClientCert the
// value is the certificate in DER.
func (k Key) Fingerprint(value string) (string, error) {
	if err := k.check(); err != nil {
		return "", fmt.Errorf("httpmw: Fingerprint: %w", err)
	}
	encoded, err := k.encodeCredential(value)
	if err != nil {
		return "", fmt.Errorf("httpmw: Fingerprint: %w", err)
	}
	return fingerprintPrefix + hex.EncodeToString([]byte(encoded[1:])), nil
}

// encode returns the part of a key that a request with an identity has.
func (k *Key) encode(ip ClientIP, value string) (string, error) {
	s := &scratch{sum: sha256.New()}
	switch k.tag {
	case tagIP, tagNetwork:
		addr, err := netip.ParseAddr(value)
		if err != nil || addr.Zone() != "" {
			return "", errors.New("it is no address: want one such as 203.0.113.7 or 2001:db8::1")
		}
		s.m, s.addr, s.how = &Middleware{ip: ip}, addr.Unmap(), asPeer
		if k.tag == tagNetwork {
			return string(appendNetwork(nil, s, k)), nil
		}
		return string(appendIP(nil, s)), nil
	case tagFunc:
		if value == "" {
			return "", errors.New("it is empty: want what the function of Func returns")
		}
		return string(appendValue(nil, s, tagFunc, tagLongFunc, value)), nil
	case tagPath:
		return string(appendValue(nil, s, tagPath, tagLongPath, canonicalPath(rooted(value)))), nil
	case tagGlobal:
		return "", errors.New("it is under Global, which all requests have in common: want a limit of the policy")
	}
	digits, ok := strings.CutPrefix(value, fingerprintPrefix)
	digest, err := hex.DecodeString(digits)
	if !ok || err != nil || len(digest) != digestSize {
		return "", fmt.Errorf("it is a credential, of which keys have only a hash: want its Fingerprint, %s and %d hexadecimal digits",
			fingerprintPrefix, 2*digestSize)
	}
	return string(k.tag) + string(digest), nil
}

// encodeCredential is encode for what keys have only a digest of.
func (k *Key) encodeCredential(value string) (string, error) {
	s := &scratch{sum: sha256.New(), r: &http.Request{Header: http.Header{}}}
	got := ""
	switch k.tag {
	case tagHeader:
		s.r.Header[k.name] = []string{value}
		got = headerValue(s.r, k.name)
	case tagCookie:
		s.r.Header["Cookie"] = []string{k.name + "=" + value}
		got = cookieValue(s.r, k.name)
	case tagBearer:
		s.r.Header[fieldAuthorization] = []string{"Bearer " + value}
		got = bearerToken(s.r)
	case tagBasic:
		if !strings.Contains(value, ":") {
			s.r.Header[fieldAuthorization] = []string{"Basic " + base64.StdEncoding.EncodeToString([]byte(value+":"))}
			got = basicUser(s.r)
		}
	case tagCert:
		if value != "" {
			s.beginDigest(tagCert, "", len(value))
			s.sum.Write([]byte(value))
			return string(s.endDigest([]byte{tagCert})), nil
		}
	default:
		return "", errors.New("the key has no hash of a credential in it: want Header, Cookie, Bearer, BasicUser or ClientCert")
	}
	if got == "" {
		return "", errors.New("no request has that value: want it as it is in a request, and not empty")
	}
	return string(s.appendCredential(nil, k, got, present)), nil
}
