// What the names in a rule mean, while tables come and go that they may mean as well: one in the rule's own
// schema, which need not be published to hide another in public; one that inherits, whose rows are then
// read with its parent's. What cannot be followed shows nothing, in the words of weir.rule_status.

import assert from 'node:assert/strict'
import test from 'node:test'
import { Oracle } from '../lib/oracle.js'
import { Stack } from '../lib/stack.js'
import { verifyFolds } from '../lib/verify.js'
import { until } from '../lib/wait.js'

const STREAMS = ['ana', 'bo'].map((user) => `user/${user}/data`)

/** Waits until every stream is what Postgres says, and the rule what it should be. */
async function becomes(stack, reason) {
  const expected = reason ? new Map() : await new Oracle(stack.db).state()
  await until(`the rule to be ${reason ?? 'active'}`, async () => {
    const { rows } = await stack.db.query(`SELECT state, reason FROM weir.rule_status WHERE name = 'not blocked'`)
    assert.equal(rows[0].state, reason ? 'refused' : 'active')
    if (reason) assert.match(rows[0].reason, reason)
    await verifyFolds(stack.server.url, expected, STREAMS)
    return true
  })
}

async function scene(name, { schema = '', relation, audience }, act) {
  const stack = await Stack.create(name, {
    schema: `
      CREATE SCHEMA app;
      CREATE TABLE users (id text PRIMARY KEY);
      CREATE TABLE blocks (id int PRIMARY KEY, user_id text);
      CREATE TABLE app.notes (id int PRIMARY KEY, title text);
      INSERT INTO users VALUES ('ana'), ('bo'); INSERT INTO blocks VALUES (1, 'ana'); INSERT INTO app.notes VALUES (1, 'a');${schema}`,
    tables: ['users', 'blocks', 'app.notes'],
    rules: [{ name: 'not blocked', relation, audience }],
    bridgeArgs: ['--catalog-interval', '100ms'],
  })
  try {
    await stack.db.query('SET search_path = app, public') // as the rules' names are looked up
    stack.bridge.start()
    await stack.settle()
    await act(stack)
  } catch (error) {
    error.message += `\nbridge:\n${stack.bridge.log(40)}`
    throw error
  } finally {
    await stack.close()
  }
}

const NOT_BLOCKED = 'SELECT u.id FROM users u WHERE NOT EXISTS (SELECT FROM blocks b WHERE b.user_id = u.id)'

for (const what of ['TABLE app.blocks (user_id text)', 'VIEW app.blocks AS SELECT NULL::text AS user_id']) {
  test(`a name in public is hidden by a ${what.split(' ')[0].toLowerCase()} that is not published, and is free again`, () =>
    scene('hiding', { relation: 'app.notes', audience: NOT_BLOCKED }, async (stack) => {
      await becomes(stack)
      await stack.db.query(`CREATE ${what}`)
      await becomes(stack, /table blocks is not in the publication/)
      await stack.db.query(`INSERT INTO app.notes VALUES (2, 'b')`)
      await stack.settle()
      await becomes(stack, /table blocks is not in the publication/)
      await stack.db.query(`DROP ${what.split(' ')[0]} app.blocks`)
      await becomes(stack)
    }))
}

test('a hiding table that is published is what the name means', () =>
  scene('hiding-published', { relation: 'app.notes', audience: NOT_BLOCKED }, async (stack) => {
    await stack.db.query(`CREATE TABLE app.blocks (id int PRIMARY KEY, user_id text); INSERT INTO app.blocks VALUES (1, 'bo')`)
    await becomes(stack, /table blocks is not in the publication/)
    await stack.db.query('ALTER PUBLICATION weir ADD TABLE app.blocks')
    await becomes(stack)
    await stack.bridge.kill()
    stack.bridge.start()
    await stack.db.query(`UPDATE app.blocks SET user_id = 'ana'`)
    await stack.settle()
    await becomes(stack)
  }))

test('a name comes to mean another table, and its own again, in one transaction each', () =>
  scene('nearer', { relation: 'app.notes', audience: NOT_BLOCKED }, async (stack) => {
    await becomes(stack)
    await stack.db.query(`BEGIN; CREATE TABLE app.blocks (id int PRIMARY KEY, user_id text); ALTER PUBLICATION weir ADD TABLE app.blocks; COMMIT`)
    await becomes(stack)
    await stack.db.query(`BEGIN; CREATE TABLE app.users (id text PRIMARY KEY); INSERT INTO app.users VALUES ('bo'); ALTER PUBLICATION weir ADD TABLE app.users; COMMIT`)
    await becomes(stack)
    await stack.db.query('DROP TABLE app.users, app.blocks')
    await becomes(stack)
  }))

test('a table that others inherit from is read with ONLY, or not at all', () =>
  scene('heirs', { relation: 'app.notes', audience: NOT_BLOCKED }, async (stack) => {
    await becomes(stack)
    await stack.db.query(`CREATE TABLE public.old_blocks (PRIMARY KEY (id)) INHERITS (blocks); INSERT INTO old_blocks VALUES (2, 'bo')`)
    await becomes(stack, /public\.blocks has tables that inherit from it.*FROM ONLY blocks/)
    await stack.db.query(`UPDATE weir.rules SET audience = replace(audience, 'FROM blocks', 'FROM ONLY blocks') WHERE name = 'not blocked'`)
    await becomes(stack)
    await stack.db.query(`UPDATE ONLY blocks SET user_id = 'bo'`)
    await stack.settle()
    await becomes(stack)
    await stack.bridge.kill()
    stack.bridge.start()
    await stack.db.query(`ALTER TABLE old_blocks NO INHERIT blocks; UPDATE weir.rules SET audience = replace(audience, 'ONLY ', '') WHERE name = 'not blocked'`)
    await stack.settle()
    await becomes(stack)
  }))

test('rows of a table that others inherit from are not shown', () =>
  scene('heirs-shown', { relation: 'app.notes', audience: 'SELECT u.id FROM users u', schema: 'CREATE TABLE app.old_notes (PRIMARY KEY (id)) INHERITS (app.notes)' }, async (stack) => {
    await becomes(stack, /app\.notes has tables that inherit from it.*NO INHERIT/)
    await stack.db.query('DROP TABLE app.old_notes')
    await becomes(stack)
  }))
