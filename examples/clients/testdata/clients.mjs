// node clients.mjs CLIENT URL: gets URL with a client that tries again by its
// own logic, and prints the status that it ends with.
import axios from 'axios'
import axiosRetry from 'axios-retry'
import got from 'got'
import ky from 'ky'
import { Agent, RetryAgent, request } from 'undici'

const clients = {
  got: async url => (await got(url)).statusCode,
  ky: async url => (await ky(url)).status,
  undici: async url => (await request(url, { dispatcher: new RetryAgent(new Agent()) })).statusCode,
  'axios-retry': async url => {
    const client = axios.create()
    axiosRetry(client)
    return (await client.get(url)).status
  },
}

const [client, url] = process.argv.slice(2)
console.log(await clients[client](url))
