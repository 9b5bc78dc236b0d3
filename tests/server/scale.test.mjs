// Many streams, most of them idle: what they cost in memory, files, reading at the start, and disk once
// they are gone. Figures that depend on the machine are printed; WEIR_LONG=1 takes a million streams.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { readFile, readdir } from 'node:fs/promises'
import { test } from 'node:test'
import { encodeBatch } from '../e2e/lib/batch.js'
import { Daemon } from './daemon.mjs'

const isLong = process.env.WEIR_LONG === '1'
const MiB = 1 << 20
const text = { 'content-type': 'text/plain' }
const pathOf = (i) => `user/${i}/data`
const pause = () => new Promise((resolve) => setImmediate(resolve))

async function memory(daemon) {
  const status = await readFile(`/proc/${daemon.child.pid}/status`, 'latin1')
  const kB = (name) => Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(status)[1]) * 1024
  return { anonymous: kB('RssAnon'), mapped: kB('RssFile') }
}

async function bytesRead(daemon) {
  const io = await readFile(`/proc/${daemon.child.pid}/io`, 'latin1')
  return Number(/^rchar: (\d+)$/m.exec(io)[1])
}

const openFiles = async (daemon) => (await readdir(`/proc/${daemon.child.pid}/fd`)).length

async function metric(daemon, name) {
  const answer = await (await fetch(`${daemon.url}/metrics`)).text()
  return Number(new RegExp(`^weir_${name} (\\d+)$`, 'm').exec(answer)[1])
}

const isCheckpointed = async (daemon) => (await metric(daemon, 'pinned_bytes')) === 0

async function allCheckpointed(daemon) {
  while (!(await isCheckpointed(daemon))) await pause()
}

/** Streams with a message each, `from` up to `until`, by batch appends. */
class Filler {
  step = 0

  constructor(daemon) {
    this.daemon = daemon
  }

  async fill(from, until) {
    const claimed = await fetch(this.daemon.stream('__weir/producers/filler'), { method: 'POST' })
    const { epoch } = await claimed.json()
    for (let at = from; at < until; at += 5000) {
      const count = Math.min(5000, until - at)
      const body = encodeBatch({
        producer: 'filler', epoch, before: [0, this.step], after: [0, ++this.step],
        payloads: ['{"n":1}'],
        streams: Array.from({ length: count }, (_, i) => pathOf(at + i)),
        appends: Array.from({ length: count }, (_, i) => [i, [0]]),
      })
      const answer = await fetch(this.daemon.stream('__weir/batch'), { method: 'POST', headers: { 'content-type': 'application/vnd.weir.batch' }, body })
      assert.equal(answer.status, 200, await answer.text())
    }
  }
}

async function figures(daemon) {
  return { ...(await memory(daemon)), read: await bytesRead(daemon), files: await openFiles(daemon) }
}

const difference = (after, before) => Object.fromEntries(Object.keys(after).map((key) => [key, after[key] - before[key]]))

test('a start reads no more for 100,000 streams than for none', async (t) => {
  const count = isLong ? 1_000_000 : 100_000
  const daemon = await Daemon.make('--checkpoint-interval', '100ms')
  const start = async (name) => {
    const started = process.hrtime.bigint()
    await daemon.start()
    const ms = Number(process.hrtime.bigint() - started) / 1e6
    const now = await figures(daemon)
    t.diagnostic(`${name}: ready after ${ms.toFixed()} ms, ${JSON.stringify(now)}`)
    return now
  }
  assert.equal(await daemon.stop(), 0)
  const none = await start('no streams')
  await new Filler(daemon).fill(0, count)
  assert.equal(await metric(daemon, 'streams'), count)
  await allCheckpointed(daemon)
  const check = async (now) => {
    const more = difference(now, none)
    assert.ok(more.read < MiB, `${more.read} bytes read`)
    assert.ok(more.mapped < 4 * MiB, `${more.mapped} bytes of files looked at`)
    assert.ok(more.anonymous < 4 * MiB, `${more.anonymous} bytes of memory`)
    assert.ok(more.files <= 4, `${more.files} more files`)
    assert.equal(await metric(daemon, 'streams'), count)
    for (const i of [0, count - 1]) assert.equal(await (await fetch(daemon.stream(pathOf(i)))).text(), '[{"n":1}]')
  }
  assert.equal(await daemon.stop(), 0)
  await check(await start(`${count} streams`))
  // Of the log, what no checkpoint has yet.
  await daemon.kill()
  await check(await start(`${count} streams, after SIGKILL`))
  await daemon.remove()
})

/** What so many streams cost when a thousand of them are written to, and twenty thousand asked for. */
async function costOf(count, t) {
  const daemon = await Daemon.make('--checkpoint-interval', '100ms', '--cache-size', '1M')
  await new Filler(daemon).fill(0, count)
  await allCheckpointed(daemon)
  const made = await memory(daemon)
  // LMDB keeps a page of memory for each one that a checkpoint has changed, so those who made them all
  // go first.
  assert.equal(await daemon.stop(), 0)
  await daemon.start()
  const active = 1000, asked = 20_000, step = Math.floor(count / asked)
  for (let round = 0; round < 3; round++) {
    for (let i = 0; i < active; i += 50)
      await Promise.all(Array.from({ length: 50 }, (_, j) => daemon.post(pathOf((i + j) * step), '{"n":2}')))
    await allCheckpointed(daemon)
  }
  for (let i = 0; i < asked; i += 50)
    await Promise.all(Array.from({ length: 50 }, (_, j) => fetch(daemon.stream(pathOf((i + j) * step)), { method: 'HEAD' })))
  const now = await figures(daemon)
  const loaded = await metric(daemon, 'streams_loaded')
  t.diagnostic(`${count} streams: ${JSON.stringify(now)}, ${loaded} loaded; ${made.anonymous} bytes of memory when they were made`)
  await daemon.remove()
  return { ...now, loaded }
}

test('streams that nobody uses take no memory and no files', async (t) => {
  const few = await costOf(20_000, t)
  const many = await costOf(isLong ? 1_000_000 : 200_000, t)
  const more = difference(many, few)
  assert.ok(more.anonymous < 16 * MiB, `${more.anonymous} bytes more`)
  assert.ok(more.loaded <= 0, `${more.loaded} more in memory`)
  assert.ok(Math.abs(more.files) <= 50, `${more.files} more files`) // connections of this test come and go
})

/** On the disk, whatever the files' lengths say. */
function diskBytes(daemon) {
  const { stdout } = spawnSync('du', ['-s', '-B1', daemon.data], { encoding: 'utf8' })
  return Number(stdout.split('\t')[0])
}

// Of a million bytes each; whatever is on the disk beside them, logs above all, may come to 130 MiB.
for (const [how, headers] of [['are deleted', {}], ['expire', { 'stream-ttl': '5' }]])
  test(`streams that ${how} give their space back`, async (t) => {
    const daemon = await Daemon.make('--checkpoint-interval', '100ms', '--cache-size', '1M')
    const count = isLong ? 2000 : 250
    const kept = 'x'.repeat(100_000)
    await daemon.put('kept', text, kept)
    await allCheckpointed(daemon)
    const before = diskBytes(daemon)
    for (let i = 0; i < count; i++) {
      assert.equal((await daemon.put(pathOf(i), { ...text, ...headers }, 'y'.repeat(500_000))).status, 201)
      await daemon.post(pathOf(i), 'z'.repeat(500_000), text)
    }
    await allCheckpointed(daemon)
    const full = diskBytes(daemon)
    if (how === 'are deleted') {
      assert.ok(full - before > count * 1e6 * 0.9, `${full - before} bytes on the disk`)
      for (let i = 0; i < count; i++) await fetch(daemon.stream(pathOf(i)), { method: 'DELETE' })
    }
    while ((await metric(daemon, 'streams')) > 1) await pause()
    let after
    do after = diskBytes(daemon)
    while (after > before + 130 * MiB)
    t.diagnostic(`MiB on the disk: ${[before, full, after].map((bytes) => (bytes / MiB).toFixed()).join(', ')} before, with them, and after`)
    assert.equal(await (await fetch(daemon.stream('kept'))).text(), kept)
    // What is there now takes the holes, and is whole.
    for (let i = 0; i < 50; i++) assert.equal((await daemon.put(`again/${i}`, text, `${i % 10}`.repeat(1e6))).status, 201)
    await daemon.stop()
    await daemon.start()
    assert.equal(await (await fetch(daemon.stream('kept'))).text(), kept)
    for (let i = 0; i < 50; i++) assert.equal(await (await fetch(daemon.stream(`again/${i}`))).text(), `${i % 10}`.repeat(1e6))
    await daemon.remove()
  })
