package weir

import "time"

// OnlyOnTime has a limiter take no snapshots early, for an interval.
func (l *Limiter) OnlyOnTime() { l.writer.early.Take(time.Now(), earlyBurst) }
