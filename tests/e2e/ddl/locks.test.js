// A bridge that reads tables again holds locks on them, and looks at the catalog by another connection: an
// ALTER TABLE that comes between the two, and waits for the one, must not be waited for by the other.

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import test from 'node:test'
import { Stack } from '../lib/stack.js'
import { Fold, readStream, userStream } from '../lib/stream.js'
import { until } from '../lib/wait.js'

const SCHEMA = `
  CREATE TABLE todos (id int PRIMARY KEY, owner text);
  CREATE TABLE others (id int PRIMARY KEY);`

const standsStill = ({ child }) => / T /.test(readFileSync(`/proc/${child.pid}/stat`, 'utf8'))

test('a table with a row filter is altered while a bridge has it locked', async () => {
  const stack = await Stack.create('locks', {
    schema: SCHEMA, tables: ['todos WHERE (id > 0)', 'others'],
    rules: [{ name: 'own', relation: 'todos', audience: 'SELECT todos.owner' }],
    bridgeArgs: ['--catalog-interval', '100ms'],
  })
  const { bridge, db } = stack
  try {
    await db.query(`INSERT INTO todos VALUES (1, 'ana'), (-1, 'ana')`)
    bridge.start()
    await stack.settle()
    await bridge.stop()
    stack.workspace.onClose(() => bridge.isRunning() && bridge.child.process.kill('SIGCONT'))
    bridge.environment.WEIR_FAULT = 'resync.locked:1=pause'
    bridge.start()
    await db.query('ALTER TABLE others ADD COLUMN more int')
    await until('the bridge to hold its locks', () => standsStill(bridge))
    const other = await stack.connect()
    const altered = other.query('ALTER TABLE todos ADD COLUMN more int DEFAULT 7')
    await until('the table to be waited for', async () => {
      const { rows } = await db.query(`SELECT 1 FROM pg_locks WHERE relation = 'todos'::regclass AND NOT granted`)
      return rows.length > 0
    })
    bridge.child.process.kill('SIGCONT')
    await altered
    await until('the bridge to have read the table again', async () => {
      const { events } = await readStream(stack.server.url, userStream('ana'))
      return new Fold().applyAll(events).state.get('todos')?.get('1')?.includes('"more"')
    })
    const { events } = await readStream(stack.server.url, userStream('ana'))
    assert.deepEqual([...new Fold().applyAll(events).state.get('todos').keys()], ['1'])
  } finally {
    await stack.close()
  }
})
