// A type of events that one table takes over from another, rows of both with the same keys: to a stream the
// old row and the new one are the same, so what leaves goes before what comes.

import assert from 'node:assert/strict'
import test from 'node:test'
import { shareCluster } from '../lib/shared_cluster.js'
import { insertRule, Stack } from '../lib/stack.js'
import { Fold, readStream, userStream } from '../lib/stream.js'
import { until } from '../lib/wait.js'

const cluster = shareCluster('types')
const COUNT = 20
const RULES = [
  { name: 'first', relation: 'first', audience: `SELECT 'ana'`, type: 'things' },
  { name: 'second', relation: 'second', audience: `SELECT 'ana'`, type: 'others' },
]

const rulesAgain = (db, rules) => rules.reduce((before, rule) => before.then(() => insertRule(db, rule)), db.query('DELETE FROM weir.rules'))

/** Each change is to lead from every row of `first` being a thing to every row of `second` being one. */
const CHANGES = {
  'rules that swap their types': async (db) => {
    await db.query('BEGIN')
    await rulesAgain(db, [{ ...RULES[0], type: 'others' }, { ...RULES[1], type: 'things' }])
    await db.query('COMMIT')
  },
  'the other way round': async (db) => {
    await db.query('BEGIN')
    await rulesAgain(db, [{ ...RULES[1], type: 'things' }, { ...RULES[0], type: 'others' }])
    await db.query('UPDATE second SET t = t; UPDATE first SET t = t; COMMIT')
  },
  'tables that swap their names': async (db) => {
    await db.query(`BEGIN; ALTER TABLE first RENAME TO swapping; ALTER TABLE second RENAME TO first; ALTER TABLE swapping RENAME TO second;
      ALTER TABLE first ADD COLUMN more int; DELETE FROM weir.rules; COMMIT`)
    await rulesAgain(db, RULES)
  },
  'a table that is made anew': async (db) => {
    await db.query(`BEGIN; DROP TABLE first; CREATE TABLE first (id int PRIMARY KEY, t text); INSERT INTO first SELECT id, t FROM second;
      ALTER PUBLICATION weir ADD TABLE first; COMMIT`)
    await rulesAgain(db, RULES)
  },
}

for (const [name, change] of Object.entries(CHANGES)) {
  test(name, async () => {
    const stack = await Stack.create('types', {
      cluster: cluster(),
      schema: 'CREATE TABLE first (id int PRIMARY KEY, t text); CREATE TABLE second (id int PRIMARY KEY, t text)',
      tables: ['first', 'second'], rules: RULES, bridgeArgs: ['--catalog-interval', '100ms'],
    })
    const { db, bridge, server } = stack
    const fold = async () => new Fold().applyAll((await readStream(server.url, userStream('ana'))).events).state.get('things') ?? new Map()
    try {
      await db.query(`INSERT INTO first SELECT i, 'first ' || i FROM generate_series(1, ${COUNT}) i; INSERT INTO second SELECT i, 'second ' || i FROM generate_series(1, ${COUNT}) i`)
      bridge.start()
      await stack.settle()
      assert.equal((await fold()).size, COUNT)
      await change(db)
      await until('the rows of the other table', async () => {
        const values = [...(await fold()).values()]
        return values.length === COUNT && values.every((value) => value.includes('second '))
      })
    } finally {
      await stack.close()
    }
  })
}
