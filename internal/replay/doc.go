// Package replay holds an access log against limits: it says who would have
// been denied, and which limits would have fitted.
//
// A log is read line by line, put into the order of its times, and each request
// is decided as weir decides it, by [bucket.Rule] on a clock that shows the
// times of the log. Of each key a few numbers are kept, in a table that is
// bounded; what had to be left out for that is told in the [Result].
//
// Four forms of logs are read, packed by gzip or not: the combined and common
// formats of Apache and nginx, the JSON of Caddy, and CSV with a header.
package replay
