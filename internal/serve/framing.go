package serve

import "net/http"

// unsmuggled returns a handler that ends the connection with each answer,
// whoever gives it, to a request of HTTP/1 whose end a proxy in front may see
// elsewhere. What follows such a request is another one here, and could still be
// this one to that proxy.
//
// A request with a Transfer-Encoding may have had a Content-Length too; net/http
// then removes it and does not say so (RFC 9112, 6.1, wants the connection
// closed). In HTTP/1.0 it removes a Transfer-Encoding without a word (likewise).
func unsmuggled(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor == 1 && (len(r.TransferEncoding) > 0 || !r.ProtoAtLeast(1, 1)) {
			w.Header().Set("Connection", "close")
		}
		next.ServeHTTP(w, r)
	})
}
