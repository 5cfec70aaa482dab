package admin

import (
	"fmt"
	"net/http"
	"runtime"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/seed-0c889b51/weir"
	"github.com/seed-0c889b51/weir/bucket"
)

// Names of the metrics that a collector reads. Labels have values from closed
// sets: names of limits, and words of this package. None has anything that comes
// with a request.
var (
	descRequests = desc("requests_total",
		"Requests, by limit and what it decided: allowed, denied, or would_deny of a dry run. Without a limit: exempt, and error of those that could not be counted.", "limit", "decision")
	descMissing = desc("requests_without_identity_total",
		"Requests without the identity that the key of a limit asks for.", "limit")
	descInFlight  = desc("in_flight", "Requests that are being served now, by limit on them.", "limit")
	descKeys      = desc("keys", "Keys in memory.", "limit")
	descKeysMax   = desc("keys_max", "Keys that there is room for in memory.", "limit")
	descEvictions = desc("evictions_total",
		"Keys that left memory: full buckets (full), with their debt kept (cheap), and debts that were forgotten since there was no room (overflow), which should stay 0.", "limit", "kind")
	descForgiven = desc("forgiven_tokens_total", "Tokens that keys got back early since their debt was forgotten; should stay 0.", "limit")
	descPeak     = desc("peak_use_ratio", "The most of its burst that a key was seen to have used at once.", "limit")

	descStoreErrors = desc("store_errors_total", "Failures of the state file, by what was to be done: open or save.", "op")
	descStoreFlush  = desc("store_last_flush_timestamp_seconds", "When the last snapshot was saved, 0 if none was.")
	descStoreAge    = desc("store_age_seconds", "What a crash would forget: the time since the last snapshot.")
	descStoreSaves  = desc("store_saves_total", "Snapshots that were saved.")
	descStoreBytes  = desc("store_written_bytes_total", "Bytes written to the state file.")

	descReload     = desc("config_last_reload_successful", "1 if the last loading of the configuration succeeded, and 0 if not.")
	descReloadTime = desc("config_last_reload_success_timestamp_seconds", "When the configuration in force was loaded.")
	descHealth     = desc("health_problems", "Things that are not as they should be, by how bad they are.", "level")
	descBuild      = desc("build_info", "Always 1.", "version", "goversion")

	descConnections = desc("connections", "Connections that are open.")
	descRefused     = desc("connections_refused_total", "Connections that were closed at once, by reason: over_all, over_client, or not_proxied.", "reason")
)

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("weir_"+name, help, labels, nil)
}

// newMetrics returns what answers with the metrics.
func newMetrics(s *Server) (http.Handler, error) {
	all := prometheus.NewRegistry()
	metrics := []prometheus.Collector{
		collector{s}, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	}
	if t := s.cfg.Timings; t != nil {
		metrics = append(metrics, t.decision, t.upstream)
	}
	for _, m := range metrics {
		if err := all.Register(m); err != nil {
			return nil, fmt.Errorf("metrics: %w", err)
		}
	}
	return promhttp.HandlerFor(all, promhttp.HandlerOpts{MaxRequestsInFlight: 4, Timeout: readTimeout}), nil
}

// A collector reads the counts when it is asked for them.
type collector struct{ s *Server }

// Describe sends nothing: which metrics there are depends on the configuration,
// which may be loaded again.
func (collector) Describe(chan<- *prometheus.Desc) {}

// Collect reads the counts.
func (c collector) Collect(to chan<- prometheus.Metric) {
	src := c.s.cfg.Source()
	limiter, limits := src.Limiter.Stats(), src.Limits.Stats()
	count := func(d *prometheus.Desc, v float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, v, labels...)
	}
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	for _, p := range limits.Policies {
		denied := "denied"
		at := slices.IndexFunc(limiter.Policies, func(of weir.PolicyStats) bool { return of.Name == p.Name })
		if at >= 0 && limiter.Policies[at].DryRun {
			denied = "would_deny"
		}
		count(descRequests, float64(p.Allowed), p.Name, "allowed")
		count(descRequests, float64(p.Denied), p.Name, denied)
		count(descMissing, float64(p.Missing), p.Name)
		if at < 0 { // it is of requests at once
			gauge(descInFlight, float64(p.InFlight), p.Name)
		}
	}
	count(descRequests, float64(limits.Exempt), "", "exempt")
	count(descRequests, float64(limits.Failed), "", "error")
	for _, p := range limiter.Policies {
		size := src.policy(p.Name).Size
		if size == 0 {
			size = defaultSize
		}
		gauge(descKeys, float64(p.Keys), p.Name)
		gauge(descKeysMax, float64(size), p.Name)
		gauge(descPeak, c.s.health.peakOf(p), p.Name)
		count(descEvictions, float64(p.Evicted-min(p.Evicted, p.DebtsKept)), p.Name, "full")
		count(descEvictions, float64(p.DebtsKept), p.Name, "cheap")
		count(descEvictions, float64(p.DebtsDropped), p.Name, "overflow")
		count(descForgiven, p.DroppedSeconds*perSecond(p.Limit), p.Name)
	}
	opened := 0.0
	if src.StateError != nil {
		opened = 1
	}
	count(descStoreErrors, opened, "open")
	count(descStoreErrors, float64(limiter.SaveErrors), "save")
	flushed := 0.0
	if !limiter.LastSaved.IsZero() {
		flushed = seconds(limiter.LastSaved)
	}
	gauge(descStoreFlush, flushed)
	gauge(descStoreAge, limiter.Age.Seconds())
	count(descStoreSaves, float64(limiter.Saves))
	count(descStoreBytes, float64(limiter.Written))
	good := 1.0
	if src.Reloaded.Err != nil {
		good = 0
	}
	gauge(descReload, good)
	gauge(descReloadTime, seconds(src.Reloaded.At))
	problems := map[string]int{}
	for _, h := range c.s.health.look(src, limiter, limits) {
		problems[h.Level]++
	}
	for _, level := range levels {
		gauge(descHealth, float64(problems[level]), level)
	}
	gauge(descBuild, 1, src.Version, runtime.Version())
	if src.Connections != nil {
		n := src.Connections()
		gauge(descConnections, float64(n.Open))
		count(descRefused, float64(n.OverAll), "over_all")
		count(descRefused, float64(n.OverClient), "over_client")
		count(descRefused, float64(n.NotProxied), "not_proxied")
	}
}

// perSecond returns how many tokens a limit gives back a second.
func perSecond(l bucket.Limit) float64 {
	if l.Window <= 0 {
		return 0
	}
	return float64(l.Quota) / l.Window.Seconds()
}

func seconds(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }
