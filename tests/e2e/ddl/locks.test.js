// A bridge that reads tables again holds locks on them, and has other connections beside: an ALTER TABLE that
// waits for the one must not be waited for by another, and the locks are gone once the tables are read.

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import test from 'node:test'
import { shareCluster } from '../lib/shared_cluster.js'
import { Stack } from '../lib/stack.js'
import { Fold, readStream, userStream } from '../lib/stream.js'
import { until } from '../lib/wait.js'

const cluster = shareCluster('locks')
const SCHEMA = `
  CREATE TABLE todos (id int PRIMARY KEY, owner text, weight float8 NOT NULL DEFAULT 1);
  CREATE TABLE others (id int PRIMARY KEY);`

const standsStill = ({ child }) => / T /.test(readFileSync(`/proc/${child.pid}/stat`, 'utf8'))

/** A bridge that stands still at the step of its resync; `meanwhile` is done before it is started. */
async function stopped(table, step, work, meanwhile) {
  const stack = await Stack.create('locks', {
    cluster: cluster(), schema: SCHEMA, tables: [table, 'others'],
    rules: [{ name: 'own', relation: 'todos', audience: 'SELECT todos.owner' }],
    bridgeArgs: ['--catalog-interval', '100ms'],
  })
  const { bridge, db } = stack
  const rows = async () => new Fold().applyAll((await readStream(stack.server.url, userStream('ana'))).events).state.get('todos')
  try {
    await db.query(`INSERT INTO todos VALUES (1, 'ana'), (-1, 'ana')`)
    bridge.start()
    await stack.settle()
    await bridge.stop()
    stack.workspace.onClose(() => bridge.isRunning() && bridge.child.process.kill('SIGCONT'))
    await meanwhile?.(db)
    bridge.environment.WEIR_FAULT = `${step}:1=pause`
    bridge.start()
    await db.query('ALTER TABLE others ADD COLUMN more int')
    await until('the bridge to stand still', () => standsStill(bridge))
    await work(stack, () => bridge.child.process.kill('SIGCONT'), rows)
  } finally {
    await stack.close()
  }
}

/** Alters the table, which waits for the bridge's lock, and lets the bridge go on. */
async function alterWhileLocked(stack, goOn, rows) {
  const other = await stack.connect()
  const altered = other.query('ALTER TABLE todos ADD COLUMN more int DEFAULT 7')
  await until('the table to be waited for', async () => {
    const locks = await stack.db.query(`SELECT 1 FROM pg_locks WHERE relation = 'todos'::regclass AND NOT granted`)
    return locks.rowCount > 0
  })
  goOn()
  await altered
  await until('the bridge to have read the table again', async () => (await rows())?.get('1')?.includes('"more"'))
}

test('a table with a row filter is altered while a bridge has it locked', () =>
  stopped('todos WHERE (id > 0)', 'resync.locked', async (stack, goOn, rows) => {
    await alterWhileLocked(stack, goOn, rows)
    assert.deepEqual([...(await rows()).keys()], ['1'])
  }))

test('a table is altered before the bridge asks it for a number that the plugin cannot say', () =>
  stopped('todos', 'resync.snapshot', async (stack, goOn, rows) => {
    await alterWhileLocked(stack, goOn, rows)
    assert.match((await rows()).get('2'), /"weight":"NaN"/)
  }, async (db) => {
    await db.query('INSERT INTO others VALUES (1)')
    await db.query(`INSERT INTO todos VALUES (2, 'ana', 'NaN')`)
  }))

test('a resync lets go of the tables before it sends', () =>
  stopped('todos', 'outgoing.committed', async (stack, goOn, rows) => {
    await until('nothing of the bridge to hold the table', async () => {
      const held = await stack.db.query(`SELECT FROM pg_locks WHERE relation = 'todos'::regclass AND pid <> pg_backend_pid()
        UNION ALL SELECT FROM pg_replication_slots WHERE temporary`)
      return held.rowCount === 0
    })
    await stack.db.query('ALTER TABLE todos ADD COLUMN more int DEFAULT 7')
    goOn()
    await until('the bridge to have read the table again', async () => (await rows())?.get('1')?.includes('"more"'))
  }))

test('a rule is reported on once whoever has locked weir.rule_status lets go', async () => {
  const stack = await Stack.create('locks', { cluster: cluster(), schema: SCHEMA, tables: ['todos', 'others'], rules: [], bridgeArgs: ['--catalog-interval', '100ms'] })
  try {
    stack.bridge.start()
    await stack.settle()
    const other = await stack.connect()
    await other.query('BEGIN; LOCK TABLE weir.rule_status')
    await stack.db.query(`INSERT INTO weir.rules (name, relation, audience) VALUES ('own', 'todos', 'SELECT todos.owner')`)
    await until('the bridge to have given up waiting', () => /cannot write weir.rule_status.*lock timeout/.test(stack.bridge.log()))
    await other.query('COMMIT')
    await until('the report', async () => (await stack.db.query(`SELECT FROM weir.rule_status WHERE name = 'own' AND state = 'active'`)).rowCount > 0)
  } finally {
    await stack.close()
  }
})

test('other tables go on while somebody has a partition locked, whatever is altered beside', async () => {
  const stack = await Stack.create('locks', {
    cluster: cluster(), schema: `${SCHEMA}
      CREATE TABLE parts (id int PRIMARY KEY) PARTITION BY RANGE (id);
      CREATE TABLE parts_low PARTITION OF parts FOR VALUES FROM (0) TO (10);`,
    tables: ['todos', 'others', 'parts'],
    rules: [{ name: 'own', relation: 'todos', audience: 'SELECT todos.owner' }],
  })
  try {
    await stack.db.query('ALTER PUBLICATION weir SET (publish_via_partition_root = true)')
    stack.bridge.start()
    await stack.settle()
    const other = await stack.connect()
    await other.query('BEGIN; LOCK TABLE parts_low')
    await stack.db.query('GRANT SELECT ON todos TO public')
    await stack.settle({ deadlineMs: 30_000 })
    await other.query('COMMIT')
  } finally {
    await stack.close()
  }
})
