// A rule means what it meant when it was written: what Postgres would say about it by now does not change
// which rows a bridge that starts again believes to have shown. Else rows would stay in streams for ever.

import assert from 'node:assert/strict'
import test from 'node:test'
import { shareCluster } from '../lib/shared_cluster.js'
import { Stack } from '../lib/stack.js'
import { Fold, readStream, userStream } from '../lib/stream.js'

const cluster = shareCluster('meaning')
const SCHEMA = `
  CREATE SCHEMA app;
  CREATE TYPE app.mood AS ENUM ('glad', 'sad');
  CREATE TABLE app.todos (id int PRIMARY KEY, mood app.mood NOT NULL);
  CREATE TABLE public.members (todo_id int, user_id text, PRIMARY KEY (todo_id, user_id));`

const CASES = [
  {
    name: 'a table that hides another is made while no bridge runs',
    audience: 'SELECT m.user_id FROM members m WHERE m.todo_id = todos.id',
    change: 'CREATE TABLE app.members (nothing int)',
  },
  {
    name: 'a label that a rule names is called otherwise while no bridge runs',
    audience: `SELECT m.user_id FROM public.members m WHERE m.todo_id = todos.id AND todos.mood = 'glad'`,
    change: `ALTER TYPE app.mood RENAME VALUE 'glad' TO 'merry'`,
  },
]

for (const { name, audience, change } of CASES) {
  test(name, async () => {
    const stack = await Stack.create('meaning', {
      cluster: cluster(), schema: SCHEMA, tables: ['app.todos', 'public.members'],
      rules: [{ name: 'members', relation: 'app.todos', audience }],
      bridgeArgs: ['--catalog-interval', '1h', '--checkpoint-interval', '1h'],
    })
    const held = async () => {
      await stack.settle()
      const { events } = await readStream(stack.server.url, userStream('ana'))
      return [...(new Fold().applyAll(events).state.get('todos')?.keys() ?? [])]
    }
    try {
      await stack.db.query(`INSERT INTO app.todos VALUES (1, 'glad'), (2, 'glad'); INSERT INTO members VALUES (1, 'ana'), (2, 'ana')`)
      stack.bridge.start()
      assert.deepEqual(await held(), ['1', '2'])
      await stack.bridge.kill()
      await stack.db.query(`${change}; DELETE FROM members WHERE todo_id = 1; DELETE FROM app.todos WHERE id = 2`)
      stack.bridge.start()
      assert.deepEqual(await held(), [])
    } finally {
      await stack.close()
    }
  })
}
