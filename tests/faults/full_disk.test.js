// A full disk, by small file systems of our own: writes are refused with 507 and reads go on, the bridge waits, and
// everything resumes by itself when there is room. Skipped where mounting is not allowed.

import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { appendFileSync, rmSync, statfsSync, writeFileSync, mkdirSync, mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'node:test'
import { seedFromEnvironment } from '../e2e/lib/random.js'
import { request } from '../e2e/lib/raw_http.js'
import { shareCluster } from '../e2e/lib/shared_cluster.js'
import { until } from '../e2e/lib/wait.js'
import { withWorld } from './lib/world.js'

const cluster = shareCluster('full-disk')
const seed = seedFromEnvironment()
console.log(`WEIR_SEED=${seed}`)

/** A file system of `size` at the folder, until the workspace closes. */
function mount(world, folder, size) {
  mkdirSync(folder, { recursive: true })
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${size}`, 'weir-test', folder], { stdio: 'pipe' })
  world.stack.workspace.onClose(async () => {
    await Promise.all([world.kill('bridge'), world.kill('server')])
    execFileSync('umount', [folder])
  })
}

function canMount() {
  try {
    const folder = mkdtempSync(join(tmpdir(), 'weir-mount-'))
    try {
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'weir-test', folder], { stdio: 'pipe' })
      execFileSync('umount', [folder])
    } finally {
      rmSync(folder, { recursive: true })
    }
    return true
  } catch {
    return false
  }
}

const skip = canMount() ? false : 'mounting a tmpfs is not allowed here'

/** Takes all room but `leave` bytes; returns what gives it back. The daemon may take some at the same time. */
function fill(folder, leave) {
  const path = join(folder, 'ballast')
  const room = () => {
    const { bavail, bsize } = statfsSync(folder)
    return bavail * bsize - leave
  }
  writeFileSync(path, '')
  for (let bytes; (bytes = Math.min(room(), 1 << 20)) > 0; ) {
    try {
      appendFileSync(path, Buffer.alloc(bytes))
    } catch (error) {
      if (error.code !== 'ENOSPC') throw error
    }
  }
  return () => rmSync(path)
}

const probe = (world, method, path, body) => request(world.server.url, path, { method, body, headers: { 'content-type': 'text/plain' } })

test('the server\'s disk is full: 507, reads go on, and all resumes by itself', { skip }, async () => {
  await withWorld('full-server', seed, async (world) => {
    mount(world, world.server.dataDir, '100m')
    world.disks.server.environment = () => ({})
    await world.begin()
    await world.transactions(5)
    await world.verify()
    assert.equal((await probe(world, 'PUT', '/v1/stream/probe', 'here')).status, 201)
    world.signal('bridge', 'SIGSTOP') // which reports about itself, for one
    await world.server.stop()
    await world.start('server') // without a log to write to
    const giveBack = fill(world.server.dataDir, 1 << 20)
    assert.equal((await probe(world, 'POST', '/v1/stream/probe', 'no')).status, 507)
    assert.equal((await probe(world, 'PUT', '/v1/stream/other', 'no')).status, 507)
    assert.equal((await probe(world, 'GET', '/v1/stream/probe?offset=-1')).body.toString(), 'here')
    world.signal('bridge', 'SIGCONT')
    await world.transactions(5)
    await until('the bridge to say that it waits', () => world.bridge.log(40).includes('answered 507'))
    assert.ok(world.bridge.isRunning() && world.server.isRunning())
    giveBack()
    await world.verify()
    assert.equal((await probe(world, 'POST', '/v1/stream/probe', ' again')).status, 204)
    assert.match(world.server.log(40), /no room on the disk[\s\S]*there is room on the disk again/)
  }, { cluster: cluster() })
})

for (const [what, memory] of [['', '16M'], [', while a large transaction is worked on', '1']]) {
  test(`the bridge's disk is full${what}: it waits, and resumes by itself`, { skip }, async () => {
    await withWorld('full-bridge', seed + 1, async (world) => {
      mount(world, world.bridge.stateDir, '40m')
      world.disks.bridge.environment = () => ({})
      await world.begin()
      await world.transactions(3)
      await world.verify()
      const giveBack = fill(world.bridge.stateDir, 64 << 10)
      const isFull = () => world.bridge.log(40).includes('waiting for room on the disk')
      // More than the space that it has taken already, over several transactions, as fast as it takes them.
      for (let round = 0; !isFull(); round++) {
        assert.ok(round < 60, 'the disk does not become full')
        assert.ok(world.bridge.isRunning(), 'the bridge has ended')
        const mark = await world.stack.mark()
        await until('the bridge to be through, or to have no room', async () => isFull() || world.stack.marker.hasArrived(mark), { deadlineMs: 60_000 })
        await world.recorded(`INSERT INTO todos (id, owner_id, body) SELECT 1000 * ${round + 1} + i, 'ana', repeat(md5(i::text), 250) FROM generate_series(1, 100) i`)
      }
      await world.transactions(3)
      assert.ok(world.bridge.isRunning())
      giveBack()
      await world.verify()
    }, { cluster: cluster(), bridgeArgs: ['--transaction-memory', memory], traffic: { truncate: false } })
  })
}

test('the bridge\'s disk has no room for an index that a new rule needs: it waits, and resumes by itself', { skip }, async () => {
  await withWorld('full-index', seed + 2, async (world) => {
    mount(world, world.bridge.stateDir, '300m')
    world.disks.bridge.environment = () => ({})
    // Nobody's, so that it is all in the replica alone.
    await world.traffic.db.query("INSERT INTO comments (id, body) SELECT 'large ' || i, md5(i::text) FROM generate_series(1, 200000) i")
    await world.begin()
    const giveBack = fill(world.bridge.stateDir, 64 << 10)
    await world.recorded(`INSERT INTO weir.rules (name, relation, audience)
      VALUES ('found by what they say', 'countries', 'SELECT c.author_id FROM comments c WHERE c.body = countries.code')`)
    const isFull = () => world.bridge.log(40).includes('waiting for room on the disk')
    await until('the bridge to have no room, or to have ended', () => isFull() || !world.bridge.isRunning(), { deadlineMs: 60_000 })
    assert.ok(world.bridge.isRunning(), 'the bridge has ended')
    giveBack()
    await world.recorded("INSERT INTO comments (id, author_id, body) VALUES ('of bo', 'bo', 'here')")
    await world.recorded("INSERT INTO countries VALUES ('here', 'a name', 1)")
    await world.verify()
  }, { cluster: cluster(), traffic: { truncate: false } })
})
