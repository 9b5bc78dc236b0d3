// Documents nested as deep as Postgres takes them, from the snapshot and from the slot: values like any other,
// of which rules see what Postgres sees.

import assert from 'node:assert/strict'
import test from 'node:test'
import { Oracle } from '../lib/oracle.js'
import { Stack } from '../lib/stack.js'
import { userStream } from '../lib/stream.js'
import { verifyFolds } from '../lib/verify.js'

const nested = (depth) => '['.repeat(depth) + ']'.repeat(depth)

test('a deep document neither stops the bridge nor hides what stands beside it', async () => {
  const stack = await Stack.create('json-deep', {
    schema: `
      CREATE TABLE papers (id int PRIMARY KEY, doc jsonb, old json);
      INSERT INTO papers VALUES (1, '{"a": ${nested(600)}, "b": "x"}', '{"a":${nested(600)},"b":"x"}')`,
    tables: ['papers'],
    rules: [
      { name: 'doc', relation: 'papers', audience: `SELECT 'doc' WHERE papers.doc ->> 'b' = 'x'`, stream: 'user/{subject}/data' },
      { name: 'old', relation: 'papers', audience: `SELECT 'old' WHERE papers.old ->> 'b' = 'x'`, stream: 'user/{subject}/data' },
      { name: 'none', relation: 'papers', audience: `SELECT 'none' WHERE papers.old -> 'b' IS NULL`, stream: 'user/{subject}/data' },
    ],
  })
  const { db } = stack
  try {
    const oracle = new Oracle(db)
    const readers = ['doc', 'old', 'none'].map(userStream)
    stack.bridge.start()
    await stack.settle()
    await verifyFolds(stack.server.url, await oracle.state(), readers)
    for (const depth of [512, 513, 2000]) {
      await db.query(`INSERT INTO papers VALUES (${depth * 10}, '{"a": ${nested(depth)}, "b": "x"}', '{"a":${nested(depth)}}')`)
      await db.query(`INSERT INTO papers VALUES (${depth * 10 + 1}, '{"a": ${nested(depth)}}', ' {"b":"y","a":${nested(depth)},"b":"x"}')`)
    }
    await db.query(`UPDATE papers SET doc = old, old = doc WHERE id IN (1, 5130)`)
    await db.query(`DELETE FROM papers WHERE id = 5120`)
    await stack.settle()
    await verifyFolds(stack.server.url, await oracle.state(), readers)
    const { rows } = await db.query(`SELECT state FROM weir.rule_status WHERE state <> 'active'`)
    assert.deepEqual(rows, [])
  } catch (error) {
    error.message += `\nbridge:\n${stack.bridge.log(40).slice(0, 4000)}`
    throw error
  } finally {
    await stack.close()
  }
})
