// Postgres is stopped and started again in the middle, as operators do it (fast) and as they should not
// (immediate), with the stream server there and away: it never waits for the bridge for long, and nothing
// is lost. WEIR_SEED repeats a run.

import assert from 'node:assert/strict'
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
