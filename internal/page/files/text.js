// Words and numbers, and the elements that hold them. Nothing here or elsewhere
// makes HTML of text: keys and paths are chosen by whoever sends requests.

const whole = new Intl.NumberFormat('en', { maximumFractionDigits: 0 })
const SVG = 'http://www.w3.org/2000/svg'

// shown escapes what would be invisible, or turn the direction of what follows.
export const shown = text => String(text ?? '').replace(/[\p{C}\p{Zl}\p{Zp}]/gu,
  c => '\\u{' + c.codePointAt(0).toString(16) + '}')

export const number = n => whole.format(n)

// rate is a number a second: two digits at least where it is small.
export const rate = n => n >= 10 || Number.isInteger(n) ? whole.format(n) : n.toFixed(1)

// share is part of all in per cent. What is not none is not shown as 0 %, and
// what is not all not as 100 %.
export function share (part, all) {
  if (!(all > 0) || !(part > 0)) return '0\u00a0%'
  const percent = 100 * part / all
  if (percent < 0.1) return '<\u00a00.1\u00a0%'
  if (percent < 10) return percent.toFixed(1) + '\u00a0%'
  return part < all ? Math.min(99, Math.round(percent)) + '\u00a0%' : '100\u00a0%'
}

// duration is how long ms milliseconds are, rounded up to what is worth saying.
export function duration (ms) {
  if (!(ms > 0)) return '0\u00a0s'
  if (ms < 1000) return Math.ceil(ms) + '\u00a0ms'
  const units = [['day', 86400], ['h', 3600], ['min', 60], ['s', 1]]
  let left = Math.ceil(ms / 1000)
  if (left >= 86400) left = Math.ceil(left / 3600) * 3600
  else if (left >= 3600) left = Math.ceil(left / 60) * 60
  const words = []
  for (const [unit, seconds] of units) {
    const n = Math.floor(left / seconds)
    left -= n * seconds
    if (n > 0) words.push(n + '\u00a0' + unit + (unit === 'day' && n > 1 ? 's' : ''))
    if (words.length === 2) break
  }
  return words.join(' ')
}

export const seconds = ms => ms < 1000 ? '1\u00a0s' : duration(ms) // for what counts down

export const id = name => document.getElementById(name)

// set changes the text of an element only if it is another, so that nobody is
// told twice.
export function set (element, text) {
  if (element.textContent !== text) element.textContent = text
}

// make returns an element. Of the attributes, text is what it says.
export function make (tag, attributes = {}, ...children) {
  const element = tag === 'svg' || tag === 'path' || tag === 'line'
    ? document.createElementNS(SVG, tag)
    : document.createElement(tag)
  for (const [name, value] of Object.entries(attributes)) {
    if (name === 'text') element.textContent = value
    else if (value !== false) element.setAttribute(name, value === true ? '' : value)
  }
  element.append(...children)
  return element
}

// pair is a name and its value for a dl.
export const pair = (name, value, kind = '') => make('div', { class: kind }, make('dt', { text: name }), make('dd', {}, value))

// problem says what an answer that is an error says.
export async function problem (response) {
  let said = {}
  try { said = await response.json() } catch { /* it is no JSON */ }
  return shown(said.detail || said.title || `The server answered with ${response.status}.`).slice(0, 400)
}
