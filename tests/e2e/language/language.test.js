// Rules whose meaning changes with the types they stand on, while rows come: enums that get labels,
// before others too, or other names; arrays of readers; texts in order. tests/rules has the language
// construct by construct.

import assert from 'node:assert/strict'
import test from 'node:test'
import { Oracle } from '../lib/oracle.js'
import { Random, seedFromEnvironment } from '../lib/random.js'
import { shareCluster } from '../lib/shared_cluster.js'
import { Stack } from '../lib/stack.js'
import { History, verifyFolds } from '../lib/verify.js'
import { until } from '../lib/wait.js'

const cluster = shareCluster('language')
const USERS = ['ana', 'bo', 'cy', 'Dy']
const STREAMS = USERS.map((user) => `user/${user}/data`)

const SCHEMA = `
CREATE TYPE level AS ENUM ('low', 'middle', 'high');
CREATE TABLE users (id text PRIMARY KEY, clearance level, name text COLLATE "C");
CREATE TABLE notes (id int PRIMARY KEY, level level NOT NULL, reader_ids text[], reviewer text, author text, title text COLLATE "C", levels level[]);
INSERT INTO users SELECT u, 'middle', u FROM unnest('{${USERS}}'::text[]) u`

const RULES = [
  { name: 'cleared', relation: 'notes', audience: 'SELECT u.id FROM users u WHERE u.clearance >= notes.level' },
  { name: 'readers', relation: 'notes', audience: 'SELECT u.id FROM users u WHERE u.id = ANY (notes.reader_ids) AND u.clearance IS NOT NULL', type: 'readable' },
  { name: 'first', relation: 'notes', audience: 'SELECT COALESCE(notes.reviewer, notes.author)', type: 'mine' },
  { name: 'either', relation: 'notes', audience: 'SELECT u.id FROM users u WHERE u.id IN (notes.reviewer, notes.author)', type: 'both' },
  { name: 'before', relation: 'notes', audience: `SELECT u.id FROM users u WHERE u.name < notes.title AND notes.title NOT LIKE 'x%'`, type: 'titled' },
  { name: 'not low', relation: 'notes', audience: `SELECT u.id FROM users u WHERE NOT EXISTS (SELECT 1 FROM notes n WHERE n.id = notes.id AND n.level < 'middle')`, type: 'other' },
]

test('arrays, enums and texts: every event', async () => {
  const seed = seedFromEnvironment()
  console.log(`seed: WEIR_SEED=${seed}`)
  const stack = await Stack.create('language', { cluster: cluster(), schema: SCHEMA, tables: ['users', 'notes'], rules: RULES })
  const random = new Random(seed)
  const text = (value) => (value === null ? 'NULL' : `'${value}'`)
  const user = () => text(random.chance(0.2) ? null : random.pick(USERS))
  const level = () => text(random.pick(['low', 'middle', 'high']))
  const readers = () => random.pick(['NULL', `'{}'`, `'{ana}'`, `'{ana,bo,ana}'`, `'{NULL,Dy}'`, `'{{cy,bo},{Dy,ana}}'`])
  const title = () => text(random.pick([null, '', 'Zz', 'ab', 'cy', 'xx', 'é']))
  const statement = () => random.weighted([
    [5, `INSERT INTO notes VALUES (${random.below(20)}, ${level()}, ${readers()}, ${user()}, ${user()}, ${title()}) ON CONFLICT (id) DO UPDATE SET reader_ids = excluded.reader_ids, level = excluded.level`],
    [3, `UPDATE notes SET reader_ids = array_append(reader_ids, ${user()}) WHERE id % 3 = ${random.below(3)} AND array_ndims(reader_ids) = 1`],
    [3, `UPDATE notes SET reader_ids = array_remove(reader_ids, ${user()}) WHERE id % 3 = ${random.below(3)} AND array_ndims(reader_ids) = 1`],
    [3, `UPDATE notes SET reviewer = ${user()}, title = ${title()} WHERE id % 4 = ${random.below(4)}`],
    [3, `UPDATE users SET clearance = ${random.chance(0.2) ? 'NULL' : level()} WHERE id = ${user()}`],
    [1, `DELETE FROM users WHERE id = ${user()}`],
    [3, `INSERT INTO users VALUES (${text(random.pick(USERS))}, ${level()}, ${text(random.pick(USERS))}) ON CONFLICT DO NOTHING`],
    [1, `UPDATE users SET name = ${text(random.pick(USERS))} WHERE id = ${user()}`],
    [2, `DELETE FROM notes WHERE id = ${random.below(20)}`],
  ])
  try {
    const { db } = stack
    const oracle = new Oracle(db)
    const history = new History(await oracle.state())
    stack.bridge.start()
    await stack.settle()
    for (let round = 0; round < 4; round++) {
      for (let i = 0; i < 50; i++) {
        const statements = Array.from({ length: 1 + random.below(3) }, statement)
        const results = await db.query(`BEGIN; ${statements.join(';')}; SELECT pg_current_xact_id_if_assigned()::xid::text AS txid; COMMIT`)
        const { txid } = results.at(-2).rows[0]
        if (txid) history.committed(txid, await oracle.state(), statements.join('\n'))
      }
      await stack.settle()
      await history.verify(stack.server.url, STREAMS)
    }
    assert.equal((await db.query(`SELECT count(*)::int AS n FROM weir.rule_status WHERE state = 'active'`)).rows[0].n, RULES.length + 1)
  } catch (error) {
    error.message += `\nseed: WEIR_SEED=${seed}\nbridge:\n${stack.bridge.log(40)}`
    throw error
  } finally {
    await stack.close()
  }
})

test('labels are added to an enum before others, and renamed, while rows come', async () => {
  const stack = await Stack.create('enums', { cluster: cluster(), schema: SCHEMA, tables: ['users', 'notes'], rules: RULES, bridgeArgs: ['--catalog-interval', '1h'] })
  const { db } = stack
  const verify = async () => {
    await stack.settle()
    // Whoever starts to follow looks at the catalog once; that is behind it now.
    await stack.settle()
    await verifyFolds(stack.server.url, await new Oracle(db).state(), STREAMS)
  }
  try {
    await db.query(`INSERT INTO notes SELECT i, (enum_range(NULL::level))[1 + i % 3], '{ana}', 'bo', 'cy', 'z', '{low,high}' FROM generate_series(1, 9) i`)
    stack.bridge.start()
    await verify()
    // The catalog is looked at once an hour: the first row with the new label has to do.
    await db.query(`ALTER TYPE level ADD VALUE 'lower' BEFORE 'low'`)
    await db.query(`BEGIN; UPDATE users SET clearance = 'lower' WHERE id = 'ana'; UPDATE notes SET level = 'lower' WHERE id = 4; COMMIT`)
    await verify()
    await db.query(`ALTER TYPE level ADD VALUE 'upper' AFTER 'middle'; ALTER TYPE level ADD VALUE 'top'`)
    await db.query(`INSERT INTO weir.rules (name, relation, audience, type) VALUES ('upper', 'notes', $$SELECT 'bo' WHERE notes.level BETWEEN 'upper' AND 'top'$$, 'up')`)
    await db.query(`UPDATE notes SET level = 'top' WHERE id = 5; UPDATE users SET clearance = 'upper' WHERE id = 'bo'`)
    await verify()
    await db.query(`ALTER TYPE level RENAME VALUE 'low' TO 'LOW'`)
    await db.query(`UPDATE notes SET level = 'LOW' WHERE id = 6; DELETE FROM notes WHERE level = 'upper'`)
    await verify()
    assert.match(stack.bridge.log(100), /an enum has a label that is not known/)
  } catch (error) {
    error.message += `\nbridge:\n${stack.bridge.log(40)}`
    throw error
  } finally {
    await stack.close()
  }
})

test('a label that nobody uses yet is known in time, too', async () => {
  const stack = await Stack.create('enum-catalog', { cluster: cluster(), schema: SCHEMA, tables: ['users', 'notes'], rules: RULES, bridgeArgs: ['--catalog-interval', '100ms'] })
  const { db } = stack
  try {
    await db.query(`INSERT INTO notes VALUES (1, 'low', '{ana}', 'bo', 'cy', 'z', '{low}')`)
    stack.bridge.start()
    await stack.settle()
    await db.query(`ALTER TYPE level RENAME VALUE 'low' TO 'least'`)
    const expected = await new Oracle(db).state()
    await until('the new name to be shown', async () => {
      await verifyFolds(stack.server.url, expected, STREAMS)
      return true
    })
  } catch (error) {
    error.message += `\nbridge:\n${stack.bridge.log(40)}`
    throw error
  } finally {
    await stack.close()
  }
})
