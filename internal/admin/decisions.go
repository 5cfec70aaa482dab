package admin

import (
	"net/http"

	"github.com/seed-0c889b51/weir/internal/adminapi"
)

// getDecision answers why a response was a refusal.
func (s *Server) getDecision(w http.ResponseWriter, r *http.Request) {
	d, ok := s.cfg.Watch.Find(r.PathValue("id"))
	if !ok {
		problem(w, http.StatusNotFound, "no denial has this id: want the value of "+FieldID+
			" in a refusal of this run, one of the last few thousand")
		return
	}
	of := d.Decision
	answer(w, adminapi.Denial{
		ID: d.ID, At: d.At, Method: d.Method, Path: d.Path, Policy: d.Policy, Limit: decisionText(of.Limit),
		Key: s.cfg.Source().Limits.KeyText(d.Key), Cost: d.Cost, Remaining: of.Remaining,
		RetryAfterMs: millis(of.RetryAfter), ResetAfterMs: millis(of.ResetAfter),
	})
}
