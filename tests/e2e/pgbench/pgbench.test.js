// pgbench's TPC-B work, which nobody here wrote: accounts, tellers and branches are published, the
// branch number is the subject, and each branch's stream, folded, equals to_jsonb of its rows.
// WEIR_LONG=1 runs it at scale 10 with 4 clients for 60 s.

import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import test from 'node:test'
import { canonical } from '../lib/json.js'
import { describeDifference, flatten } from '../lib/oracle.js'
import { Stack } from '../lib/stack.js'
import { Fold, readStream } from '../lib/stream.js'

const LONG = process.env.WEIR_LONG === '1'
const SIZE = LONG ? { scale: 10, clients: 4, seconds: 60 } : { scale: 2, clients: 4, seconds: 5 }
const KEYS = { pgbench_accounts: 'aid', pgbench_tellers: 'tid', pgbench_branches: 'bid' }

const rules = Object.keys(KEYS).map((relation) => ({ name: relation, relation, audience: `SELECT ${relation}.bid`, stream: 'branch/{subject}' }))

function pgbench(stack, args) {
  return execFileSync(stack.cluster.program('pgbench'), args, { env: stack.cluster.environment('app'), encoding: 'utf8', stdio: 'pipe' })
}

/** Rows of one branch as a fold would hold them. */
async function rowsOf(stack, branch) {
  const rows = new Map()
  for (const [table, key] of Object.entries(KEYS)) {
    const result = await stack.db.query({ text: `SELECT ${key}::text, to_jsonb(t)::text FROM ${table} t WHERE bid = $1`, values: [branch], rowMode: 'array' })
    for (const [id, value] of result.rows) rows.set(`${table}\u0000${id}`, canonical(value))
  }
  return rows
}

test(`pgbench, scale ${SIZE.scale}, ${SIZE.clients} clients, ${SIZE.seconds} s`, async () => {
  const schema = `
    CREATE TABLE pgbench_accounts (aid int NOT NULL PRIMARY KEY, bid int, abalance int, filler char(84));
    CREATE TABLE pgbench_tellers (tid int NOT NULL PRIMARY KEY, bid int, tbalance int, filler char(84));
    CREATE TABLE pgbench_branches (bid int NOT NULL PRIMARY KEY, bbalance int, filler char(88));
    CREATE TABLE pgbench_history (tid int, bid int, aid int, delta int, mtime timestamp, filler char(22));`
  const stack = await Stack.create('pgbench', { schema, tables: Object.keys(KEYS), rules })
  try {
    pgbench(stack, ['-i', '-I', 'g', '-q', '-s', String(SIZE.scale)])
    stack.bridge.start()
    const before = process.hrtime.bigint()
    await stack.settle({ deadlineMs: 300_000 })
    const loaded = process.hrtime.bigint()
    const report = pgbench(stack, ['-n', '-c', String(SIZE.clients), '-j', '2', '-T', String(SIZE.seconds)])
    const ended = process.hrtime.bigint()
    await stack.settle({ deadlineMs: 300_000 })
    const settled = process.hrtime.bigint()
    const transactions = Number(/transactions actually processed: (\d+)/.exec(report)[1])
    const seconds = (from, to) => (Number(to - from) / 1e9).toFixed(1)
    console.log(`snapshot of ${SIZE.scale * 100_011} rows: ${seconds(before, loaded)} s; ${transactions} transactions, bridge through ${seconds(ended, settled)} s after the last`)

    let updates = 0
    for (let branch = 1; branch <= SIZE.scale; branch++) {
      const { events } = await readStream(stack.server.url, `branch/${branch}`)
      updates += events.filter((event) => event.operation === 'update').length
      const wrong = describeDifference(await rowsOf(stack, branch), flatten(new Fold().applyAll(events).state))
      assert.equal(wrong, '', `branch/${branch}:\n${wrong}`)
    }
    assert.ok(updates > 0, 'pgbench changed nothing')
  } finally {
    await stack.close()
  }
})
