// kill -9 of the bridge or the server at random moments of a random history: after it, nothing is
// lost, nothing comes twice, nothing leaks. WEIR_SEED repeats a run, WEIR_LONG=1 makes it long.

import test from 'node:test'
import { RULES, SCHEMA, SUBJECTS, TABLES } from '../lib/application.js'
import { Oracle } from '../lib/oracle.js'
import { Random, seedFromEnvironment } from '../lib/random.js'
import { Stack } from '../lib/stack.js'
import { userStream } from '../lib/stream.js'
import { Traffic } from '../lib/traffic.js'
import { History } from '../lib/verify.js'

const LONG = process.env.WEIR_LONG === '1'
const ALL_STREAMS = SUBJECTS.map(userStream)

async function killOne(stack, random) {
  const victim = random.weighted([[3, 'bridge'], [3, 'server'], [1, 'both']])
  if (victim !== 'server') await stack.bridge.kill()
  if (victim !== 'bridge') {
    await stack.server.kill()
    await stack.server.restart()
  }
  if (victim !== 'server') stack.bridge.start()
  return victim
}

/** Transactions run while daemons die and come back; `pace` decides how often one is killed. */
async function killDuring(stack, random, { history, oracle, traffic, transactions, pace }) {
  let kills = 0
  for (let i = 0; i < transactions; i++) {
    // Not waited for: the transactions of the next lines run while daemons come up.
    const killing = random.chance(pace) ? killOne(stack, random) : undefined
    if (killing) kills++
    const { txid } = await traffic.transaction()
    if (txid !== null) history.committed(txid, await oracle.state(), traffic.log)
    await killing
  }
  return kills
}

test('killed daemons lose, repeat and leak nothing', async () => {
  const seed = seedFromEnvironment()
  console.log(`seed: WEIR_SEED=${seed}`)
  const stack = await Stack.create('kill', { schema: SCHEMA, tables: TABLES, rules: RULES })
  try {
    const random = new Random(seed)
    const oracle = new Oracle(stack.db)
    const traffic = new Traffic(await stack.connect(), new Random(seed + 1))
    for (let i = 0; i < 200; i++) await traffic.transaction()
    const history = new History(await oracle.state())
    stack.isKilling = true
    stack.bridge.start()
    const rounds = LONG ? 40 : 4
    let kills = 0
    for (let round = 0; round < rounds; round++) {
      kills += await killDuring(stack, random, { history, oracle, traffic, transactions: 60, pace: 0.12 })
      await stack.settle()
      await history.verify(stack.server.url, ALL_STREAMS)
    }
    console.log(`${kills} kills`)
  } catch (error) {
    error.message += `\nseed: WEIR_SEED=${seed}\nbridge:\n${stack.bridge.log(40)}\nserver:\n${stack.server.log()}`
    throw error
  } finally {
    await stack.close()
  }
})
