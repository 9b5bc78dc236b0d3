// What the names in a rule mean, while tables come and go that they may mean as well: one in the rule's own
// schema, which need not be published to hide another in public; one that inherits, whose rows are then
// read with its parent's. What cannot be followed shows nothing, in the words of weir.rule_status.

import assert from 'node:assert/strict'
import test from 'node:test'
import { ruleScene } from '../lib/rule_scene.js'
import { shareCluster } from '../lib/shared_cluster.js'

const cluster = shareCluster('names')

const SCHEMA = `
  CREATE SCHEMA app;
  CREATE TABLE users (id text PRIMARY KEY);
  CREATE TABLE blocks (id int PRIMARY KEY, user_id text);
  CREATE TABLE app.notes (id int PRIMARY KEY, title text);
  INSERT INTO users VALUES ('ana'), ('bo'); INSERT INTO blocks VALUES (1, 'ana'); INSERT INTO app.notes VALUES (1, 'a');`

const scene = (name, audience, act, more = '', interval = undefined) =>
  ruleScene(name, { cluster: cluster(), schema: SCHEMA + more, tables: ['users', 'blocks', 'app.notes'], rule: { relation: 'app.notes', audience }, searchPath: 'app, public', interval }, act)

const NOT_BLOCKED = 'SELECT u.id FROM users u WHERE NOT EXISTS (SELECT FROM blocks b WHERE b.user_id = u.id)'

for (const what of ['TABLE app.blocks (user_id text)', 'VIEW app.blocks AS SELECT NULL::text AS user_id']) {
  test(`a name in public is hidden by a ${what.split(' ')[0].toLowerCase()} that is not published, and is free again`, () =>
    scene('hiding', NOT_BLOCKED, async (stack, becomes) => {
      await becomes()
      await stack.db.query(`CREATE ${what}`)
      await becomes(/table blocks is not in the publication/)
      await stack.db.query(`INSERT INTO app.notes VALUES (2, 'b')`)
      await stack.settle()
      await becomes(/table blocks is not in the publication/)
      await stack.db.query(`DROP ${what.split(' ')[0]} app.blocks`)
      await becomes()
    }))
}

test('a hiding table that is published is what the name means', () =>
  scene('hiding-published', NOT_BLOCKED, async (stack, becomes) => {
    await stack.db.query(`CREATE TABLE app.blocks (id int PRIMARY KEY, user_id text); INSERT INTO app.blocks VALUES (1, 'bo')`)
    await becomes(/table blocks is not in the publication/)
    await stack.db.query('ALTER PUBLICATION weir ADD TABLE app.blocks')
    await becomes()
    await stack.bridge.kill()
    stack.bridge.start()
    await stack.db.query(`UPDATE app.blocks SET user_id = 'ana'`)
    await stack.settle()
    await becomes()
  }))

test('a name comes to mean another table, and its own again, in one transaction each', () =>
  scene('nearer', NOT_BLOCKED, async (stack, becomes) => {
    await becomes()
    await stack.db.query(`BEGIN; CREATE TABLE app.blocks (id int PRIMARY KEY, user_id text); ALTER PUBLICATION weir ADD TABLE app.blocks; COMMIT`)
    await becomes()
    await stack.db.query(`BEGIN; CREATE TABLE app.users (id text PRIMARY KEY); INSERT INTO app.users VALUES ('bo'); ALTER PUBLICATION weir ADD TABLE app.users; COMMIT`)
    await becomes()
    await stack.db.query('DROP TABLE app.users, app.blocks')
    await becomes()
  }))

test('a table that others inherit from is read with ONLY, or not at all', () =>
  scene('heirs', NOT_BLOCKED, async (stack, becomes) => {
    await becomes()
    await stack.db.query(`CREATE TABLE public.old_blocks (PRIMARY KEY (id)) INHERITS (blocks); INSERT INTO old_blocks VALUES (2, 'bo')`)
    await becomes(/public\.blocks has tables that inherit from it.*FROM ONLY blocks/)
    await stack.db.query(`UPDATE weir.rules SET audience = replace(audience, 'FROM blocks', 'FROM ONLY blocks') WHERE name = 'the rule'`)
    await becomes()
    await stack.db.query(`UPDATE ONLY blocks SET user_id = 'bo'`)
    await stack.settle()
    await becomes()
    await stack.bridge.kill()
    stack.bridge.start()
    await stack.db.query(`ALTER TABLE old_blocks NO INHERIT blocks; UPDATE weir.rules SET audience = replace(audience, 'ONLY ', '') WHERE name = 'the rule'`)
    await stack.settle()
    await becomes()
  }))

test('rows of a table that others inherit from are not shown', () =>
  scene('heirs-shown', 'SELECT u.id FROM users u', async (stack, becomes) => {
    await becomes(/app\.notes has tables that inherit from it.*NO INHERIT/)
    await stack.db.query('DROP TABLE app.old_notes')
    await becomes()
  }, 'CREATE TABLE app.old_notes (PRIMARY KEY (id)) INHERITS (app.notes)'))

// What was so when the bridge began is so at the end, and the rule was written in between.
const HIDING = 'CREATE TABLE app.blocks (user_id text)'
const THERE_AND_BACK = [
  { name: 'dropped and made again', before: HIDING, there: 'DROP TABLE app.blocks', back: HIDING },
  { name: 'renamed and named so again', before: HIDING, there: 'ALTER TABLE app.blocks RENAME TO others', back: 'ALTER TABLE app.others RENAME TO blocks' },
  { name: 'made and dropped again', before: '', there: HIDING, back: 'DROP TABLE app.blocks' },
]
const LOOKS = {
  'a new start': async (stack) => {
    await stack.bridge.stop()
    stack.bridge.start()
  },
  'a new connection': (stack) => stack.db.query('SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots'),
}

for (const { name, before, there, back } of THERE_AND_BACK)
  for (const [when, look] of Object.entries(LOOKS))
    test(`a hiding table is ${name} between two looks, the second at ${when}`, () =>
      scene('there-and-back', NOT_BLOCKED, async (stack, becomes) => {
        const refused = /table blocks is not in the publication/
        await becomes(before ? refused : undefined)
        await stack.settle() // followed: the first look is before anything that comes by the slot
        await stack.db.query(there)
        await stack.db.query(`UPDATE weir.rules SET audience = audience || ' AND true' WHERE name = 'the rule'`)
        await becomes(before ? undefined : refused)
        await stack.db.query(back)
        await look(stack)
        await becomes(before ? refused : undefined)
      }, before, '1h'))

test('a hiding table with quotes and spaces in its name is recognised, and leads to one resync', () => {
  const name = '"a ""b"" c"'
  const tables = ['users', `public.${name}`, 'app.notes']
  const schema = `${SCHEMA} ALTER TABLE public.blocks RENAME TO ${name}`
  const rule = { relation: 'app.notes', audience: NOT_BLOCKED.replace('blocks', name) }
  return ruleScene('hiding-quoted', { cluster: cluster(), schema, tables, rule, searchPath: 'app, public', interval: '1h' }, async (stack, becomes) => {
    await stack.settle()
    await becomes()
    await stack.db.query(`CREATE TABLE app.${name} (user_id text)`)
    await LOOKS['a new start'](stack)
    await becomes(/is not in the publication/)
    for (const look of Object.values(LOOKS)) {
      await look(stack)
      await stack.settle()
      await stack.settle()
    }
    assert.equal(stack.bridge.log(200).match(/msg="resyncing/g).length, 1)
  })
})

// Rows come by the name that their table had then, and it has its own again before the bridge looks.
test('a table has another name, or schema, for a while', () =>
  scene('for-a-while', 'SELECT u.id FROM users u', async (stack, becomes) => {
    await becomes()
    await stack.db.query(`BEGIN; ALTER TABLE app.notes RENAME TO n; INSERT INTO app.n VALUES (2, 'b'); UPDATE app.n SET title = 'c' WHERE id = 1; ALTER TABLE app.n RENAME TO notes; COMMIT`)
    await becomes()
    await stack.db.query(`BEGIN; ALTER TABLE app.notes SET SCHEMA public; INSERT INTO notes VALUES (3, 'd'); DELETE FROM notes WHERE id = 1; ALTER TABLE notes SET SCHEMA app; COMMIT`)
    await becomes()
    await stack.bridge.kill()
    await stack.db.query(`BEGIN; ALTER TABLE app.notes RENAME TO n; UPDATE app.n SET title = 'e'; ALTER TABLE app.n RENAME TO notes; COMMIT`)
    stack.bridge.start()
    await becomes()
  }))

test('a partition has another name for a while', () =>
  scene('partition-for-a-while', 'SELECT u.id FROM users u', async (stack, becomes) => {
    await stack.db.query('ALTER PUBLICATION weir SET (publish_via_partition_root = true)')
    await becomes()
    await stack.db.query(`BEGIN; ALTER TABLE app.notes_1 RENAME TO n; INSERT INTO app.notes VALUES (2, 'b'); ALTER TABLE app.n RENAME TO notes_1; COMMIT`)
    await becomes()
  }, `DROP TABLE app.notes;
      CREATE TABLE app.notes (id int PRIMARY KEY, title text) PARTITION BY RANGE (id); CREATE TABLE app.notes_1 PARTITION OF app.notes FOR VALUES FROM (0) TO (100)`))

test('two tables change places, and back', () =>
  scene('places', 'SELECT u.id FROM users u', async (stack, becomes) => {
    await stack.db.query('ALTER PUBLICATION weir ADD TABLE gone')
    const change = 'ALTER TABLE blocks RENAME TO b; ALTER TABLE gone RENAME TO blocks; ALTER TABLE b RENAME TO gone;'
    await becomes()
    await stack.bridge.kill()
    await stack.db.query(`BEGIN; ${change} INSERT INTO blocks VALUES (2, 'bo'); UPDATE gone SET user_id = 'bo'; INSERT INTO gone VALUES (3, 'cem'); COMMIT`)
    await stack.db.query(`BEGIN; ${change} COMMIT`)
    await stack.db.query(`UPDATE weir.rules SET audience = 'SELECT b.user_id FROM blocks b' WHERE name = 'the rule'`)
    stack.bridge.start()
    await becomes()
  }, 'CREATE TABLE gone (id int PRIMARY KEY, user_id text); INSERT INTO gone VALUES (1, NULL)'))
