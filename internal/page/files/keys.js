// The keys with least left: who they are is told to those with the token only.
import { id, make, number, problem, seconds, set, shown } from './text.js'

const STORE = 'weir-token' // in sessionStorage: gone with the tab
const EVERY = 2000
const rows = new Map() // by policy and key
let timer = 0
let asking = 0 // the latest request, so that an older answer is dropped

export const token = () => sessionStorage.getItem(STORE) ?? ''

// authorization is the field with the token, if there is one. What no field can
// hold is no token.
export const authorization = () => /^[\x21-\x7e]+$/.test(token()) ? { Authorization: 'Bearer ' + token() } : {}

export const withToken = (path, options = {}) =>
  fetch(path, { ...options, cache: 'no-store', headers: { ...options.headers, ...authorization() } })

let given = () => {}

// changed is when the next token is given.
export const changed = () => new Promise(resolve => { given = resolve })

export function startKeys () {
  id('token-form').addEventListener('submit', event => {
    event.preventDefault()
    sessionStorage.setItem(STORE, id('token').value.trim())
    id('token').value = ''
    given()
    poll()
  })
  id('keys-forget').addEventListener('click', () => { forget(''); id('token').focus() })
  id('keys-policy').addEventListener('change', () => { drop(); poll() })
  window.addEventListener('hashchange', takeHash)
  setInterval(count, 250)
  document.addEventListener('visibilitychange', poll)
  takeHash()
  if (token() === '') forget('')
  else poll()
}

// takeHash takes the token of an address that ends in #token=TOKEN, such as weir
// serve prints on a terminal, and hides it. A browser sends that part to nobody.
function takeHash () {
  const found = /^#token=([\x21-\x7e]+)$/.exec(location.hash)
  if (found === null) return
  history.replaceState(null, '', location.pathname + location.search)
  sessionStorage.setItem(STORE, found[1])
  given()
  poll()
}

// forget asks for a token, and says why.
export function forget (why) {
  sessionStorage.removeItem(STORE)
  clearTimeout(timer)
  asking++
  drop()
  id('token-form').hidden = false
  id('keys-panel').hidden = id('keys-tools').hidden = true
  set(id('token-error'), why)
}

function drop () {
  for (const row of rows.values()) row.element.remove()
  rows.clear()
}

export function showPolicies (policies) {
  const select = id('keys-policy')
  const names = ['', ...policies.map(p => p.name)]
  if (names.length === select.length && names.every((name, i) => select.options[i].value === name)) return
  const chosen = select.value
  select.replaceChildren(...names.map(name => make('option', { value: name, text: name === '' ? 'all limits' : shown(name) })))
  select.value = names.includes(chosen) ? chosen : ''
}

async function poll () {
  clearTimeout(timer)
  if (token() === '' || document.hidden) return
  const turn = ++asking
  const begun = performance.now()
  let note = ''
  try {
    const query = new URLSearchParams({ n: '50', policy: id('keys-policy').value })
    const response = await withToken('api/v1/keys?' + query)
    if (turn !== asking) return
    if (response.status === 401) return forget('That is not the token of this server.')
    if (!response.ok) note = await problem(response)
    else note = show((await response.json()).filter(key => key.resetAfterMs > 0)) // a full bucket is as none
  } catch {
    note = 'The server cannot be reached.'
  }
  if (turn !== asking) return
  id('token-form').hidden = true
  id('keys-panel').hidden = id('keys-tools').hidden = false
  set(id('token-error'), '')
  set(id('keys-note'), note)
  timer = setTimeout(poll, Math.max(EVERY, 10 * (performance.now() - begun))) // many keys take the server a while
}

// show brings the rows up to date. While somebody points at one or has the focus
// in one they stay where they are, so that nobody resets another than meant.
function show (keys) {
  const body = id('keys-rows')
  const held = body.matches(':hover') || body.contains(document.activeElement)
  const seen = new Set()
  for (const [i, key] of keys.entries()) {
    const name = key.policy + '\n' + key.key
    seen.add(name)
    let row = rows.get(name)
    if (row === undefined) {
      row = new Row(key)
      rows.set(name, row)
      body.append(row.element)
    }
    row.show(key)
    if (!held && body.children[i] !== row.element) body.insertBefore(row.element, body.children[i] ?? null)
  }
  for (const [name, row] of rows) {
    if (seen.has(name)) continue
    if (held) {
      row.gone()
    } else {
      row.element.remove()
      rows.delete(name)
    }
  }
  if (keys.length === 0) return 'Nobody has used any of a limit just now.'
  return (keys.length >= 50 ? 'The 50 with least left.' : '') + (held ? ' The rows stay in place while you are at them.' : '')
}

const count = () => { for (const row of rows.values()) row.count() }

class Row {
  constructor ({ key, policy }) {
    this.key = key
    this.policy = policy
    this.fill = make('i')
    this.bar = make('span', { class: 'bar', role: 'meter', 'aria-label': `Tokens left of ${shown(key)}`, 'aria-valuemin': 0 }, this.fill)
    this.left = make('span', { class: 'left' })
    this.when = make('td', { role: 'cell', class: 'when' })
    const reset = make('button', { type: 'button', class: 'quiet', text: 'Reset', 'aria-label': `Reset ${shown(key)} under ${shown(policy)}` })
    reset.addEventListener('click', () => confirmReset(this))
    this.element = make('tr', { role: 'row' },
      make('th', { scope: 'row', role: 'rowheader', class: 'mono', title: shown(key) }, make('bdi', { text: shown(key) })),
      make('td', { role: 'cell', class: 'of', text: shown(policy) }),
      make('td', { role: 'cell', class: 'tokens' }, this.bar, this.left), this.when,
      make('td', { role: 'cell', class: 'act' }, reset))
  }

  show ({ remaining, burst, retryAfterMs, resetAfterMs }) {
    const now = performance.now()
    this.freeAt = now + retryAfterMs
    this.fullAt = now + resetAfterMs
    const part = burst > 0 ? Math.min(1, Math.max(0, remaining / burst)) : 0
    this.fill.style.transform = `scaleX(${part})`
    this.bar.classList.toggle('low', part < 0.2)
    this.bar.setAttribute('aria-valuemax', burst)
    this.bar.setAttribute('aria-valuenow', Math.min(burst, Math.max(0, remaining)))
    set(this.left, `${number(remaining)} of ${number(burst)}`)
    this.element.classList.remove('gone')
    this.count()
  }

  // gone is a key that is full again, or no longer among those with least left.
  gone () { this.element.classList.add('gone') }

  count () {
    const now = performance.now()
    const denied = this.freeAt > now
    this.element.classList.toggle('denied', denied)
    set(this.when, denied
      ? `free again in ${seconds(this.freeAt - now)}`
      : this.fullAt > now ? `free, full in ${seconds(this.fullAt - now)}` : 'free')
  }
}

function confirmReset (row) {
  const dialog = id('confirm')
  set(id('confirm-key'), shown(row.key))
  set(id('confirm-limit'), shown(row.policy))
  set(id('confirm-error'), '')
  dialog.returnValue = 'no'
  id('confirm-yes').onclick = async event => {
    event.preventDefault() // it closes when that is done
    const failed = await reset(row)
    set(id('confirm-error'), failed)
    if (failed === '') dialog.close('yes')
    poll()
  }
  dialog.showModal()
}

// reset returns what went wrong, or nothing.
async function reset ({ policy, key }) {
  try {
    const response = await withToken('api/v1/keys/reset', {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ policy, key })
    })
    return response.ok ? '' : await problem(response)
  } catch {
    return 'The server cannot be reached.'
  }
}
