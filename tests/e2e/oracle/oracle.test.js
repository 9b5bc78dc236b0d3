// Random committed SQL, and every user's stream compared with what the rules say in SQL: each
// transaction's events exactly, not only the end. WEIR_SEED repeats a run, WEIR_LONG=1 makes it long.

import test from 'node:test'
import { RULES, SCHEMA, SUBJECTS, TABLES } from '../lib/application.js'
import { Oracle } from '../lib/oracle.js'
import { Random, seedFromEnvironment } from '../lib/random.js'
import { shareCluster } from '../lib/shared_cluster.js'
import { Stack } from '../lib/stack.js'
import { userStream } from '../lib/stream.js'
import { Traffic } from '../lib/traffic.js'
import { History, verifyFolds } from '../lib/verify.js'

const cluster = shareCluster('oracle')
const LONG = process.env.WEIR_LONG === '1'
const ALL_STREAMS = SUBJECTS.map(userStream)

async function withStack(name, run, options = {}) {
  const seed = seedFromEnvironment()
  console.log(`seed: WEIR_SEED=${seed}`)
  const stack = await Stack.create(name, { cluster: cluster(), schema: SCHEMA, tables: TABLES, rules: RULES, ...options })
  try {
    await run(stack, seed)
  } catch (error) {
    error.message += `\nseed: WEIR_SEED=${seed}\nbridge:\n${stack.bridge.log()}`
    throw error
  } finally {
    await stack.close()
  }
}

async function everyEvent(stack, seed, rounds) {
  const oracle = new Oracle(stack.db)
  const traffic = new Traffic(await stack.connect(), new Random(seed))
  for (let i = 0; i < 40; i++) await traffic.transaction() // something for the snapshot
  const history = new History(await oracle.state())
  stack.bridge.start()
  await stack.settle()
  let events = 0
  for (let round = 0; round < rounds; round++) {
    for (let i = 0; i < 60; i++) {
      const { txid } = await traffic.transaction()
      if (txid !== null) history.committed(txid, await oracle.state(), traffic.log)
    }
    await stack.settle()
    events = await history.verify(stack.server.url, ALL_STREAMS)
  }
  console.log(`${rounds * 60} transactions, ${events} events`)
}

test('every event of random transactions is what the rules in SQL call for', async () => {
  await withStack('oracle', (stack, seed) => everyEvent(stack, seed, LONG ? 60 : 6))
})

// With so little memory each transaction goes the way of one that is too large for it.
test('every event of transactions that are worked on in the state folder is so, too', async () => {
  await withStack('spilled', (stack, seed) => everyEvent(stack, seed, LONG ? 20 : 2), { bridgeArgs: ['--transaction-memory', '1'] })
})

test('concurrent sessions: every folded stream equals what the rules in SQL say', async () => {
  await withStack('concurrent', async (stack, seed) => {
    const oracle = new Oracle(stack.db)
    stack.bridge.start()
    // Deadlocks among the sessions end transactions, which is as good as any other rollback.
    const sessions = []
    for (let i = 0; i < 3; i++) sessions.push(new Traffic(await stack.connect(), new Random(seed + i), { scale: 4, rules: i === 0, truncate: false }))
    const rounds = LONG ? 30 : 3
    for (let round = 0; round < rounds; round++) {
      await Promise.all(sessions.map(async (traffic) => {
        for (let i = 0; i < 80; i++) await traffic.transaction().catch(ignoreDeadlock)
      }))
      await stack.settle()
      await verifyFolds(stack.server.url, await oracle.state(), ALL_STREAMS)
    }
  })
})

function ignoreDeadlock(error) {
  if (error.code !== '40P01') throw error
}
