// Which streams a bridge that compares may touch: all of its own, also what only an earlier rule showed;
// in streams that others write to as well, only what a rule of now leads to; and no others.

import assert from 'node:assert/strict'
import { rmSync } from 'node:fs'
import test from 'node:test'
import { request } from '../lib/raw_http.js'
import { Stack } from '../lib/stack.js'
import { readStream } from '../lib/stream.js'

const RULES = [
  { name: 'own notes', relation: 'notes', audience: 'SELECT notes.owner' },
  { name: 'board', relation: 'notes', type: 'board', stream: 'board/{subject}', audience: 'SELECT notes.id' },
  { name: 'shared board', relation: 'notes', type: 'board', stream: 'shared/{subject}', audience: 'SELECT notes.owner' },
]

const event = (type, key) => JSON.stringify({ type, key, value: { key }, headers: { operation: 'insert' } })

async function post(stack, path, ...events) {
  const headers = { 'Content-Type': 'application/json' }
  const made = await request(stack.server.url, `/v1/stream/${path}`, { method: 'PUT', headers })
  assert.ok([200, 201].includes(made.status), `PUT ${made.status}`)
  const { status } = await request(stack.server.url, `/v1/stream/${path}`, { method: 'POST', headers, body: `[${events.join(',')}]` })
  assert.ok([200, 204].includes(status), `POST ${status}`)
}

test('a comparison touches no streams of others', async () => {
  const stack = await Stack.create('recovery-whose', {
    schema: `CREATE TABLE public.notes (id int PRIMARY KEY, owner text);
             INSERT INTO notes VALUES (1, 'ana'), (2, 'ana'), (3, 'bo')`,
    tables: ['public.notes'],
    rules: RULES,
  })
  try {
    const events = async (path) => (await readStream(stack.server.url, path)).events.map(({ operation, type, key }) => `${operation} ${type} ${key}`)
    stack.bridge.start()
    await stack.settle()
    await post(stack, 'user/ana/data', event('chat', '1'), event('notes', 'x'))
    await post(stack, 'shared/ana', event('chat', '1'))
    await post(stack, 'others/own', event('notes', '1'))
    await post(stack, 'board/9', event('board', '9'))
    await stack.bridge.stop()
    const before = new Map()
    for (const path of ['user/ana/data', 'user/bo/data', 'board/1', 'shared/ana', 'shared/bo', 'others/own', 'board/9']) before.set(path, await events(path))
    await stack.db.query(`
      UPDATE notes SET owner = 'bo' WHERE id = 2;
      DELETE FROM weir.rules WHERE name IN ('board', 'shared board')`)
    rmSync(stack.bridge.stateDir, { recursive: true })
    stack.bridge.start()
    await stack.settle()
    const appended = async (path) => {
      const now = await events(path)
      assert.deepEqual(now.slice(0, before.get(path).length), before.get(path))
      return now.slice(before.get(path).length).sort()
    }
    // The type and path of a rule of now, though somebody else wrote one of them.
    assert.deepEqual(await appended('user/ana/data'), ['delete notes 2', 'delete notes x'])
    assert.deepEqual(await appended('user/bo/data'), ['insert notes 2'])
    // Of its own: no rule leads there any more.
    assert.deepEqual(await appended('board/1'), ['delete board 1'])
    assert.deepEqual(await appended('shared/bo'), ['delete board 3'])
    // Not of its own alone, and no rule leads there.
    assert.deepEqual(await appended('shared/ana'), [])
    assert.deepEqual(await appended('others/own'), [])
    assert.deepEqual(await appended('board/9'), [])
  } catch (error) {
    error.message += `\nbridge:\n${stack.bridge.log(40)}`
    throw error
  } finally {
    await stack.close()
  }
})
