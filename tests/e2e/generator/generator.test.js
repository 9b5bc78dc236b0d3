// Generated schemas, rules and histories, and every stream compared with what Postgres itself answers.
// Some seeds are run first, then random ones for WEIR_MINUTES (3; 60 with WEIR_LONG=1, of larger worlds
// and random seeds only, so that several such runs add up). A world that fails is reported, and the others
// go on. WEIR_SEED=… runs one seed, for WEIR_TRANSACTIONS.

import test from 'node:test'
import { Cluster } from '../lib/cluster.js'
import { seedFromEnvironment } from '../lib/random.js'
import { Workspace } from '../lib/workspace.js'
import { World } from './world.js'

const LONG = process.env.WEIR_LONG === '1'
const TRANSACTIONS = Number(process.env.WEIR_TRANSACTIONS ?? (LONG ? 3000 : 400))
const MINUTES = Number(process.env.WEIR_MINUTES ?? (LONG ? 60 : 3))
const FIXED_SEEDS = [1, 2, 3, 14] // a world of each kind
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
