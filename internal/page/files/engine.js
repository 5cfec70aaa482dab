// The engine of weir in small: it decides on the same doubles in the same order,
// so that the simulator denies what the server would have denied.

export const WINDOWS = { s: 1, min: 60, h: 3600, day: 86400 }

// A limit is { quota, window, burst, strict }, the window one of the words above.

// defaultBurst is the burst that goes without saying.
export const defaultBurst = (quota, strict) => strict ? Math.ceil(quota / 10) : quota

// mostBurst is the highest burst that a limit can have.
export const mostBurst = (quota, strict) => strict ? Math.max(1, quota - 1) : Infinity

// rateOf is how many tokens are refilled in a second: of a strict limit so many
// less that no window ever sees more than the quota.
function rateOf ({ quota, window, burst, strict }) {
  const seconds = WINDOWS[window]
  if (!strict) return quota / seconds
  if (quota === 1) return 1 / (seconds + (2 + Math.floor(seconds * 1e9 / 2 ** 48)) / 1e9)
  return (quota - burst) / seconds
}

// since is how many seconds lie between two instants in whole microseconds.
const since = us => Math.floor(us / 1e6) + (us % 1e6) * 1e3 / 1e9

// simulate has the requests, which are in the order of their times, go through
// one bucket a key. times are microseconds, keys the number of each request's key.
export function simulate ({ times, keys, count, from, to }, limit, bins) {
  const burst = limit.burst
  const perSecond = rateOf(limit)
  const hair = perSecond * 2e-9
  const tokens = new Float64Array(count).fill(burst)
  const last = new Float64Array(count).fill(-Infinity)
  const asked = new Uint32Array(count)
  const denied = new Uint32Array(count)
  const first = new Float64Array(count)
  const allowedIn = new Uint32Array(bins)
  const deniedIn = new Uint32Array(bins)
  const step = bins / Math.max(1, to - from + 1)
  let total = 0
  let longest = 0
  for (let i = 0; i < times.length; i++) {
    const key = keys[i]
    const at = times[i]
    let has = burst
    if (last[key] !== -Infinity) {
      has = Math.min(burst, tokens[key] + since(at - last[key]) * perSecond)
    }
    const lacks = 1 - has
    asked[key]++
    const bin = Math.floor((times[i] - from) * step)
    if (lacks <= 0 || (lacks <= hair && Math.trunc(lacks / perSecond * 1e9) === 0)) {
      tokens[key] = has - 1
      last[key] = at
      allowedIn[bin]++
      continue
    }
    if (denied[key]++ === 0) first[key] = times[i]
    total++
    deniedIn[bin]++
    longest = Math.max(longest, lacks / perSecond)
  }
  let hurt = 0
  for (let key = 0; key < count; key++) if (denied[key] > 0) hurt++
  return { asked, denied, first, total, hurt, longestMs: longest * 1e3, allowedIn, deniedIn }
}

// needed is the burst that each key would have needed at this rate for none of
// its requests to be denied, the smallest first.
export function needed ({ times, keys, count }, limit) {
  const perSecond = rateOf(limit)
  const level = new Float64Array(count)
  const last = new Float64Array(count).fill(-Infinity)
  const peak = new Float64Array(count)
  for (let i = 0; i < times.length; i++) {
    const key = keys[i]
    const at = times[i]
    const drained = last[key] === -Infinity ? 0 : since(at - last[key]) * perSecond
    level[key] = Math.max(0, level[key] - drained) + 1
    last[key] = at
    if (level[key] > peak[key]) peak[key] = level[key]
  }
  return peak.map(p => Math.ceil(p - 1e-9)).sort()
}

// text is a limit as weir reads it.
export const text = ({ quota, window, burst, strict }) => `${quota}/${window}` + (strict ? ' strict' : '') + (burst === defaultBurst(quota, strict) ? '' : ` burst ${burst}`)
