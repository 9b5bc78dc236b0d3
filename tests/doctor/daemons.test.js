// What doctor finds in the state folder and at the stream server, beside daemons that ran.

import assert from 'node:assert/strict'
import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import test, { after, before } from 'node:test'
import { Child } from '../e2e/lib/process.js'
import { Cluster } from '../e2e/lib/cluster.js'
import { readStream } from '../e2e/lib/stream.js'
import { until } from '../e2e/lib/wait.js'
import { Bridge, Server } from '../e2e/lib/weir.js'
import { Workspace } from '../e2e/lib/workspace.js'
import { Patient } from './doctor.js'

let workspace
let cluster
let one
let server
let bridge
const path = (...parts) => workspace.path(...parts)

before(async () => {
  workspace = new Workspace('doctor-daemons')
  cluster = await Cluster.start(workspace, { settings: { max_slot_wal_keep_size: '8GB' } })
  one = await Patient.make(workspace, cluster)
  await one.db.query(`CREATE TABLE todos (id int PRIMARY KEY, owner_id text); GRANT SELECT ON todos TO weir_bridge; ALTER PUBLICATION weir ADD TABLE todos;
    INSERT INTO weir.rules (name, relation, audience) VALUES ('own', 'todos', 'SELECT todos.owner_id')`)
  server = await Server.start(workspace)
  bridge = new Bridge(workspace, { conninfo: one.conninfo, streamsUrl: server.streamsUrl })
})

after(() => workspace.close())

const own = () => ['--state', bridge.stateDir, '--streams', server.streamsUrl]
let written = 0
/** Ends the bridge, and waits for its walsender to notice. */
async function stop() {
  await bridge.stop()
  await until('the slot to be free', async () => (await one.db.query(`SELECT FROM pg_replication_slots WHERE slot_name = 'weir' AND NOT active`)).rows.length)
}

async function write() {
  await one.db.query(`INSERT INTO todos VALUES (${++written}, 'ana')`)
  await until('the row', async () => (await readStream(server.url, 'user/ana/data', '-1').catch(() => ({ events: [] }))).events.length >= written)
}

test('while it runs, and when it has stopped, all is well', async () => {
  bridge.start()
  await write()
  const running = await one.doctor(...own())
  assert.equal(running.code, 0, JSON.stringify(running.faults))
  assert.ok(running.findings.some(({ message }) => /^a bridge is running on the state folder/.test(message)))
  await stop()
  cpSync(bridge.stateDir, path('older'), { recursive: true })
  bridge.start()
  await write()
  await stop()
  const stopped = await one.doctor(...own())
  assert.equal(stopped.code, 0, JSON.stringify(stopped.faults))
  assert.ok(stopped.findings.some(({ message }) => /^the state folder .* is that of slot weir$/.test(message)))
})

test('a state folder that does not belong to the slot, is an older copy, or of another version', async () => {
  const found = async (message, args, hint, severity = 'error') => {
    const { faults } = await one.doctor(...args)
    const finding = faults.find((fault) => message.test(fault.message))
    assert.ok(finding, JSON.stringify(faults))
    assert.equal(finding.severity, severity)
    assert.match(finding.mend, hint)
  }
  await found(/^the state folder \S+ was made from slot weir of \d+\/\d+ \(system\/database\), and this is slot other/, [...own(), '--slot', 'other'], /^give each slot of each database a --state folder of its own; where this database has taken the other one's place, start once with --resync$/)
  await found(/^the bridge will read everything again when it starts, .*: the replication slot was moved on, or the state folder is an older copy$/, ['--state', path('older'), '--streams', server.streamsUrl], /docs\/recovery\.md$/, 'warning')
  cpSync(bridge.stateDir, path('version'), { recursive: true })
  const file = path('version', 'replica.mdb')
  const bytes = readFileSync(file)
  const at = bytes.indexOf('weir replica ')
  assert.ok(at > 0)
  for (let i = at; i >= 0; i = bytes.indexOf('weir replica ', i + 1)) bytes.write('weir replica 0', i)
  writeFileSync(file, bytes)
  mkdirSync(path('damaged'))
  writeFileSync(path('damaged', 'replica.mdb'), 'x'.repeat(100_000))
  await found(/^replica \S+damaged: /, ['--state', path('damaged')], /\S/)
  await found(/^the state folder \S+ has a format of another version of weir$/, ['--state', path('version')], /^use that version, or let this one start with an empty folder$/)
})

test('a folder that cannot be made or written to', async (t) => {
  await one.provoke(/^the state folder \S+ cannot be made in \S+: No such file or directory$/, { args: ['--state', path('deep', 'er', 'state'), '--slot', 'other'] })
  if (process.getuid() !== 0) return t.skip('root may write everywhere, and only root can be somebody else')
  mkdirSync(path('roots'), { mode: 0o755 })
  const nobody = Object.assign(Object.create(one), { runAs: { uid: 65534, gid: 65534 } })
  await nobody.provoke(/^user 65534 may not write to the folder \S+$/, { args: ['--state', path('roots'), '--slot', 'other'] })
})

test('a slot that is there, and no state; and one that somebody else follows', async () => {
  await one.db.query(`SELECT pg_create_logical_replication_slot('another', 'wal2json')`)
  const args = ['--state', path('no-state'), '--slot', 'another']
  const reader = new Child(cluster.program('pg_recvlogical'), ['-d', one.name, '--slot', 'another', '--start', '-f', '/dev/null', '-n'], { logFile: path('reader.log'), env: cluster.environment(one.name) })
  workspace.onClose(() => reader.stop())
  await until('the reader', async () => (await one.db.query(`SELECT FROM pg_replication_slots WHERE slot_name = 'another' AND active`)).rows.length)
  await one.provoke(/^slot another is in use by the process with pid \d+, and no bridge is running on the state folder \S+$/, { args })
  await one.provoke(/^replication slot another exists, but neither the state folder \S+ nor the stream server knows it$/, { args })
})

test('a slot that is gone is made again, and costs something', async () => {
  await one.db.query(`SELECT pg_drop_replication_slot('weir')`)
  const { code, faults } = await one.doctor(...own())
  assert.equal(code, 1)
  assert.match(faults[0].message, /^the bridge will read everything again .*: the replication slot is gone$/)
  const ahead = await one.doctor('--state', path('older'), '--streams', server.streamsUrl)
  assert.equal(ahead.code, 1)
  assert.match(ahead.faults[0].message, /^the bridge will read everything again .*: the replication slot is gone$/)
})

test('streams that do not go with the state folder', async () => {
  const fresh = await one.doctor('--state', path('fresh'), '--streams', server.streamsUrl)
  assert.match(fresh.faults[0].message, /^the bridge will read everything again .*: the state folder has no rows, and the streams have$/)
  const other = await Server.start(workspace, { name: 'other' })
  const lost = await one.doctor('--state', bridge.stateDir, '--streams', other.streamsUrl)
  assert.match(lost.faults[0].message, /^the bridge will read everything again .*: the replication slot is gone$/)
  await other.stop()
})

test('a stream server that is not there, is none, or does not let the bridge in', async () => {
  const doctor = async (...args) => (await one.doctor(...args)).faults
  const none = await doctor('--streams', 'http://127.0.0.1:1/v1/stream')
  assert.match(none[0].message, /^http:\/\/127\.0\.0\.1:1\/v1\/stream\S*: .*[Cc]onnect/)
  assert.match(none[0].mend, /^weir serve /)
  const web = createServer((request, response) => response.writeHead(404).end('<h1>Not found</h1>')).listen(0, '127.0.0.1')
  workspace.onClose(() => web.close())
  await until('the web server', () => web.address())
  const wrong = await doctor('--streams', `http://127.0.0.1:${web.address().port}/v1/stream`)
  assert.match(wrong[0].message, /answered 404/)
  assert.match(wrong[0].mend, /^--streams must be the root of a `weir serve`/)
  const root = await doctor('--streams', server.url)
  assert.match(root[0].mend, /^--streams must be the root of a `weir serve`/)
  const other = createServer((request, response) => response.end('{"hello":"world"}')).listen(0, '127.0.0.1')
  workspace.onClose(() => other.close())
  await until('the other server', () => other.address())
  const polite = await doctor('--streams', `http://127.0.0.1:${other.address().port}/v1/stream`)
  assert.match(polite[0].message, /answered, but not as a weir stream server does$/)
  assert.match(polite[0].mend, /^--streams must be the root of a `weir serve`/)
  const password = await doctor('--streams', 'http://somebody:secret@127.0.0.1:1/v1/stream')
  assert.match(password[0].message, /^the stream server's URL holds a user or password$/)
  assert.match(password[0].mend, /token/)
  assert.ok(!JSON.stringify(password).includes('secret'))
  const nonsense = await doctor('--streams', 'nonsense')
  assert.match(nonsense[0].mend, /http:\/\/127\.0\.0\.1:4437\/v1\/stream$/)

  writeFileSync(path('secret'), 'x'.repeat(40))
  writeFileSync(path('writer'), 'the-writers-own-token\n')
  writeFileSync(path('wrong'), 'some-other-token-of-old\n')
  const strict = await Server.start(workspace, { name: 'strict', args: ['--auth', 'jwt', '--auth-secret-file', path('secret'), '--writer-token-file', path('writer')] })
  const args = ['--streams', strict.streamsUrl]
  for (const token of [[], ['--streams-token-file', path('wrong')]]) {
    const [refused] = await doctor(...args, ...token)
    assert.match(refused.message, /answered 401: /)
    assert.match(refused.mend, /^give the bridge the server's --writer-token-file as --streams-token-file$/)
    assert.ok(!refused.message.includes('some-other-token'))
  }
  const missing = await doctor(...args, '--streams-token-file', path('nothing'))
  assert.match(missing[0].message, /nothing/)
  assert.deepEqual(await doctor(...args, '--streams-token-file', path('writer')), [])
})

test('a stream server that everybody reaches', async () => {
  // 0.0.0.0 is not loopback by its name, and still this machine.
  const url = server.streamsUrl.replace('127.0.0.1', '0.0.0.0')
  const { faults } = await one.doctor('--streams', url)
  assert.deepEqual(faults.map((finding) => [finding.check, finding.severity]), [['access', 'warning'], ['access', 'warning']])
  assert.match(faults[0].message, /lets everybody who reaches it read and write every stream$/)
  assert.match(faults[1].message, /^the bridge's token and all rows go to \S+ unencrypted$/)
})

test('rules cannot be tried out without a folder for it', async () => {
  const blocked = Object.assign(Object.create(one), { runAs: { env: { ...process.env, TMPDIR: path('no', 'such', 'folder') } } })
  const { faults } = await blocked.doctor()
  assert.match(faults[0].message, /^rules cannot be tried out: there is no room for a folder /)
  mkdirSync(path('no', 'such', 'folder'), { recursive: true })
  assert.deepEqual((await blocked.doctor()).faults, [])
})
