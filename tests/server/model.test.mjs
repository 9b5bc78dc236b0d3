// Random protocol operations against a real server and a plain model in memory, with restarts and
// SIGKILL in between: every answer and every stream must be the same. WEIR_SEED repeats a run,
// WEIR_SEEDS makes so many of them, one seed after the other: 100 with WEIR_LONG=1.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Daemon } from './daemon.mjs'

const firstSeed = Number(process.env.WEIR_SEED ?? Date.now() % 1000000)
const seeds = Number(process.env.WEIR_SEEDS ?? (process.env.WEIR_LONG === '1' ? 100 : 1))
const operations = Number(process.env.WEIR_OPERATIONS ?? 3000)
const paths = ['a', 'user/1/data', 'user/a%2Fb/data', 'deep/er/path', '%C3%A9']
const types = ['application/json', 'text/plain', 'application/octet-stream']

let state
function draw(below) {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0
  return Math.floor((state / 2 ** 32) * below)
}
const pick = (list) => list[draw(list.length)]
const offsetOf = (position) => `${'0'.repeat(16)}_${String(position).padStart(16, '0')}`

// A stream is its messages in order; `ends` marks those that end an append.
class Model {
  streams = new Map()
  constructor() {
    this.producers = new Map()
  }

  find(path) {
    return this.streams.get(path)
  }

  remove(path) {
    const stream = this.find(path)
    stream.isDeleted = true
    if (stream.forks) return
    this.streams.delete(path)
    const source = stream.source
    if (source && --source.forks === 0 && source.isDeleted) this.remove(source.path)
  }
}

const isJson = (stream) => stream.type === 'application/json'
const lengthOf = (messages) => messages.reduce((sum, message) => sum + message.text.length, 0)

function newMessages(type, count) {
  const messages = []
  for (let i = 0; i < count; i++)
    messages.push({
      text: type === 'application/json' ? JSON.stringify({ n: draw(100000) }) : `<${draw(100000)}>`,
      ends: i + 1 === count,
    })
  return messages
}

const bodyOf = (type, messages) => type === 'application/json'
  ? `[${messages.map((message) => message.text).join(', ')}]`
  : messages.map((message) => message.text).join('')

const contentOf = (stream, messages) => isJson(stream)
  ? `[${messages.map((message) => message.text).join(',')}]`
  : messages.map((message) => message.text).join('')

async function create(daemon, model, path) {
  const type = pick(types)
  const stream = model.find(path)
  const isClosed = draw(10) === 0
  const messages = draw(3) === 0 ? newMessages(type, type === types[0] ? 1 + draw(3) : 1) : []
  const ttl = pick([undefined, undefined, '3600', '7200'])
  const headers = { 'content-type': type, ...(isClosed && { 'stream-closed': 'true' }), ...(ttl && { 'stream-ttl': ttl }) }
  const answer = await daemon.put(path, headers, messages.length ? bodyOf(type, messages) : undefined)
  if (!stream) {
    assert.equal(answer.status, 201)
    assert.equal(answer.headers.get('stream-next-offset'), offsetOf(lengthOf(messages)))
    model.streams.set(path, { path, type, ttl, isClosed, messages, forks: 0, producers: new Map() })
  } else {
    const isSame = !stream.isDeleted && !stream.source && stream.type === type &&
      stream.isClosed === isClosed && stream.ttl === ttl
    assert.equal(answer.status, isSame ? 200 : 409)
  }
}

// At the end of an append, and some messages or bytes behind it.
async function fork(daemon, model, path, from) {
  const source = model.find(from)
  if (!source || model.find(path)) return
  let boundary = draw(source.messages.length + 1)
  while (boundary && !source.messages[boundary - 1].ends) boundary--
  let behind = boundary
  while (behind < source.messages.length &&
    (behind === boundary || !source.messages[behind - 1].ends)) behind++
  const taken = boundary + draw(behind - boundary + 1)
  const inherited = source.messages.slice(0, taken).map((message) => ({ ...message }))
  const offset = lengthOf(source.messages.slice(0, boundary))
  if (inherited.length) inherited.at(-1).ends = true
  const answer = await daemon.put(path, {
    'stream-forked-from': `/v1/stream/${from}`,
    'stream-fork-offset': offsetOf(offset),
    'stream-fork-sub-offset': String(isJson(source) ? taken - boundary
      : lengthOf(inherited) - offset),
  })
  assert.equal(answer.status, source.isDeleted ? 409 : 201)
  if (source.isDeleted) return
  assert.equal(answer.headers.get('content-type'), source.type)
  source.forks++
  model.streams.set(path, { path, type: source.type, ttl: source.ttl, isClosed: false, messages: inherited, forks: 0,
    source, producers: new Map() })
}

function expectedAppend(stream, { type, closes, seq, producer }, messages) {
  const known = producer && stream.producers.get(producer.id)
  if (stream.isClosed) {
    if (known?.closed && producer.epoch === known.epoch && producer.seq === known.seq) return 204
    return !messages.length && !producer ? 204 : 409
  }
  if (messages.length && type !== stream.type) return 409
  if (known && producer.epoch < known.epoch) return 403
  if (known && producer.epoch > known.epoch) {
    if (producer.seq) return 400
  } else if (producer) {
    const expected = known ? known.seq + 1 : 0
    if (producer.seq < expected) return 204
    if (producer.seq > expected) return 409
  }
  if (seq !== undefined && stream.seq !== undefined && seq <= stream.seq) return 409
  return producer && messages.length ? 200 : 204
}

async function append(daemon, model, path) {
  const stream = model.find(path)
  const type = draw(12) === 0 ? pick(types) : (stream?.type ?? types[0])
  const closes = draw(25) === 0
  const messages = closes && draw(2) ? []
    : newMessages(type, type === types[0] ? 1 + draw(4) : 1)
  const id = pick(['p', 'q'])
  const known = stream?.producers.get(id)
  const producer = draw(3) ? undefined : {
    id,
    epoch: Math.max(0, (known?.epoch ?? 0) + draw(8) - 6 + (draw(6) ? 0 : 1)),
    seq: draw(5) === 0 ? 0 : Math.max(0, (known?.seq ?? -1) + draw(3)),
  }
  const seq = draw(6) === 0 ? String(draw(1000)).padStart(4, '0') : undefined
  const answer = await daemon.post(path, bodyOfAppend(type, messages), {
    'content-type': type,
    ...(closes && { 'stream-closed': 'true' }),
    ...(seq !== undefined && { 'stream-seq': seq }),
    ...(producer && { 'producer-id': id, 'producer-epoch': `${producer.epoch}`,
      'producer-seq': `${producer.seq}` }),
  })
  if (!stream || stream.isDeleted) {
    assert.equal(answer.status, stream ? 410 : 404)
    return
  }
  const expected = expectedAppend(stream, { type, closes, seq, producer }, messages)
  assert.equal(answer.status, expected)
  const isDuplicate = producer && known && producer.epoch === known.epoch &&
    producer.seq <= known.seq
  if (expected > 204 || stream.isClosed || isDuplicate) return
  stream.messages.push(...messages)
  stream.isClosed = closes
  if (seq !== undefined) stream.seq = seq
  if (producer) stream.producers.set(id, { ...producer, closed: closes })
  assert.equal(answer.headers.get('stream-next-offset'), offsetOf(lengthOf(stream.messages)))
  assert.equal(answer.headers.get('stream-closed'), closes ? 'true' : null)
}

const bodyOfAppend = (type, messages) => (messages.length ? bodyOf(type, messages) : '')

async function remove(daemon, model, path) {
  const stream = model.find(path)
  const answer = await fetch(daemon.stream(path), { method: 'DELETE' })
  assert.equal(answer.status, !stream ? 404 : stream.isDeleted ? 410 : 204)
  if (stream && !stream.isDeleted) model.remove(path)
}

function endOfSomeAppend(stream) {
  let at = draw(stream.messages.length + 1)
  while (at && !stream.messages[at - 1].ends) at--
  return at
}

// That it is a page from message `at` on and ends with an append; where it ends.
async function checkPage(answer, stream, at, position) {
  const start = at
  assert.equal(answer.status, 200)
  assert.equal(answer.headers.get('content-type'), stream.type)
  const next = Number(answer.headers.get('stream-next-offset').slice(17))
  while (position < next) position += stream.messages[at++].text.length
  assert.equal(position, next)
  assert.ok(at === 0 || stream.messages[at - 1].ends)
  assert.equal(await answer.text(), contentOf(stream, stream.messages.slice(start, at)))
  const isAtTail = at === stream.messages.length
  assert.equal(answer.headers.get('stream-up-to-date'), isAtTail ? 'true' : null)
  assert.equal(answer.headers.get('stream-closed'), isAtTail && stream.isClosed ? 'true' : null)
  return at
}

// All pages from the end of some append on, each ending at the end of an append.
async function read(daemon, model, path) {
  const stream = model.find(path)
  if (!stream || stream.isDeleted) {
    assert.equal((await fetch(daemon.stream(path))).status, stream ? 410 : 404)
    return
  }
  let at = endOfSomeAppend(stream)
  let position = lengthOf(stream.messages.slice(0, at))
  for (;;) {
    const query = at === 0 ? '?offset=-1' : `?offset=${offsetOf(position)}`
    const answer = await fetch(daemon.stream(path, query))
    at = await checkPage(answer, stream, at, position)
    position = lengthOf(stream.messages.slice(0, at))
    const isAtTail = at === stream.messages.length
    const again = await fetch(daemon.stream(path, query), {
      headers: { 'if-none-match': answer.headers.get('etag') },
    })
    assert.equal(again.status, 304)
    if (isAtTail) return
  }
}

// What a live read from the end of some append brings: all there is at once, or nothing new.
async function readLive(daemon, model, path) {
  const stream = model.find(path)
  const mode = pick(['long-poll', 'sse'])
  const at = stream && !stream.isDeleted ? endOfSomeAppend(stream) : 0
  const position = stream ? lengthOf(stream.messages.slice(0, at)) : 0
  const hasNews = stream && (at < stream.messages.length || stream.isClosed)
  if (stream && !stream.isDeleted && !hasNews) return waitFor(daemon, model, stream, mode, position)
  const answer = await fetch(daemon.stream(path, `?offset=${offsetOf(position)}&live=${mode}`))
  if (!stream || stream.isDeleted) {
    assert.equal(answer.status, stream ? 410 : 404)
    return
  }
  if (mode === 'sse') {
    await followEvents(answer, stream, at)
  } else if (at === stream.messages.length) {
    assert.equal(answer.status, 204)
    assert.equal(answer.headers.get('stream-closed'), 'true')
  } else {
    await checkPage(answer, stream, at, position)
  }
}

// Nothing is there yet: it comes while the reader waits, or the stream goes.
async function waitFor(daemon, model, stream, mode, position) {
  const at = stream.messages.length
  const pending = fetch(daemon.stream(stream.path, `?offset=${offsetOf(position)}&live=${mode}`))
  while ((await liveReaders(daemon)) === 0);
  if (draw(6) === 0) {
    await remove(daemon, model, stream.path)
    const answer = await pending
    if (mode === 'long-poll') assert.equal(answer.status, stream.forks ? 410 : 404)
    else assert.doesNotMatch(await answer.text(), /event: data/)
    return
  }
  const messages = newMessages(stream.type, 1)
  const closes = draw(4) === 0
  const headers = { 'content-type': stream.type, ...(closes && { 'stream-closed': 'true' }) }
  assert.equal((await daemon.post(stream.path, bodyOf(stream.type, messages), headers)).status, 204)
  stream.messages.push(...messages)
  stream.isClosed = closes
  if (mode === 'sse') await followEvents(await pending, stream, at)
  else await checkPage(await pending, stream, at, position)
  while ((await liveReaders(daemon)) !== 0);
}

const liveReaders = async (daemon) =>
  Number(/^weir_live_readers (\d+)$/m.exec(await (await fetch(`${daemon.url}/metrics`)).text())[1])

// Data and control events in turns, up to the stream's end, of which each data ends with an append.
async function followEvents(answer, stream, at) {
  assert.equal(answer.status, 200)
  const isBinary = stream.type === 'application/octet-stream'
  assert.equal(answer.headers.get('stream-sse-data-encoding'), isBinary ? 'base64' : null)
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader()
  let received = '', position = lengthOf(stream.messages.slice(0, at)), data
  for (;;) {
    const end = received.indexOf('\n\n')
    if (end < 0) {
      const { value, done } = await reader.read()
      assert.ok(!done, 'an event stream that ends too early')
      received += value
      continue
    }
    const lines = received.slice(0, end).split('\n')
    received = received.slice(end + 2)
    if (lines[0].startsWith(':')) continue
    const content = lines.slice(1).map((line) => line.slice(5)).join('\n')
    if (lines[0] === 'event: data') {
      assert.equal(data, undefined)
      data = isBinary ? Buffer.from(content, 'base64').toString() : content
      continue
    }
    assert.equal(lines[0], 'event: control')
    const control = JSON.parse(content)
    const start = at
    const next = Number(control.streamNextOffset.slice(17))
    while (position < next) position += stream.messages[at++].text.length
    assert.equal(position, next)
    assert.ok(at === 0 || stream.messages[at - 1].ends)
    assert.equal(data, start === at ? undefined : contentOf(stream, stream.messages.slice(start, at)))
    data = undefined
    const isAtTail = at === stream.messages.length
    assert.equal(control.streamClosed, isAtTail && stream.isClosed ? true : undefined)
    if (!isAtTail) continue
    if (!stream.isClosed) assert.equal(control.upToDate, true)
    await reader.cancel()
    return
  }
}

async function head(daemon, model, path) {
  const stream = model.find(path)
  const answer = await fetch(daemon.stream(path), { method: 'HEAD' })
  assert.equal(answer.status, !stream ? 404 : stream.isDeleted ? 410 : 200)
  if (answer.status !== 200) return
  assert.equal(answer.headers.get('stream-next-offset'), offsetOf(lengthOf(stream.messages)))
  assert.equal(answer.headers.get('stream-closed'), stream.isClosed ? 'true' : null)
  assert.equal(answer.headers.get('stream-ttl'), stream.ttl ?? null)
}

async function restart(daemon) {
  if (draw(2)) await daemon.kill()
  else assert.equal(await daemon.stop(), 0)
  await daemon.start()
}

async function step(daemon, model) {
  const path = pick(paths)
  const kind = draw(1000)
  if (kind < 100) await create(daemon, model, path)
  else if (kind < 170) await fork(daemon, model, path, pick(paths))
  else if (kind < 620) await append(daemon, model, path)
  else if (kind < 660) await remove(daemon, model, path)
  else if (kind < 840) await read(daemon, model, path)
  else if (kind < 920) await readLive(daemon, model, path)
  else if (kind < 990) await head(daemon, model, path)
  else await restart(daemon)
}

async function run(seed) {
  state = seed
  const daemon = await Daemon.make('--page-size', pick(['1', '100', '1K']), '--cache-size', pick(['1K', '4K', '1M']),
    '--checkpoint-interval', pick(['10ms', '300ms', '10s']))
  const model = new Model()
  for (let i = 0; i < operations; i++) {
    try {
      await step(daemon, model)
    } catch (error) {
      error.message = `operation ${i} of WEIR_SEED=${seed}: ${error.message}`
      throw error
    }
  }
  await restart(daemon)
  for (const path of paths) await read(daemon, model, path)
  await daemon.remove()
}

for (let seed = firstSeed; seed < firstSeed + seeds; seed++) test(`random operations, WEIR_SEED=${seed}`, () => run(seed))
