// Generated schemas, rules and histories, and every stream compared with what Postgres itself answers.
// WEIR_SEED repeats a run; WEIR_LONG=1 goes on for WEIR_MINUTES (60 unless given).

import test from 'node:test'
import { seedFromEnvironment } from '../lib/random.js'
import { World } from './world.js'

const LONG = process.env.WEIR_LONG === '1'
const WORLDS = Number(process.env.WEIR_WORLDS ?? 5)
const TRANSACTIONS = Number(process.env.WEIR_TRANSACTIONS ?? (LONG ? 4000 : 600))
const END = LONG ? Date.now() + Number(process.env.WEIR_MINUTES ?? 60) * 60_000 : Infinity

test('generated schemas, rules and histories', async () => {
  const seed = seedFromEnvironment()
  const total = {}
  for (let i = 0; LONG ? Date.now() < END : i < WORLDS; i++) {
    console.log(`WEIR_SEED=${seed + i} WEIR_WORLDS=1 WEIR_TRANSACTIONS=${TRANSACTIONS}`)
    const counts = await runWorld(seed + i)
    for (const [name, count] of Object.entries(counts)) total[name] = (total[name] ?? 0) + count
    console.log(`schemas ${i + 1}`, total)
  }
})

async function runWorld(seed) {
  const world = await World.create(seed)
  let failure
  try {
    return await world.run(TRANSACTIONS)
  } catch (error) {
    failure = error
  } finally {
    failure = await world.close(failure)
  }
  failure.message = `WEIR_SEED=${seed} WEIR_WORLDS=1 WEIR_TRANSACTIONS=${TRANSACTIONS}: ${failure.message}`
  throw failure
}
