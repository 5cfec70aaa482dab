// Why a response was denied, by its id.
import { forget, token, withToken } from './keys.js'
import { duration, id, make, number, pair, problem, shown } from './text.js'

export function startWhy () {
  id('why-form').addEventListener('submit', async event => {
    event.preventDefault()
    id('why-answer').replaceChildren(...await answer(idIn(id('why-id').value)))
  })
}

// idIn is the id in what somebody pasted: a header line or a URN has it last.
const idIn = text => text.trim().split(/[\s/:]/).pop()

const sorry = text => [make('p', { class: 'error', text })]

async function answer (name) {
  if (name === '') return sorry('There is no id in that.')
  if (token() === '') {
    id('token').focus()
    return sorry('This wants the token of the server: give it above, under Keys with least left.')
  }
  let denial
  const used = token()
  try {
    const response = await withToken('api/v1/decisions/' + encodeURIComponent(name))
    if (response.status === 401) {
      if (token() === used) forget('That is not the token of this server.')
      return sorry('This wants the token of the server.')
    }
    if (response.status === 404) return sorry(`There is no denial with the id ${shown(name).slice(0, 80)}. Only the latest ones are kept, since the start of the server.`)
    if (!response.ok) return sorry(await problem(response))
    denial = await response.json()
  } catch {
    return sorry('The server cannot be reached.')
  }
  return explain(denial)
}

function explain (d) {
  const at = Date.parse(d.at)
  const left = at + d.retryAfterMs - Date.now()
  const free = left > 0
    ? `The same request is allowed again in ${duration(left)}, if no other comes before it.`
    : `That was over ${duration(-left)} ago: it would have been allowed again then.`
  const bdi = text => make('bdi', { class: 'mono', text: shown(text) })
  return [
    make('p', { class: 'verdict bites' }, 'Limit ', make('b', { text: shown(d.policy) }), ` (${shown(d.limit)}) had ${number(d.remaining)} left for `, bdi(d.key),
      `, and the request wanted ${number(d.cost || 1)}. ${free}`),
    make('dl', { class: 'facts' },
      pair('When', new Date(at).toLocaleString()),
      pair('Request', bdi(`${d.method ?? ''} ${d.path ?? ''}`.trim() || 'unknown')),
      pair('Key', bdi(d.key)),
      pair('Retry-After then', duration(d.retryAfterMs)),
      pair('Full again after', duration(d.resetAfterMs)))
  ]
}
