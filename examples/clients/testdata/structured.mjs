// node structured.mjs LINE...: prints each line of a List of RFC 9651 as
// structured-headers reads it: what it is as JSON, and written again.
import { parseList, serializeList } from 'structured-headers'

for (const line of process.argv.slice(2)) {
  const list = parseList(line)
  const plain = list.map(([value, params]) => [value, Object.fromEntries(
    [...params].map(([name, v]) => [name, v instanceof ArrayBuffer ? { bytes: [...new Uint8Array(v)] } : v]))])
  console.log(JSON.stringify(plain))
  console.log(serializeList(list))
}
