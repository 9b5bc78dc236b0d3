// weir.revoked: a row in Postgres, by way of the bridge, ends a user's live reads and refuses older
// tokens; over restarts of both daemons; until the row is deleted.

import assert from 'node:assert/strict'
import test, { after, before } from 'node:test'
import { Cluster } from '../e2e/lib/cluster.js'
import { until, within } from '../e2e/lib/wait.js'
import { Bridge, runWeir } from '../e2e/lib/weir.js'
import { Workspace } from '../e2e/lib/workspace.js'
import { DEADLINE_MS, Gate, follow, has } from './gate.js'

let workspace
let cluster
let gate
let bridge
let db

before(async () => {
  workspace = new Workspace('revoked')
  cluster = await Cluster.start(workspace)
  assert.equal((await runWeir(['install', '--db', cluster.conninfo()])).code, 0)
  db = await cluster.connect()
  workspace.onClose(() => db.end())
  await db.query(`CREATE TABLE todos (id int PRIMARY KEY, owner_id text); ALTER PUBLICATION weir ADD TABLE todos;
    INSERT INTO weir.rules (name, relation, audience) VALUES ('own', 'todos', 'SELECT todos.owner_id');
    INSERT INTO todos VALUES (1, 'ana'), (2, 'bo'), (3, 'cy')`)
  gate = await Gate.open(workspace, { args: ['--sse-lifetime', '10m', '--long-poll-timeout', '5m'] })
  bridge = new Bridge(workspace, { conninfo: cluster.conninfo(), streamsUrl: gate.server.streamsUrl, args: ['--streams-token-file', gate.writerFile, '--catalog-interval', '200ms'] })
  bridge.start()
})

after(() => workspace.close())

const status = async (token, user = 'ana') => (await fetch(gate.url(`user/${user}/data`), { headers: { authorization: `Bearer ${token}` } })).status
const becomes = (what, token, wanted, user) => until(what, async () => (await status(token, user)) === wanted, { deadlineMs: DEADLINE_MS })
const ago = (seconds) => Math.floor(Date.now() / 1000) - seconds
const revoke = (subject, more = {}) => {
  const row = { subject, ...more }
  const names = Object.keys(row)
  return db.query(`INSERT INTO weir.revoked (${names}) VALUES (${names.map((_, i) => `$${i + 1}`)})`, Object.values(row))
}

for (const live of [true, 'sse', 'long-poll']) {
  test(`live: ${live}, a row ends the reader and refuses its token; deleting it lets both in again`, async (t) => {
    const token = await gate.token('ana', { iat: ago(5) })
    await becomes('the first rows', token, 200)
    const other = follow(t, gate.url('user/bo/data'), () => gate.token('bo'), { live })
    const reader = follow(t, gate.url('user/ana/data'), () => token, { live })
    await Promise.all([has(reader, 1), has(other, 1)])
    // One that stands idle, as most do, with nothing to wait for but this.
    const before = process.hrtime.bigint()
    await revoke('ana', { reason: 'left the company' })
    await within(DEADLINE_MS, 'the end of the reader', reader.done)
    t.diagnostic(`ended after ${Number((process.hrtime.bigint() - before) / 1_000_000n)} ms`)
    assert.equal(reader.ended.status, 401)
    assert.equal(reader.statuses.at(-1), 401)
    assert.equal(await status(token), 401)
    assert.equal(other.ended, undefined, 'nobody else is meant')
    await db.query(`DELETE FROM weir.revoked WHERE subject = 'ana'`)
    await becomes('the token to be good again', token, 200)
  })
}

test('a token that is issued after the row is good', async () => {
  const token = await gate.token('bo', { iat: ago(100) })
  const newer = await gate.token('bo', { iat: ago(10) })
  assert.equal(await status(token, 'bo'), 200)
  await revoke('bo', { since: new Date(Date.now() - 50_000) })
  await becomes('the older token to be refused', token, 401, 'bo')
  assert.equal(await status(newer, 'bo'), 200)
  await db.query(`UPDATE weir.revoked SET since = now() WHERE subject = 'bo'`)
  await becomes('the newer one to be refused as well', newer, 401, 'bo')
  await db.query(`DELETE FROM weir.revoked`)
  await becomes('both to be good', token, 200, 'bo')
})

test('one token by its jti, and a row that is over', async () => {
  const [one, two] = [await gate.token('cy', { jti: 'one', iat: ago(5) }), await gate.token('cy', { jti: 'two', iat: ago(5) })]
  await revoke('cy', { jti: 'one' })
  await becomes('one to be refused', one, 401, 'cy')
  assert.equal(await status(two, 'cy'), 200)
  await db.query(`UPDATE weir.revoked SET until = now() - interval '1 hour'`)
  await becomes('one to be good again', one, 200, 'cy')
  await db.query(`DELETE FROM weir.revoked`)
})

test('kill -9 of both daemons, and a stop: who is revoked stays so, and rows that came meanwhile count', async () => {
  const tokens = Object.fromEntries(await Promise.all(['ana', 'bo', 'cy'].map(async (user) => [user, await gate.token(user, { iat: ago(5) })])))
  await revoke('ana')
  await becomes('ana to be refused', tokens.ana, 401)
  await gate.server.kill()
  await gate.server.restart()
  assert.equal(await status(tokens.ana), 401, 'from the first request on')
  await bridge.kill()
  await revoke('bo')
  assert.equal(await status(tokens.bo, 'bo'), 200, 'nobody has said so yet')
  bridge.start()
  await becomes('bo to be refused', tokens.bo, 401, 'bo')
  assert.equal(await status(tokens.ana), 401)
  await bridge.stop()
  await gate.server.stop()
  await db.query(`DELETE FROM weir.revoked WHERE subject = 'ana'`)
  await gate.server.restart()
  assert.equal(await status(tokens.ana), 401)
  bridge.start()
  await becomes('ana to be let in', tokens.ana, 200)
  assert.deepEqual([await status(tokens.bo, 'bo'), await status(tokens.cy, 'cy')], [401, 200])
  await db.query(`TRUNCATE weir.revoked`)
  await becomes('bo to be let in', tokens.bo, 200, 'bo')
})

test('after a lost slot, what was revoked meanwhile is', async () => {
  const [ana, bo] = [await gate.token('ana', { iat: ago(5) }), await gate.token('bo', { iat: ago(5) })]
  await revoke('ana')
  await becomes('ana to be refused', ana, 401)
  await bridge.stop()
  // The walsender takes a moment to notice.
  await until('the slot to be dropped', async () => (await db.query(`SELECT pg_drop_replication_slot('weir')`)).rows)
  await db.query(`DELETE FROM weir.revoked; INSERT INTO weir.revoked (subject) VALUES ('bo')`)
  bridge.start()
  await becomes('bo to be refused', bo, 401, 'bo')
  await becomes('ana to be let in', ana, 200)
  await db.query('DELETE FROM weir.revoked')
  await becomes('bo to be let in', bo, 200, 'bo')
})

test('a publication that loses weir.revoked, and gets it again while the bridge follows', async () => {
  const [ana, cy] = [await gate.token('ana', { iat: ago(5) }), await gate.token('cy', { iat: ago(5) })]
  await revoke('ana')
  await becomes('ana to be refused', ana, 401)
  await db.query('ALTER PUBLICATION weir DROP TABLE weir.revoked')
  await becomes('ana to be let in, as nothing says otherwise any more', ana, 200)
  await revoke('cy')
  await db.query('ALTER PUBLICATION weir ADD TABLE weir.revoked')
  await becomes('cy to be refused', cy, 401, 'cy')
  await becomes('ana to be refused again', ana, 401)
  await db.query('DELETE FROM weir.revoked')
  await becomes('cy to be let in', cy, 200, 'cy')
})

test('nobody but the bridge can read the revocations, the reason is not among them, and no rule is spoken of', async () => {
  await revoke('ana', { reason: 'a secret reason' })
  await becomes('ana to be refused', await gate.token('ana', { iat: ago(5) }), 401)
  const read = (token) => fetch(gate.url('__weir/revoked'), { headers: { authorization: `Bearer ${token}` } })
  for (const streams of [['**'], ['__weir/revoked'], ['__weir/**']]) assert.equal((await read(await gate.token('bo', { streams }))).status, 403)
  assert.equal((await read(gate.admin)).status, 403)
  const own = await read(gate.writer) // the bridge may read back what it has written
  assert.equal(own.status, 200)
  const events = await own.text()
  assert.match(events, /"subject":"ana"/)
  assert.doesNotMatch(events, /reason/)
  const { rows } = await db.query('SELECT name FROM weir.rule_status ORDER BY 1')
  assert.deepEqual(rows.map((row) => row.name), ['own'])
  await assert.rejects(db.query(`INSERT INTO weir.revoked (subject) VALUES ('')`), /revoked_subject_check/)
})
