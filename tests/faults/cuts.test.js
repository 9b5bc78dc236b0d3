// The connection is cut at the n-th piece of what passes, in either direction, between the bridge and
// Postgres and between the bridge and the stream server, from its start on: it connects again, by itself.
// WEIR_SEED repeats a run; WEIR_LONG=1 tries every n instead of some.

import assert from 'node:assert/strict'
import test from 'node:test'
import { seedFromEnvironment } from '../e2e/lib/random.js'
import { shareCluster } from '../e2e/lib/shared_cluster.js'
import { until } from '../e2e/lib/wait.js'
import { withWorld } from './lib/world.js'

const cluster = shareCluster('cuts')
const LONG = process.env.WEIR_LONG === '1'
const seed = seedFromEnvironment()
console.log(`WEIR_SEED=${seed}`)

/** What a bridge says to Postgres on the way from nothing to following. */
const STATEMENTS = ['CREATE_REPLICATION_SLOT', 'SET TRANSACTION SNAPSHOT', 'COPY (', 'START_REPLICATION']

/** Cuts at n = 1, 2, … until the bridge is through without having come to the n-th piece. */
async function cutEverywhere(world, proxy, isFromNear, restart, most) {
  let cuts = 0
  for (let n = LONG ? 1 : world.random.between(1, 3); n <= most; n += LONG ? 1 : world.random.between(3, 12)) {
    await world.kill('bridge')
    await restart()
    proxy.cutAtPiece(n, { isFromNear })
    await world.start('bridge')
    await world.traffic.transaction()
    await world.stack.settle({ deadlineMs: 120_000 })
    assert.ok(world.bridge.isRunning(), `piece ${n}: the bridge has ended`)
    if (!proxy.hasCut) break
    cuts++
  }
  proxy.heal()
  return cuts
}

for (const name of ['postgres', 'server']) {
  for (const isFromNear of [true, false]) {
    const way = isFromNear ? `to the ${name}` : `from the ${name}`
    test(`a connection is cut at each piece of what goes ${way}`, async () => {
      await withWorld(`cuts-${name}`, seed, async (world) => {
        world.stack.isKilling = false
        await world.begin()
        const starts = await cutEverywhere(world, world.proxies[name], isFromNear, () => {}, LONG ? 120 : 40)
        await world.verifyEnds()
        // And as new: no replica and no slot, and streams that are compared.
        const loads = await cutEverywhere(world, world.proxies[name], isFromNear, () => forget(world), LONG ? 120 : 40)
        await world.verifyEnds()
        assert.ok(starts > 0 && loads > 0)
        console.log(`${way}: ${starts} cuts while it starts, ${loads} while it loads`)
      }, { cluster: cluster(), traffic: { truncate: false } })
    })
  }
}

test('a connection is cut at each statement of a load', async () => {
  await withWorld('cuts-statements', seed, async (world) => {
    world.stack.isKilling = false
    await world.begin()
    for (const statement of STATEMENTS) {
      await world.kill('bridge')
      await forget(world)
      world.proxies.postgres.cutAtText(statement)
      await world.start('bridge')
      await world.traffic.transaction()
      await until(`the cut at ${statement}`, () => world.proxies.postgres.hasCut)
      await world.stack.settle({ deadlineMs: 120_000 })
      assert.ok(world.bridge.isRunning(), `${statement}: the bridge has ended`)
    }
    await world.verifyEnds()
  }, { cluster: cluster(), traffic: { truncate: false } })
})

async function forget(world) {
  world.disks.bridge.lose()
  await until('the slot to be free', async () => {
    await world.stack.db.query(`SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots`)
    return true
  })
}
