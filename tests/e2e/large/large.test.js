// Sizes that pass every buffer: a transaction larger than any request, a row of many megabytes, one
// row for many users, many users at once.

import assert from 'node:assert/strict'
import test, { after, before } from 'node:test'
import { Oracle } from '../lib/oracle.js'
import { Stack } from '../lib/stack.js'
import { readStream, userStream } from '../lib/stream.js'
import { verifyFolds } from '../lib/verify.js'

const SCHEMA = `
  CREATE TABLE users (id text PRIMARY KEY);
  CREATE TABLE rows (id int PRIMARY KEY, owner_id text, body text);
  CREATE TABLE news (id int PRIMARY KEY, body text);`
const RULES = [
  { name: 'own rows', relation: 'rows', audience: 'SELECT rows.owner_id' },
  { name: 'news', relation: 'news', audience: 'SELECT users.id FROM users' },
]

let stack

before(async () => {
  stack = await Stack.create('large', { schema: SCHEMA, tables: ['users', 'rows', 'news'], rules: RULES })
  stack.bridge.start()
  await stack.settle()
})

after(() => stack?.close())

const isAsTheRulesSay = async () => verifyFolds(stack.server.url, await new Oracle(stack.db).state())

test('rows of 16 MB', async () => {
  await stack.db.query(`INSERT INTO rows SELECT 1000000 + i, 'large', repeat(md5(i::text), 500000) FROM generate_series(1, 3) i`)
  await stack.db.query(`UPDATE rows SET owner_id = 'larger' WHERE id > 1000000`) // TOAST that does not change
  await stack.settle()
  await isAsTheRulesSay()
})

test('a row of 20 MB changes its key', async () => {
  await stack.db.query(`INSERT INTO rows SELECT 1000100, 'largest', repeat(md5('x'), 625000)`)
  await stack.db.query(`UPDATE rows SET id = 1000101 WHERE id = 1000100`)
  await stack.db.query(`UPDATE rows SET id = 1000102, body = body || 'y' WHERE id = 1000101`)
  await stack.settle()
  await isAsTheRulesSay()
})

test('one row for 20,000 users, and 20,000 users who come and go in one transaction each', async () => {
  await stack.db.query(`INSERT INTO news VALUES (1, 'first')`)
  await stack.db.query(`INSERT INTO users SELECT 'reader-' || i FROM generate_series(1, 20000) i`)
  await stack.db.query(`UPDATE news SET body = 'second' WHERE id = 1`)
  await stack.db.query(`DELETE FROM users WHERE id LIKE '%0'`)
  await stack.settle()
  await isAsTheRulesSay()
  const { events } = await readStream(stack.server.url, userStream('reader-10'))
  assert.deepEqual(events.map((event) => event.operation), ['insert', 'update', 'delete'])
})

test('subjects that no path can carry, of any size, stop nobody else', async () => {
  for (const [index, subject] of ['x'.repeat(70_000), 'é'.repeat(1_000), '\u0001'.repeat(100)].entries()) {
    await stack.db.query('INSERT INTO rows VALUES ($1, $2, $3)', [2_000_000 + index, subject, 'unreachable'])
  }
  await stack.db.query(`INSERT INTO rows VALUES (2000100, 'reachable', 'x')`)
  await stack.settle()
  assert.equal((await readStream(stack.server.url, userStream('reachable'))).events.length, 1)
})

test('a transaction of 100 MB', async () => {
  const count = 250_000
  await stack.db.query(`INSERT INTO rows SELECT i, 'owner-' || i % 10, repeat('x', 200) FROM generate_series(1, ${count}) i`)
  await stack.settle({ deadlineMs: 120_000 })
  let events = 0
  for (let owner = 0; owner < 10; owner++) {
    const keys = (await readStream(stack.server.url, userStream(`owner-${owner}`))).events.map((event) => event.key)
    assert.equal(new Set(keys).size, keys.length)
    events += keys.length
  }
  assert.equal(events, count)
  await stack.db.query('TRUNCATE rows')
  await stack.settle({ deadlineMs: 120_000 })
  await isAsTheRulesSay()
})
