package admin

import (
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"time"

	"github.com/seed-0c889b51/weir/internal/adminapi"
)

// answer answers with JSON.
func answer(w http.ResponseWriter, v any) {
	body, err := json.Marshal(v)
	if err != nil { // no type of the API can bring that about
		problem(w, http.StatusInternalServerError, "the answer cannot be written as JSON")
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Write(append(body, '\n'))
}

// problem answers with an error: RFC 9457.
func problem(w http.ResponseWriter, status int, detail string) {
	body, _ := json.Marshal(adminapi.Problem{Title: http.StatusText(status), Status: status, Detail: detail})
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	w.Write(append(body, '\n'))
}

// read reads the JSON of a request into v. If it cannot it answers and returns
// false.
func read(w http.ResponseWriter, r *http.Request, v any) bool {
	// A form of another origin cannot send this type without asking first.
	if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || media != "application/json" {
		problem(w, http.StatusUnsupportedMediaType, "want Content-Type: application/json")
		return false
	}
	d := json.NewDecoder(r.Body)
	d.DisallowUnknownFields()
	err := d.Decode(v)
	if err == nil {
		if _, err = d.Token(); errors.Is(err, io.EOF) {
			return true
		}
		err = errors.New("want nothing after the object")
	}
	var tooLong *http.MaxBytesError
	if errors.As(err, &tooLong) {
		problem(w, http.StatusRequestEntityTooLarge, "the body is too long: want at most 64 KiB")
		return false
	}
	problem(w, http.StatusBadRequest, "the body is not what is wanted: "+err.Error())
	return false
}

// millis returns a time in milliseconds, rounded up: what is waited for is then
// there.
func millis(d time.Duration) int64 {
	n := int64(d / time.Millisecond)
	if d%time.Millisecond > 0 {
		n++
	}
	return n
}
