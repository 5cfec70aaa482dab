// Package proxy is a reverse proxy to one upstream, or to several by path, for
// use behind a limiter.
//
// Bodies stream in both directions and are flushed as they come, upgrades
// such as WebSocket pass, and so do trailers, interim answers (1xx), the query
// as it was sent and, to an upstream that is reached over http, the Host that
// the client asked for; an https upstream is asked for the host of its URL,
// which is in its certificate.
//
// # What the upstream is told
//
// X-Real-IP is the address of the client that was found, which is limited, and
// is there always, unless the client has none, as on a Unix socket.
// X-Forwarded-For ends with the address of the peer. What a peer says of
// earlier hops passes if it is trusted and is removed if not: X-Forwarded-For
// and all other X-Forwarded fields, and the field of the user. Other fields for
// the address of a client, such as CF-Connecting-IP and True-Client-IP, are
// removed too if the peer is not trusted. If it is, those that it sends hold the
// client that was found, whatever they held, so that no two of them differ;
// Forwarded, and others that are no single address, are removed. Fields that
// name another URL than the request line (X-Original-URL, X-Rewrite-URL) pass from
// trusted peers alone, and Proxy from nobody.
// X-Forwarded-Host and X-Forwarded-Proto are there always. A field
// with '_' in its name is removed, since some servers take it for one with
// '-'; nginx does the same. Nothing that a client lists in Connection removes
// what the proxy sets. An upgrade to another form of HTTP (h2c, TLS) is not passed
// on: requests behind it would not be counted.
//
// # Requests with two meanings
//
// A request that net/http takes and that an upstream might take for another one
// is refused. The upstream gets the others in one form, whatever the client's
// was. After a request with a Transfer-Encoding or of HTTP/1.0, and after one that
// is answered before the end of its body, the connection of the client is closed;
// where the proxy itself refuses, that is left to the server around it.
//
// # Limiters of upstreams
//
// An upstream may have a limiter of its own. Its RateLimit and RateLimit-Policy
// are told together with those of the limiter here if a client can read both,
// and alone if not. Its Retry-After passes as it is, without a RateLimit of ours
// that tells of a later time.
package proxy
