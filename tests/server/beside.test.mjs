// Small appends beside large things: they are answered while those go on. What is asserted is the order
// of answers; how long each took is printed.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { Agent, request } from 'node:http'
import { connect } from 'node:net'
import { join } from 'node:path'
import { test } from 'node:test'
import { encodeBatch } from '../e2e/lib/batch.js'
import { Daemon } from './daemon.mjs'

const MiB = 1 << 20
const json = { 'content-type': 'application/json' }
const nowMs = () => Number(process.hrtime.bigint()) / 1e6

/** Appends to a stream of its own, one after the other, until it is told to stop. */
class Appender {
  times = [] // [sent, answered]
  agent = new Agent({ keepAlive: true, maxSockets: 1 })

  constructor(daemon, path) {
    this.url = daemon.stream(path)
  }

  post() {
    return new Promise((resolve, reject) => {
      request(this.url, { method: 'POST', agent: this.agent, headers: { ...json, 'content-length': 1 } },
        (answer) => answer.resume().on('end', () => resolve(answer.statusCode))).on('error', reject).end('1')
    })
  }

  start() {
    this.isStopping = false
    this.running = (async () => {
      while (!this.isStopping) {
        const sent = nowMs()
        assert.equal(await this.post(), 204)
        this.times.push([sent, nowMs()])
      }
    })()
  }

  async stop() {
    this.isStopping = true
    await this.running
    this.agent.destroy()
  }

  answeredBetween(from, to) {
    return this.times.filter(([, answered]) => answered >= from && answered <= to).length
  }

  describe() {
    const waits = this.times.map(([sent, answered]) => answered - sent).sort((a, b) => a - b)
    const at = (part) => waits[Math.min(waits.length - 1, Math.floor(waits.length * part))].toFixed(1)
    return `${waits.length} small appends, ms: median ${at(0.5)}, p99 ${at(0.99)}, longest ${at(1)}`
  }
}

/** A batch of about so many bytes: a thousand streams, payloads of 1 KiB. */
function largeBatch(epoch, step, bytes) {
  const streams = Array.from({ length: 1000 }, (_, i) => `many/${i}`)
  const count = Math.floor(bytes / 1032)
  const appends = streams.map((_, i) => [i, Array.from({ length: Math.floor(count / 1000) }, (_, j) => j * 1000 + i)])
  return encodeBatch({
    producer: 'p', epoch, before: [0, step], after: [0, step + 1], streams, appends,
    payloads: Array.from({ length: count }, (_, i) => JSON.stringify({ id: i, text: 'x'.repeat(1000) })),
  })
}

test('beside a batch of 60 MB, while it is received and while it is committed', async (t) => {
  const daemon = await Daemon.make()
  await daemon.put('small', json)
  const { epoch } = await (await fetch(daemon.stream('__weir/producers/p'), { method: 'POST' })).json()
  const small = new Appender(daemon, 'small')
  for (let step = 0; step < 3; step++) {
    const body = largeBatch(epoch, step, 60 * MiB)
    const socket = connect(daemon.port, '127.0.0.1')
    await once(socket, 'connect')
    small.start()
    const begun = nowMs()
    socket.write(`POST /v1/stream/__weir/batch HTTP/1.1\r\nHost: x\r\nContent-Type: application/vnd.weir.batch\r\nContent-Length: ${body.length}\r\nConnection: close\r\n\r\n`)
    // It comes piece by piece, and after each some small ones have their answers.
    const pieces = 20
    for (let i = 0; i < pieces; i++) {
      const before = small.times.length
      await new Promise((resolve) => socket.write(body.subarray(body.length * i / pieces, body.length * (i + 1) / pieces), resolve))
      if (i + 1 < pieces) while (small.times.length < before + 3) await new Promise((resolve) => setImmediate(resolve))
    }
    const sent = nowMs()
    let received = ''
    for await (const chunk of socket) received += chunk
    const answered = nowMs()
    await small.stop()
    assert.match(received, /^HTTP\/1\.1 200 /)
    const [during, after] = [small.answeredBetween(begun, sent), small.answeredBetween(sent, answered)]
    t.diagnostic(`batch: ${(sent - begun).toFixed()} ms to send, with ${during} small answers; then ${(answered - sent).toFixed()} ms, with ${after}; ${small.describe()}`)
    assert.ok(during >= 3 * (pieces - 1))
    small.times = []
    small.agent = new Agent({ keepAlive: true, maxSockets: 1 })
  }
  await daemon.remove()
})

test('beside reads of a large stream from the disk', async (t) => {
  const daemon = await Daemon.make('--cache-size', '1M', '--checkpoint-interval', '100ms')
  await daemon.put('small', json)
  await daemon.put('large', { 'content-type': 'text/plain' })
  const pages = 200
  for (let i = 0; i < pages; i++) await daemon.post('large', String(i % 10).repeat(MiB), { 'content-type': 'text/plain' })
  assert.equal(await daemon.stop(), 0)
  // Out of the kernel's memory too.
  spawnSync('dd', [`of=${join(daemon.data, 'catalog.mdb')}`, 'oflag=nocache', 'conv=notrunc,fdatasync', 'count=0', 'if=/dev/null'])
  await daemon.start()
  const faults = async () => Number((await readFile(`/proc/${daemon.child.pid}/stat`, 'latin1')).split(') ')[1].split(' ')[9])
  const before = await faults()
  const small = new Appender(daemon, 'small')
  small.start()
  let without = 0
  const begun = nowMs()
  const readAll = async () => {
    let offset = '-1', count = 0, isAtEnd = false
    while (!isAtEnd) {
      const before = small.times.length
      const answer = await fetch(daemon.stream('large', `?offset=${offset}`))
      assert.equal(await answer.text(), String(count++ % 10).repeat(MiB))
      offset = answer.headers.get('stream-next-offset')
      isAtEnd = answer.headers.has('stream-up-to-date')
      without += small.times.length === before
    }
    assert.equal(count, pages)
  }
  await readAll()
  const read = nowMs()
  const waits = (await faults()) - before
  t.diagnostic(`${pages} MiB read in ${(read - begun).toFixed()} ms; ${small.describe()}; ${without} pages without a small answer meanwhile; ${waits} waits for the disk`)
  // A page of a MiB is 256 of the kernel, which are not waited for one by one.
  assert.ok(waits < pages * 16, `${waits} waits for the disk`)
  // Small ones go on for as long as pages are read, however slow this disk is at syncing.
  while (small.times.length < pages / 2) await readAll()
  await small.stop()
  await daemon.remove()
})
