// Rights of the bridge's role that are taken while it runs: a rule that cannot be asked about shows nothing and says
// why, and is followed as soon as the right is granted again, without being written anew. A table of which it may not
// read every row, also as policies hide them, shows none, while the others go on.

import assert from 'node:assert/strict'
import test from 'node:test'
import { Oracle } from '../lib/oracle.js'
import { shareCluster } from '../lib/shared_cluster.js'
import { insertRule, Stack } from '../lib/stack.js'
import { verifyFolds } from '../lib/verify.js'
import { until } from '../lib/wait.js'

const cluster = shareCluster('rights')
const STREAMS = ['ana', 'bo'].map((user) => `user/${user}/data`)

test('a schema with a type that a rule names is closed to the bridge, and opened again', async () => {
  const stack = await Stack.create('rights', {
    cluster: cluster(),
    schema: `
      CREATE SCHEMA app;
      CREATE TYPE app.mood AS ENUM ('glad', 'sad');
      CREATE TABLE users (id text PRIMARY KEY);
      CREATE TABLE notes (id int PRIMARY KEY, mood app.mood);
      INSERT INTO users VALUES ('ana'), ('bo'); INSERT INTO notes VALUES (1, 'glad'), (2, 'sad');
      CREATE ROLE weir_bridge LOGIN REPLICATION`,
    tables: ['users', 'notes'], rules: [],
    bridgeArgs: ['--catalog-interval', '100ms'],
  })
  const becomes = (state, reason) => until(`the rule to be ${state}`, async () => {
    const { rows } = await stack.db.query(`SELECT state, reason FROM weir.rule_status WHERE name = 'glad'`)
    assert.equal(rows[0]?.state, state)
    assert.match(rows[0].reason ?? '', reason)
    return true
  })
  try {
    await stack.db.query(`
      GRANT USAGE ON SCHEMA weir, app TO weir_bridge;
      GRANT SELECT ON weir.rules, weir.revoked, users, notes, test_marker TO weir_bridge;
      GRANT SELECT, INSERT, UPDATE, DELETE ON weir.rule_status TO weir_bridge;
      GRANT SELECT, INSERT, UPDATE ON weir.parked TO weir_bridge`)
    stack.bridge.args = stack.bridge.args.map((arg) => arg.replace('user=postgres', 'user=weir_bridge'))
    stack.bridge.start()
    await stack.settle()
    await stack.db.query('REVOKE USAGE ON SCHEMA app FROM weir_bridge')
    await insertRule(stack.db, { name: 'glad', relation: 'notes', audience: `SELECT u.id FROM users u WHERE notes.mood = 'glad'` })
    await becomes('refused', /permission denied for schema app/)
    await stack.settle()
    await verifyFolds(stack.server.url, new Map(), STREAMS)
    await stack.db.query('GRANT USAGE ON SCHEMA app TO weir_bridge')
    await becomes('active', /^$/)
    await stack.settle()
    await verifyFolds(stack.server.url, await new Oracle(stack.db).state(), STREAMS)
    // Where it says so may be closed as well: it is said later.
    await stack.db.query('REVOKE ALL ON weir.rule_status FROM weir_bridge')
    await stack.db.query(`UPDATE weir.rules SET audience = 'SELECT lower(u.id) FROM users u' WHERE name = 'glad'`)
    await stack.settle()
    await verifyFolds(stack.server.url, new Map(), STREAMS)
    assert.match(stack.bridge.log(100), /cannot write weir.rule_status/)
    await stack.db.query('GRANT SELECT, INSERT, UPDATE, DELETE ON weir.rule_status TO weir_bridge')
    await becomes('refused', /function lower/)
  } finally {
    await stack.close()
  }
})

const CLOSE = {
  'row level security': ['ALTER TABLE app.notes ENABLE ROW LEVEL SECURITY', /role weir_bridge sees of table .*notes.* only the rows that its policies show it/, 'ALTER ROLE weir_bridge BYPASSRLS'],
  'row level security that is forced on its owner': ['ALTER TABLE app.notes OWNER TO weir_bridge; ALTER TABLE app.notes ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', /sees of table .*notes.* only the rows/, 'ALTER ROLE weir_bridge BYPASSRLS'],
  'no right to select': ['REVOKE SELECT ON app.notes FROM weir_bridge', /role weir_bridge may not read table .*notes/, 'GRANT SELECT ON "app"."notes" TO weir_bridge'],
  'a schema that it may not use': ['REVOKE USAGE ON SCHEMA app FROM weir_bridge', /role weir_bridge may not use schema .*app/, 'GRANT USAGE ON SCHEMA "app" TO weir_bridge'],
}

const LISTED = 'ALTER PUBLICATION weir ADD TABLE app.notes'
const IMPLICIT = `DROP PUBLICATION weir;
  CREATE PUBLICATION weir FOR TABLE weir.rules, weir.revoked, public.others, public.test_marker, TABLES IN SCHEMA app`

for (const [what, [close, complaint, remedy]] of Object.entries(CLOSE))
  for (const [how, publish] of Object.entries({ listed: LISTED, 'with its schema': IMPLICIT }))
    test(`a table that the bridge may not read all of: ${what}, published ${how}`, async () => {
      const stack = await Stack.create('unreadable', {
        cluster: cluster(),
        schema: `
          CREATE SCHEMA app;
          CREATE TABLE app.notes (id int PRIMARY KEY, owner_id text);
          CREATE TABLE others (id int PRIMARY KEY, owner_id text);
          INSERT INTO app.notes VALUES (1, 'ana'), (2, 'bo'); INSERT INTO others VALUES (1, 'ana');
          CREATE ROLE weir_bridge LOGIN REPLICATION`,
        tables: ['others'], rules: [],
        bridgeArgs: ['--catalog-interval', '100ms'],
      })
      const shows = async (notes) => {
        await stack.settle()
        const all = await new Oracle(stack.db).state()
        if (!notes) for (const rows of all.values()) for (const id of rows.keys()) if (id.startsWith('notes\0')) rows.delete(id)
        await verifyFolds(stack.server.url, all, STREAMS)
      }
      try {
        await stack.db.query(publish)
        await insertRule(stack.db, { name: 'notes', relation: 'app.notes', audience: 'SELECT notes.owner_id' })
        await insertRule(stack.db, { name: 'others', relation: 'others', audience: 'SELECT others.owner_id' })
        await stack.db.query(`
          GRANT USAGE ON SCHEMA weir, app TO weir_bridge;
          GRANT SELECT ON weir.rules, weir.revoked, app.notes, others, test_marker TO weir_bridge;
          GRANT SELECT, INSERT, UPDATE, DELETE ON weir.rule_status TO weir_bridge;
          GRANT SELECT, INSERT, UPDATE ON weir.parked TO weir_bridge`)
        stack.bridge.args = stack.bridge.args.map((arg) => arg.replace('user=postgres', 'user=weir_bridge'))
        const mend = () => stack.db.query(stack.bridge.log(Infinity).match(/hint="((?:ALTER ROLE|GRANT)[^;]*;)/)[1].replaceAll('\\"', '"'))
        const isClosed = () => until('the bridge to say so', () => complaint.test(stack.bridge.log(Infinity)))
        if (how === 'listed') {
          stack.bridge.start()
          await shows(true)
        }
        // Of one that was asked for by name it is said before anything is begun, as of all that cannot be followed.
        await stack.db.query(close)
        if (how !== 'listed') stack.bridge.start()
        await isClosed()
        await until('its rule to be refused', async () => {
          const { rows } = await stack.db.query(`SELECT state FROM weir.rule_status WHERE name = 'notes'`)
          return rows[0]?.state === 'refused'
        })
        await stack.db.query(`INSERT INTO app.notes VALUES (3, 'ana'); UPDATE app.notes SET owner_id = 'ana' WHERE id = 2; INSERT INTO others VALUES (2, 'ana')`)
        await shows(false)
        await mend()
        await until('its rule to be active', async () => {
          const { rows } = await stack.db.query(`SELECT state FROM weir.rule_status WHERE name = 'notes'`)
          return rows[0].state === 'active'
        })
        await shows(true)
        assert.ok(stack.bridge.log(Infinity).includes(remedy) || stack.bridge.log(Infinity).replaceAll('\\"', '"').includes(remedy))
      } catch (error) {
        error.message += `\nbridge:\n${stack.bridge.log(60)}`
        throw error
      } finally {
        await stack.close()
      }
    })
