// @durable-streams/state and @tanstack/db as they come from npm: a StreamDB follows one user's rows
// while SQL changes them, and what the user may see with them.

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import test, { after, before } from 'node:test'
import { createStateSchema } from '@durable-streams/state'
import { createStreamDB } from '@durable-streams/state/db'
import { Cutter } from '../e2e/lib/cutter.js'
import { Stack } from '../e2e/lib/stack.js'
import { until } from '../e2e/lib/wait.js'

const SCHEMA = `
  CREATE TABLE users (id text PRIMARY KEY, name text);
  CREATE TABLE projects (id int PRIMARY KEY, name text);
  CREATE TABLE members (project_id int REFERENCES projects, user_id text REFERENCES users, role text, PRIMARY KEY (project_id, user_id));
  CREATE TABLE todos (id int PRIMARY KEY, project_id int REFERENCES projects, owner_id text, title text, is_done boolean DEFAULT false);
  INSERT INTO users VALUES ('ana', 'Ana'), ('bo', 'Bo');
  INSERT INTO projects VALUES (1, 'garden'), (2, 'attic');
  INSERT INTO members VALUES (1, 'ana', 'admin'), (2, 'bo', 'admin');
  INSERT INTO todos VALUES (1, 1, 'ana', 'dig'), (2, 1, 'ana', 'plant'), (3, 2, 'bo', 'sweep');`
const RULES = [
  { name: 'own todos', relation: 'todos', audience: 'SELECT todos.owner_id' },
  { name: 'project todos', relation: 'todos', audience: `SELECT m.user_id FROM members m WHERE m.project_id = todos.project_id AND m.role <> 'banned'` },
  { name: 'memberships', relation: 'members', audience: 'SELECT members.user_id' },
]

const anything = { '~standard': { version: 1, vendor: 'weir', validate: (value) => ({ value }) } }
const state = createStateSchema({
  todos: { schema: anything, type: 'todos', primaryKey: 'id' },
  members: { schema: anything, type: 'members', primaryKey: 'key' },
})

let stack
let cutter

before(async () => {
  stack = await Stack.create('streamdb', { schema: SCHEMA, tables: ['users', 'projects', 'members', 'todos'], rules: RULES })
  cutter = await Cutter.start(stack.workspace, stack.server.port)
  stack.bridge.start()
  await stack.settle()
})

after(() => stack?.close())

async function open(t, user, { base = stack.server.url, live = true } = {}) {
  const db = createStreamDB({ streamOptions: { url: `${base}/v1/stream/user/${user}/data`, contentType: 'application/json' }, live, state })
  t.after(() => db.close())
  await db.preload()
  return db
}

const titles = (db) => [...db.collections.todos.toArray].map((todo) => todo.title).sort()

async function sees(db, expected) {
  await until(`the todos ${expected}`, () => JSON.stringify(titles(db)) === JSON.stringify(expected)).catch((error) => {
    throw new Error(`${error.message}; there are ${titles(db)}`)
  })
}

/** Commits statements in one transaction and returns its id, as an application would. */
async function commit(...statements) {
  await stack.db.query('BEGIN')
  for (const sql of statements) await stack.db.query(sql)
  const { rows } = await stack.db.query('SELECT pg_current_xact_id()::xid::text AS txid')
  await stack.db.query('COMMIT')
  return rows[0].txid
}

for (const live of [true, 'sse', 'long-poll']) {
  test(`live: ${live}: what a user may see follows SQL, revocation included`, async (t) => {
    const bo = await open(t, 'bo', { live })
    assert.deepEqual(titles(bo), ['sweep'])

    await bo.utils.awaitTxId(await commit(`INSERT INTO members VALUES (1, 'bo', 'editor')`), 60_000)
    await sees(bo, ['dig', 'plant', 'sweep'])
    assert.equal(bo.collections.members.get('["1","bo"]').role, 'editor')

    await bo.utils.awaitTxId(await commit(`UPDATE todos SET title = 'dig deep', is_done = true WHERE id = 1`, `INSERT INTO todos VALUES (4, 1, NULL, 'water')`), 60_000)
    await sees(bo, ['dig deep', 'plant', 'sweep', 'water'])
    assert.equal(bo.collections.todos.get('1').is_done, true)

    await commit('UPDATE todos SET project_id = 2 WHERE id = 4')
    await commit(`UPDATE members SET role = 'banned' WHERE user_id = 'bo' AND project_id = 1`)
    await sees(bo, ['sweep', 'water'])
    await commit(`UPDATE todos SET owner_id = 'bo' WHERE id = 2`) // banned, and yet the owner
    await sees(bo, ['plant', 'sweep', 'water'])
    await commit(`DELETE FROM members WHERE user_id = 'bo' AND project_id = 1`, 'DELETE FROM todos WHERE id = 4',
      `UPDATE todos SET owner_id = 'ana', title = 'plant' WHERE id = 2`, `UPDATE todos SET title = 'dig', is_done = false WHERE id = 1`)
    await sees(bo, ['sweep'])
  })
}

test('awaitTxId comes with the rows of the transaction', async (t) => {
  const ana = await open(t, 'ana')
  for (let i = 0; i < 20; i++) {
    const txid = await commit(`INSERT INTO todos VALUES (${100 + i}, 1, 'ana', 'number ${i}')`)
    await ana.utils.awaitTxId(txid, 60_000)
    assert.equal(ana.collections.todos.get(String(100 + i)).title, `number ${i}`)
  }
  const txid = await commit('DELETE FROM todos WHERE id >= 100')
  await ana.utils.awaitTxId(txid, 60_000)
  assert.deepEqual(titles(ana), ['dig', 'plant'])
})

test('a transaction is never seen by halves', async (t) => {
  const ana = await open(t, 'ana')
  const halves = []
  const subscription = ana.collections.todos.subscribeChanges(() => {
    const moved = ana.collections.todos.toArray.filter((todo) => todo.title === 'together').length
    if (moved !== 0 && moved !== 25) halves.push(moved)
  })
  t.after(() => subscription.unsubscribe())
  await ana.utils.awaitTxId(await commit(...Array.from({ length: 25 }, (_, i) => `INSERT INTO todos VALUES (${200 + i}, 1, NULL, 'together')`)), 60_000)
  await ana.utils.awaitTxId(await commit('DELETE FROM todos WHERE id >= 200'), 60_000)
  assert.deepEqual(halves, [])
})

test('long-poll: a StreamDB lives through broken connections and a kill -9 of the server', async (t) => {
  const ana = await open(t, 'ana', { base: cutter.url, live: 'long-poll' })
  for (let round = 0; round < 3; round++) {
    assert.ok(cutter.cut() > 0, 'nothing to cut')
    await commit(`INSERT INTO todos VALUES (300, 1, NULL, 'round ${round}')`)
    await sees(ana, ['dig', 'plant', `round ${round}`])
    await commit('DELETE FROM todos WHERE id = 300')
    await sees(ana, ['dig', 'plant'])
  }
  await stack.server.kill()
  await commit(`INSERT INTO todos VALUES (301, 1, NULL, 'while away')`)
  await stack.server.restart()
  await sees(ana, ['dig', 'plant', 'while away'])
  await commit('DELETE FROM todos WHERE id = 301')
  await sees(ana, ['dig', 'plant'])
})

// The client gives up when an SSE response breaks off: a server that is asked to stop has to end its
// responses in order, and then StreamDB connects again by itself.
test('SSE: a StreamDB lives through an orderly restart of the server', async (t) => {
  const ana = await open(t, 'ana', { live: 'sse' })
  await stack.server.stop()
  await commit(`INSERT INTO todos VALUES (302, 1, NULL, 'in between')`)
  await stack.server.restart()
  await sees(ana, ['dig', 'in between', 'plant'])
  await commit('DELETE FROM todos WHERE id = 302')
  await sees(ana, ['dig', 'plant'])
})

test('two devices of one user hold the same', async (t) => {
  const [one, two] = await Promise.all([open(t, 'ana', { live: 'sse' }), open(t, 'ana', { live: 'long-poll' })])
  const txid = await commit(`UPDATE todos SET title = 'dig twice' WHERE id = 1`)
  await Promise.all([one, two].map((db) => db.utils.awaitTxId(txid, 60_000)))
  assert.deepEqual(titles(one), titles(two))
  assert.deepEqual(titles(await open(t, 'ana')), ['dig twice', 'plant'])
})

test('the snippet of README.md is a live copy', async (t) => {
  const page = readFileSync(new URL('../../README.md', import.meta.url), 'utf8')
  const [, snippet] = /```js\n([^]*?)```/.exec(page)
  const here = snippet.replace('http://127.0.0.1:4437', stack.server.url).replace(/^import .*$/m, '')
  assert.notEqual(here, snippet)
  const { stream } = await import('@durable-streams/client')
  const AsyncFunction = (async () => {}).constructor
  const { rows, response } = await new AsyncFunction('stream', `${here}; return { rows, response }`)(stream)
  t.after(() => response.cancel())
  const db = await open(t, 'bo')
  const same = () => db.collections.todos.toArray.every((todo) => rows.get(`todos/${todo.id}`)?.title === todo.title) && [...rows.keys()].filter((key) => key.startsWith('todos/')).length === db.collections.todos.size
  await until('the same rows', same)
  await stack.db.query(`INSERT INTO todos VALUES (77, 2, 'bo', 'read the README')`)
  await until('the new row', () => rows.get('todos/77')?.title === 'read the README')
  await stack.db.query('DELETE FROM todos WHERE id = 77')
  await until('its end', () => !rows.has('todos/77') && same())
})
