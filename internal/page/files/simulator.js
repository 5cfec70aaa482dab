// A limit tried on a log: what it would have denied, and whom.
import { defaultBurst, mostBurst, needed, simulate, text as limitText } from './engine.js'
import { read, sample } from './logs.js'
import { duration, id, make, number, pair, set, share, shown } from './text.js'

const BINS = 200
const HIGH = 160
const TOP = 20 // rows of who is hurt
const MOST = 1e6 // of a number that is typed
let log = null
let turn = 0 // of the log that is read: an older one is dropped
let drawn = 0
let fits = { for: '', list: [] }

// STOPS are the numbers that are dragged to: those that a person would choose.
const STOPS = []
for (let n = 1; n <= 10000; n += n < 20 ? 1 : n < 100 ? 5 : n < 1000 ? 50 : 500) STOPS.push(n)
const toDrag = n => Math.max(0, STOPS.findLastIndex(stop => stop <= n))

export function startSimulator () {
  const drop = id('drop')
  const over = on => event => {
    event.preventDefault()
    drop.classList.toggle('over', on)
  }
  drop.addEventListener('dragover', over(true))
  drop.addEventListener('dragleave', over(false))
  drop.addEventListener('drop', event => {
    over(false)(event)
    if (event.dataTransfer.files.length > 0) open(event.dataTransfer.files[0])
  })
  for (const type of ['dragover', 'drop']) { // a file beside it is not to replace the page
    window.addEventListener(type, event => { if (event.dataTransfer?.types.includes('Files')) event.preventDefault() })
  }
  id('log').addEventListener('change', event => {
    if (event.target.files.length > 0) open(event.target.files[0])
    event.target.value = '' // so that the same file can be read again
  })
  id('sample').addEventListener('click', () => { turn++; take(sample(), 'A made-up hour') })
  id('knobs').addEventListener('submit', event => event.preventDefault())
  id('copy').addEventListener('click', copy)
  for (const name of ['sim-key', 'window']) id(name).addEventListener('change', draw)
  id('strict').addEventListener('change', turnStrict)
  knob('quota')
  knob('burst')
}

// knob ties a number to what it is dragged by. The burst follows the quota until
// it is another.
function knob (name) {
  const [box, drag] = [id(name), id(name + '-drag')]
  let was = Number(box.value)
  const changed = () => {
    if (name === 'quota' && value('burst') === defaultBurst(was, strict())) turnTo('burst', defaultBurst(value('quota'), strict()))
    was = value(name)
    draw()
  }
  drag.max = STOPS.length - 1
  turnTo(name, was)
  drag.addEventListener('input', () => {
    turnTo(name, STOPS[drag.value])
    changed()
  })
  box.addEventListener('input', () => {
    if (value(name) === null) return
    follow(name)
    changed()
  })
  box.addEventListener('change', () => {
    turnTo(name, Math.min(MOST, Math.max(1, Math.round(Number(box.value)) || 1)))
    changed()
  })
}

// turnTo sets a number, and follow what it is dragged by.
function turnTo (name, n) {
  id(name).value = n
  follow(name)
}

function follow (name) {
  const drag = id(name + '-drag')
  drag.value = toDrag(value(name))
  drag.setAttribute('aria-valuetext', value(name))
}

const strict = () => id('strict').checked

function turnStrict () {
  const quota = value('quota') ?? 1
  if (value('burst') === defaultBurst(quota, !strict())) turnTo('burst', defaultBurst(quota, strict()))
  draw()
}

function value (name) {
  const n = Number(id(name).value)
  return Number.isInteger(n) && n >= 1 && n <= MOST ? n : null
}

async function open (file) {
  const mine = ++turn
  const name = shown(file.name)
  set(id('log-state'), `Reading ${name}`)
  try {
    const got = await read(file, part => {
      if (mine === turn) set(id('log-state'), `Reading ${name}: ${Math.floor(100 * part)} %`)
    }, () => mine !== turn)
    if (mine === turn) take(got, name)
  } catch (error) {
    if (mine === turn) set(id('log-state'), `${name} cannot be read: ${shown(error.message)}`)
  }
}

function take (got, name) {
  const skipped = got.firstSkipped
  const note = skipped === null ? '' : ` ${number(got.skipped)} lines are of no known format, line ${number(skipped.line)} for one: ${shown(skipped.text)}`
  if (got.length === 0) {
    log = null
    id('sim').hidden = true
    set(id('log-state'), `${name} has no request that could be read.` + (note || ' It is empty.'))
    return
  }
  log = got
  const of = n => number(log.by(n).count)
  set(id('log-state'), `${name}: ${number(log.length)} requests of ${of('ip')} addresses in ${duration((log.to - log.from) / 1e3)}.` +
    (log.full ? ' That is as many as are read; the rest is left out.' : '') + (log.users === 0 ? '' : ` ${number(log.users)} have a user.`) + (log.late === 0 ? '' : ` ${number(log.late)} stood behind later ones, and were put in order.`) + note)
  id('sim').hidden = false
  set(id('sim-from'), new Date(log.from / 1e3).toLocaleString())
  set(id('sim-to'), new Date(log.to / 1e3).toLocaleString())
  draw()
}

// draw simulates and shows, once a frame at most.
function draw () {
  if (drawn === 0) drawn = requestAnimationFrame(() => { drawn = 0; show() })
}

function show () {
  const limit = { quota: value('quota'), burst: value('burst'), window: id('window').value, strict: strict() }
  if (log === null || limit.quota === null || limit.burst === null) return
  if (limit.burst > mostBurst(limit.quota, limit.strict)) {
    limit.burst = mostBurst(limit.quota, limit.strict)
    turnTo('burst', limit.burst)
  }
  const kind = id('sim-key').value
  const view = log.by(kind)
  const result = simulate(view, limit, BINS)
  sums(view, result)
  plot(result)
  hurt(view, result)
  set(id('line'), `--limit '${kind} ${limitText(limit)}'`)
  set(id('copied'), '')
  id('fits-knob').hidden = limit.strict // its rate is another with each burst
  if (!limit.strict) chips(view, `${kind} ${limit.quota}/${limit.window} ${turn}`, limit)
}

const sumCells = new Map()

function sums (view, { total, hurt, longestMs }) {
  const cell = (name, text, kind = '') => {
    let dd = sumCells.get(name)
    if (dd === undefined) {
      const div = pair(name, '')
      id('sim-sums').append(div)
      dd = div.lastElementChild
      sumCells.set(name, dd)
    }
    set(dd, text)
    dd.className = kind
  }
  cell('Denied', `${number(total)} of ${number(view.times.length)}`, total > 0 ? 'bad' : '')
  cell('That is', share(total, view.times.length), total > 0 ? 'bad' : '')
  cell('Hurt', `${number(hurt)} of ${number(view.count)} keys`, hurt > 0 ? 'bad' : '')
  cell('Longest wait', total > 0 ? duration(Math.round(longestMs)) : 'none')
}

// plot draws allowed requests with the denied ones on top of them.
function plot ({ allowedIn, deniedIn, total }) {
  let most = 1
  for (let i = 0; i < BINS; i++) most = Math.max(most, allowedIn[i] + deniedIn[i])
  const y = n => (HIGH - n / most * (HIGH - 4)).toFixed(1)
  const wide = 1000 / BINS
  const area = (top, bottom) => {
    let d = ''
    for (let i = 0; i < BINS; i++) {
      if (top(i) === bottom(i)) continue
      d += `M${i * wide} ${y(bottom(i))}V${y(top(i))}h${wide}V${y(bottom(i))}Z`
    }
    return d
  }
  const allowed = i => allowedIn[i]
  const all = i => allowedIn[i] + deniedIn[i]
  id('sim-plot').replaceChildren(
    make('path', { class: 'a', d: area(allowed, () => 0) }),
    make('path', { class: 'd', d: area(all, allowed) }))
  set(id('sim-plot-text'), `up to ${number(most)} requests in ${duration((log.to - log.from) / 1e3 / BINS)}; ${total > 0 ? 'red is denied' : 'none is denied'}`)
}

function hurt ({ names, count }, { asked, denied, first, hurt: n }) {
  const worst = []
  for (let key = 0; key < count; key++) if (denied[key] > 0) worst.push(key)
  worst.sort((a, b) => denied[b] - denied[a] || a - b)
  id('hurt').replaceChildren(...worst.slice(0, TOP).map(key => make('tr', {},
    make('th', { scope: 'row', class: 'mono', title: shown(names[key]) }, make('bdi', { text: shown(names[key]) })),
    make('td', { class: 'n', text: number(asked[key]) }), make('td', { class: 'n', text: number(denied[key]) }),
    make('td', { class: 'n', text: share(denied[key], asked[key]) }),
    make('td', { text: new Date(first[key] / 1e3).toLocaleTimeString() }))))
  set(id('hurt-note'), n === 0 ? 'Nobody.' : n > TOP ? `And ${number(n - TOP)} more.` : '')
}

// chips are bursts that would leave so many of the keys alone.
function chips (view, of, limit) {
  if (fits.for !== of) {
    const need = needed(view, limit)
    const at = part => need[Math.min(need.length - 1, Math.ceil(part * need.length) - 1)]
    fits = { for: of, list: [['50 %', at(0.5)], ['95 %', at(0.95)], ['99 %', at(0.99)], ['99.9 %', at(0.999)], ['all', at(1)]] }
    id('fits').replaceChildren(...fits.list.map(([name, n]) => {
      const chip = make('button', { type: 'button', 'data-burst': n, 'aria-label': `Burst ${n} for ${name} of the keys` }, make('span', { text: name }), ' ', make('b', { text: number(n) }))
      chip.addEventListener('click', () => {
        turnTo('burst', Math.min(MOST, n))
        draw()
      })
      return chip
    }))
  }
  for (const chip of id('fits').children) chip.setAttribute('aria-pressed', Number(chip.dataset.burst) === limit.burst)
}

async function copy () {
  const line = id('line')
  try {
    await navigator.clipboard.writeText(line.textContent)
    set(id('copied'), 'copied')
  } catch { // not allowed here: it is marked, to be copied by hand
    getSelection().selectAllChildren(line)
    set(id('copied'), 'marked: copy it with Ctrl+C')
  }
}
