// nginx and Caddy, as Debian has them, with the configurations of docs/proxies.md to the letter but for
// names, ports and files; the protocol's own client reads through them, over TLS.

import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { after, before, describe, test } from 'node:test'
import { stream } from '@durable-streams/client'
import { Child } from '../e2e/lib/process.js'
import { request } from '../e2e/lib/raw_http.js'
import { until, within } from '../e2e/lib/wait.js'
import { Server, runWeir } from '../e2e/lib/weir.js'
import { Workspace, freePort } from '../e2e/lib/workspace.js'

const PAGE = readFileSync(new URL('../../docs/proxies.md', import.meta.url), 'utf8')
const blocks = (kind) => [...PAGE.matchAll(new RegExp(`^\`\`\`${kind}\n(.*?)^\`\`\`$`, 'gms'))].map((match) => match[1])
const DEADLINE_MS = 60_000
const PAGE_BYTES = 64 * 1024

process.env.NODE_TLS_REJECT_UNAUTHORIZED = '0' // the test's own certificate
process.removeAllListeners('warning')

let workspace
const made = {}

/** A text with each of the pairs replaced; each has to be there. */
function replace(text, pairs) {
  for (const [from, to] of pairs) {
    assert.ok(text.includes(from), `docs/proxies.md has no longer: ${from}`)
    text = text.replaceAll(from, to)
  }
  return text
}

before(async () => {
  workspace = new Workspace('proxy')
  execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2', '-subj', '/CN=localhost',
    '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1', '-keyout', workspace.path('key.pem'), '-out', workspace.path('cert.pem')], { stdio: 'ignore' })
  for (const name of ['auth.secret', 'writer.token']) {
    made[name] = randomBytes(24).toString('hex')
    writeFileSync(workspace.path(name), `${made[name]}\n`, { mode: 0o600 })
  }
  const small = ['--page-size', String(PAGE_BYTES)]
  made.public = await Server.start(workspace, { name: 'public', args: ['--public', ...small] })
  made.jwt = await Server.start(workspace, {
    name: 'jwt',
    args: ['--auth', 'jwt', '--auth-secret-file', workspace.path('auth.secret'), '--writer-token-file', workspace.path('writer.token'), ...small],
  })
  const { output } = await runWeir(['token', '--sub', 'ana', '--auth-secret-file', workspace.path('auth.secret')])
  made.token = output.trim()
})

after(() => workspace?.close())

async function launch(name, program, args, port, env = {}) {
  const child = new Child(program, args, { logFile: workspace.path(`${name}.log`), env: { ...process.env, ...env } })
  workspace.onClose(() => child.stop())
  const url = `https://localhost:${port}`
  await until(`${name} to answer`, () => fetch(url).then(() => true)).catch((error) => {
    throw new Error(`${error.message}\n${workspace.tail(`${name}.log`)}`)
  })
  return url
}

async function nginx(name, server, { isPublic = false } = {}) {
  const port = await freePort()
  const dir = workspace.path(name)
  mkdirSync(dir)
  const [site, reads, cache] = blocks('nginx')
  let text = replace(site, [
    ['127.0.0.1:4437', `127.0.0.1:${server.port}`],
    ['listen 443 ssl http2', `listen 127.0.0.1:${port} ssl http2`],
    ['streams.example.com;', 'localhost;'],
    ['/etc/ssl/streams.example.com.pem', workspace.path('cert.pem')],
    ['/etc/ssl/private/streams.example.com.key', workspace.path('key.pem')],
  ])
  if (isPublic) text = replace(cache, [['/var/cache/nginx/weir', `${dir}/cache`]]) + replace(text, [['proxy_pass http://weir;', `${reads}proxy_pass http://weir;`]])
  const temp = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((kind) => `${kind}_temp_path ${dir}/${kind};`).join(' ')
  const user = process.getuid() === 0 ? 'user root;' : ''
  writeFileSync(`${dir}/nginx.conf`, `daemon off; ${user} pid ${dir}/pid; error_log stderr; worker_processes 2; events {} http { access_log off; ${temp}\n${text}\n}\n`)
  return launch(name, '/usr/sbin/nginx', ['-p', dir, '-c', `${dir}/nginx.conf`], port)
}

async function caddy(name, server, { isPublic = false } = {}) {
  const port = await freePort()
  const [site, reads] = blocks('caddy')
  const text = replace(site, [
    ['reverse_proxy', `${isPublic ? reads : ''}reverse_proxy`],
    ['streams.example.com {', `https://localhost:${port} {\n\tbind 127.0.0.1\n\ttls ${workspace.path('cert.pem')} ${workspace.path('key.pem')}`],
    ['127.0.0.1:4437', `127.0.0.1:${server.port}`],
  ])
  writeFileSync(workspace.path(`${name}.caddyfile`), `{\n\tadmin off\n\tauto_https disable_redirects\n\tskip_install_trust\n}\n${text}`)
  const home = workspace.path(name)
  mkdirSync(home)
  return launch(name, '/usr/bin/caddy', ['run', '--adapter', 'caddyfile', '--config', workspace.path(`${name}.caddyfile`)], port, { HOME: home, XDG_DATA_HOME: home, XDG_CONFIG_HOME: home })
}

const write = (server, method, path, body, headers = {}) =>
  fetch(`${server.streamsUrl}/${path}`, { method, body, headers: { 'Content-Type': 'application/json', Authorization: `Bearer ${made['writer.token']}`, ...headers } })
const append = async (server, path, value) => assert.ok((await write(server, 'POST', path, JSON.stringify([value]))).ok)

/** Follows until items that `isEnough` accepts are there, and calls `onStart` once it is live. */
async function follow(url, { live, headers, onLive, count }) {
  const abort = new AbortController()
  const items = []
  const response = await stream({ url, live, json: true, headers, signal: abort.signal, warnOnHttp: false, sseResilience: { logWarnings: false } })
  const done = new Promise((resolve, reject) => {
    response.closed.catch(reject)
    let wasLive = false
    response.subscribeJson(async (batch) => {
      items.push(...batch.items)
      if (items.length >= count) resolve()
      else if (batch.upToDate && !wasLive) {
        wasLive = true
        onLive().catch(reject)
      }
    })
  })
  await within(DEADLINE_MS, `${count} items`, done).finally(() => abort.abort())
  return items
}

const PROXIES = { nginx, caddy }

for (const [name, start] of Object.entries(PROXIES))
  describe(name, () => {
    let url
    const auth = () => ({ Authorization: `Bearer ${made.token}` })
    before(async () => (url = await start(`${name}-jwt`, made.jwt)))

    for (const live of ['sse', 'long-poll'])
      test(`${live}: events come as they are appended`, async () => {
        const path = `user/ana/${name}-${live}`
        await write(made.jwt, 'PUT', path, '[{"n":0}]')
        const onLive = () => append(made.jwt, path, { n: 1 })
        const items = await follow(`${url}/v1/stream/${path}`, { live, headers: auth(), onLive, count: 2 })
        assert.deepEqual(items, [{ n: 0 }, { n: 1 }])
      })

    test('SSE is not held back: each event by itself, while the response is open', async () => {
      const path = `user/ana/${name}-flush`
      await write(made.jwt, 'PUT', path, '[{"n":0}]')
      const abort = new AbortController()
      const response = await fetch(`${url}/v1/stream/${path}?offset=-1&live=sse`, { headers: auth(), signal: abort.signal })
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader()
      let text = ''
      for (let n = 0; n < 5; n++) {
        if (n > 0) await append(made.jwt, path, { n })
        while (!text.includes(`{"n":${n}}`)) text += (await within(DEADLINE_MS, `event ${n}`, reader.read())).value
      }
      abort.abort()
    })

    test('history of many pages comes whole', async () => {
      const path = `user/ana/${name}-long`
      await write(made.jwt, 'PUT', path, '[]')
      const filler = 'x'.repeat(10_000)
      for (let n = 0; n < 40; n++) await append(made.jwt, path, { n, filler })
      const items = await follow(`${url}/v1/stream/${path}`, { live: 'long-poll', headers: auth(), onLive: async () => {}, count: 40 })
      assert.deepEqual(items.map(({ n }) => n), Array.from({ length: 40 }, (_, n) => n))
    })

    test('per-user pages stay private, and an ETag makes a 304', async () => {
      const path = `user/ana/${name}-private`
      await write(made.jwt, 'PUT', path, '[{"n":0}]')
      const read = (headers) => fetch(`${url}/v1/stream/${path}?offset=-1`, { headers })
      for (let round = 0; round < 2; round++) {
        const response = await read(auth())
        assert.match(response.headers.get('cache-control'), /^private/)
        assert.notEqual(response.headers.get('x-cache'), 'HIT')
        assert.equal((await read({ ...auth(), 'If-None-Match': response.headers.get('etag') })).status, 304)
      }
      assert.equal((await read({})).status, 401)
      const other = await runWeir(['token', '--sub', 'bo', '--auth-secret-file', workspace.path('auth.secret')])
      assert.equal((await read({ Authorization: `Bearer ${other.output.trim()}` })).status, 403)
    })

    test('a subject stays one segment', async () => {
      await write(made.jwt, 'PUT', `user/${encodeURIComponent(`${name}/b`)}/data`, '[{"n":0}]')
      const { output } = await runWeir(['token', '--sub', `${name}/b`, '--auth-secret-file', workspace.path('auth.secret')])
      const response = await fetch(`${url}/v1/stream/user/${name}%2Fb/data?offset=-1`, { headers: { Authorization: `Bearer ${output.trim()}` } })
      assert.deepEqual(await response.json(), [{ n: 0 }])
    })

    test('what is inside stays inside', async () => {
      const writer = { Authorization: `Bearer ${made['writer.token']}` }
      for (const path of ['/metrics', '/readyz', '/healthz', '/console/', '/', '/v1/stream/__weir/producers/weir', '/v1/stream/__weir/overview', '/v1/stream/%5F%5Fweir/producers/weir', '/v1/stream/x/../__weir/producers/weir'])
        assert.equal((await fetch(`${url}${path}`, { headers: writer })).status, 404, path)
      assert.equal((await request(made.jwt.url, '/v1/stream/__weir/producers/weir', { headers: writer })).body.toString(), 'there is no such producer\n')
    })
  })

describe('a public stream behind nginx', () => {
  let url
  before(async () => (url = await nginx('nginx-public', made.public, { isPublic: true })))
  const requests = async () => JSON.parse((await request(made.public.url, '/v1/stream/__weir/overview')).body).server.requests

  test('history comes from the cache; the last page is asked for again', async () => {
    await write(made.public, 'PUT', 'news', '[]')
    for (let n = 0; n < 10; n++) await append(made.public, 'news', { n, filler: 'x'.repeat(PAGE_BYTES / 4) })
    const first = await fetch(`${url}/v1/stream/news?offset=-1`)
    const text = await first.text()
    assert.equal(first.headers.get('x-cache'), 'MISS')
    assert.match(first.headers.get('cache-control'), /^public, max-age=60/)
    const asked = await requests()
    for (let i = 0; i < 20; i++) {
      const again = await fetch(`${url}/v1/stream/news?offset=-1`)
      assert.equal(again.headers.get('x-cache'), 'HIT')
      assert.equal(again.headers.get('stream-next-offset'), first.headers.get('stream-next-offset'))
      assert.equal(await again.text(), text)
    }
    assert.equal(await requests(), asked + 1) // this question
    assert.equal((await fetch(`${url}/v1/stream/news?offset=-1`, { headers: { 'If-None-Match': first.headers.get('etag') } })).status, 304)

    const items = await follow(`${url}/v1/stream/news`, { live: 'long-poll', onLive: () => append(made.public, 'news', { n: 10 }), count: 11 })
    assert.deepEqual(items.map(({ n }) => n), Array.from({ length: 11 }, (_, n) => n))
  })

  test('readers that wait at one offset are one request', async () => {
    await write(made.public, 'PUT', 'ticker', '[{"n":0}]')
    const { headers } = await fetch(`${url}/v1/stream/ticker?offset=-1`)
    const wait = `${url}/v1/stream/ticker?offset=${headers.get('stream-next-offset')}&live=long-poll&cursor=${headers.get('stream-cursor')}`
    const before = await requests()
    const waiting = Array.from({ length: 30 }, () => fetch(wait).then(async (response) => ({ items: await response.json(), cache: response.headers.get('x-cache') })))
    await until('a reader', async () => JSON.parse((await request(made.public.url, '/v1/stream/__weir/overview')).body).server.readers >= 1)
    await append(made.public, 'ticker', { n: 1 })
    const answers = await Promise.all(waiting)
    for (const { items } of answers) assert.deepEqual(items, [{ n: 1 }])
    assert.ok(answers.filter(({ cache }) => cache === 'HIT').length >= 20, `${answers.map(({ cache }) => cache)}`)
    assert.ok((await requests()) - before < 30)
  })

})

for (const [name, start] of Object.entries(PROXIES))
  test(`${name}: nobody writes through it to a public stream`, async () => {
    const url = await start(`${name}-reads`, made.public, { isPublic: true })
    await write(made.public, 'PUT', `reads/${name}`, '[{"n":0}]')
    for (const method of ['PUT', 'POST', 'DELETE']) assert.equal((await fetch(`${url}/v1/stream/reads/${name}`, { method })).status, 403)
    assert.equal((await fetch(`${url}/v1/stream/reads/${name}`, { method: 'HEAD' })).status, 200)
    assert.deepEqual(await (await fetch(`${url}/v1/stream/reads/${name}?offset=-1`)).json(), [{ n: 0 }])
  })
