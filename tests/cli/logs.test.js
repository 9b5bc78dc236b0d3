// What the daemons log: one line an event, in the format and from the level that was asked for; and
// never a token, a password or the value of a row, whatever goes wrong.

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import test, { after, before } from 'node:test'
import { Cluster } from '../e2e/lib/cluster.js'
import { until } from '../e2e/lib/wait.js'
import { Bridge, runWeir } from '../e2e/lib/weir.js'
import { Workspace } from '../e2e/lib/workspace.js'
import { Gate, follow, has } from '../auth/gate.js'

let workspace
let cluster
let db
let gate
const PASSWORD = 'pa55word-nobody-may-see'
const ROW = 'row-value-nobody-may-see'
const SUBJECT_TOKEN = []

before(async () => {
  workspace = new Workspace('logs')
  cluster = await Cluster.start(workspace)
  assert.equal((await runWeir(['install', '--db', cluster.conninfo()])).code, 0)
  db = await cluster.connect()
  workspace.onClose(() => db.end())
  await db.query(`CREATE TABLE notes (id int PRIMARY KEY, owner text, body text, data jsonb); ALTER PUBLICATION weir ADD TABLE notes;
    INSERT INTO weir.rules (name, relation, audience) VALUES ('own', 'notes', 'SELECT notes.owner'), ('refused', 'notes', 'SELECT lower(notes.owner)');
    INSERT INTO notes VALUES (1, 'ana', '${ROW}', '{"${ROW}": 1}')`)
})

after(() => workspace.close())

const log = (name) => readFileSync(workspace.path(`${name}.log`), 'utf8')
const lines = (name) => log(name).trimEnd().split('\n')

/** The whole life of both daemons, at level debug, with what can go wrong on the way. */
async function live(t, name, format) {
  gate = await Gate.open(workspace, { name: `serve-${name}`, args: ['--log-format', format] })
  const conninfo = `postgresql://postgres:${PASSWORD}@127.0.0.1:${cluster.port}/postgres`
  const args = ['--streams-token-file', gate.writerFile, '--log-level', 'debug', '--log-format', format, '--catalog-interval', '200ms']
  const bridge = new Bridge(workspace, { name: `bridge-${name}`, conninfo, streamsUrl: gate.server.streamsUrl, slot: `weir_${name}`, args })
  bridge.start()
  const token = await gate.token('ana', { jti: 'jti-nobody-may-see' })
  SUBJECT_TOKEN.push(token, gate.writer, gate.admin, gate.secret)
  await until('the first row', async () => (await fetch(gate.url('user/ana/data'), { headers: { authorization: `Bearer ${token}` } })).status === 200)
  const reader = follow(t, gate.url('user/ana/data'), () => token)
  await has(reader, 1)
  for (const bad of [`${token}x`, token.slice(0, -3), 'x'.repeat(3000), gate.admin.slice(1)]) await fetch(gate.url('user/ana/data'), { headers: { authorization: `Bearer ${bad}` } })
  await fetch(gate.url(`user/ana/data?access_token=${token}`))
  await fetch(gate.url(`user/${ROW}/data`), { headers: { authorization: `Basic ${token}` } })
  await fetch(gate.url('user/ana/data'), { method: 'POST', headers: { authorization: `Bearer ${gate.writer}`, 'content-type': 'application/json' }, body: `{"${ROW}` })
  await fetch(gate.url('__weir/batch'), { method: 'POST', headers: { authorization: `Bearer ${gate.writer}`, 'content-type': 'application/vnd.weir.batch' }, body: ROW })
  await db.query(`INSERT INTO notes VALUES (2, 'ana', '${ROW}', NULL); UPDATE notes SET body = body || '${ROW}'; ALTER TABLE notes ADD COLUMN more text DEFAULT '${ROW}'`)
  await db.query(`INSERT INTO notes VALUES (3, 'ana', '${ROW}', NULL, '${ROW}')`)
  await has(reader, 3)
  await db.query(`SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = $1`, [bridge.slot])
  const said = bridge.listen()
  await gate.server.kill()
  await db.query(`INSERT INTO notes VALUES (4, 'ana', '${ROW}', NULL, NULL)`)
  await until('the bridge to wait', () => /unreachable|Failed to connect|waiting/i.test(said()))
  await gate.server.restart()
  await db.query(`INSERT INTO weir.revoked (subject, reason) VALUES ('ana', '${ROW}')`)
  await until('the reader to end', () => reader.ended !== undefined)
  await db.query('DELETE FROM weir.revoked; DELETE FROM notes WHERE id > 1; ALTER TABLE notes DROP COLUMN more')
  await bridge.stop()
  await gate.server.stop()
  return [`serve-${name}`, `bridge-${name}`]
}

function noSecrets(text) {
  for (const secret of [PASSWORD, ROW, 'jti-nobody-may-see', ...SUBJECT_TOKEN, ...SUBJECT_TOKEN.map((token) => token.slice(-30))]) assert.ok(!text.includes(secret), `${secret.slice(0, 12)}… is in a log`)
}

const LEVELS = new Set(['debug', 'info', 'warn', 'error'])

test('logfmt: time, level and msg on each line, and no secrets', async (t) => {
  for (const name of await live(t, 'logfmt', 'logfmt')) {
    noSecrets(log(name))
    for (const line of lines(name)) {
      const [, level] = /^time=\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z level=(\w+) msg=(?:[^\s"=]+|"(?:[^"\\]|\\.)*")(?: \w+=(?:[^\s"=]+|"(?:[^"\\]|\\.)*"))*$/.exec(line) ?? assert.fail(line)
      assert.ok(LEVELS.has(level), line)
    }
  }
})

test('json: an object on each line, and no secrets', async (t) => {
  for (const name of await live(t, 'json', 'json')) {
    noSecrets(log(name))
    for (const line of lines(name)) {
      const event = JSON.parse(line)
      assert.ok(LEVELS.has(event.level) && event.msg && !Number.isNaN(Date.parse(event.time)), line)
    }
  }
})

test('what stops a daemon names no password, and neither does the list of processes', async () => {
  const state = ['--state', workspace.path('nothing')]
  const hopeless = [
    `postgresql://postgres:${PASSWORD}@127.0.0.1:${cluster.port}/nowhere`,
    `postgresql://postgres:${PASSWORD}@word@127.0.0.1/postgres`,
    `host=127.0.0.1 port=${cluster.port} password='${PASSWORD} user`,
  ]
  for (const conninfo of hopeless) {
    const { code, output } = await runWeir(['bridge', '--db', conninfo, ...state])
    assert.notEqual(code, 0)
    noSecrets(output)
    assert.match(output, /hint=/)
  }
})

test('a level leaves out what is below it, and a wrong one is refused', async () => {
  const quiet = await Gate.open(workspace, { name: 'quiet', args: ['--log-level', 'error'] })
  await quiet.server.stop()
  assert.equal(log('quiet'), '')
  for (const command of [['serve', '--data', workspace.path('d'), '--auth', 'none'], ['bridge', '--db', 'x', '--state', workspace.path('s')]]) {
    for (const option of [['--log-level', 'loud'], ['--log-format', 'xml']]) {
      const { code, output } = await runWeir([...command, ...option])
      assert.equal(code, 2)
      assert.match(output, new RegExp(option[0]))
    }
  }
})
