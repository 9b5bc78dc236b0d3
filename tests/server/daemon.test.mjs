import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { Daemon, freePort, runWeir } from './daemon.mjs'

const json = { 'content-type': 'application/json' }

test('an open server listens on loopback only', async () => {
  const { code, text } = await runWeir('serve', '--listen', '0.0.0.0:0', '--data', '/nonexistent/x',
    '--auth', 'none')
  assert.equal(code, 1)
  assert.match(text, /0\.0\.0\.0:0 can be reached from other machines/)
})

test('options that cannot be are explained', async () => {
  const port = await freePort()
  const base = ['serve', '--listen', `127.0.0.1:${port}`, '--data', '/nonexistent/x']
  for (const [options, message] of [
    [['--auth', 'jwt'], /--auth jwt needs a key/],
    [[], /--auth is missing/],
    [['--auth', 'none', '--max-body', 'huge'], /max-body is not a size/],
    [['--auth', 'none', '--listen', 'here'], /--listen here is not an address and a port/],
    [['--auth', 'none'], /cannot make the data folder/],
  ]) {
    const { code, text } = await runWeir(...base, ...options)
    assert.notEqual(code, 0)
    assert.match(text, message)
  }
})

test('a folder and a port have one owner', async () => {
  const daemon = await Daemon.make()
  const port = await freePort()
  const other = await runWeir('serve', '--listen', `127.0.0.1:${port}`, '--data', daemon.data,
    '--auth', 'none')
  assert.equal(other.code, 1)
  assert.match(other.text, /in use by another process/)
  const same = await runWeir('serve', '--listen', `127.0.0.1:${daemon.port}`, '--data',
    join(daemon.folder, 'b'), '--auth', 'none')
  assert.equal(same.code, 1)
  assert.match(same.text, /cannot listen/)
  await daemon.remove()
})

test('SIGTERM ends live readers politely and loses nothing', async () => {
  const daemon = await Daemon.make()
  await daemon.put('a', json)
  const posted = await daemon.post('a', '[1,2]')
  const tail = posted.headers.get('stream-next-offset')
  const poll = fetch(daemon.stream('a', `?offset=${tail}&live=long-poll`))
  const sse = await fetch(daemon.stream('a', '?offset=-1&live=sse'))
  const events = sse.text()
  while (!/weir_live_readers 2/.test(await (await fetch(`${daemon.url}/metrics`)).text()));
  assert.equal(await daemon.stop(), 0)
  assert.equal((await poll).status, 204)
  assert.match(await events, /data:\[1,2\]\n\nevent: control\ndata:{.*"upToDate":true}\n\n$/)
  await daemon.start()
  assert.deepEqual(await (await fetch(daemon.stream('a'))).json(), [1, 2])
  await daemon.remove()
})

test('what was acknowledged survives SIGKILL, once', async () => {
  const daemon = await Daemon.make()
  const writers = 8
  let acknowledged = Array(writers).fill(-1)
  for (let round = 0; round < 4; round++) {
    let count = 0
    const killed = new Promise((resolve) => {
      const run = async (writer) => {
        for (let seq = acknowledged[writer] + 1; ; seq++) {
          const headers = { 'producer-id': 'w', 'producer-epoch': '0', 'producer-seq': `${seq}` }
          const answer = await daemon.post(`w/${writer}`, `${seq}`, headers)
          if (answer.status === 404) await daemon.put(`w/${writer}`, json)
          if (answer.status === 404) seq--
          else assert.ok(answer.ok)
          if (answer.ok) acknowledged[writer] = seq
          if (++count === 60 + 40 * round) resolve(daemon.kill())
        }
      }
      for (let writer = 0; writer < writers; writer++) run(writer).catch(() => {})
    })
    await killed
    await daemon.start()
    for (let writer = 0; writer < writers; writer++) {
      const stored = await (await fetch(daemon.stream(`w/${writer}`))).json()
      assert.deepEqual(stored, stored.map((_, index) => index))
      // One more than acknowledged may be there: its answer was under way.
      assert.ok(stored.length >= acknowledged[writer] + 1)
      assert.ok(stored.length <= acknowledged[writer] + 2)
      if (!stored.length) continue
      const again = await daemon.post(`w/${writer}`, '"again"', {
        'producer-id': 'w', 'producer-epoch': '0', 'producer-seq': `${stored.length - 1}`,
      })
      assert.equal(again.status, 204)
      acknowledged[writer] = stored.length - 1
    }
  }
  await daemon.remove()
})

test('quiet SSE connections get heartbeats and come to an end', async () => {
  const daemon = await Daemon.make('--heartbeat', '20ms', '--sse-lifetime', '2s')
  await daemon.put('a', json)
  const text = await (await fetch(daemon.stream('a', '?offset=-1&live=sse'))).text()
  assert.match(text, /^event: control\n/)
  assert.match(text, /\n\n:\n\n:\n\n/)
  await daemon.remove()
})

// Bytes as they are, since fetch() tidies paths.
async function exchange(daemon, request) {
  const socket = connect(daemon.port, '127.0.0.1')
  socket.end(request)
  let text = ''
  for await (const chunk of socket) text += chunk
  return text
}

const status = async (daemon, request) => Number((await exchange(daemon, request)).split(' ')[1])

const get = (path) => `GET ${path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`

test('paths are compared decoded and refused when they are nonsense', async () => {
  const daemon = await Daemon.make()
  assert.equal((await daemon.put('user/a%2Fb/data', json)).status, 201)
  assert.equal(await status(daemon, get('/v1/stream/user/a%2fb/data')), 200)
  assert.equal(await status(daemon, get('/v1/stream/%75ser/a%2Fb/d%61ta')), 200)
  assert.equal(await status(daemon, get('/v1/stream/user/a/b/data')), 404)
  for (const path of ['a/../b', '..', 'a//b', '', 'a/', 'a%00b', 'a%0d%0ab', '%ff', 'a%', 'a%4',
    'x'.repeat(2001)])
    assert.equal(await status(daemon, get(`/v1/stream/${path}`)), 400, path)
  assert.equal(await status(daemon, get('/v1/other')), 404)
  assert.equal(await status(daemon, `BREW ${'/v1/stream/a'} HTTP/1.1\r\nHost: x\r\n` +
    'Connection: close\r\n\r\n'), 405)
  await daemon.remove()
})

test('bodies have a bound, announced or not', async () => {
  const daemon = await Daemon.make('--max-body', '100K')
  await daemon.put('a', { 'content-type': 'text/plain' })
  const big = 'x'.repeat(100 * 1024 + 1)
  const text = { 'content-type': 'text/plain' }
  assert.equal((await daemon.post('a', big.slice(1), text)).status, 204)
  assert.equal((await daemon.post('a', big, text)).status, 413)
  const chunked = await fetch(daemon.stream('a'), {
    method: 'POST',
    headers: text,
    duplex: 'half',
    body: new Blob([big]).stream(),
  })
  assert.equal(chunked.status, 413)
  for (const length of [100 * 1024 + 1, 2n ** 53n, 2n ** 63n, 2n ** 64n - 1n])
    assert.match(await exchange(daemon, `POST /v1/stream/a HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nContent-Length: ${length}\r\n\r\nx`),
      /^HTTP\/1\.1 413 /, `${length}`)
  assert.equal(await (await fetch(daemon.stream('a'))).text(), big.slice(1))
  await daemon.remove()
})

// On a busy machine one who asks may be idle for too long as well.
async function connections(daemon) {
  let text
  try {
    text = await exchange(daemon, get('/metrics'))
  } catch (error) {
    if (daemon.child.exitCode !== null || daemon.child.signalCode !== null) throw error
    return connections(daemon)
  }
  const found = /^weir_connections (\d+)$/m.exec(text)
  return found ? Number(found[1]) : connections(daemon)
}

test('readers that take nothing and writers that send nothing are let go', async () => {
  const daemon = await Daemon.make()
  assert.equal((await daemon.put('a', { 'content-type': 'text/plain' }, 'x'.repeat(30 << 20))).status, 201)
  // Only now, as a machine that is busy may take as long over those.
  assert.equal(await daemon.stop(), 0)
  daemon.options = ['--idle-timeout', '1s']
  await daemon.start()
  const requests = [
    get('/v1/stream/a'),
    get('/v1/stream/a?offset=-1&live=sse'),
    'POST /v1/stream/a HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nContent-Length: 9\r\n\r\nabc',
    'GET /v1/stream/a HTTP/1.1\r\nHos',
  ]
  const slow = []
  for (const request of requests) {
    const socket = connect(daemon.port, '127.0.0.1').on('error', () => {})
    socket.pause()
    await once(socket, 'connect') // so the server takes it before whoever connects later to ask
    socket.write(request)
    slow.push(socket)
  }
  while ((await connections(daemon)) > 1);
  for (const socket of slow) socket.destroy()
  await daemon.remove()
})

test('one address has a bound of connections, when asked for', async () => {
  const daemon = await Daemon.make('--max-connections-per-address', '3')
  const sockets = []
  let isRefused = false
  for (let i = 0; i < 4; i++) {
    const socket = connect(daemon.port, '127.0.0.1').on('error', () => (isRefused = true))
    socket.on('close', () => (isRefused = true)).resume()
    sockets.push(socket)
  }
  while (!isRefused) await new Promise((resolve) => setImmediate(resolve))
  for (const socket of sockets) socket.destroy()
  while (!(await daemon.isReady()));
  await daemon.remove()
})

test('digits of numbers are the writer\'s', async () => {
  const daemon = await Daemon.make()
  await daemon.put('a', json)
  await daemon.post('a', '[1.10, 123456789012345678901234567890, 1e400,\n{"a" : -0.0}]')
  assert.equal(await (await fetch(daemon.stream('a'))).text(),
    '[1.10,123456789012345678901234567890,1e400,{"a" : -0.0}]')
  await daemon.remove()
})

test('a full disk refuses writes, serves reads, and is overcome', async (t) => {
  const daemon = new Daemon()
  daemon.folder = await mkdtemp(join(tmpdir(), 'weir-full-'))
  const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=160M', 'none', daemon.folder])
  if (mounted.status !== 0) {
    spawnSync('rmdir', [daemon.folder])
    return t.skip('no right to mount a small file system')
  }
  try {
    daemon.data = join(daemon.folder, 'data')
    daemon.options = ['--cache-size', '1M']
    await daemon.start()
    await daemon.put('a', { 'content-type': 'text/plain' })
    const ballast = join(daemon.folder, 'ballast')
    assert.equal(spawnSync('dd', ['if=/dev/zero', `of=${ballast}`, 'bs=1M', 'count=60']).status, 0)
    const chunk = 'x'.repeat(8 << 20)
    let written = 0
    let answer
    do {
      answer = await daemon.post('a', chunk, { 'content-type': 'text/plain' })
      if (answer.status === 204) written += chunk.length
    } while (answer.status === 204)
    assert.equal(answer.status, 507)
    assert.ok(written > 0)
    assert.equal((await fetch(`${daemon.url}/readyz`)).status, 503)
    const read = await fetch(daemon.stream('a'))
    assert.equal(read.status, 200)
    await read.arrayBuffer()
    assert.equal(spawnSync('rm', [ballast]).status, 0)
    while ((await daemon.post('a', 'more', { 'content-type': 'text/plain' })).status !== 204);
    const head = await fetch(daemon.stream('a'), { method: 'HEAD' })
    assert.equal(Number(head.headers.get('stream-next-offset').slice(17)), written + 4)
    assert.equal(await daemon.stop(), 0)
  } finally {
    if (daemon.child?.exitCode === null && daemon.child.signalCode === null) await daemon.kill()
    spawnSync('umount', [daemon.folder])
    spawnSync('rmdir', [daemon.folder])
  }
})
