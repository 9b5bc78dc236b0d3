// JSON's null, which is no NULL, where a row is told by it: in a primary key and in a replica identity,
// from the snapshot and from the slot, against what Postgres itself answers.

import assert from 'node:assert/strict'
import test from 'node:test'
import { Oracle } from '../lib/oracle.js'
import { shareCluster } from '../lib/shared_cluster.js'
import { Stack } from '../lib/stack.js'
import { userStream } from '../lib/stream.js'
import { until } from '../lib/wait.js'
import { History, verifyFolds } from '../lib/verify.js'

const SCHEMA = `
  CREATE DOMAIN document AS jsonb;
  CREATE TABLE alone (doc jsonb PRIMARY KEY, v int);
  CREATE TABLE pairs (a jsonb, b document, c int, doc jsonb, old json, long text, PRIMARY KEY (a, b, c));
  ALTER TABLE pairs ALTER long SET STORAGE EXTERNAL;
  CREATE TABLE whole (doc document PRIMARY KEY, v int); ALTER TABLE whole REPLICA IDENTITY FULL;
  CREATE TABLE named (id int PRIMARY KEY, doc jsonb NOT NULL UNIQUE, v jsonb);
  ALTER TABLE named REPLICA IDENTITY USING INDEX named_doc_key;
  INSERT INTO alone VALUES ('null', 1), ('"null"', 2), ('{"a": null}', 3);
  INSERT INTO pairs VALUES ('null', 'null', 1, 'null', 'null', repeat('x', 3000)), ('null', '"null"', 1, NULL, NULL, NULL);
  INSERT INTO whole VALUES ('null', 1);
  INSERT INTO named VALUES (1, 'null', 'null'), (2, '[null]', NULL)`
const TABLES = ['alone', 'pairs', 'whole', 'named']

const TRANSACTIONS = [
  `UPDATE alone SET v = 10 WHERE doc = 'null'; UPDATE alone SET v = 20 WHERE doc = '"null"'`,
  `UPDATE alone SET doc = '5' WHERE doc = 'null'`,
  `UPDATE alone SET doc = 'null' WHERE doc = '"null"'`,
  `DELETE FROM alone WHERE doc = 'null'; INSERT INTO alone VALUES ('null', 30)`,
  `DELETE FROM alone WHERE doc = 'null'`,
  `UPDATE pairs SET doc = '1' WHERE b = 'null'`, // TOAST that does not change
  `UPDATE pairs SET doc = 'null', old = 'null' WHERE b = '"null"'`,
  `UPDATE pairs SET c = 2 WHERE b = 'null'; UPDATE pairs SET b = 'null' WHERE b = '"null"'`,
  `INSERT INTO pairs VALUES ('null', 'null', 3, 'null', NULL), ('0', 'null', 3, NULL, 'null')`,
  `DELETE FROM pairs WHERE a = 'null'`,
  `UPDATE whole SET v = 2; INSERT INTO whole VALUES ('"null"', 3)`,
  `UPDATE whole SET doc = 'false' WHERE doc = 'null'`,
  `INSERT INTO whole VALUES ('null', 4); DELETE FROM whole WHERE doc = 'null'`,
  `UPDATE named SET v = NULL WHERE doc = 'null'; UPDATE named SET v = 'null' WHERE id = 2`,
  `UPDATE named SET id = 3 WHERE doc = 'null'`,
  `UPDATE named SET doc = '"null"' WHERE doc = 'null'; UPDATE named SET doc = 'null' WHERE id = 2`,
  `DELETE FROM named WHERE doc = 'null'`,
]

const cluster = shareCluster('json-null')

test('a JSON null in a key or a replica identity is a value like any other', async () => {
  const stack = await Stack.create('json-null', {
    cluster: cluster(), schema: SCHEMA, tables: TABLES,
    rules: TABLES.map((name) => ({ name, relation: name, audience: `SELECT 'reader'` })),
    bridgeArgs: ['--catalog-interval', '1h'],
  })
  const { db } = stack
  try {
    const oracle = new Oracle(db)
    const history = new History(await oracle.state())
    stack.bridge.start()
    await stack.settle()
    for (const sql of TRANSACTIONS) {
      const results = await db.query(`BEGIN; ${sql}; SELECT pg_current_xact_id()::xid::text AS txid; COMMIT`)
      history.committed(results.at(-2).rows[0].txid, await oracle.state(), sql)
    }
    await stack.settle()
    await history.verify(stack.server.url, [userStream('reader')])
  } catch (error) {
    error.message += `\nbridge:\n${stack.bridge.log(20)}`
    throw error
  } finally {
    await stack.close()
  }
})

// ROW(NULL) and ROW('null'::jsonb) are two keys to Postgres, and one as JSON.
for (const [name, type, keys] of [
  ['composite', 'wrapped', [`ROW(NULL)`, `ROW('null')`]], ['array', 'jsonb[]', [`'{NULL}'`, `'{"null"}'`]], ['bounds', 'int[]', [`'{1}'`, `'[2:2]={1}'`]],
]) {
  test(`keys that look alike as JSON stop nobody: ${name}`, async () => {
    const stack = await Stack.create(`alike-${name}`, {
      cluster: cluster(),
      schema: `CREATE TYPE wrapped AS (doc jsonb); CREATE TABLE alike (k ${type} PRIMARY KEY, v int); CREATE TABLE notes (id int PRIMARY KEY)`,
      tables: ['notes'],
      rules: ['alike', 'notes'].map((table) => ({ name: table, relation: table, audience: `SELECT 'reader'` })),
      bridgeArgs: ['--catalog-interval', '100ms'],
    })
    const { db, bridge } = stack
    try {
      bridge.start()
      await stack.settle()
      await db.query(`INSERT INTO alike VALUES (${keys[0]}, 1); ALTER PUBLICATION weir ADD TABLE alike; INSERT INTO alike VALUES (${keys[1]}, 2); INSERT INTO notes VALUES (1)`)
      await until('the bridge to speak of the table', () => /cannot be told apart/.test(bridge.log(100)))
      await stack.settle()
      const oracle = new Oracle(db)
      const expected = async () => {
        await db.query(`BEGIN; DELETE FROM weir.rules WHERE name = 'alike'`)
        const state = await oracle.state()
        await db.query('ROLLBACK')
        return state
      }
      await verifyFolds(stack.server.url, await expected(), [userStream('reader')])
      await db.query(`DELETE FROM alike WHERE v = 1; INSERT INTO notes VALUES (2)`)
      await stack.settle()
      await verifyFolds(stack.server.url, await expected(), [userStream('reader')])
      assert.ok(bridge.isRunning())
    } catch (error) {
      error.message += `\nbridge:\n${bridge.log(20)}`
      throw error
    } finally {
      await stack.close()
    }
  })
}
