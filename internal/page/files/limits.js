// A card for each limit: what it does now, and whether it matters.
import { id, make, number, pair, rate, set, share, shown } from './text.js'

const POINTS = 60 // seconds that are drawn
const [WIDE, HIGH] = [240, 44]
const cards = new Map() // by the name of the policy
let started = null // when the server was, since its counts begin there

export function showLimits (status) {
  if (started !== status.started) {
    started = status.started
    for (const card of cards.values()) card.restart()
  }
  const names = new Set()
  for (const policy of status.policies ?? []) {
    names.add(policy.name)
    let card = cards.get(policy.name)
    if (card === undefined) {
      card = new Card()
      cards.set(policy.name, card)
      id('limit-list').append(card.element)
    }
    card.show(policy, status.uptimeMs)
  }
  for (const [name, card] of cards) {
    if (names.has(name)) continue
    card.element.remove()
    cards.delete(name)
  }
}

// A Strip is a line over the last minute with what it is now, and its most.
class Strip {
  constructor (name, kind) {
    this.name = name
    this.points = []
    this.area = make('path', { class: 'area' })
    this.edge = make('path', { class: 'edge' })
    this.svg = make('svg', { viewBox: `0 0 ${WIDE} ${HIGH}`, preserveAspectRatio: 'none', role: 'img', 'aria-label': name }, this.area, this.edge)
    this.now = make('b', { text: '0' })
    this.most = make('span', { text: 'most 0' })
    this.element = make('div', { class: 'strip ' + kind }, make('p', {}, this.now, make('span', { text: name + '/s' }), this.most), this.svg)
  }

  add (value) {
    this.points.push(value)
    if (this.points.length > POINTS) this.points.shift()
    const most = Math.max(...this.points)
    const left = POINTS - this.points.length
    const x = i => ((left + i) * WIDE / (POINTS - 1)).toFixed(1)
    const y = v => (HIGH - 1 - (most > 0 ? v / most * (HIGH - 3) : 0)).toFixed(1)
    const line = this.points.map((v, i) => `${x(i)} ${y(v)}`).join('L')
    this.edge.setAttribute('d', 'M' + line)
    this.area.setAttribute('d', `M${x(0)} ${HIGH}L${line}L${WIDE} ${HIGH}Z`)
    set(this.now, rate(value))
    set(this.most, 'most ' + rate(most))
    this.svg.setAttribute('aria-label', `${this.name} a second: now ${rate(value)}, most in the last minute ${rate(most)}`)
  }

  clear () { this.points = [] }
}

class Card {
  constructor () {
    this.allowed = new Strip('allowed', 'a')
    this.denied = new Strip('denied', 'd')
    this.before = null
    this.title = make('h3')
    this.note = make('p', { class: 'soft' })
    this.badge = make('span', { class: 'badge', text: 'dry run', hidden: true })
    this.verdict = make('p', { class: 'verdict' })
    this.candidate = make('p', { class: 'candidate', hidden: true })
    this.peak = make('i')
    this.meter = make('span', { class: 'bar', role: 'meter', 'aria-valuemin': 0, 'aria-valuemax': 100 }, this.peak)
    this.values = {}
    const value = name => { this.values[name] = make('span'); return this.values[name] }
    this.meterCell = pair('Peak use of the burst', this.meter, 'peak')
    this.meterCell.lastElementChild.append(value('peak'))
    this.element = make('li', { class: 'card' },
      make('div', { class: 'head' }, this.title, this.badge), this.note,
      this.allowed.element, this.denied.element,
      make('dl', {}, pair('Consulted', value('asked')), pair('Denied', value('denied')), this.meterCell,
        pair('Keys in memory', value('keys')), pair('Without the identity', value('missing')), pair('Keys evicted', value('evicted')), pair('Debts forgotten', value('dropped'))),
      this.verdict, this.candidate)
  }

  restart () {
    this.before = null
    this.allowed.clear()
    this.denied.clear()
  }

  show (p, uptime) {
    set(this.title, `${shown(p.name)}: ${shown(p.limit)}`)
    set(this.note, `by ${shown(p.key)}, ${p.scope ? 'for ' + shown(p.scope) : 'for all requests'}`)
    this.badge.hidden = !p.dryRun
    const v = this.values
    set(v.asked, number(p.asked))
    set(v.denied, `${number(p.denied)} (${share(p.denied, p.asked)})`)
    set(v.keys, number(p.keysInMemory))
    set(v.missing, number(p.missing))
    set(v.evicted, number(p.evicted))
    set(v.dropped, number(p.debtsDropped))
    v.dropped.className = p.debtsDropped > 0 ? 'bad' : ''
    const peak = Math.min(1, Math.max(0, p.peakUse || 0))
    set(v.peak, share(peak, 1))
    this.peak.style.transform = `scaleX(${peak})`
    this.meter.setAttribute('aria-valuenow', Math.round(100 * peak))
    this.meter.setAttribute('aria-label', `Peak use of the burst of ${shown(p.name)}`)
    this.judge(p, peak)
    if (this.before !== null) {
      const passed = (uptime - this.before.uptime) / 1000
      if (passed <= 0) return
      this.allowed.add(Math.max(0, p.allowed - this.before.allowed) / passed)
      this.denied.add(Math.max(0, p.denied - this.before.denied) / passed)
    }
    this.before = { uptime, allowed: p.allowed, denied: p.denied }
  }

  // judge says in a sentence whether the limit matters.
  judge (p, peak) {
    const would = p.dryRun ? 'would be denied' : 'are denied'
    let text = ''
    let kind = ''
    if (!(p.asked > 0)) [text, kind] = ['Never consulted: no request has come under it.', 'idle']
    else if (!(p.denied > 0) && peak < 1) [text, kind] = ['Never reached' + (peak > 0 ? `: nobody was seen to use more than ${share(peak, 1)} of the burst.` : '.'), 'idle']
    else if (!(p.denied > 0)) text = 'Reached, and nobody has been denied yet.'
    else [text, kind] = [`It bites: ${share(p.denied, p.asked)} of requests ${would}.`, 'bites']
    set(this.verdict, text)
    this.candidate.hidden = !p.shadow
    if (p.shadow) set(this.candidate, `The candidate ${shown(p.shadow.limit)} would have denied ${number(p.shadow.wouldDeny)}.`)
    this.verdict.className = 'verdict ' + kind
  }
}
