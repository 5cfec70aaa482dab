package serve

import "fmt"

// DrainTimeout is how long requests in flight are waited for.
const DrainTimeout = drainTimeout

// NewErrorLog is where net/http logs.
var NewErrorLog = newErrorLog

// ServerLimits says what a client may take up of the server.
func ServerLimits(s *Server) string {
	h := s.http
	return fmt.Sprintf("header in %v, idle %v, write %v, %d bytes", h.ReadHeaderTimeout, h.IdleTimeout, h.WriteTimeout, h.MaxHeaderBytes)
}
