// @durable-streams/client as it comes from npm, against weir serve: create, append, read, follow.

import assert from 'node:assert/strict'
import test, { after, before } from 'node:test'
import { DurableStream, IdempotentProducer, stream } from '@durable-streams/client'
import { Cutter } from '../e2e/lib/cutter.js'
import { until, within } from '../e2e/lib/wait.js'
import { Server } from '../e2e/lib/weir.js'
import { Workspace } from '../e2e/lib/workspace.js'

const DEADLINE_MS = 60_000
let workspace
let server
let cutter

before(async () => {
  workspace = new Workspace('clients')
  server = await Server.start(workspace)
  cutter = await Cutter.start(workspace, server.port)
})

after(() => workspace.close())

const urlOf = (path, base = server.url) => `${base}/v1/stream/${path}`
const create = (path) => DurableStream.create({ url: urlOf(path), contentType: 'application/json' })
const numbers = (from, to) => Array.from({ length: to - from }, (_, i) => from + i)

/** Follows until `count` items have come: {items, offset, sessions}. The client gives a session up
 * when an SSE response breaks off, so a new session then goes on from the last batch's offset, as an
 * application would. Calls onItems after each batch with how many there are. */
async function follow({ offset = '-1', ...options }, count, onItems = () => {}) {
  const progress = { items: [], offset, sessions: 0 }
  const end = Date.now() + DEADLINE_MS
  while (progress.items.length < count) {
    if (Date.now() > end) throw new Error(`${progress.items.length} of ${count} items in ${DEADLINE_MS} ms`)
    progress.sessions++
    await followOnce(options, progress, count, onItems).catch((error) => {
      if (!(error instanceof TypeError)) throw error // what fetch() calls a broken connection
    })
  }
  return progress
}

async function followOnce(options, progress, count, onItems) {
  const abort = new AbortController()
  const response = await stream({ ...options, offset: progress.offset, json: true, signal: abort.signal, sseResilience: { logWarnings: false } })
  const done = new Promise((resolve, reject) => {
    response.closed.catch(reject)
    response.subscribeJson(async (batch) => {
      progress.items.push(...batch.items)
      progress.offset = batch.offset
      onItems(progress.items.length)
      if (progress.items.length >= count) resolve()
    })
  })
  await within(DEADLINE_MS, `${count} items`, done).finally(() => abort.abort())
}

test('a stream is created, appended to and read from the beginning', async () => {
  const handle = await create('plain/one')
  await handle.append(JSON.stringify({ n: 1 }))
  await Promise.all(numbers(2, 50).map((n) => handle.append(JSON.stringify({ n }))))
  const response = await stream({ url: urlOf('plain/one'), offset: '-1', live: false })
  const items = await response.json()
  assert.deepEqual(items.map((item) => item.n).sort((a, b) => a - b), numbers(1, 50))
  const head = await handle.head()
  assert.equal(head.contentType, 'application/json')
  assert.equal(head.offset, response.offset)
})

test('a stream that does not exist ends the client with 404', async () => {
  await assert.rejects(stream({ url: urlOf('plain/none'), live: false }), (error) => error.status === 404 || /not found/i.test(error.message))
})

test('text that is hard to carry comes back as it was', async () => {
  const handle = await create('plain/text')
  const texts = ['', '\r\n\r\n', 'data: x\n\nevent: control', '\u2028\u2029\u0000', '日本 😀', '"\\"', 'x'.repeat(70_000)]
  for (const text of texts) await handle.append(JSON.stringify({ text }))
  for (const live of [false, 'long-poll', 'sse']) {
    const { items } = await follow({ url: urlOf('plain/text'), offset: '-1', live }, texts.length)
    assert.deepEqual(items.map((item) => item.text), texts, `live: ${live}`)
  }
})

test('plain text comes back with the spaces that its lines begin with', async () => {
  const url = urlOf('plain/tokens')
  const handle = await DurableStream.create({ url, contentType: 'text/plain' })
  const parts = ['Once', ' upon', '  a\n', ' time\n   there', '\n was', ' ', 'one']
  for (const live of ['long-poll', 'sse']) {
    const response = await stream({ url, offset: 'now', live })
    let text = ''
    response.subscribeText(async (batch) => (text += batch.text))
    for (const [i, part] of parts.entries()) {
      await handle.append(part)
      const expected = parts.slice(0, i + 1).join('')
      await until(`${live}: ${part}`, () => text.length >= expected.length || text !== expected.slice(0, text.length))
      assert.equal(text, expected, `live: ${live}`)
    }
    response.cancel()
  }
})

test('an idempotent producer writes each event once', async () => {
  const handle = await create('plain/producer')
  const failures = []
  const producer = new IdempotentProducer(handle, 'writer-1', { autoClaim: true, onError: (error) => failures.push(error) })
  for (const n of numbers(0, 500)) producer.append(JSON.stringify({ n }))
  await producer.flush()
  await producer.detach()
  assert.deepEqual(failures, [])
  const items = await (await stream({ url: urlOf('plain/producer'), live: false })).json()
  assert.deepEqual(items.map((item) => item.n), numbers(0, 500))
})

for (const live of [true, 'long-poll', 'sse']) {
  test(`live: ${live}, from a saved offset after a disconnect, nothing lost and nothing twice`, async () => {
    const path = `resume/${live}`
    const handle = await create(path)
    for (const n of numbers(0, 20)) await handle.append(JSON.stringify(n))
    const first = await follow({ url: urlOf(path), offset: '-1', live }, 20)
    for (const n of numbers(20, 40)) await handle.append(JSON.stringify(n)) // while nobody follows
    const writing = (async () => {
      for (const n of numbers(40, 80)) await handle.append(JSON.stringify(n))
    })()
    const second = await follow({ url: urlOf(path), offset: first.offset, live }, 80 - first.items.length)
    await writing
    assert.deepEqual([...first.items, ...second.items], numbers(0, 80))
  })

  test(`live: ${live}, through a network that keeps breaking`, async () => {
    const path = `broken/${live}`
    const handle = await create(path)
    const total = 300
    const writing = (async () => {
      for (const n of numbers(0, total)) await handle.append(JSON.stringify(n))
    })()
    let cuts = 0
    const { items } = await follow({ url: urlOf(path, cutter.url), offset: '-1', live }, total, (count) => {
      if (cuts < 4 && count >= (cuts + 1) * 50) cuts += cutter.cut() > 0 ? 1 : 0
    })
    await writing
    assert.ok(cuts > 0, 'nothing was cut')
    assert.deepEqual(items, numbers(0, total))
  })

  test(`live: ${live}, over a kill -9 of the server`, async () => {
    const path = `killed/${live}`
    const handle = await create(path)
    for (const n of numbers(0, 30)) await handle.append(JSON.stringify(n))
    let restarted
    const { items } = await follow({ url: urlOf(path), offset: '-1', live }, 60, (count) => {
      if (count < 30 || restarted) return
      restarted = (async () => {
        await server.kill()
        await server.restart()
        for (const n of numbers(30, 60)) await handle.append(JSON.stringify(n))
      })()
    })
    await restarted
    assert.deepEqual(items, numbers(0, 60))
  })
}

test('a closed stream ends its followers', async () => {
  const handle = await create('plain/closed')
  await handle.append('1')
  const response = await stream({ url: urlOf('plain/closed'), offset: '-1', live: true, json: true })
  const items = []
  response.subscribeJson(async (batch) => items.push(...batch.items))
  await handle.close({ body: '2' })
  await within(DEADLINE_MS, 'the end of the stream', response.closed)
  await until('the last item', () => items.length === 2) // the subscriber may lag behind `closed`
  assert.deepEqual(items, [1, 2])
})

test('a deleted stream is gone', async () => {
  const handle = await create('plain/deleted')
  await handle.delete()
  assert.equal((await handle.head()).exists, false)
  await assert.rejects(handle.append('1'))
})
