// The page: the status of the server as it comes, handed to each part.
import { duration, id, problem, set, shown } from './text.js'
import { showHealth, showServer } from './health.js'
import { showLimits } from './limits.js'
import { authorization, changed, forget, showPolicies, startKeys, token } from './keys.js'
import { startWhy } from './why.js'
import { startSimulator } from './simulator.js'

const STALE = 5000 // ms without news after which the page says so
let last = -Infinity // when there was news
let attempt = null // to listen: { at, control }
let shut = false // the server refuses to say anything

function show (status) {
  last = performance.now()
  set(id('version'), shown(status.version ?? ''))
  showHealth(status)
  showServer(status)
  showLimits(status)
  showPolicies(status.policies ?? [])
  link(true, 'live')
}

function link (live, text) {
  id('link').classList.toggle('live', live)
  set(id('link').lastElementChild, text)
}

// follow shows what comes, and asks again when the stream ends, which it does when
// the server stops or has as many pages as it serves. It is no EventSource, since
// that could not send the token, which a server that others can reach wants.
async function follow () {
  for (;;) {
    const used = token()
    attempt = { at: performance.now(), control: new AbortController() }
    try {
      const response = await fetch('api/v1/events', { cache: 'no-store', headers: authorization(), signal: attempt.control.signal })
      if (response.status === 401 || response.status === 403) await refused(response, used)
      else if (response.ok) await stream(response.body)
      else await once()
    } catch { /* the link tells */ }
    await new Promise(resolve => setTimeout(resolve, 1000))
  }
}

// stream reads server-sent events.
async function stream (body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader()
  let rest = ''
  for (;;) {
    const { value, done } = await reader.read()
    if (done) return
    const events = (rest + value).split('\n\n')
    rest = events.pop()
    if (events.length === 0) continue
    const data = events.pop().split('\n').filter(line => line.startsWith('data: ')).map(line => line.slice(6)).join('\n')
    if (data === '') continue
    try { show(JSON.parse(data)) } catch (error) { console.error(error) }
  }
}

// once asks for the status alone.
async function once () {
  const response = await fetch('api/v1/status', { cache: 'no-store', headers: authorization() })
  if (response.ok) show(await response.json())
}

async function refused (response, used) {
  if (token() !== used) return // another has been given meanwhile
  link(false, 'refused')
  shut = true
  if (response.status === 401) forget(token() === '' ? 'This server says nothing without its token.' : 'That is not the token of this server.')
  else set(id('token-error'), await problem(response))
  await changed() // there is no use in asking again with the same
  shut = false
}

setInterval(() => {
  const since = performance.now() - last
  if (since < STALE || shut) return
  link(false, last === -Infinity ? 'no answer yet' : `no news for ${duration(since)}`)
  // A connection may be dead without an end.
  if (Math.min(since, performance.now() - attempt.at) > 3 * STALE) attempt.control.abort()
}, 1000)

startKeys()
startWhy()
startSimulator()
follow()
