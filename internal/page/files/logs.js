// Access logs, read in the browser: the combined format, and lines of JSON as
// Caddy writes them or nginx with a log_format of its own.

const MOST = 5e6 // requests, which is what memory is bounded by
const LONGEST = 1 << 16 // characters of a line
const MONTHS = { Jan: 0, Feb: 1, Mar: 2, Apr: 3, May: 4, Jun: 5, Jul: 6, Aug: 7, Sep: 8, Oct: 9, Nov: 10, Dec: 11 }
const COMBINED = /^(\S+) \S+ (.+?) \[(\d\d)\/([A-Z][a-z]{2})\/(\d{4}):(\d\d):(\d\d):(\d\d) ([+-])(\d\d)(\d\d)\] "((?:[^"\\]|\\.)*)" \d{3} /

// parse returns who asked for what and when (in microseconds), or null.
export function parse (line) {
  return line.charCodeAt(0) === 123 ? parseJSON(line) : parseCombined(line)
}

function parseCombined (line) {
  const m = COMBINED.exec(line)
  if (m === null || MONTHS[m[4]] === undefined) return null
  const offset = (Number(m[10]) * 60 + Number(m[11])) * (m[9] === '-' ? -1 : 1)
  const at = Date.UTC(m[5], MONTHS[m[4]], m[3], m[6], Number(m[7]) - offset, m[8])
  const target = m[12].replace(/\\(["\\])/g, '$1').split(' ', 2)[1]
  return { at: at * 1e3, client: m[1], user: m[2] === '-' ? '' : m[2], path: pathOf(target ?? '') }
}

function parseJSON (line) {
  let o
  try { o = JSON.parse(line) } catch { return null }
  const r = o.request !== null && typeof o.request === 'object' ? o.request : o
  const client = r.client_ip ?? r.remote_ip ?? r.remote_addr
  const at = instant(o.ts ?? o.time ?? o.time_iso8601 ?? o.msec ?? o.timestamp)
  if (typeof client !== 'string' || client === '' || at === null) return null
  const target = r.uri ?? r.request_uri ?? r.path ?? (typeof o.request === 'string' ? o.request.split(' ', 2)[1] : '')
  const user = o.user_id ?? o.remote_user
  return { at, client, user: typeof user === 'string' && user !== '-' ? user : '', path: pathOf(String(target ?? '')) }
}

// instant reads seconds since 1970, or a date.
function instant (value) {
  if (typeof value === 'string' && value.trim() !== '' && Number.isFinite(Number(value))) value = Number(value)
  const us = typeof value === 'number' ? Math.round(value * 1e6) : Date.parse(value) * 1e3
  return Number.isFinite(us) ? us : null
}

const PLAIN = /^\/(?:[^%;\\?#/.]+[^%;\\?#/]*(?:\/[^%;\\?#/.]+[^%;\\?#/]*)*)?$/

// pathOf is the path of a target in the one form that weir knows it by: decoded
// once, cleaned, without what follows a '?'.
function pathOf (target) {
  if (PLAIN.test(target)) return target
  let path = target.replace(/[?#].*$/s, '')
  if (!path.startsWith('/')) path = '/' + path.replace(/^.*?:\/\/[^/]*\/?/s, '')
  path = decoded(path)
  if (/[;\\]/.test(path)) path = path.replaceAll('\\', '/').split('/').map(segment => segment.replace(/;.*$/s, '')).join('/')
  const segments = []
  for (const segment of path.split('/')) {
    if (segment === '..') segments.pop()
    else if (segment !== '' && segment !== '.') segments.push(segment)
  }
  return '/' + segments.join('/')
}

function decoded (path) {
  if (/%(?![\da-f]{2})/i.test(path)) return path
  try {
    return decodeURIComponent(path)
  } catch { // bytes that are no UTF-8
    return path.replace(/%(..)/g, (_, hex) => String.fromCharCode(parseInt(hex, 16)))
  }
}

// clientKey is the address as weir counts it: without a port, IPv4 within IPv6 as
// IPv4, and of other IPv6 its network of 64 bits.
export function clientKey (text) {
  let host = text
  if (host.startsWith('[')) host = host.slice(1).replace(/\](:\d+)?$/, '')
  else if (/^\d+(\.\d+){3}:\d+$/.test(host)) host = host.replace(/:\d+$/, '')
  host = host.replace(/%.*$/, '')
  if (!host.includes(':')) return host
  const groups = groupsOf(host)
  if (groups === null) return text
  if (groups.slice(0, 5).every(g => g === 0) && groups[5] === 0xffff) {
    return [groups[6] >> 8, groups[6] & 255, groups[7] >> 8, groups[7] & 255].join('.')
  }
  const network = groups.slice(0, 4)
  while (network.length > 0 && network.at(-1) === 0) network.pop()
  return network.map(g => g.toString(16)).join(':') + '::/64'
}

// groupsOf returns the eight numbers of an IPv6 address, or null.
function groupsOf (host) {
  const dotted = /^(.*:)(\d+)\.(\d+)\.(\d+)\.(\d+)$/.exec(host)
  if (dotted !== null) {
    const b = dotted.slice(2).map(Number)
    if (b.some(n => n > 255)) return null
    host = dotted[1] + (b[0] * 256 + b[1]).toString(16) + ':' + (b[2] * 256 + b[3]).toString(16)
  }
  const halves = host.split('::')
  if (halves.length > 2) return null
  const read = half => half === '' ? [] : half.split(':').map(g => /^[\da-f]{1,4}$/i.test(g) ? parseInt(g, 16) : NaN)
  const [before, after] = [read(halves[0]), halves.length === 2 ? read(halves[1]) : []]
  const lacking = 8 - before.length - after.length
  if (halves.length === 2 ? lacking < 1 : lacking !== 0) return null
  const groups = [...before, ...Array(lacking).fill(0), ...after]
  return groups.some(Number.isNaN) ? null : groups
}

// A Book numbers texts in the order in which they first come.
class Book {
  numbers = new Map()
  names = []
  number (name) {
    let n = this.numbers.get(name)
    if (n === undefined) {
      n = this.names.length
      this.numbers.set(name, n)
      this.names.push(name)
    }
    return n
  }
}

// A Log is the requests of one, each a few numbers.
export class Log {
  length = 0
  lines = 0
  skipped = 0
  firstSkipped = null // { line, text }
  full = false
  from = Infinity
  to = -Infinity
  users = 0 // requests with one
  late = 0 // requests that stand behind a later one, before finish puts them in order
  #times = new Float64Array(1024)
  #clients = new Int32Array(1024)
  #users = new Int32Array(1024)
  #paths = new Int32Array(1024)
  #books = { ip: new Book(), user: new Book(), path: new Book() }
  #views = new Map()

  add (line) {
    this.lines++
    if (line === '' || line === '\r') return
    const r = line.length > LONGEST ? null : parse(line)
    if (r === null) {
      this.skipped++
      this.firstSkipped ??= { line: this.lines, text: line.slice(0, 120) }
      return
    }
    this.push(r)
  }

  push ({ at, client, user, path }) {
    if (this.length >= MOST) {
      this.full = true
      return
    }
    if (this.length === this.#times.length) this.#grow()
    const i = this.length++
    const address = clientKey(client)
    this.#times[i] = at
    this.#clients[i] = this.#books.ip.number(address)
    this.#users[i] = this.#books.user.number(user === '' ? address : 'user ' + user)
    this.#paths[i] = this.#books.path.number(path)
    if (user !== '') this.users++
    if (at < this.to) this.late++
    this.from = Math.min(this.from, at)
    this.to = Math.max(this.to, at)
  }

  // finish puts the requests in the order of their times: a log has them as they
  // ended, or as several servers wrote them.
  finish () {
    if (this.late === 0) return
    const n = this.length
    const times = this.#times
    const order = new Uint32Array(n).map((_, i) => i).sort((a, b) => times[a] - times[b] || a - b)
    const sorted = old => { const now = old.slice(0, n); for (let i = 0; i < n; i++) now[i] = old[order[i]]; return now }
    this.#times = sorted(times)
    this.#clients = sorted(this.#clients)
    this.#users = sorted(this.#users)
    this.#paths = sorted(this.#paths)
  }

  #grow () {
    const twice = (old, array) => { array.set(old); return array }
    const n = 2 * this.length
    this.#times = twice(this.#times, new Float64Array(n))
    this.#clients = twice(this.#clients, new Int32Array(n))
    this.#users = twice(this.#users, new Int32Array(n))
    this.#paths = twice(this.#paths, new Int32Array(n))
  }

  // by returns the requests with the number of each one's key, of a kind.
  by (kind) {
    let view = this.#views.get(kind)
    if (view === undefined) {
      const { keys, names } = this.#keyed(kind)
      view = { times: this.#times.subarray(0, this.length), keys, names, count: names.length, from: this.from, to: this.to }
      this.#views.set(kind, view)
    }
    return view
  }

  #keyed (kind) {
    const n = this.length
    switch (kind) {
      case 'ip': return { keys: this.#clients.subarray(0, n), names: this.#books.ip.names }
      case 'user': return { keys: this.#users.subarray(0, n), names: this.#books.user.names }
      case 'path': return { keys: this.#paths.subarray(0, n), names: this.#books.path.names }
      case 'global': return { keys: new Int32Array(n), names: ['all together'] }
    }
    const book = new Book()
    const keys = new Int32Array(n)
    const paths = this.#books.path.names.length
    for (let i = 0; i < n; i++) keys[i] = book.number(this.#clients[i] * paths + this.#paths[i])
    const names = book.names.map(c => this.#books.ip.names[Math.floor(c / paths)] + ' ' + this.#books.path.names[c % paths])
    return { keys, names }
  }
}

// read reads a file, and tells progress (0 to 1) now and then. It lets the page go
// on meanwhile, and ends where stopped says so.
export async function read (file, progress, stopped) {
  const log = new Log()
  const magic = new Uint8Array(await file.slice(0, 2).arrayBuffer())
  let bytes = 0
  const counter = new TransformStream({ transform (chunk, out) { bytes += chunk.byteLength; out.enqueue(chunk) } })
  let stream = file.stream().pipeThrough(counter)
  if (magic[0] === 0x1f && magic[1] === 0x8b) stream = stream.pipeThrough(new DecompressionStream('gzip'))
  const reader = stream.pipeThrough(new TextDecoderStream()).getReader()
  let rest = ''
  let pause = performance.now() + 30
  for (;;) {
    const { value, done } = await reader.read()
    if (done) break
    const lines = (rest + value).split('\n')
    rest = lines.pop().slice(0, LONGEST + 1)
    for (const line of lines) log.add(line)
    if (log.full || stopped()) {
      reader.cancel()
      break
    }
    if (performance.now() > pause) {
      progress(file.size > 0 ? bytes / file.size : 1)
      await new Promise(resolve => setTimeout(resolve))
      pause = performance.now() + 30
    }
  }
  if (rest !== '') log.add(rest)
  log.finish()
  return log
}

// sample makes a log up: an hour of people who read, scripts that poll, and one
// that takes all it gets. It is the same each time.
export function sample () {
  const log = new Log()
  let seed = 20260101
  const random = () => { // mulberry32
    seed = (seed + 0x6d2b79f5) | 0
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }
  const start = Date.UTC(2026, 0, 1, 12) * 1e3
  const requests = []
  const add = (second, client, user, path) => {
    if (second < 3600) requests.push({ at: start + Math.round(second * 1e6), client, user, path })
  }
  for (let n = 0; n < 400; n++) { // a visit is some pages, each with a few parts
    const client = `198.51.${Math.floor(random() * 100)}.${1 + Math.floor(random() * 250)}`
    let second = random() * 3600
    for (let page = 1 + Math.floor(random() * 8); page > 0; page--) {
      const parts = 3 + Math.floor(random() * 18)
      for (let part = 0; part < parts; part++) add(second + part * 0.04, client, '', part === 0 ? '/read/' + page : '/part/' + part)
      second += 5 + random() * 60
    }
  }
  for (let n = 0; n < 12; n++) {
    for (let second = random() * 10; second < 3600; second += 4 + n) add(second, `203.0.113.${n + 1}`, 'poller-' + n, '/api/news')
  }
  for (let second = 1500; second < 2100; second += 0.05 + random() * 0.15) add(second, '192.0.2.66', '', '/api/search')
  for (const r of requests.sort((a, b) => a.at - b.at)) log.push(r)
  log.lines = log.length
  return log
}
