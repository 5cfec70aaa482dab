// What is wrong, with its cure, and what the server is.
import { duration, id, make, pair, set, shown } from './text.js'

const WORDS = { error: 'Error', warning: 'Warning', info: 'Note' }
const WORST = Object.keys(WORDS)
let before = ''

export function showHealth ({ health, warnings }) {
  const all = [
    ...(health ?? []).map(h => ({ level: h.level in WORDS ? h.level : 'warning', text: h.text, cure: h.cure })),
    ...(warnings ?? []).map(w => ({ level: 'warning', text: w.text, cure: w.cure, at: w.at }))
  ].sort((a, b) => WORST.indexOf(a.level) - WORST.indexOf(b.level))
  const now = JSON.stringify(all)
  if (now === before) return
  before = now
  id('health-list').replaceChildren(...all.length === 0
    ? [make('li', { class: 'fine' }, make('b', { text: 'All is well' }), ' No warning since the start.')]
    : all.map(item))
}

function item ({ level, text, cure, at }) {
  const li = make('li', { class: level }, make('b', { text: WORDS[level] }), ' ' + shown(text))
  if (cure) li.append(make('p', {}, make('b', { text: 'Cure' }), ' ' + shown(cure)))
  if (at) li.append(make('time', { class: 'soft', datetime: String(at), text: 'first seen ' + new Date(at).toLocaleString() }))
  return li
}

const cells = new Map()

// cell sets one of the facts about the server.
function cell (name, text, kind = '') {
  let dd = cells.get(name)
  if (dd === undefined) {
    const div = pair(name, '')
    id('server').append(div)
    dd = div.lastElementChild
    cells.set(name, dd)
  }
  set(dd, text)
  dd.className = kind
}

export function showServer (status) {
  cell('Up for', duration(status.uptimeMs))
  cell('Listens at', shown(status.listen || 'unknown'))
  cell('Upstream', (status.upstreams ?? []).map(shown).join(', ') || 'built in')
  const state = status.state ?? {}
  if (!state.path) cell('State', 'none: limits are forgotten on exit')
  else if (state.error) cell('State', `${shown(state.path)}: not saved for ${duration(state.ageMs)}: ${shown(state.error)}`, 'bad')
  else if (!state.lastSaved) cell('State', `${shown(state.path)}: not saved yet`)
  else cell('State', shown(state.path))
  cell('Saved', state.lastSaved ? duration(state.ageMs) + ' ago' : 'never')
}
