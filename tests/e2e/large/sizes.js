// What many tables, many small transactions and one large value take of time and memory, and whether
// all of it arrives. usage: node sizes.js tables|transactions|value [COUNT]
// COUNT: tables (10,000), transactions (100,000), megabytes of the value (50). Not a test: how much
// it takes is the question; that nothing is missing or twice is checked.

import assert from 'node:assert/strict'
import { Oracle } from '../lib/oracle.js'
import { Peak } from '../lib/peak.js'
import { Stack } from '../lib/stack.js'
import { readStream, userStream } from '../lib/stream.js'
import { verifyFolds } from '../lib/verify.js'

const DEADLINE_MS = 3_600_000
const CHUNK = 500 // statements in a query

async function measure(stack, what, act) {
  const peak = new Peak(stack)
  const started = process.hrtime.bigint()
  await act()
  const done = process.hrtime.bigint()
  await stack.settle({ deadlineMs: DEADLINE_MS })
  const now = process.hrtime.bigint()
  const { bridge, server } = peak.stop()
  const seconds = (from) => (Number(now - from) / 1e9).toFixed(1)
  console.log(`| ${what} | bridge ${Math.round(bridge)} MB | server ${Math.round(server)} MB | ${seconds(done)} s after the last commit | ${seconds(started)} s in all |`)
}

async function execute(db, statements) {
  for (let i = 0; i < statements.length; i += CHUNK) await db.query(statements.slice(i, i + CHUNK).join(';'))
}

const numbers = (count) => Array.from({ length: count }, (_, index) => index)

async function withStack(settings, act) {
  const stack = await Stack.create('sizes', settings)
  try {
    stack.bridge.start()
    await stack.settle()
    await act(stack)
  } catch (error) {
    console.log(stack.bridge.log().slice(-2000), stack.server.log().slice(-2000))
    throw error
  } finally {
    await stack.close()
  }
}

const isAsTheRulesSay = async (stack) => verifyFolds(stack.server.url, await new Oracle(stack.db).state())

const OWN = { name: 'own rows', relation: 'rows', audience: 'SELECT rows.owner_id' }
const ROWS = 'CREATE TABLE rows (id int PRIMARY KEY, owner_id text, body text)'

const sizes = {
  async tables(count = 10_000) {
    await withStack({ schema: ROWS, tables: ['rows'], rules: [OWN], cluster: { settings: { max_locks_per_transaction: 1024 } } }, async (stack) => {
      await measure(stack, `${count} tables, made`, async () => {
        await execute(stack.db, numbers(count).map((i) => `CREATE TABLE t${i} (id int PRIMARY KEY, owner_id text); INSERT INTO t${i} VALUES (1, 'u${i % 100}')`))
      })
      await measure(stack, `${count} tables, published and given a rule each`, async () => {
        await execute(stack.db, numbers(count).map((i) => `ALTER PUBLICATION weir ADD TABLE t${i}; INSERT INTO weir.rules (name, relation, audience) VALUES ('own ${i}', 't${i}', 'SELECT t${i}.owner_id')`))
      })
      await measure(stack, `a row in each of ${count} tables`, () =>
        execute(stack.db, numbers(count).map((i) => `INSERT INTO t${i} VALUES (2, 'u${i % 100}')`)))
      await stack.bridge.stop()
      const started = Date.now()
      stack.bridge.start()
      await stack.settle({ deadlineMs: DEADLINE_MS })
      console.log(`| the bridge started again | ${((Date.now() - started) / 1000).toFixed(1)} s |`)
      for (const user of [0, 1, 99]) { // the oracle's one statement for all rules is more than Postgres takes
        const keys = (await readStream(stack.server.url, userStream(`u${user}`))).events.map(({ type, key, operation }) => `${operation} ${type} ${key}`)
        const expected = numbers(count).filter((i) => i % 100 === user).flatMap((i) => [`insert t${i} 1`, `insert t${i} 2`])
        assert.deepEqual(keys.sort(), expected.sort())
      }
    })
  },

  async transactions(count = 100_000) {
    await withStack({ schema: ROWS, tables: ['rows'], rules: [OWN] }, async (stack) => {
      await stack.db.query(`CREATE PROCEDURE fill(low int, high int) LANGUAGE plpgsql AS $$
        BEGIN FOR i IN low..high LOOP INSERT INTO rows VALUES (i, 'u' || i % 100, 'x'); COMMIT; END LOOP; END $$;
        ALTER DATABASE app SET synchronous_commit = off`)
      await stack.bridge.stop()
      await stack.db.query(`CALL fill(1, ${count})`)
      stack.bridge.start()
      await measure(stack, `${count} transactions of a row that wait in the slot`, async () => {})
      await isAsTheRulesSay(stack)
      for (const user of [0, 1, 99]) assert.equal((await readStream(stack.server.url, userStream(`u${user}`))).events.length, count / 100)
    })
  },

  async value(megabytes = 50) {
    await withStack({ schema: ROWS, tables: ['rows'], rules: [OWN] }, async (stack) => {
      const body = `(SELECT string_agg(md5(i::text), '') FROM generate_series(1, ${megabytes} * 1024 * 1024 / 32) i)`
      await measure(stack, `a value of ${megabytes} MB`, () => stack.db.query(`INSERT INTO rows VALUES (1, 'u1', ${body})`))
      await measure(stack, 'its row changed without it', () => stack.db.query(`UPDATE rows SET owner_id = 'u2'`))
      await measure(stack, 'another value', () => stack.db.query(`UPDATE rows SET body = ${body} || 'x'`))
      await isAsTheRulesSay(stack)
      await measure(stack, 'its row deleted', () => stack.db.query('DELETE FROM rows'))
      await isAsTheRulesSay(stack)
    })
  },
}

const [name, count] = process.argv.slice(2)
if (!sizes[name]) {
  console.error('usage: node sizes.js tables|transactions|value [COUNT]')
  process.exit(2)
}
await sizes[name](count && Number(count))
