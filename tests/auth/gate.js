// A server that asks for tokens, who makes them, and readers with the real client.

import { randomBytes } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { stream } from '@durable-streams/client'
import { SignJWT } from 'jose'
import { until } from '../e2e/lib/wait.js'
import { Server } from '../e2e/lib/weir.js'

export const DEADLINE_MS = 60_000
export const nowS = () => Math.floor(Date.now() / 1000)

export class Gate {
  secret = randomBytes(32).toString('hex')
  writer = randomBytes(32).toString('hex')
  admin = randomBytes(32).toString('hex')

  static async open(workspace, { name = 'gate', args = [] } = {}) {
    const gate = new Gate()
    for (const file of ['secret', 'writer', 'admin']) writeFileSync(workspace.path(`${name}.${file}`), `${gate[file]}\n`)
    const file = (of) => workspace.path(`${name}.${of}`)
    gate.writerFile = file('writer')
    gate.secretFile = file('secret')
    gate.server = await Server.start(workspace, {
      name,
      args: ['--auth', 'jwt', '--auth-secret-file', file('secret'), '--writer-token-file', file('writer'), '--admin-token-file', file('admin'), '--auth-leeway', '0s', '--log-level', 'debug', ...args],
    })
    return gate
  }

  url(path) {
    return `${this.server.url}/v1/stream/${path}`
  }

  token(sub, { lifetimeS = 600, ...claims } = {}) {
    return new SignJWT({ sub, iat: nowS(), exp: nowS() + lifetimeS, ...claims }).setProtectedHeader({ alg: 'HS256' }).sign(new TextEncoder().encode(this.secret))
  }

  async write(path, ...items) {
    const headers = { 'content-type': 'application/json', authorization: `Bearer ${this.writer}` }
    const put = await fetch(this.url(path), { method: 'PUT', headers })
    for (const item of items) await fetch(this.url(path), { method: 'POST', headers, body: JSON.stringify(item) })
    return put.status
  }
}

/** A reader that follows a path live: {items, statuses, ended}. `token` is asked for each request;
 * `statuses` are those of its responses, `ended` is why it ended. */
export function follow(t, url, token, { live = true, offset = '-1' } = {}) {
  const abort = new AbortController()
  const reader = { items: [], statuses: [], requests: 0, tokens: new Set(), ended: undefined, stop: () => abort.abort() }
  t.after(reader.stop)
  const seen = async (input, init) => {
    reader.requests++
    reader.tokens.add(new Headers(init.headers).get('authorization'))
    const response = await fetch(input, init)
    reader.statuses.push(response.status)
    return response
  }
  const run = async () => {
    const response = await stream({
      url, offset, live, json: true, signal: abort.signal, fetch: seen, sseResilience: { logWarnings: false },
      headers: { Authorization: async () => `Bearer ${await token()}` },
    })
    response.subscribeJson(async (batch) => {
      reader.items.push(...batch.items)
    })
    await response.closed
  }
  reader.done = run().then(
    () => (reader.ended = 'closed'),
    (error) => (reader.ended = error),
  )
  return reader
}

export const has = (reader, count) => until(`${count} items; there are ${reader.items.length}, ended: ${reader.ended}`, () => reader.items.length >= count, { deadlineMs: DEADLINE_MS })
