package persist

import (
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	"github.com/seed-0c889b51/weir/bucket"
)

// A machine has clocks that can be wrong. Its true time only goes on.
type machine struct {
	start    time.Time
	now      time.Duration // true, since start
	asleep   time.Duration // how much of it, so that the monotonic clock lags
	booted   time.Duration // on the true time
	boots    byte
	wallOff  time.Duration // error of the wall clock
	bootOff  time.Duration // of the clock of the boot, after a roll-back
	synced   bool
	noBootID bool // a system that does not tell one boot from another
}

const machineEpoch = int64(20_000 * 24 * time.Hour)

func (m *machine) read() reading {
	r := reading{mono: m.start.Add(m.now - m.asleep), wall: machineEpoch + int64(m.now+m.wallOff), synced: m.synced}
	if !m.noBootID {
		r.boot, r.bootID = int64(m.now-m.booted+m.bootOff), [16]byte{m.boots}
	}
	return r
}

// reboot starts the machine anew: it has been up for a while when the limiter
// starts.
func (m *machine) reboot(up time.Duration) {
	m.boots++
	m.now += up
	m.booted = m.now - up
	m.bootOff, m.asleep = 0, 0
	m.start = m.start.Add(24 * time.Hour) // the monotonic clock is another
}

// Whatever a clock does, between two runs or during one, no client gets more
// than its limit but what a crash forgets, and none is locked out for longer
// than one refill.
func TestStepsOfTheClock(t *testing.T) {
	t.Parallel()
	const (
		day  = 24 * time.Hour
		year = 365 * day
	)
	none := func(*machine) {}
	tests := []struct {
		why    string
		begin  func(m *machine)
		during func(m *machine) // in the midst of each run
		away   func(m *machine) // between two
		exact  bool             // all of the time away is credited
	}{
		{"no step", none, none, none, true},
		{"the wall clock is set back while away", none, none, func(m *machine) { m.wallOff -= time.Hour }, true},
		{"the wall clock is set a year ahead while away", none, none, func(m *machine) { m.wallOff += year }, true},
		{"the wall clock is set back and forth while running", none, func(m *machine) { m.wallOff = -m.wallOff - time.Hour }, none, true},
		{"NTP slews and steps while running", none, func(m *machine) { m.wallOff = (m.wallOff + 700*time.Millisecond) % time.Second }, none, true},
		{"asleep while running", none, func(m *machine) { m.now += time.Minute; m.asleep += time.Minute }, none, false},
		{"asleep while away", none, none, func(m *machine) { m.now += time.Minute; m.asleep += time.Minute }, true},
		{"reboots, synchronised on both sides", none, none, func(m *machine) { m.reboot(20 * time.Second) }, true},
		{"reboots, and the clock is right but not synchronised", func(m *machine) { m.synced = false }, none,
			func(m *machine) { m.reboot(20 * time.Second) }, false},
		{"no clock that is kept: 1970 after each reboot, and never synchronised", func(m *machine) { m.synced = false }, none,
			func(m *machine) { m.reboot(20 * time.Second); m.wallOff = -time.Duration(machineEpoch) - m.now }, false},
		{"1970 after each reboot, and synchronised late in the run", none, func(m *machine) { m.wallOff, m.synced = 0, true },
			func(m *machine) {
				m.reboot(20 * time.Second)
				m.wallOff, m.synced = -time.Duration(machineEpoch)-m.now, false
			}, false},
		{"116 days behind after each reboot, until NTP jumps", none, func(m *machine) { m.wallOff, m.synced = 0, true },
			func(m *machine) { m.reboot(20 * time.Second); m.wallOff, m.synced = -116*day, false }, false},
		{"116 days ahead after each reboot, until NTP jumps back", none, func(m *machine) { m.wallOff, m.synced = 0, true },
			func(m *machine) { m.reboot(20 * time.Second); m.wallOff, m.synced = 116*day, false }, false},
		{"a virtual machine is set back to a snapshot", none, none, func(m *machine) { m.bootOff -= 10 * time.Minute }, false},
		{"a virtual machine is set back, its wall clock too", none, none,
			func(m *machine) { m.bootOff -= 10 * time.Minute; m.wallOff -= 10 * time.Minute }, false},
		{"a system that does not know its boots, and the wall clock is right", func(m *machine) { m.noBootID = true }, none, none, true},
		{"a system that does not know its boots, and the wall clock is set back", func(m *machine) { m.noBootID = true }, none,
			func(m *machine) { m.wallOff -= time.Hour }, false},
	}
	for i, tt := range tests {
		for _, crash := range []bool{false, true} {
			end := "stopped"
			if crash {
				end = "killed"
			}
			t.Run(tt.why+", "+end, func(t *testing.T) {
				t.Parallel()
				s := &stepped{
					machine: machine{start: time.Now(), booted: -time.Hour, boots: 1, synced: true},
					path:    filepath.Join(t.TempDir(), "state"), rand: rand.New(rand.NewPCG(13, uint64(i))),
					during: tt.during, crash: crash,
				}
				tt.begin(&s.machine)
				runs := 40
				if testing.Short() {
					runs = 8
				}
				for range runs {
					s.run(t)
					tt.away(&s.machine)
				}
				if s.denied == 0 || crash && s.forgotten == 0 {
					t.Errorf("%d denied, %d forgotten by crashes: want some, or this shows nothing", s.denied, s.forgotten)
				}
				if lost := s.away - s.credited; tt.exact && (lost > time.Duration(runs)*time.Microsecond) || s.credited > s.away {
					t.Errorf("%v of %v away were credited (all of it wanted: %v)", s.credited, s.away, tt.exact)
				}
				t.Logf("%d runs in %v: %d admitted, %d denied, %d forgotten by crashes; %v of %v away credited; denied for at most %v",
					runs, s.machine.now.Round(time.Second), s.admitted, s.denied, s.forgotten, s.credited, s.away, s.longest)
			})
		}
	}
}

// A step that the rules cannot see through: on a system that does not tell its
// boots apart, a wall clock that is set ahead passes for time away. Less than a
// day of it counts, and what it forgives is one refill.
func TestStepThatForgives(t *testing.T) {
	t.Parallel()
	m := machine{start: time.Now(), noBootID: true}
	path := filepath.Join(t.TempDir(), "state")
	f, err := open(path, Config{}, m.read)
	if err != nil {
		t.Fatal(err)
	}
	weekly := bucket.Limit{Quota: 7, Window: 7 * 24 * time.Hour}
	mustSave(t, f, Snapshot{Final: true, Sections: []Section{section("a", weekly, debts{1: 48 * time.Hour})}})
	mustClose(t, f)
	m.wallOff = 116 * 24 * time.Hour
	if f, err = open(path, Config{}, m.read); err != nil {
		t.Fatal(err)
	}
	defer mustClose(t, f)
	got, res := loadAll(f)
	same(t, got["a"], debts{1: 24 * time.Hour}, time.Millisecond)
	if res.Clock != clockWall || res.Away != 24*time.Hour {
		t.Errorf("Restored = %+v", res)
	}
}

// stepped is a limiter with one key on a machine whose clocks step, and an
// outside counter that knows the true time.
type stepped struct {
	machine machine
	path    string
	rand    *rand.Rand
	during  func(*machine)
	crash   bool

	stopped  time.Duration // when the file was last written, on the true time
	held     float64       // tokens that the outside counter's bucket is short of
	at       time.Duration // when it was
	unsaved  int           // admitted since the last snapshot
	refused  time.Duration // since when every request was denied, on the time that the limiter was running
	running  time.Duration
	refusing bool

	admitted, denied, forgotten int
	credited, away, longest     time.Duration
}

var steppedLimit = bucket.Limit{Quota: 6, Window: time.Minute, Burst: 20} // a token in ten seconds

func (s *stepped) run(t *testing.T) {
	t.Helper()
	m := &s.machine
	f, err := open(s.path, Config{}, m.read)
	if err != nil {
		t.Fatal(err)
	}
	b, err := bucket.New(steppedLimit)
	if err != nil {
		t.Fatal(err)
	}
	got, res := loadAll(f)
	b.RestoreDebt(m.read().mono, got["a"][1])
	if s.admitted > 0 {
		if res.MovedTo != "" || res.New {
			t.Fatalf("Restored = %+v", res)
		}
		s.away += m.now - s.stopped
		s.credited += res.Away
		if got["a"][1] > steppedLimit.Refill() {
			t.Fatalf("a debt of %v came back: want at most %v", got["a"][1], steppedLimit.Refill())
		}
	}
	steps := 10 + s.rand.IntN(60)
	for i := range steps {
		pass := time.Duration(s.rand.Int64N(int64(8 * time.Second)))
		m.now += pass
		s.running += pass
		if i == steps/2 {
			s.during(m)
		}
		s.take(t, b, 1+s.rand.IntN(2))
		if s.rand.IntN(5) == 0 || i == steps/2 {
			s.save(t, f, b, false)
		}
	}
	if s.crash {
		// What was admitted since the last snapshot is forgotten, no more.
		s.held -= float64(s.unsaved)
		s.forgotten += s.unsaved
	} else {
		s.save(t, f, b, true)
	}
	s.unsaved = 0
	mustClose(t, f)
	m.now += time.Duration(s.rand.Int64N(int64(4 * time.Minute)))
}

func (s *stepped) save(t *testing.T, f *File, b *bucket.Bucket, final bool) {
	t.Helper()
	now := s.machine.read().mono
	d := debts{1: b.Debt(now)}
	mustSave(t, f, Snapshot{At: now, Full: s.rand.IntN(3) == 0, Final: final, Sections: []Section{section("a", steppedLimit, d)}})
	s.unsaved, s.stopped = 0, s.machine.now
}

// take asks the limiter, and holds what it says against the true time.
func (s *stepped) take(t *testing.T, b *bucket.Bucket, n int) {
	t.Helper()
	m := &s.machine
	s.held = max(s.held-steppedLimit.Rate()*(m.now-s.at).Seconds(), 0)
	s.at = m.now
	if b.Take(m.read().mono, n).Allowed {
		s.admitted += n
		s.unsaved += n
		s.refusing = false
		if s.held += float64(n); s.held > float64(steppedLimit.Burst)+1e-3 {
			t.Fatalf("%.3f tokens more than the limit has were admitted after %v", s.held-float64(steppedLimit.Burst), m.now)
		}
		return
	}
	s.denied++
	if !s.refusing {
		s.refusing, s.refused = true, s.running
	}
	s.longest = max(s.longest, s.running-s.refused)
	if s.longest > steppedLimit.Refill() {
		t.Fatalf("every request was denied for %v: a whole refill takes %v", s.longest, steppedLimit.Refill())
	}
}
