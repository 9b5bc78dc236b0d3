// Webhooks against a receiver of our own: what the official suite leaves out. Every test has a server
// and a receiver of its own, as most of them wait for a retry.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { createPublicKey, verify } from 'node:crypto'
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { createServer as createTcpServer } from 'node:net'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { Daemon, freePort, runWeir } from './daemon.mjs'

const json = { 'content-type': 'application/json' }
const done = { status: 200, text: '{"done":true}' }
const later = { status: 202, text: '' }
const broken = { status: 500, text: '' }

// Keeps every request, and answers as `answers` say, the last one for all that follow.
class Receiver {
  requests = []

  static async make(...answers) {
    const receiver = new Receiver()
    receiver.answers = answers
    receiver.server = createServer(async (request, response) => {
      let text = ''
      for await (const chunk of request) text += chunk
      const answer = receiver.answers[Math.min(receiver.requests.length, receiver.answers.length - 1)]
      const wake = { path: request.url, headers: request.headers, text, body: text && JSON.parse(text) }
      receiver.requests.push(wake)
      receiver.server.emit('wake')
      if (answer.before) await answer.before(wake)
      if (answer.status) response.writeHead(answer.status, answer.headers).end(answer.text)
    }).listen(0, '127.0.0.1')
    await once(receiver.server, 'listening')
    receiver.url = `http://127.0.0.1:${receiver.server.address().port}/hook`
    return receiver
  }

  async wake(number) {
    while (this.requests.length < number) await once(this.server, 'wake')
    return this.requests[number - 1]
  }

  close() {
    this.server.close()
    this.server.closeAllConnections()
  }
}

async function ask(daemon, method, path, body, token) {
  const answer = await fetch(daemon.stream(`__ds/${path}`), {
    method,
    headers: { ...json, ...(token && { authorization: `Bearer ${token}` }) },
    body: body && JSON.stringify(body),
  })
  const text = await answer.text()
  return { status: answer.status, body: text ? JSON.parse(text) : undefined }
}

const subscribe = (daemon, url, config = {}) =>
  ask(daemon, 'PUT', 'subscriptions/s', { type: 'webhook', streams: ['a'], webhook: { url }, ...config })

const show = async (daemon) => (await ask(daemon, 'GET', 'subscriptions/s')).body

const callback = (daemon, { body }, acks, isDone) =>
  ask(daemon, 'POST', 'subscriptions/s/callback',
    { wake_id: body.wake_id, generation: body.generation, acks, done: isDone }, body.callback_token)

// Until the server says so itself.
async function untilStatus(daemon, status) {
  while ((await show(daemon)).status !== status);
}

async function untilAcked(daemon, offset) {
  while ((await show(daemon)).streams[0].acked_offset !== offset);
}

// A server, a receiver with these answers, and a stream that has just got work.
async function begin(answers, config) {
  const daemon = await Daemon.make('--webhooks', '--webhook-loopback', '--log-level', 'error')
  const receiver = await Receiver.make(...answers)
  assert.equal((await subscribe(daemon, receiver.url, config)).status, 201)
  const tail = (await daemon.put('a', json, '[1]')).headers.get('stream-next-offset')
  return { daemon, receiver, tail }
}

async function end({ daemon, receiver }) {
  receiver.close()
  await daemon.remove()
}

describe('webhooks', { concurrency: 4 }, () => {
  test('are signed by a key of the published set', async () => {
    const setup = await begin([done])
    const { daemon, receiver, tail } = setup
    const { headers, text, body } = await receiver.wake(1)
    const [, time, kid, signature] =
      /^t=(\d+),kid=([^,]+),ed25519=([A-Za-z0-9_-]+)$/.exec(headers['webhook-signature'])
    assert.ok(Math.abs(Number(time) - Date.now() / 1000) < 300)
    const answer = await fetch((await show(daemon)).webhook.signing.jwks_url)
    assert.equal(answer.headers.get('content-type'), 'application/jwk-set+json')
    assert.equal(answer.headers.get('cache-control'), 'public, max-age=300')
    const jwk = (await answer.json()).keys.find((key) => key.kid === kid)
    const key = createPublicKey({ key: jwk, format: 'jwk' })
    const isSigned = (content) => verify(null, Buffer.from(content), key, Buffer.from(signature, 'base64url'))
    assert.ok(isSigned(`${time}.${text}`))
    assert.ok(!isSigned(`${time}.${text} `))
    assert.ok(!isSigned(`${Number(time) + 1}.${text}`))
    assert.equal(body.streams[0].tail_offset, tail)
    assert.equal(body.callback_url, daemon.stream('__ds/subscriptions/s/callback'))
    await untilAcked(daemon, tail)
    await end(setup)
  })

  test('that fail are repeated as they were, and then comes what is new', async () => {
    let daemon
    const setup = await begin([{ ...broken, before: () => daemon.post('a', '[2]') }, done])
    ;({ daemon } = setup)
    const { receiver } = setup
    const first = await receiver.wake(1)
    await untilStatus(daemon, 'failed')
    const second = await receiver.wake(2)
    assert.equal(second.text, first.text)
    const third = await receiver.wake(3)
    assert.equal(third.body.generation, 2)
    assert.notEqual(third.body.wake_id, first.body.wake_id)
    assert.equal(third.body.streams[0].acked_offset, first.body.streams[0].tail_offset)
    await untilAcked(daemon, third.body.streams[0].tail_offset)
    assert.equal((await show(daemon)).status, 'active')
    await end(setup)
  })

  test('do not follow a redirect', async () => {
    const setup = await begin([{ status: 307, headers: { location: '/inside' }, text: '' },
      { status: 302, headers: { location: '/inside' }, text: '' }, done])
    await setup.receiver.wake(3)
    assert.deepEqual(setup.receiver.requests.map(({ path }) => path), ['/hook', '/hook', '/hook'])
    await end(setup)
  })

  test('take no answer that is too large or not one', async () => {
    const large = { status: 200, text: `{"done":true,"x":"${'x'.repeat(100_000)}"}` }
    const setup = await begin([large, { status: 200, text: '{"done":"true"}' }])
    const { daemon, receiver, tail } = setup
    await receiver.wake(2)
    await untilStatus(daemon, 'active')
    assert.notEqual((await show(daemon)).streams[0].acked_offset, tail)
    assert.equal((await callback(daemon, receiver.requests[1], [], true)).body.next_wake, true)
    await end(setup)
  })

  test('that are not answered end with their lease, and are fenced then', async () => {
    const setup = await begin([{ status: 0 }, later], { lease_ttl_ms: 1000 })
    const { daemon, receiver, tail } = setup
    const first = await receiver.wake(1)
    const second = await receiver.wake(2)
    assert.equal(second.body.generation, 2)
    const acks = [{ stream: 'a', offset: tail }]
    const late = await callback(daemon, first, acks, true)
    assert.deepEqual([late.status, late.body.error.code], [409, 'FENCED'])
    const mixed = { ...second, body: { ...second.body, callback_token: first.body.callback_token } }
    assert.equal((await callback(daemon, mixed, acks, true)).body.error.code, 'FENCED')
    // The lease of the second wake is a second; a third may have come by now.
    const current = receiver.requests.at(-1)
    assert.equal((await callback(daemon, current, acks, true)).status, 200)
    assert.equal((await show(daemon)).streams[0].acked_offset, tail)
    await end(setup)
  })

  test('whose receiver calls back before it fails are not repeated', async () => {
    let setup
    const answers = [{ ...broken, before: (wake) => callback(setup.daemon, wake, [], false) }, later]
    setup = await begin(answers)
    const { daemon, receiver, tail } = setup
    const first = await receiver.wake(1)
    while (!(await callback(daemon, first, [], false)).body.ok);
    assert.equal((await show(daemon)).status, 'active')
    assert.deepEqual((await callback(daemon, first, [{ stream: 'a', offset: tail }], true)).body,
      { ok: true, next_wake: false })
    await daemon.post('a', '[2]')
    assert.equal((await receiver.wake(2)).body.generation, 2)
    await end(setup)
  })

  test('are retried after SIGKILL, and what had arrived can still be called back', async () => {
    const setup = await begin([broken, later], { lease_ttl_ms: 600000 })
    const { daemon, receiver, tail } = setup
    const first = await receiver.wake(1)
    await untilStatus(daemon, 'failed')
    await daemon.kill()
    await daemon.start()
    assert.equal((await show(daemon)).status, 'failed')
    const second = await receiver.wake(2)
    assert.ok(second.body.generation > first.body.generation)
    await untilStatus(daemon, 'active')
    await daemon.kill()
    await daemon.start()
    assert.deepEqual((await callback(daemon, second, [{ stream: 'a', offset: tail }], true)).body,
      { ok: true, next_wake: false })
    assert.equal(receiver.requests.length, 2)
    await end(setup)
  })

  test('under way do not keep a server from stopping', async () => {
    const setup = await begin([{ status: 0 }])
    await setup.receiver.wake(1)
    assert.equal(await setup.daemon.stop(), 0)
    await end(setup)
  })
})

test('urls that lead inside are refused', async () => {
  const daemon = await Daemon.make('--webhooks')
  for (const url of ['http://worker.example/', 'http://localhost:1/', 'http://127.0.0.1:1/', 'https://localhost/',
    'https://x.localhost/', 'https://127.0.0.1/', 'https://127.1/', 'https://2130706433/', 'https://0x7f000001/',
    'https://0177.0.0.1/', 'https://0/', 'https://[::1]/', 'https://[::ffff:127.0.0.1]/', 'https://[::ffff:7f00:1]/',
    'https://[::127.0.0.1]/', 'https://[64:ff9b::7f00:1]/', 'https://[2002:7f00:1::]/', 'https://[fe80::1%25eth0]/',
    'https://169.254.169.254/latest', 'https://10.1.2.3/', 'https://192.168.0.1/', 'https://172.20.0.1/',
    'https://100.64.0.1/', 'https://user@worker.example/', 'https://127.0.0.1\\@worker.example/', 'https://',
    'https://worker.example:99999/', 'ftp://worker.example/', 'file:///etc/passwd', '//worker.example/', 'x', '']) {
    const { status, body } = await subscribe(daemon, url)
    assert.equal(status, 400, url)
    assert.match(body.error.code, /^(WEBHOOK_URL_REJECTED|INVALID_REQUEST)$/)
  }
  assert.equal((await subscribe(daemon, 'https://worker.example/')).status, 201)
  await daemon.remove()
})

test('names that turn out to lead inside are not connected to', async (t) => {
  const listener = createTcpServer((socket) => {
    connections++
    socket.destroy()
  }).listen(0, '::')
  let connections = 0
  await once(listener, 'listening')
  const daemon = new Daemon()
  const names = { 'v4.test': '127.0.0.1', 'other.test': '127.8.9.1', 'v6.test': '::1', 'mapped.test': '::ffff:127.0.0.1' }
  const hosts = await daemon.makeFolder('hosts')
  await writeFile(hosts, Object.entries(names).map(([name, address]) => `${address} ${name}\n`).join(''))
  const prefix = ['unshare', '-m', 'sh', '-c', `mount --bind ${hosts} /etc/hosts && exec "$@"`, 'sh']
  if (spawnSync(prefix[0], [...prefix.slice(1), 'getent', 'hosts', 'v4.test']).status !== 0) {
    listener.close()
    await daemon.remove()
    return t.skip('no right to mount another /etc/hosts')
  }
  daemon.options = ['--webhooks', '--log-level', 'error']
  daemon.prefix = prefix
  await daemon.start()
  await daemon.put('a', json)
  const { port } = listener.address()
  const ids = Object.keys(names)
  for (const name of ids) {
    const answer = await ask(daemon, 'PUT', `subscriptions/${name}`,
      { type: 'webhook', streams: ['a'], webhook: { url: `https://${name}:${port}/` } })
    assert.equal(answer.status, 201)
  }
  await daemon.post('a', '[1]')
  for (const name of ids) while ((await ask(daemon, 'GET', `subscriptions/${name}`)).body.status !== 'failed');
  assert.equal(connections, 0)
  listener.close()
  await daemon.remove()
})

test('the key stays over a restart, and is another when asked for', async () => {
  const daemon = await Daemon.make('--webhooks', '--webhook-key-lifetime', '1d')
  const keys = async () => (await (await fetch(daemon.stream('__ds/jwks.json'))).json()).keys.map(({ kid }) => kid)
  const [first, ...others] = await keys()
  assert.equal(others.length, 0)
  await daemon.kill()
  await daemon.start()
  assert.deepEqual(await keys(), [first])
  assert.equal(await daemon.stop(), 0)
  daemon.options.push('--webhook-new-key')
  await daemon.start()
  const [second, ...more] = await keys()
  assert.equal(more.length, 0)
  assert.notEqual(second, first)
  await daemon.kill()
  daemon.options.pop()
  await daemon.start()
  assert.deepEqual(await keys(), [second])
  await daemon.remove()
})

test('the public url is a root, and is what receivers are told', async () => {
  const base = ['serve', '--listen', `127.0.0.1:${await freePort()}`, '--data', '/nonexistent/x', '--auth', 'none']
  for (const url of ['', 'x', 'ftp://a.example/v1', 'https://a.example/', 'https://a.example/v1/stream/', 'https://',
    'https://u:p@a.example/v1', 'https://a.example/v1?x=1', 'https://a.example/v1#x', 'https://a.example/v 1',
    'https://a.example/"']) {
    const { code, text } = await runWeir(...base, '--public-url', url)
    assert.notEqual(code, 0, url)
    assert.match(text, /--public-url is not an http or https URL/, url)
  }
  const daemon = await Daemon.make('--webhooks', '--public-url', 'https://streams.example/v1/stream')
  const { body } = await subscribe(daemon, 'https://worker.example/')
  assert.equal(body.webhook.signing.jwks_url, 'https://streams.example/v1/stream/__ds/jwks.json')
  await daemon.remove()
})
