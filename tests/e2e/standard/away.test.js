// What becomes of the catalog while a bridge is away that writes to a server which keeps no progress. What it had sent
// comes again and must be the same again, by the catalog as it was; what it had not must not be shown by that.

import assert from 'node:assert/strict'
import test from 'node:test'
import { Oracle } from '../lib/oracle.js'
import { ReferenceServer, asServed } from '../lib/reference_server.js'
import { shareCluster } from '../lib/shared_cluster.js'
import { Stack } from '../lib/stack.js'
import { readStream } from '../lib/stream.js'
import { verifyFolds } from '../lib/verify.js'

const STREAMS = ['user/ana/data', 'user/bo/data']
const table = (name) => `CREATE TABLE ${name} (id int PRIMARY KEY, who text NOT NULL, body text)`
const SCHEMA = `
  ${table('notes')}; ${table('letters')}; ${table('unpublished')};
  INSERT INTO notes VALUES (1, 'ana', 'note'); INSERT INTO letters VALUES (1, 'bo', 'letter')`
const RULES = [
  { name: 'notes', relation: 'notes', audience: `SELECT 'ana'`, type: 'notes' },
  { name: 'letters', relation: 'letters', audience: `SELECT 'bo'`, type: 'letters' },
]
const SECRET = `INSERT INTO notes VALUES (7, 'ana', 'secret')`

// [what is run while it is away, each in a transaction; what makes Postgres's answer the streams]
const CASES = {
  'two tables change places': [['ALTER TABLE notes RENAME TO t; ALTER TABLE letters RENAME TO notes; ALTER TABLE t RENAME TO letters', SECRET]],
  'another table takes the name': [['ALTER TABLE notes RENAME TO t; ALTER TABLE unpublished RENAME TO notes', SECRET], 'DELETE FROM notes'],
  'taken out of the publication': [['ALTER PUBLICATION weir DROP TABLE notes', SECRET], `DELETE FROM weir.rules WHERE name = 'notes'`],
  'it gets a row filter': [[`ALTER PUBLICATION weir SET TABLE notes WHERE (id < 7), letters, weir.rules, test_marker`, SECRET], 'DELETE FROM notes WHERE id = 7'],
}

const cluster = shareCluster('standard-away')

for (const [what, [statements, settled]] of Object.entries(CASES)) {
  for (const how of ['stop', 'kill']) {
    test(`${what}, after ${how}`, async () => {
      const stack = await Stack.create('standard-away', {
        cluster: cluster(), schema: SCHEMA, tables: ['notes', 'letters'], rules: RULES,
        startServer: (workspace) => ReferenceServer.start(workspace), bridgeArgs: ['--catalog-interval', '1h', '--checkpoint-interval', '1h'] })
      try {
        stack.bridge.start()
        await stack.settle()
        await stack.db.query(`INSERT INTO notes VALUES (2, 'ana', 'sent'); INSERT INTO letters VALUES (2, 'bo', 'sent')`)
        await stack.settle()
        await stack.settle() // streams are served side by side
        await stack.bridge[how]()
        for (const sql of statements) await stack.db.query(`BEGIN; ${sql}; COMMIT`)
        stack.bridge.start()
        await stack.settle()
        if (settled) await stack.db.query(settled)
        await stack.settle()
        await stack.settle()
        const { events } = await readStream(stack.server.url, STREAMS[0])
        assert.ok(!JSON.stringify(events).includes('secret'), JSON.stringify(events))
        await verifyFolds(stack.server.url, await new Oracle(stack.db).state(), STREAMS, { asServed })
      } catch (error) {
        error.message += `\nbridge:\n${stack.bridge.log(40)}\nserver:\n${stack.server.log()}`
        throw error
      } finally {
        await stack.close()
      }
    })
  }
}

// What it was told when it sent the row it cannot be told again: what the streams hold is not known, and a difference from
// the rows of before would leave in them what is gone.
test('a delivered value that Postgres can no longer be asked about', async () => {
  const stack = await Stack.create('standard-asked', {
    cluster: cluster(), schema: `CREATE EXTENSION hstore; CREATE TABLE notes (id int PRIMARY KEY, who text, tags hstore)`, tables: ['notes'], rules: [{ ...RULES[0], audience: 'SELECT who' }],
    startServer: (workspace) => ReferenceServer.start(workspace), bridgeArgs: ['--catalog-interval', '1h', '--checkpoint-interval', '1h'] })
  try {
    stack.bridge.start()
    await stack.settle()
    await stack.db.query(`INSERT INTO notes VALUES (1, 'ana', 'a=>1')`)
    await stack.settle()
    await stack.settle()
    await stack.bridge.kill()
    await stack.db.query('ALTER TYPE hstore RENAME TO labels')
    await stack.db.query('DELETE FROM notes')
    stack.bridge.start()
    assert.equal((await stack.bridge.child.exited()).code, 1)
    assert.match(stack.bridge.log(), /delivered since the last checkpoint cannot be worked out again.*standard dialect cannot be compared with/)
    await stack.db.query('ALTER TYPE labels RENAME TO hstore')
    stack.bridge.start()
    await stack.settle()
    await stack.settle()
    await verifyFolds(stack.server.url, await new Oracle(stack.db).state(), STREAMS, { asServed })
  } catch (error) {
    error.message += `\nbridge:\n${stack.bridge.log(40)}`
    throw error
  } finally {
    await stack.close()
  }
})
