// A change of the catalog that lets fewer people see a row, or makes a row another one, and what is written right
// behind it or in the same transaction. The bridge does not look at the catalog by itself here: nobody must ever have
// been sent what was not theirs to see in any committed state.

import assert from 'node:assert/strict'
import test from 'node:test'
import { Oracle } from '../lib/oracle.js'
import { shareCluster } from '../lib/shared_cluster.js'
import { insertRule, Stack } from '../lib/stack.js'
import { readStream } from '../lib/stream.js'
import { verifyFolds } from '../lib/verify.js'

const TABLES = ['notes', 'members', 'parts', 'app.plans']
const SCHEMA = `
  CREATE SCHEMA app; CREATE SCHEMA other; CREATE TYPE mood AS ENUM ('glad', 'sad');
  CREATE TABLE notes (id int PRIMARY KEY, who varchar(20) NOT NULL, mood mood, body text, hidden text, CHECK (id < 1000));
  CREATE TABLE letters (LIKE notes INCLUDING ALL);
  CREATE TABLE members (who varchar(20) PRIMARY KEY);
  CREATE TABLE parts (id int PRIMARY KEY, who text, body text) PARTITION BY RANGE (id);
  CREATE TABLE parts_low PARTITION OF parts FOR VALUES FROM (0) TO (1000);
  CREATE TABLE app.plans (id int PRIMARY KEY, who text, body text); CREATE TABLE other.plans (LIKE app.plans INCLUDING ALL);
  CREATE FUNCTION never(varchar, varchar) RETURNS boolean IMMUTABLE LANGUAGE sql RETURN false;
  CREATE FUNCTION nobody(mood) RETURNS text IMMUTABLE LANGUAGE sql RETURN 'nobody'`

const MEMBERS = 'SELECT m.who FROM members m'
const rule = (relation, audience, more) => ({ name: 'the rule', relation, audience, type: 'rows', ...more })
const again = (table, how) => `ALTER PUBLICATION weir DROP TABLE ${table}; ALTER PUBLICATION weir ADD TABLE ${table} ${how}`
const COLUMNS = 'ALTER TABLE notes RENAME body TO t; ALTER TABLE notes RENAME hidden TO body; ALTER TABLE notes RENAME t TO hidden'
const LABELS = `ALTER TYPE mood RENAME VALUE 'glad' TO 't'; ALTER TYPE mood RENAME VALUE 'sad' TO 'glad'; ALTER TYPE mood RENAME VALUE 't' TO 'sad'`
const JOIN = `INSERT INTO members VALUES ('ana')`
const note = (more = {}) => {
  const row = { id: 7, who: 'ana', mood: 'glad', body: 'secret', ...more }
  return `INSERT INTO notes (${Object.keys(row)}) VALUES (${Object.values(row).map((value) => `'${value}'`)})`
}

// [rule, what there is before, what is altered, what is written behind it, what makes Postgres's answer the streams'].
const OWN = rule('notes', 'SELECT notes.who')
const CASES = {
  'a row filter': [OWN, '', again('notes', `WHERE (body <> 'secret')`), note(), again('notes', '')],
  'a row filter, and somebody may see the table from now on': [rule('notes', MEMBERS), note(), again('notes', `WHERE (body <> 'secret')`), JOIN, again('notes', '')],
  'a row filter of the table above a partition': [rule('parts', 'SELECT parts.who'), '', again('parts', `WHERE (body <> 'secret')`),
    `INSERT INTO parts VALUES (7, 'ana', 'secret')`, again('parts', '')],
  'a table named instead of its schema': [rule('app.plans', 'SELECT plans.who'), again('app.plans', '').replace('ADD TABLE app.plans', 'ADD TABLES IN SCHEMA app'),
    `ALTER PUBLICATION weir DROP TABLES IN SCHEMA app; ALTER PUBLICATION weir ADD TABLE app.plans WHERE (body <> 'secret')`,
    `INSERT INTO app.plans VALUES (7, 'ana', 'secret')`, again('app.plans', '')],
  'a column list': [OWN, '', again('notes', '(id, who)'), note(), again('notes', '')],
  'a table is taken out, and somebody may see it from now on': [rule('notes', MEMBERS), note(), 'ALTER PUBLICATION weir DROP TABLE notes', JOIN,
    'ALTER PUBLICATION weir ADD TABLE notes'],
  'an operator': [rule('notes', 'SELECT m.who FROM members m WHERE m.who = notes.who'), JOIN,
    'CREATE OPERATOR = (LEFTARG = varchar, RIGHTARG = varchar, FUNCTION = never)', note(), 'DROP OPERATOR = (varchar, varchar)'],
  'a cast': [rule('notes', `${MEMBERS} WHERE notes.mood::text = 'glad'`), JOIN, 'CREATE CAST (mood AS text) WITH FUNCTION nobody(mood) AS ASSIGNMENT',
    note(), 'DROP CAST (mood AS text)'],
  'a table that has the name of one of the rule': [rule('app.plans', 'SELECT m.who FROM members m'), JOIN, 'CREATE TABLE app.members (who text)',
    `INSERT INTO app.plans VALUES (7, 'ana', 'secret')`, 'DROP TABLE app.members'],
  'labels change their names': [rule('notes', `${MEMBERS} WHERE notes.mood = 'glad'`), note(),
    LABELS, JOIN],
  'columns change their names': [rule('notes', MEMBERS, { columns: '{id,who,body}' }), note(),
    COLUMNS, JOIN],
}

// Names that change hands and are given back in one transaction, so that Postgres, when it is asked, has them as before.
const RETURNS = {
  'tables': [OWN, (act) => `ALTER TABLE notes RENAME TO t; ALTER TABLE letters RENAME TO notes; ${act}; ALTER TABLE notes RENAME TO letters; ALTER TABLE t RENAME TO notes`, note()],
  'schemas': [rule('app.plans', 'SELECT plans.who'),
    (act) => `ALTER SCHEMA app RENAME TO t; ALTER SCHEMA other RENAME TO app; ${act}; ALTER SCHEMA app RENAME TO other; ALTER SCHEMA t RENAME TO app`,
    `INSERT INTO app.plans VALUES (7, 'ana', 'secret')`],
  'columns': [rule('notes', 'SELECT notes.who', { columns: '{id,who,body}' }),
    (act) => `${COLUMNS}; ${act}; ${COLUMNS}`, note()],
  'labels': [rule('notes', `SELECT notes.who WHERE notes.mood = 'glad'`), (act) => `${LABELS}; ${act}; ${LABELS}`, note()],
}

// What concerns neither whose rows they are nor who may see them, and yet writes the catalog's rows.
const HARMLESS = `
  GRANT SELECT ON notes, members TO public; GRANT USAGE ON SCHEMA public TO public; GRANT USAGE ON SCHEMA public TO public;
  ANALYZE; CREATE INDEX ON notes (who); COMMENT ON TABLE notes IS 'some'; COMMENT ON COLUMN notes.who IS 'some';
  ALTER TABLE notes SET (fillfactor = 90);
  CREATE TABLE others (id int); CREATE TYPE its AS ENUM ('x'); CREATE FUNCTION f(its) RETURNS text IMMUTABLE LANGUAGE sql RETURN 'x';
  CREATE CAST (its AS text) WITH FUNCTION f(its); ALTER PUBLICATION weir OWNER TO CURRENT_USER; TRUNCATE parts`

const cluster = shareCluster('windows')

/** act: what is run in the database; sees to it that nothing of it has reached ana's stream, and then that all is as it should be. */
async function play(how, [one, first, ...acts], settled) {
  const stack = await Stack.create('windows', { cluster: cluster(), schema: SCHEMA, tables: TABLES, rules: [], bridgeArgs: ['--catalog-interval', '1h'] })
  try {
    await stack.db.query(`ALTER PUBLICATION weir SET (publish_via_partition_root = true); ${first}`)
    await insertRule(stack.db, one)
    stack.bridge.start()
    await stack.settle()
    await stack.settle() // behind the look at the beginning, which is the only one
    for (const act of acts) await stack.db.query(`BEGIN; ${act}; COMMIT`)
    await stack.settle().catch(() => {})
    const { events } = await readStream(stack.server.url, 'user/ana/data')
    assert.ok(!JSON.stringify(events).includes('secret'), JSON.stringify(events))
    if (settled) await stack.db.query(settled)
    await stack.settle()
    await verifyFolds(stack.server.url, await new Oracle(stack.db).state(), ['user/ana/data'])
  } catch (error) {
    error.message += `\n${how}\nbridge:\n${stack.bridge.log(20)}`
    throw error
  } finally {
    await stack.close()
  }
}

for (const [how, [one, first, ddl, write, settled]] of Object.entries(CASES)) {
  test(`${how}: in the same transaction`, () => play(how, [one, first, `${ddl}; ${write}`], settled))
  test(`${how}: behind it`, () => play(how, [one, first, ddl, write], settled))
}

for (const [what, [one, around, write]] of Object.entries(RETURNS))
  test(`${what} that were others for a while`, () => play(what, [one, '', around(write)]))

test('what changes neither is looked at, and no table is read for it', async () => {
  const stack = await Stack.create('windows', { cluster: cluster(), schema: SCHEMA, tables: TABLES, rules: [OWN], bridgeArgs: ['--catalog-interval', '1h'] })
  try {
    stack.bridge.start()
    await stack.settle()
    for (const [i, act] of HARMLESS.split(';').entries()) {
      await stack.db.query(act)
      await stack.db.query(`${note({ id: i })}; INSERT INTO parts VALUES (${i}, 'ana', 'part')`)
      await stack.settle()
    }
    await stack.db.query('VACUUM (FREEZE) notes')
    await stack.db.query('VACUUM FULL notes')
    await stack.settle()
    await verifyFolds(stack.server.url, await new Oracle(stack.db).state(), ['user/ana/data'])
    assert.doesNotMatch(stack.bridge.log(Infinity), /reading a table/)
  } finally {
    await stack.close()
  }
})

test('several tables had other columns for a while, and rows with them', async () => {
  const stack = await Stack.create('windows', { cluster: cluster(), schema: SCHEMA, tables: TABLES, rules: [OWN], bridgeArgs: ['--catalog-interval', '1h'] })
  const { db, bridge, server } = stack
  const tables = ['notes', 'members', 'parts', 'app.plans']
  const each = async (sql) => {
    for (const table of tables) await db.query(sql(table))
  }
  try {
    await db.query('ALTER PUBLICATION weir SET (publish_via_partition_root = true)')
    bridge.start()
    await stack.settle()
    for (const round of [1, 2]) { // a bridge that reads one of them at a time would never be through
      await bridge.stop()
      await each((table) => `ALTER TABLE ${table} ADD COLUMN for_a_while int DEFAULT 1`)
      await db.query(`${note({ id: round })}; INSERT INTO members VALUES ('m${round}'); INSERT INTO parts VALUES (${round}, 'ana', 'part'); INSERT INTO app.plans VALUES (${round}, 'ana', 'plan')`)
      await each((table) => `ALTER TABLE ${table} DROP COLUMN for_a_while`)
      bridge.start()
      await stack.settle()
      await verifyFolds(server.url, await new Oracle(db).state(), ['user/ana/data'])
    }
  } catch (error) {
    error.message += `\nbridge:\n${bridge.log(20)}`
    throw error
  } finally {
    await stack.close()
  }
})
