// Rows too large for a stream: parked, shown to nobody, and back when they are smaller; with daemons
// killed meanwhile. And values that are large, and delivered.

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import test from 'node:test'
import { DurableStream } from '@durable-streams/client'
import { Oracle } from '../lib/oracle.js'
import { shareCluster } from '../lib/shared_cluster.js'
import { Stack } from '../lib/stack.js'
import { Fold, readStream, userStream } from '../lib/stream.js'
import { verifyFolds } from '../lib/verify.js'
import { until } from '../lib/wait.js'

const cluster = shareCluster('parking')
const SCHEMA = `
  CREATE TABLE members (project_id int, user_id text, PRIMARY KEY (project_id, user_id));
  CREATE TABLE notes (id int, part text, project_id int, body text, PRIMARY KEY (id, part));
  CREATE TABLE blobs (id int PRIMARY KEY, owner_id text, body text, raw bytea, document jsonb);`
const RULES = [
  { name: 'notes', relation: 'notes', audience: 'SELECT m.user_id FROM members m WHERE m.project_id = notes.project_id' },
  { name: 'blobs', relation: 'blobs', audience: 'SELECT blobs.owner_id' },
]
const SETTLE = { deadlineMs: 120_000 }

async function withStack(name, options, run) {
  const stack = await Stack.create(name, { cluster: cluster(), schema: SCHEMA, tables: ['members', 'notes', 'blobs'], rules: RULES, ...options })
  try {
    await run(stack)
  } catch (error) {
    error.message += `\nbridge:\n${stack.bridge.log()}`
    throw error
  } finally {
    await stack.close()
  }
}

const operations = async (stack, user) => (await readStream(stack.server.url, userStream(user))).events.map((event) => `${event.operation} ${event.key}`)
const parked = async (stack) => (await stack.db.query(`SELECT relation, key, bytes > 10000 AS is_large, reason, slot, ended_lsn > lsn AS has_ended FROM weir.parked ORDER BY lsn, key`)).rows

for (const memory of ['16M', '1']) {
  test(`a row that becomes too large is parked until it is smaller (--transaction-memory ${memory})`, async () => {
    await withStack('parking', { bridgeArgs: ['--max-event', '10000', '--transaction-memory', memory] }, async (stack) => {
      await stack.db.query(`INSERT INTO members VALUES (1, 'ana'); INSERT INTO notes VALUES (1, 'a', 1, 'x'), (2, 'b', 1, repeat('x', 20000))`)
      stack.isKilling = true
      stack.bridge.start()
      await stack.settle(SETTLE)
      assert.deepEqual(await operations(stack, 'ana'), ['insert ["1","a"]'])
      const here = { relation: 'public.notes', is_large: true, reason: 'larger than --max-event', slot: 'weir', has_ended: null }
      assert.deepEqual(await parked(stack), [{ ...here, key: '["2","b"]' }])

      await stack.db.query(`UPDATE notes SET body = repeat('y', 20000) WHERE id = 1`)
      await stack.db.query(`INSERT INTO members VALUES (1, 'bo')`)
      await stack.settle(SETTLE)
      assert.deepEqual(await operations(stack, 'ana'), ['insert ["1","a"]', 'delete ["1","a"]'])
      assert.deepEqual(await operations(stack, 'bo'), [])

      await stack.bridge.kill()
      stack.bridge.start()
      await stack.db.query(`UPDATE notes SET body = 'small' WHERE id = 1`)
      await stack.db.query(`DELETE FROM notes WHERE id = 2`)
      await stack.settle(SETTLE)
      assert.deepEqual(await operations(stack, 'ana'), ['insert ["1","a"]', 'delete ["1","a"]', 'insert ["1","a"]'])
      assert.deepEqual(await operations(stack, 'bo'), ['insert ["1","a"]'])
      assert.deepEqual(await parked(stack), [{ ...here, key: '["2","b"]', has_ended: true }, { ...here, key: '["1","a"]', has_ended: true }])
      await verifyFolds(stack.server.url, await new Oracle(stack.db).state())
    })
  })
}

test('a rule for a table with a parked row; a bridge without the right to write weir.parked', async () => {
  await withStack('parking-rule', { bridgeArgs: ['--max-event', '10000'] }, async (stack) => {
    await stack.db.query(`DELETE FROM weir.rules WHERE name = 'blobs'; INSERT INTO blobs (id, owner_id, body) VALUES (1, 'ana', repeat('x', 20000)), (2, 'ana', 'x')`)
    stack.bridge.start()
    await stack.settle(SETTLE)
    assert.deepEqual(await parked(stack), [])
    await stack.db.query(`INSERT INTO weir.rules (name, relation, audience) VALUES ('blobs', 'blobs', 'SELECT blobs.owner_id')`)
    await stack.settle(SETTLE)
    assert.deepEqual(await operations(stack, 'ana'), ['insert 2'])
    assert.equal((await parked(stack)).length, 1)

    await stack.db.query('DROP TABLE weir.parked')
    await stack.db.query(`INSERT INTO blobs (id, owner_id, body) VALUES (3, 'ana', repeat('x', 20000)), (4, 'ana', 'x')`)
    await stack.settle(SETTLE)
    assert.deepEqual(await operations(stack, 'ana'), ['insert 2', 'insert 4'])
    assert.match(stack.bridge.log(), /cannot write weir.parked.*weir install/)
  })
})

test('what is parked is noted once whoever has locked weir.parked lets go', async () => {
  await withStack('parking-locked', { bridgeArgs: ['--max-event', '10000'] }, async (stack) => {
    stack.bridge.start()
    await stack.settle(SETTLE)
    const other = await stack.connect()
    await other.query('BEGIN; LOCK TABLE weir.parked')
    await stack.db.query(`INSERT INTO blobs (id, owner_id, body) VALUES (1, 'ana', repeat('x', 20000)), (2, 'ana', 'x')`)
    await until('the bridge to have given up waiting', () => /lock timeout/.test(stack.bridge.log()))
    await other.query('COMMIT')
    await stack.settle(SETTLE)
    assert.deepEqual(await operations(stack, 'ana'), ['insert 2'])
    assert.equal((await parked(stack)).length, 1)
    assert.doesNotMatch(stack.bridge.log(), /run weir install/)
  })
})

const anonymousMb = (pid) => Number(/^RssAnon:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))[1]) / 1024

test('a value of 50 MB is delivered, and costs a small multiple of itself', async () => {
  await withStack('parking-large', {}, async (stack) => {
    stack.bridge.start()
    await stack.settle(SETTLE)
    const most = { bridge: 0, server: 0 }
    const timer = setInterval(() => {
      for (const name of ['bridge', 'server']) most[name] = Math.max(most[name], anonymousMb(stack[name].child.pid))
    }, 20)
    await stack.db.query(`INSERT INTO blobs (id, owner_id, body) VALUES (1, 'text', repeat('0123456789', 5000000))`)
    await stack.db.query(`INSERT INTO blobs (id, owner_id, raw) VALUES (2, 'bytea', decode(repeat('00ff', 12500000), 'hex'))`)
    await stack.db.query(`INSERT INTO blobs (id, owner_id, document) VALUES (3, 'jsonb', jsonb_build_object('text', repeat('0123456789', 5000000)))`)
    await stack.settle(SETTLE)
    await verifyFolds(stack.server.url, await new Oracle(stack.db).state())
    clearInterval(timer)
    console.log(`bridge ${Math.round(most.bridge)} MB, server ${Math.round(most.server)} MB`)
    assert.ok(most.bridge < 50 * 10 && most.server < 50 * 10, JSON.stringify(most))

    const client = new DurableStream({ url: `${stack.server.streamsUrl}/${userStream('text')}` })
    const response = await client.stream({ offset: '-1', live: false })
    const [event] = await response.json()
    assert.equal(event.value.body.length, 50_000_000)
  })
})

test('a row that is larger than a request stops nobody', async () => {
  await withStack('parking-default', {}, async (stack) => {
    stack.bridge.start()
    await stack.settle(SETTLE)
    await stack.db.query(`INSERT INTO blobs (id, owner_id, body) VALUES (1, 'ana', repeat('0123456789', 7000000)), (2, 'ana', 'x')`)
    await stack.settle(SETTLE)
    const { events } = await readStream(stack.server.url, userStream('ana'))
    assert.deepEqual([...new Fold().applyAll(events).state.get('blobs').keys()], ['2'])
    assert.equal((await parked({ db: stack.db })).length, 1)
  })
})
