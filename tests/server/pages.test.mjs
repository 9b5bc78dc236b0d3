// Streams larger than what is kept of encoded pages, read from end to end and again by several at once:
// every reader gets the writer's bytes, also of what has grown, or been made anew, meanwhile.
import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { test } from 'node:test'
import { Daemon } from './daemon.mjs'

const MiB = 1 << 20
const SIZE = 80 // MiB: the cache of pages holds 48
const binary = { 'content-type': 'application/octet-stream' }

async function append(daemon, path, parts) {
  for (const body of parts) {
    const answer = await fetch(daemon.stream(path), { method: 'POST', headers: binary, body })
    assert.equal(answer.status, 204)
  }
}

const hashOf = (parts) => parts.reduce((hash, part) => hash.update(part), createHash('sha256')).digest('hex')

// Its hash, and how many pages it came in.
async function readPages(daemon, path) {
  const hash = createHash('sha256')
  let count = 0
  for (let offset = '-1', isAtTail = false; !isAtTail; ) {
    const answer = await fetch(`${daemon.stream(path)}?offset=${offset}`)
    assert.equal(answer.status, 200)
    hash.update(Buffer.from(await answer.arrayBuffer()))
    count++
    offset = answer.headers.get('stream-next-offset')
    isAtTail = answer.headers.get('stream-up-to-date') === 'true'
  }
  return { hash: hash.digest('hex'), count }
}

const read = async (daemon, path) => (await readPages(daemon, path)).hash

async function pagesEncoded(daemon) {
  const metrics = await (await fetch(`${daemon.url}/metrics`)).text()
  return Number(/^weir_pages_encoded_total (\d+)$/m.exec(metrics)[1])
}

test('more than is kept of pages', async () => {
  const daemon = await Daemon.make('--cache-size', '64M')
  const parts = Array.from({ length: SIZE }, () => randomBytes(MiB))
  const create = () => fetch(daemon.stream('large'), { method: 'PUT', headers: binary })
  const all = (count) => Promise.all(Array.from({ length: count }, () => read(daemon, 'large')))
  await create()
  await append(daemon, 'large', parts)
  for (let pass = 0; pass < 3; pass++) assert.deepEqual(await all(pass + 1), Array(pass + 1).fill(hashOf(parts)))
  parts.push(randomBytes(MiB / 2))
  await append(daemon, 'large', parts.slice(-1))
  assert.deepEqual(await all(2), Array(2).fill(hashOf(parts)))
  await daemon.stop()
  await daemon.start()
  assert.deepEqual(await all(2), Array(2).fill(hashOf(parts)))
  assert.equal((await fetch(daemon.stream('large'), { method: 'DELETE' })).status, 204)
  await create()
  await append(daemon, 'large', parts.reverse())
  assert.deepEqual(await all(2), Array(2).fill(hashOf(parts)))
  await daemon.remove()
})

// Each is read from the store once, however far its pages are from each other: of these distances some
// once made all pages fall on one another, so that each was encoded anew in each pass.
test('what fits stays', async () => {
  const PAGES = 64
  for (const size of [12288, 13664, 15360, 15790, 16384]) {
    const daemon = await Daemon.make('--page-size', '4K')
    const parts = Array.from({ length: PAGES }, () => randomBytes(size))
    await fetch(daemon.stream('small'), { method: 'PUT', headers: binary })
    await append(daemon, 'small', parts)
    for (let pass = 0; pass < 3; pass++)
      assert.deepEqual(await readPages(daemon, 'small'), { hash: hashOf(parts), count: PAGES })
    assert.equal(await pagesEncoded(daemon), PAGES)
    await daemon.remove()
  }
})
