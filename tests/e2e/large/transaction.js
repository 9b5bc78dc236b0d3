// How much memory and time one large transaction takes, and whether what it says is all there.
// usage: node transaction.js [ROWS] [USERS]; prints a table like the one of
// docs/decisions/large-transactions.md. Not a test: how long it takes is the question.

import assert from 'node:assert/strict'
import { Peak } from '../lib/peak.js'
import { Stack } from '../lib/stack.js'
import { readStream, userStream } from '../lib/stream.js'

const ROWS = Number(process.argv[2] ?? 400_000)
const USERS = Number(process.argv[3] ?? 1000)
const SCHEMA = `CREATE TABLE rows (id int PRIMARY KEY, owner_id text, body text);`
const RULES = [{ name: 'own rows', relation: 'rows', audience: 'SELECT rows.owner_id' }]
const DEADLINE_MS = 7_200_000

async function measure(stack, what, sql) {
  const peak = new Peak(stack)
  const started = process.hrtime.bigint()
  await stack.db.query(sql)
  const committed = process.hrtime.bigint()
  await stack.settle({ deadlineMs: DEADLINE_MS })
  const now = process.hrtime.bigint()
  const { bridge, server } = peak.stop()
  const seconds = (from) => (Number(now - from) / 1e9).toFixed(1)
  console.log(`| ${what} of ${ROWS.toLocaleString('en')} | ${Math.round(bridge)} MB | ${Math.round(server)} MB | ${seconds(committed)} s | (${seconds(started)} s with the statement)`)
}

async function eventsOf(stack, user) {
  return (await readStream(stack.server.url, userStream(`u${user}`))).events
}

const stack = await Stack.create('transaction', { schema: SCHEMA, tables: ['rows'], rules: RULES })
try {
  stack.bridge.start()
  await stack.settle()
  console.log(`bridge ${stack.bridge.child.process.pid}, server ${stack.server.child.process.pid}`)
  await measure(stack, 'insert', `INSERT INTO rows SELECT i, 'u' || i % ${USERS}, repeat('x', 60) FROM generate_series(1, ${ROWS}) i`)
  await measure(stack, 'update', `UPDATE rows SET body = repeat('y', 60)`)
  await measure(stack, 'TRUNCATE', `TRUNCATE rows`)
  for (const user of [0, 1, USERS - 1]) {
    const counts = { insert: 0, update: 0, delete: 0 }
    for (const event of await eventsOf(stack, user)) counts[event.operation]++
    for (const count of Object.values(counts)) assert.equal(count, ROWS / USERS)
  }
} catch (error) {
  console.log(stack.bridge.log(), stack.server.log())
  throw error
} finally {
  await stack.close()
}
