// Columns that a primary key's index only INCLUDEs are no part of the key: a change of them is an update.

import test from 'node:test'
import { Oracle } from '../lib/oracle.js'
import { Stack } from '../lib/stack.js'
import { History } from '../lib/verify.js'

const TABLES = ['by_key', 'by_row', 'by_index', 'listed']
const RULES = TABLES.map((table) => ({ name: table, relation: table, audience: `SELECT ${table}.owner_id` }))
const SCHEMA = `
  CREATE TABLE by_key (id int, owner_id text, body text NOT NULL, PRIMARY KEY (id) INCLUDE (owner_id));
  CREATE TABLE by_row (LIKE by_key INCLUDING ALL); ALTER TABLE by_row REPLICA IDENTITY FULL;
  CREATE TABLE by_index (id int, owner_id text, body text NOT NULL, PRIMARY KEY (id) INCLUDE (body));
  CREATE UNIQUE INDEX bodies ON by_index (body) INCLUDE (owner_id); ALTER TABLE by_index REPLICA IDENTITY USING INDEX bodies;
  CREATE TABLE listed (id int, owner_id text, body text NOT NULL DEFAULT '', PRIMARY KEY (id) INCLUDE (body));`

test('what a primary key INCLUDEs is no part of it', async () => {
  const stack = await Stack.create('keys', { schema: SCHEMA, tables: ['by_key', 'by_row', 'by_index', 'listed (id, owner_id)'], rules: RULES })
  const { db } = stack
  try {
    // The oracle shows whole rows: of the last table only what is published.
    await db.query(`UPDATE weir.rules SET columns = '{id,owner_id}' WHERE name = 'listed'`)
    const insert = (table) => `INSERT INTO ${table} VALUES (1, 'ana', 'a'), (2, 'bo', 'b'), (3, NULL, 'c')`
    for (const table of TABLES) await db.query(insert(table))
    const oracle = new Oracle(db)
    const history = new History(await oracle.state())
    stack.bridge.start()
    await stack.settle()
    for (const table of TABLES) {
      for (const sql of [
        `UPDATE ${table} SET owner_id = 'cy' WHERE id = 1`, `UPDATE ${table} SET body = 'z' || id`, `UPDATE ${table} SET id = id + 10`, `DELETE FROM ${table} WHERE id = 11`,
        `INSERT INTO ${table} VALUES (1, NULL, 'w'), (5, 'ana', 'v')`, `UPDATE ${table} SET owner_id = 'bo'`, `TRUNCATE ${table}`, insert(table),
      ]) {
        const results = await db.query(`BEGIN; ${sql}; SELECT pg_current_xact_id()::xid::text AS txid; COMMIT`)
        history.committed(results.at(-2).rows[0].txid, await oracle.state(), sql)
      }
    }
    await stack.settle()
    await history.verify(stack.server.url, ['ana', 'bo', 'cy'].map((user) => `user/${user}/data`))
  } catch (error) {
    error.message += `\nbridge:\n${stack.bridge.log(40)}`
    throw error
  } finally {
    await stack.close()
  }
})
