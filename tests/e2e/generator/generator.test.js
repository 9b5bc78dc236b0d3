// Generated schemas, rules and histories, and every stream compared with what Postgres itself answers.
// Some seeds are run first, then random ones for WEIR_MINUTES (3; 60 with WEIR_LONG=1, of larger worlds
// and random seeds only, so that several such runs add up). A world that fails is reported, and the others
// go on. WEIR_SEED=… runs one seed, for WEIR_TRANSACTIONS.

import assert from 'node:assert/strict'
import test from 'node:test'
import { Cluster } from '../lib/cluster.js'
import { seedFromEnvironment } from '../lib/random.js'
import { Workspace } from '../lib/workspace.js'
import { World } from './world.js'

const LONG = process.env.WEIR_LONG === '1'
const TRANSACTIONS = Number(process.env.WEIR_TRANSACTIONS ?? (LONG ? 3000 : 400))
const MINUTES = Number(process.env.WEIR_MINUTES ?? (LONG ? 60 : 3))
const FIXED_SEEDS = [1, 2, 3, 4, 10] // a world of each kind
const FAILURES_MAX = 20

function* seeds(end) {
  if (process.env.WEIR_SEED !== undefined) return yield seedFromEnvironment()
  const fixed = LONG ? [] : [...FIXED_SEEDS]
  for (let seed = seedFromEnvironment(); Date.now() < end; ) yield fixed.shift() ?? seed++
}

test('generated schemas, rules and histories', async () => {
  const start = Date.now()
  const workspace = new Workspace('generator-cluster')
  const total = { worlds: 0 }
  const failures = []
  try {
    const cluster = await Cluster.start(workspace, { settings: { max_prepared_transactions: 20, max_connections: 60 } })
    for (const seed of seeds(start + MINUTES * 60_000)) {
      const again = `WEIR_SEED=${seed} WEIR_TRANSACTIONS=${TRANSACTIONS}`
      const world = await runWorld(cluster, seed).catch((error) => {
        failures.push(`${again}: ${error.stack ?? error.message}`)
        console.log(failures.at(-1).slice(0, 20_000))
        return {}
      })
      total.worlds++
      for (const [name, count] of Object.entries(world)) total[name] = (total[name] ?? 0) + count
      const seconds = (Date.now() - start) / 1000
      const figures = Object.entries(total).map(([name, count]) => `${name} ${count}`).join(', ')
      console.log(`${again}: ${figures}, ${Math.round(seconds)} s, ${((total.transactions ?? 0) / seconds).toFixed(1)} transactions/s, failures ${failures.length}`)
      if (failures.length >= FAILURES_MAX) break
    }
  } finally {
    await workspace.close()
  }
  if (failures.length > 0) throw new Error(`${failures.length} of ${total.worlds} worlds failed:\n${failures.join('\n\n')}`)
})

test('a seed is the same history again, whoever is killed when', async () => {
  const seed = seedFromEnvironment()
  const workspace = new Workspace('generator-again')
  try {
    const cluster = await Cluster.start(workspace, { settings: { max_prepared_transactions: 20, max_connections: 60 } })
    const [once, again] = [await told(cluster, seed, 1), await told(cluster, seed, 2)]
    console.log(`WEIR_SEED=${seed}: ${once.steps.length} steps, kills ${once.kills} and ${again.kills}`)
    assert.ok(once.kills + again.kills > 0)
    assert.deepEqual(once.steps, again.steps)
  } finally {
    await workspace.close()
  }
})

/** What is done by one session, rules and changes of the schema among it, while the others die often. */
async function told(cluster, seed, kills) {
  const steps = []
  const tell = (step) => steps.push(step.replace(/\d+::regclass/g, '…::regclass'))
  const world = await World.create(seed, cluster, { transactions: 400, kills, tell })
  let failure
  try {
    const rounds = world.kind.rounds.filter(([, name]) => name !== 'concurrent' && name !== 'prepared')
    world.kind = { ...world.kind, rounds, serial: [10, 20], ruleChanges: 0.3, kills: [1, 0.1], killsAtDdl: 0.5, share: 1 }
    await world.run(150)
  } catch (error) {
    failure = error
  }
  failure = await world.close(failure)
  if (failure) throw failure
  return { steps, kills: world.counts.kills }
}

async function runWorld(cluster, seed) {
  const world = await World.create(seed, cluster, { transactions: TRANSACTIONS })
  let failure
  try {
    return await world.run(TRANSACTIONS)
  } catch (error) {
    failure = error
  } finally {
    failure = await world.close(failure)
  }
  throw failure
}
