// Rights of the bridge's role that are taken while it runs: a rule that cannot be asked about shows nothing and says
// why, and is followed as soon as the right is granted again, without being written anew.

import assert from 'node:assert/strict'
import test from 'node:test'
import { Oracle } from '../lib/oracle.js'
import { insertRule, Stack } from '../lib/stack.js'
import { verifyFolds } from '../lib/verify.js'
import { until } from '../lib/wait.js'

const STREAMS = ['ana', 'bo'].map((user) => `user/${user}/data`)

test('a schema with a type that a rule names is closed to the bridge, and opened again', async () => {
  const stack = await Stack.create('rights', {
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
