// Primary keys that are DEFERRABLE: within a statement or a transaction two rows may have one key. Each transaction comes as
// what it did in the end, without the table being read again.

import assert from 'node:assert/strict'
import test from 'node:test'
import { Oracle } from '../lib/oracle.js'
import { Random, seedFromEnvironment } from '../lib/random.js'
import { Stack } from '../lib/stack.js'
import { Fold, readStream } from '../lib/stream.js'
import { History, verifyFolds } from '../lib/verify.js'

const SCHEMA = `
CREATE TABLE notes (id int PRIMARY KEY DEFERRABLE INITIALLY DEFERRED, owner text, body text, n int);
ALTER TABLE notes REPLICA IDENTITY FULL; ALTER TABLE notes ALTER body SET STORAGE EXTERNAL;
CREATE TABLE pairs (a int, b text, owner text, PRIMARY KEY (a, b) DEFERRABLE);
ALTER TABLE pairs REPLICA IDENTITY FULL;
CREATE TABLE bare (id int PRIMARY KEY DEFERRABLE INITIALLY DEFERRED);
ALTER TABLE bare REPLICA IDENTITY FULL;
CREATE TABLE codes (id int PRIMARY KEY DEFERRABLE, code int NOT NULL UNIQUE, owner text);
ALTER TABLE codes REPLICA IDENTITY USING INDEX codes_code_key;
INSERT INTO notes SELECT i, 'u' || i % 3, CASE WHEN i % 2 = 0 THEN repeat(md5(i::text), 100) END, i FROM generate_series(1, 8) i;
INSERT INTO pairs SELECT i, 'b' || i, 'u' || i % 3 FROM generate_series(1, 5) i;
INSERT INTO bare SELECT generate_series(1, 4);
INSERT INTO codes SELECT i, 10 * i, 'u' || i % 3 FROM generate_series(1, 5) i`
const TABLES = ['notes', 'pairs', 'bare', 'codes']
const RULES = [
  { name: 'own', relation: 'notes', audience: 'SELECT notes.owner' },
  { name: 'neighbours', relation: 'notes', audience: 'SELECT x.owner FROM notes x WHERE x.id = notes.n', columns: ['id', 'n'] },
  { name: 'pairs', relation: 'pairs', audience: 'SELECT pairs.owner' },
  { name: 'bare', relation: 'bare', audience: `SELECT 'u' || bare.id` },
  { name: 'codes', relation: 'codes', audience: 'SELECT codes.owner' },
]
const SWAPS = [
  'UPDATE notes SET id = 3 - id WHERE id IN (1, 2)', 'UPDATE notes SET id = 9 - id', 'UPDATE notes SET id = id % 8 + 1', 'UPDATE notes SET id = id + 1', 'UPDATE notes SET id = id - 1',
  'UPDATE notes SET id = 1 WHERE id IN (2, 3); UPDATE notes SET n = n + 1 WHERE id = 1; UPDATE notes SET id = 4 - n % 3 WHERE id = 1 AND n % 2 = 0; DELETE FROM notes WHERE id = 1',
  `INSERT INTO notes VALUES (4, 'u0', 'new', 4); DELETE FROM notes WHERE id = 4 AND body <> 'new'`, `INSERT INTO notes VALUES (5, 'u1', 'new', 4); DELETE FROM notes WHERE id = 5 AND body = 'new'`,
  `INSERT INTO notes VALUES (6, 'u2', NULL, NULL), (6, 'u1', NULL, NULL), (6, 'u1', NULL, NULL); DELETE FROM notes WHERE id = 6; INSERT INTO notes VALUES (6, 'u2', NULL, 6)`,
  'UPDATE notes SET id = 2 WHERE id = 1; UPDATE notes SET owner = n::text WHERE id = 2; UPDATE notes SET id = 1 WHERE ctid = (SELECT min(ctid) FROM notes WHERE id = 2)',
  'SAVEPOINT s; UPDATE notes SET id = 9 - id; ROLLBACK TO s; UPDATE notes SET id = 3 - id WHERE id IN (1, 2)',
  'UPDATE notes SET id = 9 - id; SET CONSTRAINTS ALL IMMEDIATE; TRUNCATE notes', `INSERT INTO notes SELECT i, 'u' || i % 3, repeat(md5(i::text), 100), i FROM generate_series(1, 8) i`,
  `UPDATE pairs SET a = 6 - a, b = 'b' || 6 - a`, `UPDATE pairs SET a = a % 5 + 1, b = 'b' || a % 5 + 1, owner = 'u' || a % 3`,
  'UPDATE bare SET id = 5 - id', 'UPDATE bare SET id = 1 WHERE id = 2; DELETE FROM bare WHERE ctid = (SELECT max(ctid) FROM bare WHERE id = 1)', 'INSERT INTO bare SELECT max(id) + 1 FROM bare',
  'UPDATE codes SET id = 6 - id', 'UPDATE codes SET id = id % 5 + 1, code = code + 1',
]

/** Every event of random histories. */
async function isRight(name, memory, { statements, rounds }) {
  const seed = seedFromEnvironment()
  console.log(`seed: WEIR_SEED=${seed}`)
  const random = new Random(seed)
  const stack = await Stack.create(name, { schema: SCHEMA, tables: TABLES, rules: RULES, bridgeArgs: ['--transaction-memory', memory] })
  try {
    const { db } = stack
    const oracle = new Oracle(db)
    const history = new History(await oracle.state())
    stack.bridge.start()
    await stack.settle()
    for (let i = 0; i < rounds * statements.length; i++) {
      const chosen = i < statements.length ? [statements[i]] : Array.from({ length: random.between(1, 2) }, () => random.pick(statements))
      try {
        await db.query(`BEGIN; ${chosen.join('; ')}`)
        const { rows } = await db.query('SELECT pg_current_xact_id_if_assigned()::xid::text AS txid')
        await db.query('COMMIT')
        history.committed(rows[0].txid, await oracle.state(), chosen.join('\n'))
      } catch (error) {
        if (error.code !== '23505') throw error
        await db.query('ROLLBACK')
      }
    }
    await stack.settle()
    await history.verify(stack.server.url, ['user/u0/data'])
    assert.doesNotMatch(stack.bridge.log(Infinity), /resyncing/)
  } finally {
    await stack.close()
  }
}

test('rows that have one key for a while', () => isRight('deferrable', '16M', { statements: SWAPS, rounds: 6 }))

test('the same, where the changes are spilled', () => isRight('deferrable-spilled', '8K', { statements: SWAPS.filter((sql) => !/UPDATE notes SET id = (9 -|id)/.test(sql)), rounds: 4 }))

test('more rows than are kept in mind: the table is read again', async () => {
  const stack = await Stack.create('deferrable-many', { schema: SCHEMA, tables: TABLES, rules: RULES, bridgeArgs: ['--transaction-memory', '64K'] })
  try {
    stack.bridge.start()
    await stack.db.query(`INSERT INTO notes SELECT i, 'u' || i % 3, repeat('x', 100), i FROM generate_series(101, 2100) i`)
    await stack.settle()
    await stack.db.query('UPDATE notes SET id = 2201 - id WHERE id > 100')
    await stack.db.query('UPDATE notes SET id = id + 1')
    const state = await new Oracle(stack.db).state()
    await stack.settle()
    await verifyFolds(stack.server.url, state)
    assert.match(stack.bridge.log(Infinity), /too many rows took keys of others/)
  } finally {
    await stack.close()
  }
})

test('where the publication leaves out operations, such a table is', async () => {
  const stack = await Stack.create('deferrable-part', { schema: SCHEMA, tables: TABLES, rules: RULES, bridgeArgs: ['--catalog-interval', '200ms'] })
  try {
    const { db } = stack
    stack.bridge.start()
    await stack.settle()
    await db.query(`ALTER PUBLICATION weir SET (publish = 'insert, update, delete')`)
    await db.query('UPDATE notes SET id = 3 - id WHERE id IN (1, 2)')
    await stack.settle()
    assert.match(stack.bridge.log(Infinity), /notes.*is deferrable, and publication .*leaves out operations/)
    const types = new Fold().applyAll((await readStream(stack.server.url, 'user/u0/data')).events).state
    assert.equal(types.get('notes')?.size ?? 0, 0)
    await db.query(`ALTER PUBLICATION weir SET (publish = 'insert, update, delete, truncate')`)
    await db.query('UPDATE notes SET id = 3 - id WHERE id IN (1, 2)')
    await stack.settle()
    await verifyFolds(stack.server.url, await new Oracle(db).state())
  } finally {
    await stack.close()
  }
})
