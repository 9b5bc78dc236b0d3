// What an altered table and an altered column list send: every stream is what the rules in SQL say, and
// what did not change for its reader is not sent again.

import assert from 'node:assert/strict'
import { rmSync } from 'node:fs'
import test from 'node:test'
import { Oracle } from '../lib/oracle.js'
import { Random, seedFromEnvironment } from '../lib/random.js'
import { shareCluster } from '../lib/shared_cluster.js'
import { Stack } from '../lib/stack.js'
import { readStream } from '../lib/stream.js'
import { History, verifyFolds } from '../lib/verify.js'
import { until } from '../lib/wait.js'

const cluster = shareCluster('exact')
const USERS = ['ana', 'bo', 'cy']
const STREAMS = USERS.map((user) => `user/${user}/data`)

async function withStack(name, options, run) {
  const stack = await Stack.create(name, { cluster: cluster(), ...options })
  try {
    await run(stack)
  } catch (error) {
    error.message += `\nbridge:\n${stack.bridge.log(40)}`
    throw error
  } finally {
    await stack.close()
  }
}

test('column lists of several rules: a change that a reader does not see sends her nothing', async () => {
  const seed = seedFromEnvironment()
  console.log(`seed: WEIR_SEED=${seed}`)
  const random = new Random(seed)
  const rules = [
    { name: 'titles', relation: 'notes', audience: 'SELECT m.user_id FROM members m WHERE m.project = notes.project', columns: ['id', 'title'] },
    { name: 'bodies', relation: 'notes', audience: `SELECT m.user_id FROM members m WHERE m.project = notes.project AND m.role = 'editor'`, columns: ['id', 'body'] },
    { name: 'own', relation: 'notes', audience: 'SELECT notes.owner', columns: ['id', 'owner', 'long'] },
    { name: 'all of public', relation: 'notes', audience: `SELECT 'cy' WHERE notes.project = 1` },
    { name: 'other type', relation: 'notes', audience: 'SELECT m.user_id FROM members m WHERE m.project = notes.project', columns: ['id', 'hidden'], type: 'state' },
  ]
  const schema = `CREATE TABLE notes (id int PRIMARY KEY, project int, owner text, title text, body text, long text, hidden int);
    ALTER TABLE notes ALTER long SET STORAGE EXTERNAL; CREATE TABLE members (project int, user_id text, role text, PRIMARY KEY (project, user_id))`
  await withStack('columns', { schema, tables: ['notes', 'members'], rules }, async (stack) => {
    const text = () => `'${random.pick(['a', 'b', ''])}'`
    const user = () => `'${random.pick(USERS)}'`
    const statement = () => random.weighted([
      [5, `INSERT INTO notes VALUES (${random.below(15)}, ${random.below(3)}, ${user()}, ${text()}, ${text()}, '${random.noise(2500)}', 1) ON CONFLICT DO NOTHING`],
      [5, `UPDATE notes SET ${random.chance(0.3) ? `owner = ${user()}` : `${random.pick(['title', 'body'])} = ${text()}`} WHERE id % 3 = ${random.below(3)}`],
      [3, `UPDATE notes SET hidden = hidden + 1 WHERE id % 2 = ${random.below(2)}`],
      [2, `UPDATE notes SET long = '${random.noise(2500)}' WHERE id = ${random.below(15)}`],
      [2, `UPDATE notes SET project = ${random.below(3)} WHERE id = ${random.below(15)}`],
      [4, `INSERT INTO members VALUES (${random.below(3)}, ${user()}, 'viewer') ON CONFLICT (project, user_id) DO UPDATE SET role = 'editor'`],
      [2, `UPDATE members SET role = 'viewer' WHERE user_id = ${user()}`],
      [1, `DELETE FROM members WHERE user_id = ${user()} AND project = ${random.below(3)}`],
      [1, `DELETE FROM notes WHERE id = ${random.below(15)}`],
    ])
    const oracle = new Oracle(stack.db)
    const history = new History(await oracle.state())
    stack.bridge.start()
    await stack.settle()
    for (let i = 0; i < 150; i++) {
      const sql = Array.from({ length: 1 + random.below(3) }, statement).join(';\n')
      const results = await stack.db.query(`BEGIN; ${sql}; SELECT pg_current_xact_id_if_assigned()::xid::text AS txid; COMMIT`)
      const { txid } = results.at(-2).rows[0]
      if (txid) history.committed(txid, await oracle.state(), sql)
    }
    await stack.settle()
    await history.verify(stack.server.url, STREAMS)
  })
})

const TABLE = `CREATE TABLE notes (id int PRIMARY KEY, owner text, n int);
  INSERT INTO notes SELECT i, (ARRAY['ana','bo'])[1 + i % 2], i FROM generate_series(1, 10) i`
const NOTES = [
  { name: 'own', relation: 'notes', audience: 'SELECT owner FROM notes x WHERE x.id = notes.id' },
  { name: 'few', relation: 'notes', audience: `SELECT 'cy'`, columns: ['id', 'n'] },
]

/** [what, SQL, the events that it sends: to ana and bo together, and to cy] */
const ALTERATIONS = [
  ['a type with the same values, of the key', 'ALTER TABLE notes ALTER id TYPE bigint', 0, 0],
  ['a column that cy does not see', `ALTER TABLE notes ADD COLUMN tag text DEFAULT 'new'`, 10, 0],
  ['a volatile default', 'ALTER TABLE notes ADD COLUMN token uuid DEFAULT gen_random_uuid()', 10, 0],
  ['a column dropped', 'ALTER TABLE notes DROP COLUMN tag', 10, 0],
  ['a type with other values', 'ALTER TABLE notes ALTER n TYPE text', 10, 10],
  ['the key as text', 'ALTER TABLE notes ALTER id TYPE text', 10, 10],
  ['a column renamed', 'ALTER TABLE notes RENAME COLUMN token TO secret', 10, 0],
  ['a NOT NULL', 'ALTER TABLE notes ALTER n SET NOT NULL', 0, 0],
  ['another replica identity', 'ALTER TABLE notes REPLICA IDENTITY FULL', 0, 0],
  ['a table rewritten as it was', 'VACUUM FULL notes', 0, 0],
  ['fewer columns of a rule', `ALTER TABLE notes REPLICA IDENTITY DEFAULT; UPDATE weir.rules SET columns = '{id,owner,n}' WHERE name = 'own'`, 10, 0],
  ['a column list of the publication that leaves out what nobody sees', 'BEGIN; ALTER PUBLICATION weir DROP TABLE notes; ALTER PUBLICATION weir ADD TABLE notes (n, id, owner); COMMIT', 0, 0],
  ['another order of columns in the rule', `UPDATE weir.rules SET columns = '{n,owner,id}' WHERE name = 'own'`, 0, 0],
  ['no column list any more', 'BEGIN; ALTER PUBLICATION weir DROP TABLE notes; ALTER PUBLICATION weir ADD TABLE notes; COMMIT', 0, 0],
  ['all columns of the rule again', `UPDATE weir.rules SET columns = NULL WHERE name = 'own'`, 10, 0],
  ['a price', 'ALTER TABLE notes ADD COLUMN price numeric(8,2) DEFAULT 1.25', 10, 0],
  ['the same type with fewer digits', 'ALTER TABLE notes ALTER price TYPE numeric(8,1)', 10, 0],
  ['the very same type, of other values', 'ALTER TABLE notes ALTER price TYPE numeric(8,1) USING price * 2', 10, 0],
  ['the very same type, and so other readers', `ALTER TABLE notes ALTER owner TYPE text USING CASE owner WHEN 'ana' THEN 'bo' ELSE 'ana' END`, 20, 0],
  ['a default', 'ALTER TABLE notes ALTER price SET DEFAULT 3', 0, 0],
  ['another column of the same name and type', 'BEGIN; ALTER TABLE notes DROP COLUMN price; ALTER TABLE notes ADD COLUMN price numeric(8,1) DEFAULT 7; COMMIT', 10, 0],
  ['a generated column', 'ALTER TABLE notes ADD COLUMN twice text GENERATED ALWAYS AS (n || n) STORED', 10, 0],
  ['a generated column, of something else', 'BEGIN; ALTER TABLE notes DROP COLUMN twice; ALTER TABLE notes ADD COLUMN twice text GENERATED ALWAYS AS (owner) STORED; COMMIT', 10, 0],
  ['another order of columns', 'BEGIN; ALTER TABLE notes ADD COLUMN m text; UPDATE notes SET m = n; ALTER TABLE notes DROP COLUMN n; ALTER TABLE notes RENAME COLUMN m TO n; COMMIT', 0, 0],
]

test('an alteration sends what it changed, and nothing else', async () => {
  await withStack('exact', { schema: TABLE, tables: ['notes'], rules: NOTES, bridgeArgs: ['--catalog-interval', '100ms'] }, async (stack) => {
    const { db } = stack
    const oracle = new Oracle(db)
    const count = async (user) => (await readStream(stack.server.url, `user/${user}/data`)).events.length
    const counts = async () => [(await count('ana')) + (await count('bo')), await count('cy')]
    const settle = async (what) => {
      const expected = await oracle.state()
      await until(`every stream to be what SQL says after ${what}`, async () => {
        await verifyFolds(stack.server.url, expected, STREAMS)
        return true
      })
    }
    stack.bridge.start()
    await stack.settle()
    for (const [what, sql, own, few] of ALTERATIONS) {
      const before = await counts()
      for (const statement of sql.split(';')) await db.query(statement)
      await settle(what)
      // A row that comes afterwards has been worked on by the altered table.
      await db.query(`INSERT INTO notes (id, owner, n) VALUES (99, 'ana', 99)`)
      await stack.settle()
      await settle(what)
      await db.query(`DELETE FROM notes WHERE id::text = '99'`)
      await stack.settle()
      const after = await counts()
      assert.deepEqual([after[0] - before[0] - 2, after[1] - before[1] - 2], [own, few], what)
    }
  })
})

test('a comparison with the streams knows a row whose columns have come to stand in another order', async () => {
  await withStack('order', { schema: TABLE, tables: ['notes'], rules: NOTES }, async (stack) => {
    const { db, bridge } = stack
    const events = async () => (await Promise.all(STREAMS.map((path) => readStream(stack.server.url, path)))).flatMap((stream) => stream.events)
    bridge.start()
    await stack.settle()
    const before = await events()
    await bridge.stop()
    await db.query('BEGIN; ALTER TABLE notes ADD COLUMN m text; UPDATE notes SET m = owner; ALTER TABLE notes DROP COLUMN owner; ALTER TABLE notes RENAME COLUMN m TO owner; COMMIT')
    rmSync(bridge.stateDir, { recursive: true })
    bridge.start()
    await stack.settle()
    assert.deepEqual(await events(), before)
    await db.query('UPDATE notes SET n = n + 1 WHERE id = 1')
    await stack.settle()
    assert.equal((await events()).length, before.length + 2)
    await verifyFolds(stack.server.url, await new Oracle(db).state(), STREAMS)
  })
})

test('tables are altered between the writes of one transaction', async () => {
  await withStack('mid-transaction', { schema: TABLE, tables: ['notes'], rules: NOTES, bridgeArgs: ['--catalog-interval', '1h'] }, async (stack) => {
    const { db } = stack
    const verify = async () => {
      await stack.settle()
      await verifyFolds(stack.server.url, await new Oracle(db).state(), STREAMS)
    }
    stack.bridge.start()
    await verify()
    await stack.settle()
    for (const sql of [
      `INSERT INTO notes VALUES (20, 'bo', 1); ALTER TABLE notes ADD COLUMN a int DEFAULT 7; UPDATE notes SET a = 8 WHERE id = 20; INSERT INTO notes VALUES (21, 'ana', 2, 3)`,
      `UPDATE notes SET n = 5 WHERE id < 4; ALTER TABLE notes ALTER id TYPE bigint; UPDATE notes SET owner = 'bo' WHERE id = 2; ALTER TABLE notes RENAME a TO b; INSERT INTO notes VALUES (22, 'ana', 2, 3)`,
      `DELETE FROM notes WHERE id = 5; ALTER TABLE notes RENAME TO memos; UPDATE memos SET n = 6; INSERT INTO memos VALUES (23, 'bo', 1, 1);
       UPDATE weir.rules SET audience = 'SELECT owner FROM memos x WHERE x.id = memos.id', type = 'notes' WHERE name = 'own'; UPDATE weir.rules SET type = 'notes' WHERE name = 'few'`,
      `DELETE FROM memos WHERE id = 6; ALTER TABLE memos DROP COLUMN b; ALTER TABLE memos ADD COLUMN b text DEFAULT random()::text; UPDATE memos SET n = 9 WHERE id = 7`,
      `UPDATE memos SET n = 10; DROP TABLE memos; CREATE TABLE memos (id text PRIMARY KEY, n int, owner text); ALTER PUBLICATION weir ADD TABLE memos;
       UPDATE weir.rules SET relation = 'memos' WHERE name IN ('own', 'few'); INSERT INTO memos VALUES ('1', 1, 'ana'), ('30', 2, 'bo'); UPDATE memos SET n = 3 WHERE id = '30'`,
    ]) {
      await db.query(`BEGIN; ${sql}; COMMIT`)
      await db.query(`UPDATE ${sql.includes('memos') ? 'memos' : 'notes'} SET n = n + 1 WHERE id::text IN ('1', '20')`)
      await verify()
    }
  })
})

test('a value of the new type comes before the bridge knows of it', async () => {
  const columns = ['v int', 'n numeric', 'f float8', 'j jsonb', 'k json', 'a int[]', 'w oidvector', 'b bytea']
  const schema = `CREATE TABLE things (id int PRIMARY KEY, owner text, ${columns.join(', ')})`
  const rules = [{ name: 'own', relation: 'things', audience: 'SELECT things.owner' }]
  await withStack('retyped', { schema, tables: ['things'], rules, bridgeArgs: ['--catalog-interval', '1h'] }, async (stack) => {
    await stack.db.query(`INSERT INTO things VALUES (1, 'ana', 1, 1.5, 2.5, '{}', '[]', '{1}', '1 2', '\\x01')`)
    stack.bridge.start()
    await stack.settle()
    // Whoever starts to follow looks at the catalog once; that is behind it now.
    await stack.settle()
    for (const [index, name] of columns.map((column) => column.split(' ')[0]).entries()) {
      const values = ['50%', '2026-01-02', '1 x', '{"a', '{1,2%}', '-', '']
      const rows = values.map((value, i) => `(${100 * (index + 1) + i}, 'ana', '${value}')`)
      await stack.db.query(`ALTER TABLE things ALTER ${name} TYPE text USING ${name}::text`)
      await stack.db.query(`INSERT INTO things (id, owner, ${name}) VALUES ${rows}`)
      await stack.settle()
      await verifyFolds(stack.server.url, await new Oracle(stack.db).state())
    }
  })
})
