// The protocol where the official suite does not look: requests byte by byte, as clients of other
// makes write them.
import assert from 'node:assert/strict'
import { connect } from 'node:net'
import { after, before, test } from 'node:test'
import { Daemon } from './daemon.mjs'
import { exchange as exchangeWith, lines, statusesOf, statusOf } from './wire.mjs'

const json = { 'content-type': 'application/json' }
const text = { 'content-type': 'text/plain' }
const START = '0000000000000000_0000000000000000'

let daemon
before(async () => (daemon = await Daemon.make('--long-poll-timeout', '2s')))
after(() => daemon.remove())

let count = 0
const made = (headers = json, body = undefined) => daemon.made(headers, body)

const read = async (path, query = '') => (await fetch(daemon.stream(path, query))).text()
const head = (path) => fetch(daemon.stream(path), { method: 'HEAD' })
const tailOf = async (path) => (await head(path)).headers.get('stream-next-offset')

const exchange = (bytes) => exchangeWith(daemon, bytes)

test('names of headers and their surroundings are as HTTP has them', async () => {
  const path = await made()
  const append = (...headers) => exchange(lines(`POST /v1/stream/${path} HTTP/1.1`, 'hOST: x', ...headers,
    'Content-Length: 3', 'Connection: close', '', '[1]'))
  assert.equal(statusOf(await append('CONTENT-TYPE:application/json')), 204)
  assert.equal(statusOf(await append('content-type:   application/json \t ')), 204)
  assert.equal(statusOf(await append('Content-Type: APPLICATION/JSON ; charset=utf-8')), 204)
  assert.equal(statusOf(await append('Content-Type: application/json;charset="utf-8"')), 204)
  assert.equal(statusOf(await append('Content-Type: application/jsonp')), 409)
  assert.equal(statusOf(await append('Content-Type: text/json')), 409)
  assert.equal(statusOf(await append('Content-Type:')), 400)
  assert.equal(statusOf(await append()), 400)
  assert.equal(statusOf(await append('Content-Type: application/json', 'stream-SEQ: 1')), 204)
  assert.equal(statusOf(await append('Content-Type: application/json', 'Stream-Seq:  1 ')), 409)
  assert.equal(statusOf(await append('Content-Type: application/json', 'STREAM-CLOSED: TRUE')), 204)
  assert.equal(await read(path), '[1,1,1,1,1,1]')
})

test('Stream-Closed means something only as true', async () => {
  const path = await made()
  for (const value of ['false', '1', 'yes', '', 'true, true', 'truex', '"true"']) {
    assert.equal((await daemon.post(path, '1', { 'stream-closed': value })).status, 204, value)
    assert.equal((await fetch(daemon.stream(path), { method: 'POST', headers: { 'stream-closed': value } })).status, 400)
    assert.equal((await daemon.put(path, { ...json, 'stream-closed': value })).status, 200)
  }
  assert.equal((await head(path)).headers.has('stream-closed'), false)
})

test('JSON: what is one, and how it is taken apart', async () => {
  const good = [
    ['1', '[1]'], ['"a"', '["a"]'], ['null', '[null]'], ['{}', '[{}]'], [' \t\r\n[ 1 ,\n2 ] \n', '[1,2]'],
    ['[[]]', '[[]]'], ['[[1,2],[3,4]]', '[[1,2],[3,4]]'], ['[[[1,2,3]]]', '[[[1,2,3]]]'], ['[null]', '[null]'],
    ['{"a":1,"a":2}', '[{"a":1,"a":2}]'], ['[1e400,-0,0.10,123456789012345678901]', '[1e400,-0,0.10,123456789012345678901]'],
    ['"\\u0000\\ud800"', '["\\u0000\\ud800"]'], ['"\u2028é😀"', '["\u2028é😀"]'],
    [`${'['.repeat(100)}${']'.repeat(100)}`, `${'['.repeat(100)}${']'.repeat(100)}`],
  ]
  for (const [body, expected] of good) {
    const path = await made()
    assert.equal((await daemon.post(path, body)).status, 204, body)
    assert.equal(await read(path), expected)
    assert.equal((await daemon.put(`${path}/put`, json, body)).status, 201, body)
    assert.equal(await read(`${path}/put`), expected)
  }
  const path = await made()
  const bad = ['\ufeff[1]', '[1,]', '[,1]', '[1', ']', '{"a"}', "{'a':1}", '01', '1.', '.5', '+1', 'NaN', 'tru', '1 2',
    '[1] [2]', '[1]x', '"a', '"\n"', '"\\x"', '{"a":1,}', ' ', '\n', '[1]\0', '\v1', '// 1', Buffer.from([0x22, 0xff, 0x22]),
    Buffer.from([0x22, 0xed, 0xa0, 0x80, 0x22]), '['.repeat(100000)]
  for (const body of bad) {
    assert.equal((await daemon.post(path, body)).status, 400, String(body).slice(0, 20))
    assert.equal((await daemon.put(`${path}/put`, json, body)).status, 400)
  }
  for (const body of ['[]', ' [ ] ']) {
    assert.equal((await daemon.post(path, body)).status, 400)
    assert.equal((await daemon.put(`${path}/${count++}`, json, body)).status, 201)
  }
  assert.equal(await read(path), '[]')
  assert.equal((await head(`${path}/put`)).status, 404)
})

test('an empty body closes or is refused', async () => {
  const path = await made(text)
  const post = (headers) => fetch(daemon.stream(path), { method: 'POST', headers })
  assert.equal((await post({})).status, 400)
  assert.equal((await post(text)).status, 400)
  const chunked = (...headers) => exchange(lines(`POST /v1/stream/${path} HTTP/1.1`, 'Host: x', ...headers,
    'Transfer-Encoding: chunked', 'Connection: close', '', '0', '', ''))
  assert.equal(statusOf(await chunked('Content-Type: text/plain')), 400)
  // The type of nothing is nobody's business.
  assert.equal(statusOf(await chunked('Content-Type: image/png', 'Stream-Closed: true')), 204)
  const again = await post({ 'stream-closed': 'true', 'content-type': 'x/y' })
  assert.equal(again.status, 204)
  assert.equal(again.headers.get('stream-closed'), 'true')
  assert.equal(again.headers.get('stream-next-offset'), START)
  const late = await daemon.post(path, 'x', { 'content-type': 'image/png' })
  assert.equal(late.status, 409)
  assert.equal(late.headers.get('stream-closed'), 'true')
  assert.equal(late.headers.get('stream-next-offset'), START)
})

test('chunked bodies are put together, however they come', async () => {
  const path = await made()
  const start = [`POST /v1/stream/${path} HTTP/1.1`, 'Host: x', 'Content-Type: application/json']
  const close = 'Connection: close'
  assert.equal(statusOf(await exchange(lines(...start, 'Transfer-Encoding: chunked', close, '', '1', '[', '00002;a=b', '1]', '0', '', ''))), 204)
  assert.equal(statusOf(await exchange(lines(...start, 'transfer-encoding: Chunked', close, '', 'A', '{"a": 22 }', '0', 'X-Trailer: 1', '', ''))), 204)
  // Where one cannot tell where it ends, it is nobody's append.
  for (const framing of [['Transfer-Encoding: chunked', 'Content-Length: 3'], ['Content-Length: 3', 'Content-Length: 4'],
    ['Content-Length: 3', 'Content-Length: 3'], ['Content-Length: -1'], ['Content-Length: 3x'], ['Content-Length: 99999999999999999999'],
    ['Transfer-Encoding: gzip'], ['Transfer-Encoding: chunked, chunked']]) {
    const status = statusOf(await exchange(lines(...start, ...framing, close, '', '[2]')))
    assert.ok([400, 411, 413, 501].includes(status), `${framing}: ${status}`)
  }
  for (const body of ['x\r\n[3]\r\n0\r\n\r\n', '3\r\n[3]0\r\n\r\n', '-3\r\n[3]\r\n0\r\n\r\n', 'ffffffffffffffffff\r\n[3]\r\n0\r\n\r\n'])
    assert.notEqual(statusOf(await exchange(lines(...start, 'Transfer-Encoding: chunked', close, '', body))), 204, body)
  assert.equal(await read(path), '[1,{"a": 22 }]')
})

test('Expect: 100-continue is answered before the body', async () => {
  const path = await made()
  const socket = connect(daemon.port, '127.0.0.1')
  let received = ''
  const reader = (async () => {
    for await (const chunk of socket) {
      received += chunk
      if (received === 'HTTP/1.1 100 Continue\r\n\r\n') socket.write('[1]')
    }
  })()
  socket.write(lines(`POST /v1/stream/${path} HTTP/1.1`, 'Host: x', 'Content-Type: application/json', 'Content-Length: 3',
    'Expect: 100-continue', 'Connection: close', '', ''))
  await reader
  assert.deepEqual(statusesOf(received), [100, 204])
  assert.equal(await read(path), '[1]')
  // Somebody who announces too much is told so instead.
  const big = await exchange(lines(`POST /v1/stream/${path} HTTP/1.1`, 'Host: x', 'Content-Type: application/json',
    'Content-Length: 9999999999', 'Expect: 100-continue', '', ''))
  assert.equal(statusOf(big), 413)
})

test('HTTP/1.0, HTTP/1.1 without a host, and what is no HTTP', async () => {
  const path = await made()
  await daemon.post(path, '[1,2]')
  const old = await exchange(`GET /v1/stream/${path} HTTP/1.0\r\n\r\n`)
  assert.match(old, /^HTTP\/1\.[01] 200 /)
  assert.match(old, /\r\n\r\n\[1,2\]$/)
  const written = await exchange(lines(`POST /v1/stream/${path} HTTP/1.0`, 'Content-Type: application/json', 'Content-Length: 1', '', '3'))
  assert.match(written, /^HTTP\/1\.[01] 204 /)
  const live = await exchange(`GET /v1/stream/${path}?offset=now&live=sse HTTP/1.0\r\n\r\n`).catch(() => '')
  assert.doesNotMatch(live, /Transfer-Encoding: chunked/i)
  assert.equal(statusOf(await exchange(`GET /v1/stream/${path} HTTP/1.1\r\n\r\n`)), 400)
  assert.ok([undefined, 400, 505].includes(statusOf(await exchange(`GET /v1/stream/${path} HTTP/2.0\r\nHost: x\r\n\r\n`))))
  for (const nonsense of ['GET\r\n\r\n', 'x'.repeat(10000)]) await exchange(nonsense)
  // What never becomes a line is only cut when it has been idle for long.
  const other = connect(daemon.port, '127.0.0.1').on('error', () => {})
  other.end('\x16\x03\x01\x02\x00\x01\x00', () => other.destroy())
  assert.equal(await read(path), '[1,2,3]')
})

test('a header with a control character in it, and a host that is none, are refused', async () => {
  const path = await made(json, '[1]')
  const put = (...headers) => exchange(lines(`PUT /v1/stream/head/${++count} HTTP/1.1`, ...headers, 'Connection: close', '', ''))
  // Of what has been let in, Host and Content-Type go out again, in answers to other people.
  for (const c of ['\r', '\x01', '\x7f', '\x1b']) {
    assert.equal(statusOf(await put(`Host: a${c}b`)), 400)
    assert.equal(statusOf(await put('Host: x', `Content-Type: a/b;c=${c}d`)), 400)
    assert.equal(statusOf(await put('Host: x', `X-Whatever: ${c}`)), 400)
  }
  assert.equal(statusOf(await put('Host: x', 'Content-Type: a/b;\tc=d')), 201)
  for (const host of ['a b', 'a/b', 'a?b', 'a#b', 'a@b', 'a"b', 'a\\b', 'a\tb', '\xff'])
    assert.equal(statusOf(await put(Buffer.from(`Host: ${host}`).toString('latin1'))), 400, host)
  assert.equal(statusOf(await put('Host: a', 'Host: a')), 400)
  for (const host of ['a.example:80', '[::1]:80', '[::1]', 'a_b', '%41', 'xn--bcher-kva.example', '']) {
    const received = await put(`Host: ${host} `)
    assert.equal(statusOf(received), 201, host)
    assert.ok(received.includes(`\r\nLocation: ${host && `http://${host}`}/v1/stream/head/${count}\r\n`), received)
  }
  assert.equal(await read(path), '[1]')
})

test('an absolute target has its host in it', async () => {
  const ask = (target, host = 'x') => exchange(lines(`PUT ${target} HTTP/1.1`, `Host: ${host}`, 'Connection: close', '', ''))
  const path = () => `/v1/stream/absolute/${++count}`
  for (const scheme of ['http', 'HTTPS', 'Http'])
    assert.match(await ask(`${scheme}://a.example:8080${path()}?x=/y`), new RegExp(`^HTTP/1.1 201 [^]*\r\nLocation: http://a.example:8080/v1/stream/absolute/${count}\r\n`))
  for (const authority of ['a b', 'a@b', 'a"b']) assert.notEqual(statusOf(await ask(`http://${authority}${path()}`)), 201)
  // What stands behind a question mark is no path.
  for (const target of ['http://a', 'http://a?b=/v1/stream/c', 'http://a#/v1/stream/c', 'ftp://a/v1/stream/c', 'http:/v1/stream/c'])
    assert.equal(statusOf(await ask(target)), 404, target)
})

test('requests that come together are answered in their order', async () => {
  const path = await made()
  const one = (i) => lines(`POST /v1/stream/${path} HTTP/1.1`, 'Host: x', 'Content-Type: application/json',
    `Content-Length: ${String(i).length}`, '', `${i}`)
  const get = lines(`GET /v1/stream/${path} HTTP/1.1`, 'Host: x', '', '')
  const last = lines(`HEAD /v1/stream/${path} HTTP/1.1`, 'Host: x', 'Connection: close', '', '')
  const numbers = Array.from({ length: 100 }, (_, i) => i)
  const received = await exchange(numbers.map(one).join('') + get + one('"x"') + last)
  assert.deepEqual(statusesOf(received), [...numbers.map(() => 204), 200, 204, 200])
  const offsets = [...received.matchAll(/Stream-Next-Offset: (\S+)/g)].map((match) => match[1])
  assert.deepEqual(offsets, [...offsets].sort())
  assert.ok(received.includes(`\r\n\r\n[${numbers}]`))
  assert.equal(await read(path), `[${numbers},"x"]`)
})

test('HEAD is GET without a body, and OPTIONS is answered everywhere', async () => {
  const path = await made(json, '[1]')
  for (const url of ['/healthz', '/readyz', '/metrics', `/v1/stream/${path}`, '/v1/stream/none', '/none', '/v1/stream/__ds/jwks.json']) {
    const [got, headed] = await Promise.all(['GET', 'HEAD'].map((method) => fetch(`${daemon.url}${url}`, { method })))
    assert.equal(headed.status, got.status, url)
    await got.arrayBuffer()
    assert.equal((await headed.text()).length, 0, url)
    const options = await fetch(`${daemon.url}${url}`, { method: 'OPTIONS', headers: { origin: 'http://a', 'access-control-request-method': 'PUT' } })
    assert.equal(options.status, 204, url)
    assert.match(options.headers.get('access-control-allow-methods'), /DELETE/)
  }
  assert.equal(statusOf(await exchange(lines('OPTIONS * HTTP/1.1', 'Host: x', 'Connection: close', '', ''))), 204)
  for (const method of ['PATCH', 'TRACE', 'PROPFIND', 'get', 'CONNECT']) {
    const received = await exchange(lines(`${method} /v1/stream/${path} HTTP/1.1`, 'Host: x', 'Connection: close', '', ''))
    assert.ok([400, 405, 501].includes(statusOf(received)), `${method} ${statusOf(received)}`)
    if (statusOf(received) === 405) assert.match(received, /\r\nAllow: GET, HEAD, PUT, POST, DELETE, OPTIONS\r\n/)
  }
})

test('If-None-Match is a list', async () => {
  const path = await made(json, '[1]')
  const etag = (await fetch(daemon.stream(path))).headers.get('etag')
  const ask = async (value, query = '') => (await fetch(daemon.stream(path, query), { headers: { 'if-none-match': value } })).status
  assert.equal(await ask(etag), 304)
  assert.equal(await ask(`W/${etag}`), 304)
  assert.equal(await ask(`"a", ${etag},"b"`), 304)
  assert.equal(await ask(`"a",W/${etag}`), 304)
  assert.equal(await ask('*'), 304)
  assert.equal(await ask('"a"'), 200)
  assert.equal(await ask(etag.slice(1, -1)), 200)
  assert.equal(await ask(`"x${etag.slice(1)}`), 200)
  assert.equal(await ask(`"a${etag}b"`), 200)
  assert.equal(await ask(''), 200)
  const received = await exchange(lines(`GET /v1/stream/${path} HTTP/1.1`, 'Host: x', 'If-None-Match: "a"', `if-none-match: ${etag}`,
    'Connection: close', '', ''))
  assert.equal(statusOf(received), 304)
  const same = await fetch(daemon.stream(path), { headers: { 'if-none-match': etag } })
  assert.equal(same.headers.get('etag'), etag)
  assert.equal(same.headers.get('stream-next-offset'), await tailOf(path))
  // A read that waits has news when it is answered.
  assert.equal(await ask(etag, '?offset=-1&live=long-poll'), 200)
  await daemon.post(path, '2')
  assert.equal(await ask(etag), 200)
  const open = (await fetch(daemon.stream(path))).headers.get('etag')
  await fetch(daemon.stream(path), { method: 'POST', headers: { 'stream-closed': 'true' } })
  assert.equal(await ask(open), 200)
})

test('queries: parameters that are unknown, repeated, encoded or wrong', async () => {
  const path = await made(json, '[1]')
  const tail = await tailOf(path)
  const ask = async (query) => (await fetch(daemon.stream(path, query))).status
  for (const query of ['?', '?&', '?x=1', '?offset=-1&x=%00', `?offset=${tail}`, '?offset=%2d1', `?offset=${tail.replace('_', '%5F')}`, '?offset=now',
    '?cursor=zzz', '?offset=-1&cursor='])
    assert.equal(await ask(query), 200, query)
  for (const query of ['?offset=', '?offset', '?offset=1', '?offset=-2', '?offset=NOW', '?offset=-1&offset=-1', '?offset=%zz', '?live=sse',
    '?live=long-poll', '?offset=-1&live=', '?offset=-1&live=SSE', '?offset=-1&live=x', `?offset=${tail}x`, `?offset=${tail}%20`, '?offset=1,2',
    `?offset=${START.replace('_', '/')}`, '?offset=0000000000000000_0000000000000099', '?offset=9999999999999999_9999999999999999'])
    assert.equal(await ask(query), 400, query)
})

test('a path is the same however it is written', async () => {
  const name = `p${++count}/ü b/50%25/a%2Fb`
  assert.equal((await daemon.put(name, text, 'x')).status, 201)
  for (const other of [encodeURI(`p${count}/ü b/`) + '50%25/a%2fb', `%70${count}/%C3%BC%20b/%35%30%25/%61%2F%62`]) {
    assert.equal(await read(other), 'x', other)
  }
  const location = (await daemon.put(`${name}/x`, text)).headers.get('location')
  assert.equal((await fetch(location)).status, 200)
  for (const other of [`p${count}/ü b/50%25/a/b`, `P${count}/ü b/50%25/a%2Fb`, `p${count}/ü+b/50%25/a%2Fb`])
    assert.equal((await head(other)).status, 404, other)
  // The absolute form of a request's target, as sent to a proxy, is a path of this server too.
  const absolute = await exchange(lines(`GET http://x/v1/stream/${encodeURI(`p${count}/ü b/`)}50%25/a%2Fb HTTP/1.1`, 'Host: x', 'Connection: close', '', ''))
  assert.equal(statusOf(absolute), 200)
})

test('numbers of a lifetime are plain', async () => {
  for (const value of ['0', '1', '3600', '9007199254740991']) assert.equal((await daemon.put(`ttl/${value}`, { ...text, 'stream-ttl': value })).status, 201)
  for (const value of ['', '+1', '-1', '01', '1.0', '1e3', '0x10', '1 2', '1,2', '9007199254740992', '99999999999999999999', 'abc', '１'])
    assert.equal((await daemon.put('ttl/bad', { ...text, 'stream-ttl': Buffer.from(value).toString('latin1') })).status, 400, value)
  const later = new Date(Date.now() + 3600e3)
  for (const value of [later.toISOString(), later.toISOString().replace('Z', '+00:00'), later.toISOString().replace('T', 't').replace('Z', 'z'),
    '2999-12-31T23:59:60Z', '2999-01-01T00:00:00.123456789-12:30'])
    assert.equal((await daemon.put(`at/${count++}`, { ...text, 'stream-expires-at': value })).status, 201, value)
  for (const value of ['', 'tomorrow', '2999-02-30T00:00:00Z', '2999-13-01T00:00:00Z', '2999-01-01', '2999-01-01T00:00:00', '2999-01-01T24:00:00Z',
    'Fri, 01 Jan 2999 00:00:00 GMT', '32503680000', '2999-01-01T00:00:00.Z'])
    assert.equal((await daemon.put('at/bad', { ...text, 'stream-expires-at': value })).status, 400, value)
  assert.equal((await daemon.put('at/both', { ...text, 'stream-ttl': '1', 'stream-expires-at': later.toISOString() })).status, 400)
  // What has expired already is gone as soon as it is there.
  assert.equal((await daemon.put('at/past', { ...text, 'stream-expires-at': '2000-01-01T00:00:00Z' })).status, 201)
  assert.equal((await head('at/past')).status, 404)
  assert.equal((await head('ttl/0')).status, 404)
  assert.equal((await head('ttl/3600')).headers.get('stream-ttl'), '3600')
})

test('cursors never go back', async () => {
  const path = await made(json, '[1]')
  const cursor = async (query) => Number((await fetch(daemon.stream(path, query))).headers.get('stream-cursor'))
  let last = await cursor('?offset=-1&live=long-poll')
  assert.ok(last > 0)
  for (let i = 0; i < 50; i++) {
    const next = await cursor(`?offset=-1&live=long-poll&cursor=${last}`)
    assert.ok(next > last, `${next} after ${last}`)
    last = next
  }
  // Of another server, or of nobody.
  for (const other of ['abc', '-1', '1e9', '', '99999999999999999999']) assert.ok((await cursor(`?offset=-1&live=long-poll&cursor=${other}`)) > 0)
  const sse = (await fetch(daemon.stream(path, `?offset=-1&live=sse&cursor=${last}`))).body.pipeThrough(new TextDecoderStream()).getReader()
  let events = ''
  while (!events.includes('streamCursor')) events += (await sse.read()).value
  const cursors = () => [...events.matchAll(/"streamCursor":"(\d+)"/g)].map((match) => Number(match[1]))
  assert.ok(cursors()[0] > last)
  for (let i = 2; i <= 20; i++) {
    await daemon.post(path, `[${i}]`)
    while (cursors().length < i) events += (await sse.read()).value
  }
  assert.deepEqual(cursors(), cursors().sort((a, b) => a - b))
  await sse.cancel()
  // Behind the largest that a program in JavaScript can count with, too.
  let far = BigInt(Number.MAX_SAFE_INTEGER)
  for (let i = 0; i < 3; i++) {
    const answer = await fetch(daemon.stream(path, `?offset=-1&live=long-poll&cursor=${far}`))
    const next = BigInt(answer.headers.get('stream-cursor'))
    assert.ok(next > far, `${next} after ${far}`)
    far = next
  }
})

test('who waits learns of data, an end, and a deletion, and misses nothing', async () => {
  const waiting = async (path, mode) => {
    const answer = fetch(daemon.stream(path, `?offset=now&live=${mode}`))
    while (!/^weir_live_readers 1$/m.test(await (await fetch(`${daemon.url}/metrics`)).text()));
    return { answer }
  }
  const closed = await made(text)
  const poll = await waiting(closed, 'long-poll')
  await fetch(daemon.stream(closed), { method: 'POST', headers: { 'stream-closed': 'true' } })
  const end = await poll.answer
  assert.equal(end.status, 204)
  for (const name of ['stream-closed', 'stream-up-to-date']) assert.equal(end.headers.get(name), 'true')

  const last = await made(text)
  const events = await waiting(last, 'sse')
  await daemon.post(last, 'a\nb\r\nc\rd', { ...text, 'stream-closed': 'true' })
  assert.match(await (await events.answer).text(), /event: data\ndata:a\ndata:b\ndata:c\ndata:d\n\nevent: control\ndata:{.*"streamClosed":true.*}\n\n$/)

  const gone = await made(text)
  const lost = await waiting(gone, 'long-poll')
  await fetch(daemon.stream(gone), { method: 'DELETE' })
  assert.equal((await lost.answer).status, 404)

  const forked = await made(text)
  assert.equal((await daemon.put(`${forked}/fork`, { 'stream-forked-from': `/v1/stream/${forked}` })).status, 201)
  const kept = await waiting(forked, 'long-poll')
  await fetch(daemon.stream(forked), { method: 'DELETE' })
  assert.equal((await kept.answer).status, 410)

  const over = await made({ ...text, 'stream-expires-at': new Date(Date.now() + 500).toISOString() })
  assert.equal((await fetch(daemon.stream(over, '?offset=now&live=long-poll'))).status, 404)

  const nothing = await made(text, 'x')
  const late = await fetch(daemon.stream(nothing, '?offset=now&live=long-poll'))
  assert.equal(late.status, 204)
  assert.equal(late.headers.get('stream-next-offset'), await tailOf(nothing))
  assert.ok(late.headers.get('stream-cursor'))
})

test('"now" on a closed stream is an end, in every mode', async () => {
  const path = await made({ ...text, 'stream-closed': 'true' }, 'all')
  for (const mode of ['', '&live=long-poll', '&live=sse']) {
    const answer = await fetch(daemon.stream(path, `?offset=now${mode}`))
    for (const name of ['stream-closed', 'stream-up-to-date']) assert.equal(answer.headers.get(name), 'true', `${name}${mode}`)
    assert.equal(answer.headers.get('stream-next-offset'), await tailOf(path))
    const body = await answer.text()
    if (mode.endsWith('sse')) assert.match(body, /^event: control\ndata:{[^\n]*"streamClosed":true}\n\n$/)
    else assert.equal(body, '')
  }
  // With data before the end, only the event behind them says it.
  const whole = await fetch(daemon.stream(path, '?offset=-1&live=sse'))
  assert.equal(whole.headers.get('stream-closed'), null)
  assert.match(await whole.text(), /data:all\n\nevent: control\ndata:{[^\n]*"streamClosed":true}\n\n$/)
})

test('a media type is the same in any case', async () => {
  for (const [type, encoding, data] of [['TEXT/Plain', null, '[1]'], ['Application/JSON;charset=UTF-8', null, '[1]'],
    ['textual/plain', 'base64', 'WzFd'], ['Image/PNG', 'base64', 'WzFd']]) {
    const path = await made({ 'content-type': type }, '[1]')
    await fetch(daemon.stream(path), { method: 'POST', headers: { 'stream-closed': 'true' } })
    const events = await fetch(daemon.stream(path, '?offset=-1&live=sse'))
    assert.equal(events.headers.get('stream-sse-data-encoding'), encoding, type)
    assert.match(await events.text(), new RegExp(`^event: data\ndata:${data.replaceAll('[', '\\[')}\n\n`), type)
    const page = await fetch(daemon.stream(path))
    assert.equal(page.headers.get('content-type'), type)
  }
})

// The source keeps growing; a fork stays what it was.
test('a fork at each offset, and each message or byte behind it', async () => {
  for (const [headers, appends, lengths] of [[json, ['[1,2,3]', '[4]', '[5,6]'], [3, 1, 2]], [text, ['abc', 'd', 'ef'], [3, 1, 2]]]) {
    const path = await made(headers)
    const offsets = [START]
    for (const body of appends) offsets.push((await daemon.post(path, body, headers)).headers.get('stream-next-offset'))
    const all = headers === json ? [1, 2, 3, 4, 5, 6] : 'abcdef'
    const contentOf = (part) => (headers === json ? JSON.stringify(part) : part)
    let before = 0
    for (const [index, offset] of offsets.entries()) {
      const length = lengths[index] ?? 0
      for (let sub = 0; sub <= length; sub++) {
        const name = `${path}/fork/${index}/${sub}`
        const answer = await daemon.put(name, { 'stream-forked-from': `/v1/stream/${path}`, 'stream-fork-offset': offset, 'stream-fork-sub-offset': `${sub}` })
        assert.equal(answer.status, 201, name)
        assert.equal(await read(name), contentOf(all.slice(0, before + sub)))
        assert.equal((await daemon.post(name, headers === json ? '"own"' : 'own', headers)).status, 204)
        assert.equal(await read(name), contentOf(headers === json ? [...all.slice(0, before + sub), 'own'] : `${all.slice(0, before + sub)}own`))
        assert.equal(await read(name, `?offset=${answer.headers.get('stream-next-offset')}`), headers === json ? '["own"]' : 'own')
      }
      const over = await daemon.put(`${path}/over`, { 'stream-forked-from': `/v1/stream/${path}`, 'stream-fork-offset': offset, 'stream-fork-sub-offset': `${length + 1}` })
      assert.equal(over.status, 400)
      before += length
    }
    assert.equal(await read(path), contentOf(all))
    for (const sub of ['-1', '01', '1.0', '', 'x'])
      assert.equal((await daemon.put(`${path}/over`, { 'stream-forked-from': `/v1/stream/${path}`, 'stream-fork-offset': START, 'stream-fork-sub-offset': sub })).status, 400, sub)
    assert.equal((await daemon.put(`${path}/over`, { 'stream-forked-from': `/v1/stream/${path}`, 'stream-fork-offset': '9999999999999999_9999999999999999' })).status, 400)
    assert.equal((await daemon.put(`${path}/over`, { 'stream-forked-from': '/v1/stream/none' })).status, 404)
    assert.equal((await daemon.put(`${path}/over`, { 'stream-fork-offset': START })).status, 400)
  }
})

test('an answer says in its text what the official clients look for there', async () => {
  const path = await made(json)
  assert.equal((await daemon.post(path, '1', { 'stream-seq': 'b' })).status, 204)
  const refused = await daemon.post(path, '2', { 'stream-seq': 'a' })
  assert.equal(refused.status, 409)
  assert.match(await refused.text(), /sequence/) // else it is a conflict of another kind to them
})

test('producers: what belongs together, bounds, repetition, fencing', async () => {
  const path = await made()
  const post = (id, epoch, seq, body = '1', more = {}) => daemon.post(path, body, {
    ...(id !== undefined && { 'producer-id': id }), ...(epoch !== undefined && { 'producer-epoch': `${epoch}` }),
    ...(seq !== undefined && { 'producer-seq': `${seq}` }), ...more })
  for (const [id, epoch, seq] of [['p', 0], ['p', undefined, 0], [undefined, 0, 0], ['', 0, 0], ['p', -1, 0], ['p', 0, '1.0'], ['p', '00', 0],
    ['p', 0, '9007199254740992'], ['p', 'x', 0], ['p', '', 0], ['x'.repeat(257), 0, 0]])
    assert.equal((await post(id, epoch, seq)).status, 400, `${id} ${epoch} ${seq}`)
  const check = async (answer, status, headers) => {
    assert.equal(answer.status, status)
    for (const [name, value] of Object.entries(headers)) assert.equal(answer.headers.get(name), value, name)
  }
  await check(await post('p', 0, 1), 409, { 'producer-expected-seq': '0', 'producer-received-seq': '1' })
  await check(await post('p', 0, 0), 200, { 'producer-epoch': '0', 'producer-seq': '0' })
  await check(await post('p', 0, 1), 200, { 'producer-seq': '1' })
  await check(await post('p', 0, 0), 204, { 'producer-epoch': '0', 'producer-seq': '1' })
  await check(await post('p', 0, 5), 409, { 'producer-expected-seq': '2', 'producer-received-seq': '5' })
  // What is no JSON changes nothing, and neither does another type.
  assert.equal((await post('p', 0, 2, '{')).status, 400)
  assert.equal((await post('p', 0, 2, '1', text)).status, 409)
  assert.equal((await post('p', 1, 1)).status, 400)
  await check(await post('p', 9007199254740991, 0), 200, { 'producer-epoch': '9007199254740991', 'producer-seq': '0' })
  await check(await post('p', 0, 2), 403, { 'producer-epoch': '9007199254740991' })
  await check(await post('q', 7, 0), 200, { 'producer-epoch': '7' })
  const before = await read(path)
  const many = await Promise.all(Array.from({ length: 20 }, () => post('q', 7, 1)))
  assert.deepEqual(many.map((answer) => answer.status).sort(), [200, ...Array(19).fill(204)])
  assert.equal(await read(path), before.replace(']', ',1]'))
  await check(await post('q', 7, 2, undefined, { 'stream-closed': 'true' }), 200, { 'stream-closed': 'true' })
  await check(await post('q', 7, 2, '1', { 'stream-closed': 'true' }), 204, { 'stream-closed': 'true' })
  const end = { 'stream-closed': 'true', 'stream-next-offset': await tailOf(path) }
  await check(await post('q', 7, 3), 409, end)
  // Closed is what matters, also to who is stale, skips, is new, or has another type.
  for (const [id, epoch, seq] of [['q', 6, 0], ['q', 6, 2], ['p', 0, 7], ['q', 7, 9], ['q', 8, 1], ['new', 0, 0]]) {
    await check(await post(id, epoch, seq), 409, end)
    await check(await post(id, epoch, seq, '1', { 'stream-closed': 'true' }), 409, end)
    await check(await post(id, epoch, seq, '1', { 'content-type': 'text/plain' }), 409, end)
  }
})
