// @durable-streams/client as it comes from npm against weir serve --auth jwt: a token is replaced before
// it expires, or is not; is missing, wrong, or another's. And the snippets of docs/access.md, as they
// stand there.

import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { join } from 'node:path'
import test, { after, before, describe } from 'node:test'
import { fileURLToPath } from 'node:url'
import { createStateSchema } from '@durable-streams/state'
import { createStreamDB } from '@durable-streams/state/db'
import { DurableStream, stream } from '@durable-streams/client'
import { until, within } from '../e2e/lib/wait.js'
import { Server, runWeir, weirProgram } from '../e2e/lib/weir.js'
import { Workspace } from '../e2e/lib/workspace.js'
import { DEADLINE_MS, Gate, follow, has, nowS } from './gate.js'

let workspace
let gate

before(async () => {
  workspace = new Workspace('auth')
  gate = await Gate.open(workspace)
})

after(() => workspace.close())

const LIVE = [true, 'long-poll', 'sse']

/** iat and exp of a token from now on, to the millisecond: whole seconds would make it up to one shorter. */
const lasting = (lifetimeS) => ({ iat: nowS(), exp: Date.now() / 1000 + lifetimeS })

// All at once, as most of the time they wait for a token's end.
describe('tokens end', { concurrency: true }, () => {
  for (const live of LIVE) {
    test(`live: ${live}, over many tokens: each is replaced before it expires, and nothing is missed`, async (t) => {
      const path = `user/refresh/${live}`
      await gate.write(path, 0)
      // Lasts for three seconds and is replaced after one, so that a slow machine has two to spare.
      let token
      let made = 0
      const fresh = async () => {
        if (Date.now() - made > 1000) {
          made = Date.now()
          token = await gate.token('refresh', { ...lasting(3), jti: `${made}` })
        }
        return token
      }
      const reader = follow(t, gate.url(path), fresh, { live })
      for (let n = 1; reader.tokens.size < 4; n++) {
        await gate.write(path, n)
        await has(reader, n + 1)
      }
      assert.equal(reader.ended, undefined)
      assert.ok(!reader.statuses.includes(401), `${reader.statuses}`)
      assert.deepEqual(reader.items, reader.items.map((_, n) => n))
    })

    test(`live: ${live}, a token that is not replaced: the read ends with it, and the next is a 401`, async (t) => {
      const path = `user/expiry/${live}`
      await gate.write(path, 1)
      const token = await gate.token('expiry', lasting(3))
      const reader = follow(t, gate.url(path), () => token, { live })
      await has(reader, 1)
      await within(DEADLINE_MS, 'the end of the reader', reader.done)
      assert.equal(reader.ended.status, 401, `${reader.ended}`)
      assert.match(`${reader.ended.message} ${JSON.stringify(reader.ended.details ?? '')}`, /401|expired/i)
      assert.equal(reader.statuses.at(-1), 401)
      assert.equal(reader.statuses.filter((status) => status === 401).length, 1, 'it is not tried for ever')
    })
  }
})

test('no token, a forged one, another user’s stream', async () => {
  await gate.write('user/ana/data', 1)
  const status = async (headers, path = 'user/ana/data') => {
    try {
      await (await stream({ url: gate.url(path), live: false, headers })).json()
      return 200
    } catch (error) {
      return error.status
    }
  }
  const bearer = async (...args) => ({ Authorization: `Bearer ${await gate.token(...args)}` })
  assert.equal(await status({}), 401)
  assert.equal(await status({ Authorization: 'Bearer x.y.z' }), 401)
  assert.equal(await status(await bearer('ana', { lifetimeS: -5 })), 401)
  assert.equal(await status(await bearer('bo')), 403)
  assert.equal(await status(await bearer('bo', { streams: ['user/ana/*'] })), 200)
  assert.equal(await status(await bearer('ana')), 200)
  assert.equal(await status(await bearer('ana'), 'user/ana/none'), 404)
  const reading = await DurableStream.connect({ url: gate.url('user/ana/data'), headers: await bearer('ana') })
  await assert.rejects(reading.append('2'), (error) => error.status === 403)
})

test('a live read of another’s stream never begins', async (t) => {
  for (const live of LIVE) {
    const reader = follow(t, gate.url('user/ana/data'), () => gate.token('bo'), { live })
    await within(DEADLINE_MS, 'a 403', reader.done)
    assert.equal(reader.ended.status, 403)
    assert.equal(reader.requests, 1)
  }
})

test('a StreamDB goes on over many tokens', async (t) => {
  const path = 'user/db/data'
  const todo = (id) => ({ type: 'todos', key: `${id}`, value: { id, title: `todo ${id}` }, headers: { operation: 'insert' } })
  await gate.write(path, todo(0))
  const anything = { '~standard': { version: 1, vendor: 'weir', validate: (value) => ({ value }) } }
  const state = createStateSchema({ todos: { schema: anything, type: 'todos', primaryKey: 'id' } })
  let count = 0
  const authorization = async () => `Bearer ${await gate.token('db', { lifetimeS: 2, jti: `${++count}` })}`
  const db = createStreamDB({ streamOptions: { url: gate.url(path), contentType: 'application/json', headers: { Authorization: authorization } }, live: true, state })
  t.after(() => db.close())
  await db.preload()
  for (let n = 1; count < 4; n++) {
    await gate.write(path, todo(n))
    await until('the todo', () => db.collections.todos.toArray.length === n + 1, { deadlineMs: DEADLINE_MS })
  }
})

test('everybody, beyond loopback: only if it is said twice', async () => {
  const once = await runWeir(['serve', '--listen', '0.0.0.0:0', '--data', workspace.path('open'), '--auth', 'none'])
  assert.notEqual(once.code, 0)
  assert.match(once.output, /--auth none lets everybody read and write/)
  assert.match(once.output, /--insecure-no-auth/)
  const port = gate.server.port // taken, which is what it must come to
  const twice = await runWeir(['serve', '--listen', `0.0.0.0:${port}`, '--data', workspace.path('open'), '--auth', 'none', '--insecure-no-auth'])
  assert.match(twice.output, /cannot listen on 0\.0\.0\.0:\d+: Address already in use/)
  const opened = await Server.start(workspace, { name: 'open', args: ['--insecure-no-auth'] })
  await opened.stop()
})

test('docs/access.md: its commands and its snippets run as they stand there', async (t) => {
  const page = readFileSync(fileURLToPath(new URL('../../docs/access.md', import.meta.url)), 'utf8')
  const blocks = [...page.matchAll(/```(\w+)\n([^]*?)```/g)].map(([, language, text]) => ({ language, text }))
  const [commands] = blocks.filter(({ language, text }) => language === 'sh' && text.includes('auth.secret'))
  const dir = workspace.path('page')
  // The secrets by its commands, in a folder of their own; then the server with the page's options.
  const secrets = commands.text.split('\n').filter((line) => line.startsWith('openssl')).join('\n')
  assert.equal(secrets.split('\n').length, 3)
  execFileSync('sh', ['-ec', `mkdir ${dir}; cd ${dir}; ${secrets}`])
  const serveLine = /weir serve ([^]*?)\nweir bridge/.exec(commands.text)[1].replaceAll('\\\n', ' ').trim().split(/\s+/)
  assert.deepEqual(serveLine.slice(0, 2), ['--data', 'streams'])
  const inDir = (word) => (/\.(secret|token)$/.test(word) ? join(dir, word) : word)
  const documented = await Server.start(workspace, { name: 'documented', args: serveLine.slice(2).map(inDir) })
  const writer = readFileSync(join(dir, 'writer.token'), 'utf8').trim()
  const json = { 'content-type': 'application/json', authorization: `Bearer ${writer}` }
  assert.equal((await fetch(`${documented.streamsUrl}/user/ana/data`, { method: 'PUT', headers: json, body: '[{"a":1}]' })).status, 201)

  const js = blocks.filter(({ language }) => language === 'js').map(({ text }) => text)
  const backend = js.find((text) => text.includes('SignJWT'))
  const client = js.find((text) => text.includes('durable-streams/client'))
  assert.ok(backend && client)
  const withoutImports = (text) => text.replace(/^import .*$/gm, '')
  const AsyncFunction = (async () => {}).constructor
  const { SignJWT } = await import('jose')
  let route
  const app = { get: (path, ...handlers) => (route = { path, handler: handlers.at(-1) }) }
  const env = { env: { AUTH_SECRET: readFileSync(join(dir, 'auth.secret'), 'utf8').trim() } }
  await new AsyncFunction('SignJWT', 'process', 'app', 'requireLogin', withoutImports(backend))(SignJWT, env, app, () => {})
  assert.equal(route.path, '/stream-token')
  const issuer = createServer((request, response) => {
    route.handler({ user: { id: 'ana' } }, { json: (value) => response.end(JSON.stringify(value)) })
  }).listen(0, '127.0.0.1')
  t.after(() => issuer.close())
  await until('the issuer', () => issuer.address())
  const fetchHere = (url, init) => fetch(new URL(url, `http://127.0.0.1:${issuer.address().port}`), init)
  const here = client.replaceAll('https://streams.example/v1/stream', documented.streamsUrl)
  assert.notEqual(here, client)
  const response = await new AsyncFunction('stream', 'fetch', 'userId', `${withoutImports(here)}; return response`)(stream, fetchHere, 'ana')
  const items = await new Promise((resolve) => {
    response.subscribeJson(async (batch) => resolve(batch.items))
  })
  response.cancel?.()
  assert.deepEqual(items, [{ a: 1 }])

  const tokenLine = /`weir (token --sub ana --auth-secret-file auth\.secret)`/.exec(page)[1]
  const token = execFileSync(weirProgram(), tokenLine.split(' ').map(inDir), { encoding: 'utf8' }).trim()
  assert.equal((await fetch(`${documented.streamsUrl}/user/ana/data`, { headers: { authorization: `Bearer ${token}` } })).status, 200)
})
