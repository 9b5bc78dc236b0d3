// The protocol where the official suite does not look: what answers say beside their data, and what
// stands at a path after its stream was deleted.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { Daemon } from './daemon.mjs'
import { exchange, lines, statusesOf, statusOf } from './wire.mjs'

const json = { 'content-type': 'application/json' }
const text = { 'content-type': 'text/plain' }
const START = '0000000000000000_0000000000000000'

let daemon
before(async () => (daemon = await Daemon.make('--long-poll-timeout', '1s', '--page-size', '10', '--webhooks')))
after(() => daemon.remove())

const made = (headers = json, body = undefined) => daemon.made(headers, body)

const ask = (path, method = 'GET', headers = {}, query = '', body = undefined) =>
  fetch(daemon.stream(path, query), { method, headers, body })
const read = async (path, query = '') => (await ask(path, 'GET', {}, query)).text()
const fork = (path, source) => daemon.put(path, { 'stream-forked-from': `/v1/stream/${source}` })

test('a stream at the path of a deleted one is another stream', async () => {
  const path = await made(json, '[1,2,3]')
  const old = await ask(path)
  const tail = old.headers.get('stream-next-offset')
  const producer = { 'producer-id': 'p', 'producer-epoch': '5', 'producer-seq': '0' }
  assert.equal((await daemon.post(path, '4', { ...producer, 'stream-seq': 'z', 'stream-closed': 'true' })).status, 200)
  assert.equal((await ask(path, 'DELETE')).status, 204)
  for (const method of ['GET', 'HEAD', 'DELETE']) assert.equal((await ask(path, method)).status, 404, method)
  assert.equal((await daemon.post(path, '5')).status, 404)
  assert.equal((await fork(`${path}/fork`, path)).status, 404)
  // Of another type, open, and without anything that the old one knew.
  const again = await daemon.put(path, text)
  assert.equal(again.status, 201)
  assert.equal(again.headers.get('stream-next-offset'), START)
  assert.equal((await ask(path, 'HEAD')).headers.has('stream-closed'), false)
  assert.equal((await ask(path, 'GET', {}, `?offset=${tail}`)).status, 400)
  assert.equal((await daemon.post(path, 'ab', { ...text, ...producer, 'producer-epoch': '0', 'stream-seq': 'a' })).status, 200)
  assert.equal(await read(path), 'ab')
  assert.equal((await ask(path, 'GET', { 'if-none-match': old.headers.get('etag') })).status, 200)
  await ask(path, 'DELETE')
  // The same bytes at the same offsets of another stream are not the same either.
  assert.equal((await daemon.put(path, json, '[1,2,3]')).status, 201)
  const same = await ask(path, 'GET', { 'if-none-match': old.headers.get('etag') })
  assert.equal(same.status, 200)
  assert.equal(same.headers.get('stream-next-offset'), tail)
  assert.notEqual(same.headers.get('etag'), old.headers.get('etag'))
})

test('a deleted stream keeps its path for as long as forks use it', async () => {
  const path = await made(text, 'abc')
  const [first, second] = [`${path}/first`, `${path}/second`]
  assert.equal((await fork(first, path)).status, 201)
  assert.equal((await fork(second, first)).status, 201)
  const isGone = async () => {
    for (const method of ['GET', 'HEAD', 'DELETE', 'DELETE']) assert.equal((await ask(path, method)).status, 410, method)
    for (const query of ['?offset=now', '?offset=now&live=long-poll', '?offset=-1&live=sse', '?offset=-1'])
      assert.equal((await ask(path, 'GET', {}, query)).status, 410, query)
    assert.equal((await daemon.post(path, 'x', text)).status, 410)
    assert.equal((await ask(path, 'POST', { 'stream-closed': 'true' })).status, 410)
    for (const headers of [text, json, { ...text, 'stream-closed': 'true' }]) assert.equal((await daemon.put(path, headers)).status, 409)
    assert.equal((await fork(`${path}/third`, path)).status, 409)
    assert.equal((await fork(path, second)).status, 409)
  }
  assert.equal((await ask(path, 'DELETE')).status, 204)
  await isGone()
  await daemon.kill()
  await daemon.start()
  await isGone()
  // The fork in the middle goes too, and is kept for the last one.
  assert.equal((await ask(first, 'DELETE')).status, 204)
  await isGone()
  assert.equal((await ask(first)).status, 410)
  assert.equal(await read(second), 'abc')
  // With the last fork all of them go.
  assert.equal((await ask(second, 'DELETE')).status, 204)
  for (const each of [path, first, second]) {
    assert.equal((await ask(each)).status, 404, each)
    assert.equal((await daemon.put(each, json, '[1]')).status, 201, each)
    assert.equal(await read(each), '[1]')
  }
})

test('what may be kept by whom', async () => {
  const path = await made(text, '0123456789')
  await daemon.post(path, '0123456789', text)
  const control = async (...request) => (await ask(path, ...request)).headers.get('cache-control')
  assert.equal(await control(), 'private, max-age=60, stale-while-revalidate=300')
  const tail = (await ask(path, 'HEAD')).headers.get('stream-next-offset')
  const second = (await ask(path)).headers.get('stream-next-offset')
  assert.equal(await control('GET', {}, `?offset=${second}`), 'private, no-cache')
  assert.equal(await control('GET', {}, `?offset=${tail}`), 'private, no-cache')
  assert.equal(await control('GET', {}, `?offset=${second}&live=long-poll`), 'private, max-age=60, stale-while-revalidate=300')
  for (const [method, query] of [['GET', '?offset=now'], ['GET', '?offset=now&live=long-poll'], ['HEAD', ''], ['GET', '?offset=x']])
    assert.equal(await control(method, {}, query), 'no-store', method + query)
  const etag = (await ask(path, 'GET', {}, `?offset=${second}`)).headers.get('etag')
  assert.equal(await control('GET', { 'if-none-match': etag }, `?offset=${second}`), 'private, no-cache')
})

test('every answer of the server has the headers that protect browsers', async () => {
  const path = await made(json, '[1]')
  const requests = [[path], [path, 'HEAD'], [path, 'OPTIONS'], [path, 'POST', json, '', '1'], [path, 'POST', json, '', '{'], [path, 'POST', text, '', '1'],
    [path, 'PUT', json], [path, 'PUT', text], ['none'], ['none', 'DELETE'], ['a//b'], ['__ds/x'], ['__weir/x'], [path, 'PATCH'],
    [path, 'GET', {}, '?offset=x'], [path, 'GET', {}, '?offset=now&live=long-poll'], [path, 'POST', { ...json, 'content-encoding': 'gzip' }, '', '1'],
    ['__ds/jwks.json'], ['__ds/subscriptions/x'], ['__ds/subscriptions/x', 'PUT', json, '', '{}'], [`${path}x`, 'PUT', json]]
  for (const request of requests) {
    const { status, headers } = await ask(...request)
    assert.equal(headers.get('x-content-type-options'), 'nosniff', `${request} ${status}`)
    assert.equal(headers.get('cross-origin-resource-policy'), 'cross-origin', `${request} ${status}`)
  }
})

// The HTTP library answers these itself, without the headers above.
test('what cannot be read as a request is told nothing but that, and the connection closes', async () => {
  const path = await made(json, '[1]')
  const post = [`POST /v1/stream/${path} HTTP/1.1`, 'Host: x', 'Content-Type: application/json']
  const marker = '<b>marker'
  for (const [status, request] of [
    [414, [`GET /v1/stream/${path}?${marker}${'x'.repeat(9000)} HTTP/1.1`, 'Host: x', '', '']],
    [431, [`GET /v1/stream/${path} HTTP/1.1`, 'Host: x', `X: ${marker}${'x'.repeat(9000)}`, '', '']],
    [400, [...post, `Content-Length: ${marker}`, '', marker]],
    [413, [...post, 'Content-Length: 99999999999999999999', '', marker]],
    [400, [...post, 'Transfer-Encoding: chunked', '', marker, '1', '0', '', '']],
    [505, [`GET /v1/stream/${path}?${marker} HTTP/2.0`, 'Host: x', '', '']],
  ]) {
    const received = await exchange(daemon, lines(...request))
    assert.equal(statusOf(received), status, received)
    assert.match(received, /\r\nConnection: close\r\n/i)
    assert.equal(received.includes('marker'), false)
  }
  assert.equal(await read(path), '[1]')
})

test('a body that is compressed is not taken for what it is not', async () => {
  const path = await made(text)
  for (const coding of ['gzip', 'br', 'gzip, identity', 'x']) {
    for (const [method, name] of [['POST', path], ['PUT', `${path}/new`]]) {
      const answer = await ask(name, method, { ...text, 'content-encoding': coding }, '', 'x')
      assert.equal(answer.status, 415, coding)
      assert.equal(answer.headers.get('accept-encoding'), 'identity')
    }
  }
  for (const coding of ['identity', 'Identity', '']) assert.equal((await daemon.post(path, 'a', { ...text, 'content-encoding': coding })).status, 204)
  assert.equal(await read(path), 'aaa')
  assert.equal((await ask(`${path}/new`)).status, 404)
})

test('nothing follows the header of an answer to HEAD, and the connection goes on', async () => {
  const path = await made(json, '[1]')
  const head = lines(`HEAD /v1/stream/${path} HTTP/1.1`, 'Host: x', '', '')
  const received = await exchange(daemon, head + head + lines(`GET /v1/stream/${path} HTTP/1.1`, 'Host: x', 'Connection: close', '', ''))
  const [before, ...answers] = received.split('HTTP/1.1 200 OK\r\n')
  assert.equal(before, '')
  assert.equal(answers.length, 3, received)
  for (const answer of answers.slice(0, 2)) {
    assert.match(answer, /\r\nStream-Next-Offset: /)
    assert.equal(answer.indexOf('\r\n\r\n'), answer.length - 4, JSON.stringify(answer.slice(-20)))
  }
  assert.match(answers[2], /\r\n\r\n\[1\]$/)
})

test('control paths have the methods that they say they have', async () => {
  const path = '__ds/subscriptions/s'
  await daemon.put('wake', json)
  assert.equal((await ask(path, 'PUT', json, '', JSON.stringify({ type: 'pull-wake', streams: ['a'], wake_stream: 'wake' }))).status, 201)
  for (const each of [path, '__ds/jwks.json']) {
    const [got, headed] = [await ask(each), await ask(each, 'HEAD')]
    assert.equal(got.status, 200)
    assert.equal(headed.status, 200)
    for (const name of ['content-type', 'content-length', 'cache-control']) assert.equal(headed.headers.get(name), got.headers.get(name), name)
    assert.equal(headed.headers.get('content-length'), String((await got.arrayBuffer()).byteLength))
  }
  for (const [each, method, allowed] of [[path, 'PATCH', 'GET, HEAD, PUT, DELETE, OPTIONS'], [path, 'POST', 'GET, HEAD, PUT, DELETE, OPTIONS'],
    ['__ds/jwks.json', 'PUT', 'GET, HEAD, OPTIONS'], [`${path}/claim`, 'GET', 'POST, OPTIONS'], [`${path}/ack`, 'DELETE', 'POST, OPTIONS'],
    [`${path}/streams`, 'GET', 'POST, OPTIONS'], [`${path}/streams/a`, 'GET', 'DELETE, OPTIONS']]) {
    const answer = await ask(each, method, json, '', method === 'GET' ? undefined : '{}')
    assert.equal(answer.status, 405, `${method} ${each}`)
    assert.equal(answer.headers.get('allow'), allowed)
  }
  assert.equal((await ask(`${path}/callback`, 'POST', json, '', '{}')).status, 400)
  assert.equal((await ask(`${path}/other`, 'POST', json, '', '{}')).status, 404)
  assert.equal((await ask('__ds/other')).status, 404)
})

test('an answer that nothing has changed says how long what has not is', async () => {
  const path = await made(json, '[1,23]')
  const etag = (await ask(path)).headers.get('etag')
  const head = (value) => lines(`GET /v1/stream/${path} HTTP/1.1`, 'Host: x', ...value, '', '')
  // The connection goes on behind it: no byte of a body is there.
  const received = await exchange(daemon, head([`If-None-Match: ${etag}`]) + head(['Connection: close']))
  assert.deepEqual(statusesOf(received), [304, 200])
  const [unchanged, changed] = received.split('\r\n\r\n')
  assert.match(unchanged, /\r\nContent-Length: 6$/m)
  assert.match(changed, /^HTTP\/1\.1 200 OK\r\n/)
  assert.ok(received.endsWith('\r\n\r\n[1,23]'))
})

test('a header whose name ends with a space is refused', async () => {
  const path = await made(json)
  for (const name of ['Content-Length ', 'Content-Length\t', 'Transfer-Encoding ', 'X ', '']) {
    const received = await exchange(daemon, lines(`POST /v1/stream/${path} HTTP/1.1`, 'Host: x', 'Content-Type: application/json', 'Content-Length: 1',
      `${name}: 1`, 'Connection: close', '', '1'))
    assert.equal(statusOf(received), 400, name)
  }
  assert.equal(await read(path), '[]')
})

test('a page of another origin may send headers of its own', async () => {
  const answer = await ask('a', 'OPTIONS', { origin: 'http://a', 'access-control-request-method': 'POST', 'access-control-request-headers': 'traceparent' })
  const allowed = answer.headers.get('access-control-allow-headers').toLowerCase().split(', ')
  // The star stands for all but Authorization, for requests without cookies (Fetch, 4.9).
  for (const name of ['*', 'authorization']) assert.ok(allowed.includes(name), name)
  assert.equal(answer.headers.get('access-control-allow-origin'), '*')
  assert.equal(answer.headers.has('access-control-allow-credentials'), false)
})
