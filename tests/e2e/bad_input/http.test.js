// Malformed HTTP and JSON get a status and a plain reason; the server goes on, and what it had
// acknowledged stays.

import assert from 'node:assert/strict'
import net from 'node:net'
import test, { after, before } from 'node:test'
import { crc32c, encodeBatch } from '../lib/batch.js'
import { request } from '../lib/raw_http.js'
import { within } from '../lib/wait.js'
import { Server } from '../lib/weir.js'
import { Workspace } from '../lib/workspace.js'

// Each request has a connection of its own: the server closes idle ones, perhaps just when one is used again.
const CLOSE = { connection: 'close' }
const JSON_TYPE = { 'content-type': 'application/json', ...CLOSE }

let workspace
let server

before(async () => {
  workspace = new Workspace('bad-http')
  server = await Server.start(workspace, { args: ['--idle-timeout', '1s'] })
  await put('/v1/stream/kept')
  await post('/v1/stream/kept', '{"kept":true}')
})

after(() => workspace.close())

const put = (path, headers = JSON_TYPE) => request(server.url, path, { method: 'PUT', headers })
const post = (path, body, headers = JSON_TYPE) => request(server.url, path, { method: 'POST', headers, body })

/** The server goes on with what it had, and nothing got into `target`. */
async function isUnharmed(target) {
  const { status, body } = await request(server.url, '/v1/stream/kept?offset=-1', { headers: CLOSE })
  assert.equal(status, 200)
  assert.deepEqual(JSON.parse(body), [{ kept: true }])
  if (target === undefined) return
  const there = await request(server.url, `${target}?offset=-1`, { headers: CLOSE })
  assert.equal(there.status, 200)
  assert.ok(there.body.length === 0 || there.body.equals(Buffer.from('[]')), `something got through: ${there.body.toString().slice(0, 80)}`)
}

let targets = 0

/** A new empty stream. */
async function makeTarget() {
  const target = `/v1/stream/target/${++targets}`
  assert.equal((await put(target)).status, 201)
  return target
}

/** Sends bytes, half-closes, and returns what comes back until the server closes. */
function raw(bytes) {
  return within(60_000, 'an answer or the end', new Promise((resolve) => {
    const socket = net.connect(server.port, '127.0.0.1', () => socket.end(bytes))
    let received = ''
    socket.on('data', (chunk) => {
      received += chunk.toString('latin1')
    })
    socket.on('error', () => resolve(received))
    socket.on('close', () => resolve(received))
  }))
}

for (const [what, bytes] of [
  ['no HTTP at all', '\u0000\u0001\u0002 nothing of the kind\r\n\r\n'],
  ['TLS', Buffer.from('16030100c8010000c40303', 'hex')],
  ['no version', 'GET /v1/stream/kept\r\n\r\n'],
  ['a header without a colon', 'GET /v1/stream/kept HTTP/1.1\r\nHost: x\r\nnonsense\r\n\r\n'],
  ['a negative length', 'POST TARGET HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: -5\r\n\r\n12345'],
  ['two lengths', 'POST TARGET HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n12'],
  ['length and chunks', 'POST TARGET HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n0\r\n\r\n'],
  ['a chunk of no size', 'POST TARGET HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n'],
  ['headers without an end', `GET /v1/stream/kept HTTP/1.1\r\nHost: x\r\n${'a: b\r\n'.repeat(200_000)}`],
  ['a path without an end', `GET /${'a'.repeat(1_000_000)} HTTP/1.1\r\n\r\n`],
  ['half a body', 'POST TARGET HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{"half":'],
]) {
  test(`malformed HTTP: ${what}`, async () => {
    const target = await makeTarget()
    const answer = await raw(typeof bytes === 'string' ? bytes.replace('TARGET', target) : bytes)
    assert.match(answer, /^$|^HTTP\/1\.[01] (4|5)\d\d /, answer.slice(0, 200))
    await isUnharmed(target)
  })
}

for (const body of ['', '{', '{"a":}', '[1,', 'nul', '"\u0001"', '{"a":1}{"b":2}', '\ufeff1', Buffer.from([0x22, 0xff, 0x22]), '[]', '01', "{'a':1}", '['.repeat(100_000)]) {
  test(`malformed JSON: ${JSON.stringify(String(body).slice(0, 20))}`, async () => {
    const target = await makeTarget()
    const { status, headers, body: reason } = await post(target, body)
    assert.equal(status, 400)
    assert.match(headers['content-type'], /^text\/plain/)
    assert.ok(reason.length > 0)
    await isUnharmed(target)
  })
}

for (const [method, path, expected] of [
  ['GET', '/v1/stream/kept?offset=nonsense', [400]],
  ['GET', '/v1/stream/kept?offset=', [400]],
  ['GET', '/v1/stream/kept?offset=-1&offset=-1', [400]],
  ['GET', '/v1/stream/kept?live=long-poll', [400]],
  ['GET', '/v1/stream/kept?offset=-1&live=sometimes', [400]],
  ['GET', '/v1/stream/none', [404]],
  ['POST', '/v1/stream/none', [404]],
  ['DELETE', '/v1/stream/none', [404]],
  ['PATCH', '/v1/stream/kept', [405, 501]],
  ['GET', '/nothing/here', [404]],
  ['PUT', '/v1/stream/', [400, 404, 405]],
  ['PUT', '/v1/stream/nul%00byte', [400]],
  ['PUT', '/v1/stream/line%0abreak', [400]],
  ['PUT', '/v1/stream/half%2', [400]],
  ['PUT', '/v1/stream/not-utf8-%ff', [400]],
  ['PUT', `/v1/stream/${'x'.repeat(20_000)}`, [400, 414, 431]],
  ['GET', '/v1/stream/__weir/nothing', [400, 404]],
  ['POST', '/v1/stream/__weir/batch', [400, 415]],
  ['PUT', '/v1/stream/__weir/batch', [400, 403, 404, 405, 409]],
]) {
  test(`${method} ${path.slice(0, 60)}`, async () => {
    const answer = await request(server.url, path, { method, headers: JSON_TYPE, body: method === 'POST' ? '1' : undefined })
    assert.ok(expected.includes(answer.status), `${answer.status} ${answer.body.toString().slice(0, 200)}`)
    await isUnharmed()
  })
}

const BATCHES = '/v1/stream/__weir/batch'
const sendBatch = (body) => post(BATCHES, body, { 'content-type': 'application/vnd.weir.batch', ...CLOSE })
const claim = async (producer) => JSON.parse((await post(`/v1/stream/__weir/producers/${producer}`, '')).body)

/** Three events for two streams. */
const batchOf = (producer, epoch, before, after) => encodeBatch({
  producer, epoch, before, after,
  payloads: ['{"n":1.10}', '{"n":2}', '{"n":3}'],
  streams: [`batch/${producer}/one`, `batch/${producer}/two%2F.`],
  appends: [[0, [0, 1]], [1, [1]], [0, [2]]],
})

async function textOf(path) {
  const { status, body } = await request(server.url, `/v1/stream/${path}?offset=-1`, { headers: CLOSE })
  return status === 200 ? body.toString() : status
}

test('the checksum is CRC-32C', () => assert.equal(crc32c(Buffer.from('123456789')), 0xe3069283))

test('a batch that is no batch, is cut off or has a byte changed is refused', async () => {
  const { epoch } = await claim('broken')
  const batch = batchOf('broken', epoch, [0, 0], [5, 0])
  for (const body of ['', 'WEIRBAT1', `WEIRBAT1${'\u0000'.repeat(100)}`, 'x'.repeat(5000)]) assert.equal((await sendBatch(body)).status, 400)
  for (let at = 0; at < batch.length; at++) {
    const changed = Buffer.from(batch)
    changed[at] ^= 1 << at % 8
    assert.equal((await sendBatch(changed)).status, 400, `byte ${at} changed`)
    assert.equal((await sendBatch(batch.subarray(0, at))).status, 400, `cut at ${at}`)
  }
  assert.equal(await textOf('batch/broken/one'), 404)
  assert.equal((await sendBatch(batch)).status, 200)
  assert.equal(await textOf('batch/broken/one'), '[{"n":1.10},{"n":2},{"n":3}]')
  await isUnharmed()
})

test('a batch whose checksum is right and whose content is not is refused', async () => {
  const { epoch } = await claim('odd')
  const good = { producer: 'odd', epoch, before: [0, 0], after: [5, 0], payloads: ['{"n":1}'], streams: ['batch/odd/one'], appends: [[0, [0]]] }
  for (const [what, part] of [
    ['a stream that is not there', { appends: [[1, [0]]] }],
    ['a payload that is not there', { appends: [[0, [1]]] }],
    ['a payload that is no JSON', { payloads: ['{"n":'] }],
    ['a reserved path', { streams: ['__weir/one'] }],
    ['a path in another form', { streams: ['batch/odd/%6fne'] }],
    ['a path with NUL', { streams: ['batch/odd/%00'] }],
    ['an empty path', { streams: [''] }],
    ['an end before the beginning', { before: [5, 0], after: [4, 0] }],
  ]) {
    const { status, body } = await sendBatch(encodeBatch({ ...good, ...part }))
    assert.ok(status === 400 || status === 409, `${what}: ${status} ${body}`)
  }
  assert.equal(await textOf('batch/odd/one'), 404)
  assert.equal((await sendBatch(encodeBatch(good))).status, 200)
  assert.equal(await textOf('batch/odd/one'), '[{"n":1}]')
})

test('a batch is written once, whatever is repeated, out of turn or of an older bridge', async () => {
  const first = await claim('p')
  assert.deepEqual([first.lsn, first.step], ['0/0', 0])
  const written = await sendBatch(batchOf('p', first.epoch, [0, 0], [5, 0]))
  assert.equal(written.status, 200, String(written.body))
  const repeated = await sendBatch(batchOf('p', first.epoch, [0, 0], [5, 0]))
  assert.equal(repeated.status, 200)
  assert.equal(JSON.parse(repeated.body).duplicate, true)
  const gap = await sendBatch(batchOf('p', first.epoch, [7, 0], [9, 0]))
  assert.equal(gap.status, 409)
  assert.deepEqual(JSON.parse(gap.body), { error: 'gap', lsn: '0/5', step: 0 })
  const second = await claim('p')
  assert.deepEqual(second, { epoch: first.epoch + 1, lsn: '0/5', step: 0 })
  const late = await sendBatch(batchOf('p', first.epoch, [5, 0], [9, 0]))
  assert.equal(late.status, 403)
  assert.deepEqual(JSON.parse(late.body), { error: 'fenced', epoch: second.epoch })
  assert.equal(await textOf('batch/p/one'), '[{"n":1.10},{"n":2},{"n":3}]')
  assert.equal(await textOf('batch/p/two%2f%2e'), '[{"n":2}]')
  await server.kill()
  await server.restart()
  assert.deepEqual(JSON.parse((await request(server.url, '/v1/stream/__weir/producers/p', { headers: CLOSE })).body), second)
  assert.equal(await textOf('batch/p/one'), '[{"n":1.10},{"n":2},{"n":3}]')
  assert.equal((await sendBatch(batchOf('p', second.epoch, [5, 0], [5, 1]))).status, 200)
  await isUnharmed()
})

test('a closed stream is skipped and named; the rest of the batch is written', async () => {
  const { epoch } = await claim('c')
  await put('/v1/stream/batch/c/one')
  await request(server.url, '/v1/stream/batch/c/one', { method: 'POST', headers: { 'stream-closed': 'true', ...CLOSE } })
  const { status, body } = await sendBatch(batchOf('c', epoch, [0, 0], [5, 0]))
  assert.equal(status, 200)
  assert.deepEqual(JSON.parse(body).skipped.map((skip) => skip.path), ['batch/c/one'])
  assert.equal(await textOf('batch/c/two%2F.'), '[{"n":2}]')
})
