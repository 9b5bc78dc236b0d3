// Clients that mean harm, or are merely broken: the server keeps within its memory and serves the
// others. Small here; WEIR_LONG=1 makes it large, WEIR_SEED repeats a run.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readFile, readdir } from 'node:fs/promises'
import { Agent, request as httpRequest } from 'node:http'
import { connect } from 'node:net'
import { test } from 'node:test'
import { Daemon } from './daemon.mjs'

const isLong = process.env.WEIR_LONG === '1'
const seed = Number(process.env.WEIR_SEED ?? Date.now() % 1000000)
const json = { 'content-type': 'application/json' }
const text = { 'content-type': 'text/plain' }
const MiB = 1 << 20

let state = seed
function draw(below) {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0
  return Math.floor((state / 2 ** 32) * below)
}

const pause = () => new Promise((resolve) => setImmediate(resolve))

// Sockets that nobody reads unless somebody asks to.
class Crowd {
  sockets = []

  constructor(daemon) {
    this.daemon = daemon
  }

  async add(bytes) {
    const socket = connect(this.daemon.port, '127.0.0.1')
    socket.on('error', () => {})
    socket.on('close', () => (socket.isOver = true))
    socket.pause()
    this.sockets.push(socket)
    await Promise.race([once(socket, 'connect'), once(socket, 'close')])
    if (bytes) socket.write(bytes)
    return socket
  }

  async addMany(count, bytesOf) {
    for (let i = 0; i < count; i += 100)
      await Promise.all(Array.from({ length: Math.min(100, count - i) }, (_, j) => this.add(bytesOf(i + j))))
  }

  isOver() {
    return this.sockets.every((socket) => socket.isOver)
  }

  // A FIN from the server is only seen by who reads.
  read() {
    for (const socket of this.sockets) socket.resume()
  }

  close() {
    for (const socket of this.sockets) socket.destroy()
  }
}

// Bytes resident that are not files.
async function residentBytes(daemon) {
  const status = await readFile(`/proc/${daemon.child.pid}/status`, 'latin1')
  return Number(/^RssAnon:\s+(\d+) kB$/m.exec(status)[1]) * 1024
}

const openFiles = async (daemon) => (await readdir(`/proc/${daemon.child.pid}/fd`)).length

// At one moment. fetch() may pick a connection that has just been idle for too long.
async function metrics(daemon, ...names) {
  let answer
  try {
    answer = await (await fetch(`${daemon.url}/metrics`)).text()
  } catch (error) {
    if (daemon.child.exitCode !== null || daemon.child.signalCode !== null) throw error
    return metrics(daemon, ...names)
  }
  return names.map((name) => Number(new RegExp(`^weir_${name} (\\d+)$`, 'm').exec(answer)[1]))
}

const metric = async (daemon, name) => (await metrics(daemon, name))[0]

// What everybody else does meanwhile. On connections of their own: one that is kept may be closed, as it has
// been idle for too long, just when it is used again.
async function isServing(daemon, path = `good/${draw(1e9)}`) {
  const close = { connection: 'close' }
  assert.equal((await daemon.put(path, { ...json, ...close })).status, 201)
  assert.equal((await daemon.post(path, '[1.10]', close)).status, 204)
  assert.equal(await (await fetch(daemon.stream(path, '?offset=-1&live=long-poll'), { headers: close })).text(), '[1.10]')
}

const get = (path) => `GET /v1/stream/${path} HTTP/1.1\r\nHost: x\r\n\r\n`

/** Three kinds of clients that are slow, each so many, until the last is gone. */
async function trickle(daemon, count) {
  const crowd = new Crowd(daemon)
  const drip = setInterval(() => {
    for (const [index, socket] of crowd.sockets.entries()) {
      if (socket.isOver || socket.connecting) continue
      if (index < 2 * count) socket.write('x')
      else if (socket.read(100) === null) socket.read(0)
    }
  }, 100)
  await crowd.addMany(count, () => 'GET /v1/stream/a HTTP/1.1\r\nHost: ')
  await crowd.addMany(count, () => 'POST /v1/stream/a HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nContent-Length: 99999\r\n\r\n')
  await crowd.addMany(count, () => get('a'))
  while ((await metric(daemon, 'connections')) > 2) await isServing(daemon)
  clearInterval(drip)
  crowd.close()
}

test(`a byte now and then does not keep a place, WEIR_SEED=${seed}`, async () => {
  const daemon = await Daemon.make()
  assert.equal((await daemon.put('a', text, 'x'.repeat(40 * MiB))).status, 201)
  // Only now, as a machine that is busy may take as long over those.
  assert.equal(await daemon.stop(), 0)
  daemon.options = ['--idle-timeout', '1s']
  await daemon.start()
  const count = isLong ? 1000 : 50
  // Where this process itself stands still for a second, they have been idle, and none had to be cut.
  do await trickle(daemon, count)
  while ((await metric(daemon, 'connections_cut_total')) === 0)
  await daemon.remove()
})

test('more connections than there may be wait their turn', async () => {
  const daemon = await Daemon.make('--max-connections', '100', '--idle-timeout', '1s')
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  // A connection that was idle for too long may be closed while it is used again.
  const ask = () => new Promise((resolve, reject) => {
    const request = httpRequest(`${daemon.url}/healthz`, { agent }, (answer) => answer.resume().on('end', () => resolve(answer.statusCode)))
    request.on('error', (error) => (request.reusedSocket ? resolve(ask()) : reject(error))).end()
  })
  assert.equal(await ask(), 200)
  const crowd = new Crowd(daemon)
  await crowd.addMany(isLong ? 5000 : 300, () => '')
  for (let i = 0; i < 10; i++) assert.equal(await ask(), 200)
  crowd.read()
  while (!(await daemon.isReady()));
  await isServing(daemon)
  crowd.close()
  agent.destroy()
  await daemon.remove()
})

test(`requests that are cut anywhere change nothing, WEIR_SEED=${seed}`, async () => {
  const daemon = await Daemon.make()
  await daemon.put('a', json)
  await daemon.post('a', '[1]')
  const requests = [
    'POST /v1/stream/a HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 3\r\n\r\n[2]',
    'POST /v1/stream/a HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n[2]\r\n0\r\n\r\n',
    'PUT /v1/stream/b HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 3\r\n\r\n[2]',
    'DELETE /v1/stream/a HTTP/1.1\r\nHost: x\r\n\r\n',
  ]
  const crowd = new Crowd(daemon)
  for (const request of requests) {
    for (let end = 1; end < request.length; end++) (await crowd.add(request.slice(0, end))).resume()
  }
  for (const [index, socket] of crowd.sockets.entries()) index % 2 ? socket.end() : socket.resetAndDestroy()
  while ((await metric(daemon, 'connections')) > 2);
  assert.equal(await (await fetch(daemon.stream('a'))).text(), '[1]')
  assert.equal((await fetch(daemon.stream('b'))).status, 404)
  // And ones that go away while the answer is on its way.
  const late = new Crowd(daemon)
  for (let i = 0; i < (isLong ? 2000 : 200); i++) {
    const socket = await late.add(get(['a', 'a?offset=-1&live=sse', 'a?offset=now&live=long-poll'][i % 3]))
    if (draw(2)) socket.resetAndDestroy()
    else socket.destroy()
  }
  while ((await metric(daemon, 'connections')) > 2);
  await isServing(daemon)
  assert.equal(await metric(daemon, 'live_readers'), 0)
  await daemon.remove()
})

test('a request that is given up for two reasons at once is over as well', async () => {
  const daemon = await Daemon.make()
  const count = isLong ? 2000 : 20
  const many = `GET /v1/stream/a?${'a&'.repeat(200)} HTTP/1.1\r\n`
  const heads = [
    `${many}Host: x\r\n\r\n`, // no room for the parameters, nor then for the headers
    `${many}${'a line without a colon\r\n'.repeat(300)}`,
  ]
  const crowd = new Crowd(daemon)
  for (let i = 0; i < count; i++) for (const head of heads) (await crowd.add(head)).resume()
  let begun, active, connections
  do [begun, active, connections] = await metrics(daemon, 'requests_total', 'requests_active', 'connections')
  while (begun < crowd.sockets.length || connections > 2)
  assert.ok(active <= connections, `${active} requests on ${connections} connections`)
  await isServing(daemon)
  assert.equal(await daemon.stop(), 0)
  await daemon.remove()
})

test('who hangs up while waiting is let go at once', async () => {
  const daemon = await Daemon.make('--long-poll-timeout', '1h', '--sse-lifetime', '1h', '--heartbeat', '1h')
  await daemon.put('a', json)
  const crowd = new Crowd(daemon)
  await crowd.addMany(100, (i) => get(i % 2 ? 'a?offset=now&live=long-poll' : 'a?offset=now&live=sse'))
  while ((await metric(daemon, 'live_readers')) < 100);
  const files = await openFiles(daemon)
  crowd.close()
  while ((await metric(daemon, 'live_readers')) > 0);
  while ((await openFiles(daemon)) > files - 100);
  await daemon.remove()
})

test('readers that never read hold no more than a bound', async () => {
  const daemon = await Daemon.make('--cache-size', '16M', '--page-size', '1M', '--idle-timeout', '12s')
  const count = isLong ? 4000 : 400
  const streams = isLong ? 200 : 40
  for (let i = 0; i < streams; i++)
    for (let page = 0; page < 2; page++) await daemon.put(`s/${i}/${page}`, text, String(i % 10).repeat(2 * MiB))
  const before = await residentBytes(daemon)
  const crowd = new Crowd(daemon)
  await crowd.addMany(count, (i) => get(`s/${i % streams}/${i & 1}${i % 3 ? '' : '?offset=-1&live=sse'}`))
  // Each of them has been answered, with a page or with a refusal.
  while ((await metric(daemon, 'requests_total')) < count);
  const held = (await residentBytes(daemon)) - before
  assert.ok(held < 80 * MiB, `${held} bytes more`)
  // The others are served as soon as those who are slow have had their time.
  let answer
  do answer = await fetch(daemon.stream('s/0/0'))
  while (answer.status === 503 && answer.headers.get('retry-after') === '1' && (await answer.text()))
  assert.equal(answer.status, 200)
  assert.equal((await answer.text()).length, 2 * MiB)
  crowd.close()
  await daemon.remove()
})

test('invented names cost nothing, and made ones have a bound', async () => {
  const most = isLong ? 100000 : 1000
  const daemon = await Daemon.make('--max-streams', String(most))
  const agent = new Agent({ keepAlive: true, maxSockets: 32 })
  const call = (method, path) => new Promise((resolve, reject) => {
    httpRequest(daemon.stream(path), { method, agent, headers: method === 'PUT' ? json : {} },
      (answer) => answer.resume().on('end', () => resolve(answer.statusCode))).on('error', reject).end()
  })
  const many = async (count, run) => {
    const results = new Map()
    let next = 0
    await Promise.all(Array.from({ length: 32 }, async () => {
      for (let i = next++; i < count; i = next++) {
        const status = await run(i)
        results.set(status, (results.get(status) ?? 0) + 1)
      }
    }))
    return Object.fromEntries(results)
  }
  await many(1000, (i) => call('HEAD', `warm/${i}`))
  const before = await residentBytes(daemon)
  const unknown = isLong ? 1_000_000 : 3000
  assert.deepEqual(await many(unknown, (i) => call(['HEAD', 'GET', 'DELETE'][i % 3], `no/${i}/x${'x'.repeat(i % 1000)}`)),
    { 404: unknown })
  const grown = (await residentBytes(daemon)) - before
  assert.ok(grown < 4 * MiB, `${grown} bytes more`)
  assert.equal(await metric(daemon, 'streams'), 0)
  assert.deepEqual(await many(most + 100, (i) => call('PUT', `made/${i}`)), { 201: most, 507: 100 })
  assert.equal(await call('PUT', 'made/0'), 200)
  await daemon.kill()
  await daemon.start()
  assert.equal(await call('PUT', 'one-more'), 507)
  assert.equal(await call('DELETE', 'made/0'), 204)
  assert.equal(await call('PUT', 'one-more'), 201)
  assert.equal(await call('PUT', 'two-more'), 507)
  assert.equal(await metric(daemon, 'streams'), most)
  agent.destroy()
  await daemon.remove()
})

test('thousands of long-polls on one stream are all answered', async () => {
  const daemon = await Daemon.make('--long-poll-timeout', '10m') // however long it takes until all are there
  await daemon.put('a', json)
  const count = isLong ? 15000 : 2000
  const crowd = new Crowd(daemon)
  await crowd.addMany(count, () => get('a?offset=now&live=long-poll'))
  while ((await metric(daemon, 'live_readers')) < count) await pause()
  const idle = await residentBytes(daemon)
  assert.ok(idle / count < 20_000, `${idle / count} bytes each`)
  await isServing(daemon)
  const body = `["${'x'.repeat(10_000)}"]`
  const answers = crowd.sockets.map(async (socket) => {
    let received = ''
    for await (const chunk of socket) {
      received += chunk.toString('latin1')
      if (received.endsWith(body)) return
    }
    assert.fail(received.slice(0, 200))
  })
  assert.equal((await daemon.post('a', body)).status, 204)
  await Promise.all(answers)
  crowd.close()
  await daemon.remove()
})

test('heads without an end and bodies that stall leave room for others', async () => {
  const daemon = await Daemon.make('--max-body', '4M', '--idle-timeout', '12s')
  const crowd = new Crowd(daemon)
  await crowd.addMany(50, (i) => `GET /${'x'.repeat(i * 500)} HTTP/1.1\r\n${'a: b\r\n'.repeat(i * 100)}`)
  await crowd.addMany(20, () => `POST /v1/stream/a HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\n` +
    `Content-Length: ${4 * MiB}\r\n\r\n${'x'.repeat(3 * MiB)}`)
  crowd.read()
  await daemon.put('a', text)
  // The bodies fill what there is; whoever comes is told so, until the slowest has had its time.
  let answer
  do answer = await daemon.post('a', 'y'.repeat(3 * MiB), text)
  while (answer.status === 503 && answer.headers.get('retry-after') === '1')
  assert.equal(answer.status, 204)
  assert.ok((await residentBytes(daemon)) < 100 * MiB)
  crowd.close()
  await daemon.remove()
})
