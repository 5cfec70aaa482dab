// node parser.mjs URL: gets URL and prints what ratelimit-header-parser makes
// of the fields: the limit, what is used and what remains, and whether the
// reset is from 15 to 17 minutes away.
import { parseRateLimit } from 'ratelimit-header-parser'

const p = parseRateLimit(await fetch(process.argv[2]))
const wait = (p.reset - Date.now()) / 1000
console.log(p.limit, p.used, p.remaining, wait > 900 && wait < 1020)
