// Every named step of both daemons is reached, and a kill -9 there, with or without a loss of power,
// changes nothing for anybody. WEIR_SEED repeats a run.

import assert from 'node:assert/strict'
import test from 'node:test'
import { Random, seedFromEnvironment } from '../e2e/lib/random.js'
import { shareCluster } from '../e2e/lib/shared_cluster.js'
import { until } from '../e2e/lib/wait.js'
import { POINTS, pointsOf } from './lib/points.js'
import { withWorld } from './lib/world.js'

const cluster = shareCluster('steps')
const LONG = process.env.WEIR_LONG === '1'
const seed = seedFromEnvironment()
console.log(`WEIR_SEED=${seed}`)

const SPILLED = ['spill.begin', 'spool.sync', 'spool.synced', 'outgoing.committed', 'outgoing.part', 'outgoing.sent']
const isLoad = (name) => /^(load|first)\./.test(name)
const isResync = (name) => name.startsWith('resync.')
const isCompare = (name) => name.startsWith('compare.')
const isNewSlot = (name) => /^resync\.(note_slot|slot_made|restart|restarted)$/.test(name)
// It waits for the locks of a bridge that makes a slot, which waits for its transaction to end: until a timeout.
const NO_TRUNCATE = { traffic: { truncate: false } }
const visited = new Set()

/** The daemon dies at the step, perhaps its disk with it, and comes back. */
async function dieAt(world, daemon, name, provoke, { at = 1 } = {}) {
  await world.start(daemon, { WEIR_FAULT: `${name}:${at}=kill` }, { waits: false })
  const { signal } = await world.untilDead(daemon, provoke)
  assert.equal(signal, 'SIGKILL', `${name}: ${world.describe()}`)
  visited.add(name)
  if (world.random.chance(0.6)) world.losePower(daemon)
}

/** What leads to a step, again and again. */
const provoke = (world, name) => async (i) => {
  if (name === 'claim.decided' && i === 0) {
    await world.kill('bridge')
    await world.start('bridge')
  }
  await world.transaction()
}

for (const daemon of ['serve', 'bridge']) {
  test(`${daemon} dies at each step of its everyday`, async () => {
    await withWorld(`steps-${daemon}`, seed, async (world) => {
      await world.begin()
      for (const name of pointsOf(daemon).filter((name) => !SPILLED.includes(name) && !isLoad(name) && !isResync(name) && !isCompare(name))) {
        for (let round = 0; round < (LONG ? 6 : 1); round++) {
          await world.kill(daemon)
          await dieAt(world, daemon, name, provoke(world, name), { at: round === 0 || name === 'claim.decided' ? 1 : world.random.between(1, 4) })
          await world.revive()
          await world.transactions(2)
        }
      }
      await world.verify()
    }, { cluster: cluster() })
  })
}

test('the bridge dies at each step of a transaction that is too large for its memory', async () => {
  await withWorld('steps-spilled', seed + 1, async (world) => {
    await world.begin()
    for (const name of SPILLED) {
      for (let round = 0; round < (LONG ? 6 : 1); round++) {
        await world.kill('bridge')
        await dieAt(world, 'bridge', name, () => world.transaction(), { at: round === 0 ? 1 : world.random.between(1, 4) })
        await world.revive()
        await world.transactions(2)
      }
    }
    await world.verify()
  }, { cluster: cluster(), bridgeArgs: ['--transaction-memory', '1'] })
})

test('the bridge dies at each step of a table that changes and of a slot that is lost', async () => {
  await withWorld('steps-resync', seed + 2, async (world) => {
    await world.begin()
    let columns = 0
    for (const name of pointsOf('bridge').filter(isResync)) {
      for (let round = 0; round < (LONG ? 4 : 1); round++) {
        await world.verifyEnds()
        await world.kill('bridge')
        if (isNewSlot(name)) await dropSlots(world)
        else await world.stack.db.query(`ALTER TABLE countries ADD COLUMN extra${++columns} int DEFAULT ${columns}`)
        await dieAt(world, 'bridge', name, () => world.traffic.transaction())
        await world.revive()
        await world.traffic.transaction()
      }
    }
    await world.verifyEnds()
  }, { cluster: cluster(), ...NO_TRUNCATE })
})

test('the bridge dies at each step of a comparison with the streams, its folder being lost', async () => {
  await withWorld('steps-compare', seed + 4, async (world) => {
    await world.begin()
    for (const name of pointsOf('bridge').filter(isCompare)) {
      for (let round = 0; round < (LONG ? 4 : 1); round++) {
        await world.verifyEnds()
        await world.kill('bridge')
        world.disks.bridge.lose()
        await dieAt(world, 'bridge', name, () => world.traffic.transaction())
        await world.revive()
        await world.traffic.transaction()
      }
    }
    await world.verifyEnds()
  }, { cluster: cluster(), ...NO_TRUNCATE })
})

/** The walsender of a bridge that was killed holds its slot for a moment. */
async function dropSlots(world) {
  await until('the slot to be free', async () => {
    await world.stack.db.query(`SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots`)
    return true
  })
}

/** As new: no streams, no replica, no slot. */
async function forget(world) {
  await Promise.all([world.kill('bridge'), world.kill('server')])
  for (const disk of Object.values(world.disks)) disk.lose()
  await dropSlots(world)
}

test('the bridge dies at each step of the first load', async () => {
  await withWorld('steps-load', seed + 3, async (world) => {
    for (const name of pointsOf('bridge').filter(isLoad)) {
      await forget(world)
      await world.start('server')
      await dieAt(world, 'bridge', name, () => world.traffic.transaction())
      world.stack.marker = new world.stack.marker.constructor(world.server.url)
      await world.verifyEnds()
    }
  }, { cluster: cluster(), ...NO_TRUNCATE })
})

test('no step was forgotten', () => {
  assert.ok(POINTS.length > 30)
  assert.deepEqual(POINTS.map(({ name }) => name).filter((name) => !visited.has(name)), [])
})
