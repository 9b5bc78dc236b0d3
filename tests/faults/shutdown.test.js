// Postgres is stopped and started again in the middle, as operators do it (fast) and as they should not
// (immediate), with the stream server there and away: it never waits for the bridge for long, and nothing
// is lost. WEIR_SEED repeats a run.

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import test from 'node:test'
import { seedFromEnvironment } from '../e2e/lib/random.js'
import { until } from '../e2e/lib/wait.js'
import { withWorld } from './lib/world.js'

const LONG = process.env.WEIR_LONG === '1'
const seed = seedFromEnvironment()
console.log(`WEIR_SEED=${seed}`)

for (const server of ['there', 'paused', 'gone']) {
  test(`Postgres is shut down and started again, with the stream server ${server}`, async () => {
    await withWorld(`shutdown-${server}`, seed, async (world) => {
      await world.begin()
      for (let round = 0; round < (LONG ? 12 : 2); round++) {
        const { pid } = world.bridge.child
        await world.transactions(2)
        if (server === 'paused') world.signal('server', 'SIGSTOP')
        if (server === 'gone') await world.kill('server')
        await world.transactions(world.random.between(0, 6))
        // Which ends: a walsender waits for what it has sent to be confirmed.
        if (round % 2 === 1) await world.crashPostgres()
        else await world.restartPostgres()
        await world.transactions(world.random.between(0, 3))
        if (server === 'paused') world.signal('server', 'SIGCONT')
        await world.revive()
        assert.equal(world.bridge.child.pid, pid, 'the bridge is still the same')
        await world.stack.settle({ deadlineMs: 120_000 })
      }
      await world.verify()
      assert.doesNotMatch(world.bridge.log(500), /shows no rows to anybody/)
    })
  })
}

test('Postgres is shut down while the bridge waits for room in the server, in a large transaction', async () => {
  await withWorld('shutdown-large', seed + 1, async (world) => {
    await world.begin()
    for (let round = 0; round < (LONG ? 6 : 1); round++) {
      world.signal('server', 'SIGSTOP')
      await world.recorded(`INSERT INTO todos (id, owner_id, body) SELECT 1000 * ${round + 1} + i, 'ana', repeat(md5(i::text), 30) FROM generate_series(1, 900) i`)
      await world.transactions(3)
      await until('what the slot has to be read', async () => (await world.walsender()).is_all_sent)
      await world.restartPostgres()
      world.signal('server', 'SIGCONT')
      await world.stack.settle({ deadlineMs: 120_000 })
    }
    await world.verify()
  }, { bridgeArgs: ['--transaction-memory', '4K', '--batch-size', '1K'], traffic: { truncate: false } })
})

const standsStill = ({ child }) => / T /.test(readFileSync(`/proc/${child.pid}/stat`, 'utf8'))

test('Postgres is shut down while a part of what a large transaction says waits for room in the server', async () => {
  await withWorld('shutdown-part', seed + 2, async (world) => {
    const { bridge, stack } = world
    await world.begin()
    await world.kill('bridge')
    await world.start('bridge', { WEIR_FAULT: 'outgoing.committed:1=pause' })
    const { pid } = bridge.child
    stack.workspace.onClose(() => bridge.isRunning() && bridge.child.process.kill('SIGCONT'))
    // Each owner's five rows are a part; there is room for three.
    await world.recorded(`INSERT INTO todos (id, owner_id, body) SELECT 1000000 + i, 'owner-' || i / 5, repeat(md5(i::text), 32000) FROM generate_series(0, 34) i`)
    await until('the bridge to stand still', () => standsStill(bridge), { deadlineMs: 60_000 })
    world.signal('server', 'SIGSTOP')
    world.signal('bridge', 'SIGCONT')
    await world.restartPostgres() // ends once the bridge has let go
    world.signal('server', 'SIGCONT')
    await world.recorded('DELETE FROM todos WHERE id >= 1000000')
    await stack.settle({ deadlineMs: 120_000 })
    assert.equal(bridge.child.pid, pid, 'the bridge is still the same')
    await world.verify()
  }, { bridgeArgs: ['--transaction-memory', '1M'], traffic: { truncate: false } })
})
