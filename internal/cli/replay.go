package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/seed-0c889b51/weir/internal/nearest"
	"github.com/seed-0c889b51/weir/internal/oneline"
	"github.com/seed-0c889b51/weir/internal/policy"
	"github.com/seed-0c889b51/weir/internal/replay"
	"github.com/seed-0c889b51/weir/internal/replay/page"
)

// replayFlags are the flags of replay as they were given.
type replayFlags struct {
	limits, candidate                          []string
	format, columns, ipv6Prefix, keys, reorder once
	report                                     once
	json, showClients                          bool
}

func newReplay(w World) *cobra.Command {
	flags := &replayFlags{
		format: once{value: "auto"}, ipv6Prefix: once{value: "64"}, keys: once{value: "1000000"}, reorder: once{value: "1m"}, report: once{value: "none"},
	}
	cmd := &cobra.Command{
		Use:   "replay FILE...",
		Short: "Hold an access log against limits: who would have been denied?",
		Long: `Examples:
  weir replay access.log                            # against the default limits
  weir replay access.log --limit 'ip 60/min' --candidate 'ip 30/min' --report replay.html
  zcat -f access.log.2.gz access.log.1 access.log | weir replay - --limit 'user 1000/day' --json

Reads an access log, the oldest file first, and decides about each request in it
as weir serve would have, on a clock that shows the times of the log. Says who
would have been denied and when, how many clients that hurts, and for 50, 95, 99
and 99.9 % of the clients the least limit that never denies them, ready to paste.
--report writes that as one page with drawings, which needs no network.

A log is that of Apache or nginx as it comes (the combined and common formats),
that of Caddy (JSON), or CSV with a header; packed by gzip or not; - is standard
input. Keys are ip, ip/BITS, user, basic, path, global, or several joined by '+',
as far as the log has them: where it names no user, the client's address counts.

Addresses and names of clients are personal data: what is printed or written has
hashes by a secret of this run in place of them, unless --show-clients is given.

Exit codes: 0 done, 1 failed, 2 unknown command, flag or argument, 3 a value that
is not valid.`,
		Args: cobra.ArbitraryArgs, // so that RunE can say what it wants
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return errors.New("no log: want weir replay FILE..., such as access.log, or - for standard input")
			}
			r := &replayRun{World: w, files: args, in: cmd.InOrStdin()}
			if err := r.read(flags); err != nil {
				return valueError{err}
			}
			return r.run(cmd)
		},
	}
	set := cmd.Flags()
	set.SortFlags = false
	set.StringArrayVar(&flags.limits, "limit", nil, "`'KEY LIMIT [dry-run]'` as for weir serve; may be given several times (default 'ip 100/min' and 'user 1000/day')")
	set.StringArrayVar(&flags.candidate, "candidate", nil, "`'KEY LIMIT [dry-run]'` to hold beside all of --limit, as if it were there in their place; may be given several times")
	set.Var(&flags.report, "report", "`FILE` for the page, or none")
	set.BoolVar(&flags.json, "json", false, "print JSON (internal/replay/schema.md)")
	set.BoolVar(&flags.showClients, "show-clients", false, "name clients and users, and show lines that cannot be read")
	set.Var(&flags.format, "format", "`FORMAT` of the log: combined (also common, and nginx), caddy, csv, or auto to see which it is")
	set.Var(&flags.columns, "columns", "`WHAT=COLUMN,...` of CSV, where WHAT is time, client, user or path, such as time=ts,client=addr (default: usual names)")
	set.Var(&flags.ipv6Prefix, "ipv6-prefix", "`BITS` of the network that IPv6 clients are limited by, 32 to 128")
	set.Var(&flags.reorder, "reorder", "`TIME` that a line may be late and is still put where it belongs, 1ms to 24h")
	set.Var(&flags.keys, "max-keys", "`NUMBER` of keys that are kept of each limit, 100 to 100000000; a million takes about 100 MB")
	return cmd
}

// A replayRun is a run of weir replay.
type replayRun struct {
	World
	files  []string
	in     io.Reader
	config replay.Config
	report string // "" is none
	json   bool
}

// read reads the flags.
func (r *replayRun) read(f *replayFlags) (err error) {
	limits := f.limits
	if len(limits) == 0 {
		limits = []string{"ip 100/min", "user 1000/day"}
	}
	if r.config.Limits, err = replayLimits("limit", limits); err != nil {
		return err
	}
	if r.config.Candidate, err = replayLimits("candidate", f.candidate); err != nil {
		return err
	}
	r.config.Format = f.format.value
	if err := checkWord(f.format.value, replay.Formats...); err != nil {
		return fmt.Errorf("--format %s: %w", quote(f.format.value), err)
	}
	if f.columns.given {
		if r.config.Columns, err = parseColumns(f.columns.value); err != nil {
			return fmt.Errorf("--columns %s: %w", quote(f.columns.value), err)
		}
	}
	if r.config.IPv6Prefix, err = parseBits(f.ipv6Prefix.value); err != nil {
		return fmt.Errorf("--ipv6-prefix %s: %w", quote(f.ipv6Prefix.value), err)
	}
	if r.config.MaxKeys, err = strconv.Atoi(f.keys.value); err != nil || r.config.MaxKeys < 100 || r.config.MaxKeys > 100_000_000 {
		return fmt.Errorf("--max-keys %s: want a whole number from 100 to 100000000", quote(f.keys.value))
	}
	if r.config.Reorder, err = parseTime(f.reorder.value, time.Millisecond, 24*time.Hour); err != nil {
		return fmt.Errorf("--reorder %s: %w", quote(f.reorder.value), err)
	}
	r.config.ShowClients, r.json = f.showClients, f.json
	if r.report = f.report.value; r.report == "none" {
		r.report = ""
		return nil
	}
	return writable("--report", r.report)
}

// replayLimits reads limits that a log can be held against.
func replayLimits(flag string, texts []string) ([]policy.Policy, error) {
	policies, err := policy.ParseList(texts...)
	if err != nil {
		return nil, fmt.Errorf("--%s %w", flag, err)
	}
	for i, p := range policies {
		if err := replay.CheckKey(p.Key); err != nil {
			return nil, fmt.Errorf("--%s %s: %w", flag, quote(texts[i]), err)
		}
	}
	if len(policies) > replay.MaxLimits {
		return nil, fmt.Errorf("--%s is given %d times: want at most %d", flag, len(policies), replay.MaxLimits)
	}
	return policies, nil
}

// parseColumns reads which columns are which.
func parseColumns(text string) (c replay.Columns, err error) {
	of := map[string]*string{"time": &c.Time, "client": &c.Client, "user": &c.User, "path": &c.Path}
	words := []string{"time", "client", "user", "path"}
	for part := range strings.SplitSeq(text, ",") {
		what, column, ok := strings.Cut(part, "=")
		what, column = strings.TrimSpace(what), strings.TrimSpace(column)
		place := of[what]
		switch {
		case !ok || column == "":
			return c, fmt.Errorf("%s: want WHAT=COLUMN, such as time=ts", quote(part))
		case place == nil:
			return c, fmt.Errorf("%s: want time, client, user or path%s", quote(what), nearest.Hint(what, words))
		case *place != "":
			return c, fmt.Errorf("%s is there twice: want it once", what)
		}
		*place = column
	}
	return c, nil
}

// run reads the log, and tells what came out.
func (r *replayRun) run(cmd *cobra.Command) error {
	var sources []replay.Source
	size := int64(0) // of all, -1 if that is not known
	for _, name := range r.files {
		if name == "-" {
			sources = append(sources, replay.Source{Name: "standard input", Reader: r.in})
			size = -1
			continue
		}
		file, err := os.Open(name)
		if err != nil {
			return runError{fmt.Errorf("%s: %w", quote(name), cause(err))}
		}
		defer file.Close()
		info, err := file.Stat()
		switch {
		case err != nil:
			return runError{fmt.Errorf("%s: %w", quote(name), cause(err))}
		case info.IsDir():
			return runError{fmt.Errorf("%s: it is a directory: want a file", quote(name))}
		case info.Mode()&fs.ModeType != 0: // a pipe, say
			size = -1
		case size >= 0:
			size += info.Size()
		}
		sources = append(sources, replay.Source{Name: name, Reader: file})
	}
	if r.Terminal {
		r.config.Progress = r.progress(size)
	}
	result, err := replay.Run(cmd.Context(), r.config, sources...)
	if r.Terminal {
		fmt.Fprint(r.Stderr, "\r\x1b[K")
	}
	if cmd.Context().Err() != nil {
		return runError{errors.New("stopped before it was done: nothing is written")}
	}
	if err != nil {
		return runError{err}
	}
	return r.write(result)
}

// progress returns what shows on one line of a terminal how far it is.
func (r *replayRun) progress(size int64) func(lines, bytes int64) {
	start, last := time.Now(), time.Time{}
	return func(lines, bytes int64) {
		now := time.Now()
		if now.Sub(last) < 100*time.Millisecond {
			return
		}
		last = now
		part := ""
		if size > 0 {
			part = fmt.Sprintf("%3.0f %%  ", 100*min(float64(bytes)/float64(size), 1))
		}
		fmt.Fprintf(r.Stderr, "\r\x1b[K%s%s", part, rateText(lines, now.Sub(start)))
	}
}

// rateText says how many lines were read in which time.
func rateText(lines int64, took time.Duration) string {
	perSecond := float64(lines) / max(took.Seconds(), 1e-9)
	rate := fmt.Sprintf("%.0f", perSecond)
	if perSecond >= 1e6 {
		rate = fmt.Sprintf("%.1f million", perSecond/1e6)
	}
	return fmt.Sprintf("%d lines in %v, %s a second", lines, took.Round(time.Millisecond), rate)
}

// write writes the result to all places where it is to be.
func (r *replayRun) write(result *replay.Result) error {
	if r.json {
		out := json.NewEncoder(r.Stdout)
		out.SetEscapeHTML(false)
		out.SetIndent("", "  ")
		if err := out.Encode(result); err != nil {
			return runError{err}
		}
	} else if err := result.WriteText(r.Stdout); err != nil {
		return runError{err}
	}
	if r.report != "" {
		if err := toFile(r.report, func(to io.Writer) error { return page.Write(to, result) }); err != nil {
			return runError{err}
		}
		fmt.Fprintln(r.Stderr, "weir: the page is in "+oneline.Text(r.report))
	}
	fmt.Fprintln(r.Stderr, "weir: "+rateText(result.Lines.All, time.Duration(result.Seconds*float64(time.Second))))
	if result.Lines.Requests == 0 && result.Lines.Bad > 0 {
		return runError{fmt.Errorf("no line could be read, the first since %s: want another --format?", result.Bad[0].Problem)}
	}
	return nil
}
