// Publications that leave out operations, hold all tables, or those of a schema. What the streams hold
// is then what a subscription of Postgres's own to the same publication holds.

import assert from 'node:assert/strict'
import test from 'node:test'
import { Oracle } from '../lib/oracle.js'
import { Random, seedFromEnvironment } from '../lib/random.js'
import { shareCluster } from '../lib/shared_cluster.js'
import { Stack } from '../lib/stack.js'
import { verifyFolds } from '../lib/verify.js'
import { until } from '../lib/wait.js'
import { runWeir } from '../lib/weir.js'

const cluster = shareCluster('operations')
const USERS = ['ana', 'bo', 'cy']
const SCHEMA = 'CREATE TABLE notes (id int PRIMARY KEY, owner_id text, long text); ALTER TABLE notes ALTER long SET STORAGE EXTERNAL'
const RULES = [{ name: 'own', relation: 'notes', audience: 'SELECT notes.owner_id' }]
const STREAMS = USERS.map((user) => `user/${user}/data`)

/** A database beside the application's that subscribes to its publication. */
async function subscribe(stack) {
  const admin = await stack.cluster.connect()
  stack.workspace.onClose(() => admin.end())
  await admin.query('CREATE DATABASE copy')
  stack.workspace.onClose(() => admin.query('DROP DATABASE copy WITH (FORCE)'))
  await stack.db.query(`SELECT pg_create_logical_replication_slot('copy', 'pgoutput')`)
  const copy = await stack.cluster.connect('copy')
  stack.workspace.onClose(() => copy.end())
  await copy.query(`SET timezone = 'UTC'`)
  assert.equal((await runWeir(['install', '--db', stack.cluster.conninfo('copy')])).code, 0)
  await copy.query(`${SCHEMA}; CREATE TABLE test_marker (id int PRIMARY KEY, n bigint); INSERT INTO test_marker VALUES (1, 0)`)
  await copy.query(`CREATE SUBSCRIPTION copy CONNECTION '${stack.cluster.conninfo('app')}' PUBLICATION weir WITH (create_slot = false, copy_data = false)`)
  stack.workspace.onClose(() => copy.query('DROP SUBSCRIPTION copy'))
  return copy
}

/** Every stream against the rows that the subscriber has. */
async function verifyAgainst(copy, stack) {
  const { rows } = await stack.db.query('SELECT max(n)::int AS n FROM test_marker')
  await until('the subscription to have caught up', async () => (await copy.query('SELECT max(n)::int AS n FROM test_marker')).rows[0].n === rows[0].n)
  const expected = new Map()
  for (const row of (await copy.query('SELECT id::text, owner_id, to_jsonb(notes)::text AS value FROM notes WHERE owner_id IS NOT NULL')).rows) {
    const path = `user/${row.owner_id}/data`
    if (!expected.has(path)) expected.set(path, new Map())
    expected.get(path).set(`notes\u0000${row.id}`, JSON.stringify(Object.fromEntries(Object.entries(JSON.parse(row.value)).sort(([a], [b]) => (a < b ? -1 : 1)))))
  }
  await verifyFolds(stack.server.url, expected, STREAMS)
}

const ALL = ['insert', 'insert, update', 'update, delete', 'insert, delete, truncate', 'insert, update, delete', 'truncate, insert, update']

for (const publish of process.env.WEIR_LONG === '1' ? ALL : ALL.slice(0, 3)) {
  test(`publish = '${publish}'`, async () => {
    const seed = seedFromEnvironment()
    console.log(`seed: WEIR_SEED=${seed}`)
    const stack = await Stack.create('operations', { cluster: cluster(), schema: SCHEMA, tables: ['notes'], rules: RULES, bridgeArgs: ['--catalog-interval', '100ms'] })
    const { db } = stack
    const random = new Random(seed)
    let next = 1
    const id = () => 1 + random.below(next)
    const steps = [
      // A key that a subscriber has kept would stop it if it came again: each is used once.
      [6, () => db.query('INSERT INTO notes VALUES ($1, $2, $3)', [next++, random.pick(USERS), random.noise(3000)])],
      [4, () => db.query('UPDATE notes SET owner_id = $1 WHERE id % 7 = $2', [random.pick(USERS), random.below(7)])],
      [1, () => db.query('UPDATE notes SET id = $1 WHERE id = $2', [next++, id()])],
      [3, () => db.query('DELETE FROM notes WHERE id = $1', [id()])],
      [1, () => db.query(`BEGIN; INSERT INTO notes VALUES (${next++}, 'ana', 'x'); UPDATE notes SET owner_id = 'bo' WHERE id = ${next - 1}; DELETE FROM notes WHERE id = ${id()}; COMMIT`)],
      ...(random.chance(0.7) ? [[1, () => db.query('TRUNCATE notes')]] : []),
    ]
    try {
      stack.markByInsert = !publish.includes('update')
      await db.query(`ALTER PUBLICATION weir SET (publish = '${publish}')`)
      const copy = await subscribe(stack)
      stack.bridge.start()
      await stack.settle()
      for (let round = 0; round < 3; round++) {
        for (let i = 0; i < 30; i++) await random.weighted(steps)()
        await stack.settle()
        await verifyAgainst(copy, stack)
        if (round === 1) {
          await stack.bridge.kill()
          stack.bridge.start()
        }
      }
      // A rule that is deleted is gone, whatever is published of the tables.
      await db.query(`DELETE FROM weir.rules WHERE name = 'own'`)
      await stack.settle()
      await verifyFolds(stack.server.url, new Map(), STREAMS)
      await db.query(`INSERT INTO weir.rules (name, relation, audience) VALUES ('own', 'notes', 'SELECT notes.owner_id')`)
      // All operations again: the tables are read, and the streams hold what they hold.
      const said = stack.bridge.listen()
      await db.query(`ALTER PUBLICATION weir SET (publish = 'insert, update, delete, truncate')`)
      stack.markByInsert = false
      await until('the bridge to see it', () => said().includes('reading a table'))
      for (let i = 0; i < 20; i++) await random.weighted(steps)()
      await stack.settle()
      await verifyFolds(stack.server.url, await new Oracle(db).state(), STREAMS)
    } catch (error) {
      error.message += `\nseed: WEIR_SEED=${seed}\nbridge:\n${stack.bridge.log(60)}`
      throw error
    } finally {
      await stack.close()
    }
  })
}

for (const [what, scope] of [['ALL TABLES', 'FOR ALL TABLES'], ['TABLES IN SCHEMA', 'FOR TABLES IN SCHEMA public, weir']]) {
  test(`a publication of ${what}`, async () => {
    const stack = await Stack.create('all-tables', { cluster: cluster(), schema: `${SCHEMA}; CREATE TABLE keyless (a int)`, tables: ['notes'], rules: RULES, bridgeArgs: ['--catalog-interval', '100ms'] })
    const { db } = stack
    try {
      await db.query(`DROP PUBLICATION weir; CREATE PUBLICATION weir ${scope}`)
      await db.query(`INSERT INTO notes VALUES (1, 'ana', 'x')`)
      stack.bridge.start()
      await stack.settle()
      // A table without a key, which nobody published by name, is left out and told of.
      await until('the bridge to tell', () => /keyless.* has no primary key/.test(stack.bridge.log(50)))
      await db.query(`CREATE TABLE tasks (id int PRIMARY KEY, owner_id text); INSERT INTO tasks VALUES (1, 'bo');
        INSERT INTO weir.rules (name, relation, audience) VALUES ('tasks', 'tasks', 'SELECT t.owner_id FROM tasks t WHERE t.id = tasks.id')`)
      await db.query(`INSERT INTO tasks VALUES (2, 'cy'); DELETE FROM notes`)
      await stack.settle()
      const expected = await new Oracle(db).state()
      assert.equal(expected.get('user/cy/data').size, 1)
      await until('the new table to be shown', async () => {
        await verifyFolds(stack.server.url, expected, STREAMS)
        return true
      })
      await db.query('DROP TABLE tasks')
      await until('its rows to be gone', async () => {
        await verifyFolds(stack.server.url, new Map(), STREAMS)
        return true
      })
    } catch (error) {
      error.message += `\nbridge:\n${stack.bridge.log(60)}`
      throw error
    } finally {
      await stack.close()
    }
  })
}
