// A table's name that another one takes, in every way that SQL has for it, and what is written under it in the
// same transaction or right behind it. The bridge does not look at the catalog by itself here: the other table's rows
// must never have been in a stream of the first one's readers.

import assert from 'node:assert/strict'
import test from 'node:test'
import { Oracle } from '../lib/oracle.js'
import { shareCluster } from '../lib/shared_cluster.js'
import { insertRule, Stack } from '../lib/stack.js'
import { readStream } from '../lib/stream.js'
import { verifyFolds } from '../lib/verify.js'

const cluster = shareCluster('names-taken')
const table = (name) => `CREATE TABLE ${name} (id int PRIMARY KEY, who text NOT NULL, body text)`
const SCHEMA = `
  CREATE SCHEMA app; CREATE SCHEMA other;
  ${table('notes')}; ${table('letters')}; ${table('app.plans')}; ${table('other.plans')}; ${table('unpublished')};
  CREATE TABLE other.notes (id int CONSTRAINT other_notes PRIMARY KEY, who text NOT NULL, body text);
  CREATE TABLE parts (id int PRIMARY KEY, who text NOT NULL, body text) PARTITION BY RANGE (id);
  CREATE TABLE parts_low PARTITION OF parts FOR VALUES FROM (0) TO (1000);
  INSERT INTO notes VALUES (1, 'ana', 'note'); INSERT INTO letters VALUES (1, 'bo', 'letter');
  INSERT INTO parts VALUES (1, 'ana', 'part');`

const SECRET = `(id, who, body) VALUES (7, 'ana', 'secret')`
const insert = (name) => `INSERT INTO ${name} ${SECRET}`
const SWAP = `ALTER TABLE notes RENAME TO t; ALTER TABLE letters RENAME TO notes; ALTER TABLE t RENAME TO letters`

// What is done, the name that a row is then written under, and what makes Postgres's answer the streams': it does not
// know of publications.
const CASES = {
  'two tables change places': [SWAP, 'notes'],
  'an unpublished table takes the name': ['ALTER TABLE notes RENAME TO t; ALTER TABLE unpublished RENAME TO notes', 'notes'],
  'a table of another schema takes the name': ['ALTER TABLE notes RENAME TO t; ALTER TABLE other.notes SET SCHEMA public', 'notes'],
  'the schemas change their names': ['ALTER SCHEMA app RENAME TO t; ALTER SCHEMA other RENAME TO app', 'app.plans'],
  'dropped and made again': [`DROP TABLE notes; ${table('notes')}`, 'notes'],
  'taken out of the publication': ['ALTER PUBLICATION weir DROP TABLE notes', 'notes', `DELETE FROM weir.rules WHERE name = 'notes'`],
  'a partition is detached': ['ALTER TABLE parts DETACH PARTITION parts_low', 'parts_low'],
  'a partition is another table by now': [
    `ALTER TABLE parts DETACH PARTITION parts_low; ALTER TABLE parts_low RENAME TO t; ${table('parts_low')}`, 'parts_low'],
}

const RULES = [
  { name: 'notes', relation: 'notes', audience: `SELECT 'ana'`, type: 'notes' },
  { name: 'plans', relation: 'app.plans', audience: `SELECT 'ana'`, type: 'plans' },
  { name: 'letters', relation: 'letters', audience: `SELECT 'bo'`, type: 'letters' },
  { name: 'parts', relation: 'parts', audience: `SELECT 'ana'`, type: 'parts' },
]

async function play(how, [ddl, name, settled], together) {
  const stack = await Stack.create('names-taken', {
    cluster: cluster(), schema: SCHEMA, tables: ['notes', 'letters', 'app.plans', 'parts'], rules: [], bridgeArgs: ['--catalog-interval', '1h'] })
  try {
    await stack.db.query('ALTER PUBLICATION weir SET (publish_via_partition_root = true)')
    for (const rule of RULES) await insertRule(stack.db, rule)
    stack.bridge.start()
    await stack.settle()
    await stack.settle() // behind the look at the beginning, which is the only one
    if (together) await stack.db.query(`BEGIN; ${insert('letters').replace('7', '5').replace('secret', 'before')}; ${ddl}; ${insert(name)}; COMMIT`)
    else {
      await stack.db.query(`BEGIN; ${ddl}; COMMIT`)
      await stack.db.query(insert(name))
    }
    await stack.settle()
    const { events } = await readStream(stack.server.url, 'user/ana/data')
    assert.ok(!JSON.stringify(events).includes('secret'), `${how}: ${JSON.stringify(events)}`)
    if (settled) {
      await stack.db.query(settled)
      await stack.settle()
    }
    await verifyFolds(stack.server.url, await new Oracle(stack.db).state(), ['user/ana/data', 'user/bo/data'])
  } catch (error) {
    error.message += `\n${how}\nbridge:\n${stack.bridge.log(20)}`
    throw error
  } finally {
    await stack.close()
  }
}

for (const [how, one] of Object.entries(CASES)) {
  test(`${how}, and a row comes in the same transaction`, () => play(how, one, true))
  test(`${how}, and a row comes behind it`, () => play(how, one, false))
}
