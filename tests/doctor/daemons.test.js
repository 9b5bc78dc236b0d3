// What doctor finds in the state folder and at the stream server, beside daemons that ran.

import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import http, { createServer } from 'node:http'
import test, { after, before } from 'node:test'
import { Child } from '../e2e/lib/process.js'
import { Cluster } from '../e2e/lib/cluster.js'
import { ReferenceServer } from '../e2e/lib/reference_server.js'
import { readStream } from '../e2e/lib/stream.js'
import { until } from '../e2e/lib/wait.js'
import { Bridge, Server } from '../e2e/lib/weir.js'
import { Workspace, freePort } from '../e2e/lib/workspace.js'
import { Patient, keepProvoked } from './doctor.js'

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

after(async () => {
  keepProvoked('daemons')
  await workspace.close()
})

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

const ANEW = /^the bridge will read everything again when it starts, and append to the streams what differs: /
const expected = (why) => new RegExp(`${ANEW.source}${why}$`)
const NOTHING = /^nothing, if that is what has happened: docs\/recovery\.md$/

/** A bridge of its own, until it follows and its slot is confirmed beyond what there was. */
async function runOnce({ name, stateDir, streamsUrl = server.streamsUrl, slot = 'weir', args = [], conninfo = one.conninfo, db = one.db }) {
  const other = new Bridge(workspace, { conninfo, streamsUrl, name, slot, args: ['--checkpoint-interval', '200ms', ...args] })
  other.args[other.args.indexOf('--state') + 1] = stateDir
  const before = (await db.query('SELECT pg_current_wal_lsn() AS lsn')).rows[0].lsn
  other.start()
  await until(`the slot of ${name}`, async () => {
    if (!other.isRunning()) throw Object.assign(new Error(other.log()), { isFinal: true })
    if (!/\bmsg=following\b/.test(other.log(1000))) return false
    return (await db.query('SELECT FROM pg_replication_slots WHERE slot_name = $1 AND active AND confirmed_flush_lsn >= $2', [slot, before])).rows.length
  })
  await other.stop()
  await until('the slot to be free', async () => (await db.query('SELECT FROM pg_replication_slots WHERE slot_name = $1 AND NOT active', [slot])).rows.length)
}

test('a state folder that does not belong to the slot, is an older copy, or of another version', async () => {
  const found = (message, args, hint, after) => one.provoke(message, { args, hint, mend: () => ({ args: after }) })
  const streams = ['--streams', server.streamsUrl]
  await found(/^the state folder \S+ was made from slot weir of \d+\/\d+ \(system\/database\), and this is slot other/, [...own(), '--slot', 'other'],
    /^give each slot of each database a --state folder of its own; where this database has taken the other one's place, start once with --resync$/, ['--state', path('others'), ...streams, '--slot', 'other'])
  cpSync(bridge.stateDir, path('version'), { recursive: true })
  const file = path('version', 'replica.mdb')
  const bytes = readFileSync(file)
  const at = bytes.indexOf('weir replica ')
  assert.ok(at > 0)
  for (let i = at; i >= 0; i = bytes.indexOf('weir replica ', i + 1)) bytes.write('weir replica 0', i)
  writeFileSync(file, bytes)
  mkdirSync(path('damaged'))
  writeFileSync(path('damaged', 'replica.mdb'), 'x'.repeat(100_000))
  cpSync(bridge.stateDir, path('flipped'), { recursive: true })
  const replica = path('flipped', 'replica.mdb')
  const flipped = readFileSync(replica)
  for (let i = flipped.indexOf('timeline'); i >= 0; i = flipped.indexOf('timeline', i + 1)) flipped[i] ^= 1
  writeFileSync(replica, flipped)
  // What is printed is run as it stands.
  await one.provoke(/^replica \S+damaged: /, { args: ['--state', path('damaged'), ...streams] })
  await one.provoke(/^\S+\/replica\.mdb is damaged: one of the values of "meta"$/, { args: ['--state', path('flipped'), ...streams] })
  await one.provoke(/^the state folder \S+ has a format of another version of weir$/, { args: ['--state', path('version'), ...streams] })
  cpSync(path('older'), path('older-2'), { recursive: true })
  await one.provoke(expected('the replication slot was moved on, or the state folder is an older copy'), {
    severity: 'warning',
    args: ['--state', path('older-2'), ...streams],
    hint: NOTHING,
    mend: () => runOnce({ name: 'older-copy', stateDir: path('older-2') }),
  })
})

test('streams that were made from another database', async () => {
  const two = await Patient.make(workspace, cluster)
  const args = ['--state', path('two'), '--streams', server.streamsUrl]
  await one.db.query(`SELECT pg_drop_replication_slot('weir')`)
  const message = /^the stream server holds streams of the producer weir that were made from \d+\/\d+\S*, and this is \d+\/\d+$/
  const hint = /^give each database a --slot name of its own; where this database has taken the other one's place, .* start once with --resync/
  await two.provoke(message, { args, hint, mend: () => ({ args: [...args, '--slot', 'two'] }) })
  await two.provoke(message, { args, hint, mend: () => runOnce({ name: 'two', stateDir: path('two'), args: ['--resync'], conninfo: two.conninfo, db: two.db }) })
  await two.db.query(`SELECT pg_drop_replication_slot('weir')`)
  // The streams are the first one's again.
  await runOnce({ name: 'taken-back', stateDir: bridge.stateDir, args: ['--resync'] })
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
  await one.provoke(expected('the replication slot is gone'), { severity: 'warning', args: own(), hint: NOTHING, mend: () => runOnce({ name: 'gone', stateDir: bridge.stateDir }) })
})

test('streams that do not go with the state folder', async () => {
  const args = ['--state', path('fresh'), '--streams', server.streamsUrl]
  await one.provoke(expected('the state folder has no rows, and the streams have'), { severity: 'warning', args, hint: NOTHING, mend: () => runOnce({ name: 'fresh', stateDir: path('fresh') }) })
  const other = await Server.start(workspace, { name: 'other' })
  await one.provoke(expected('the streams are not where the state folder says'), {
    severity: 'warning',
    args: ['--state', path('fresh'), '--streams', other.streamsUrl],
    hint: NOTHING,
    mend: () => runOnce({ name: 'new-streams', stateDir: path('fresh'), streamsUrl: other.streamsUrl }),
  })
  await other.stop()
})

async function webServer(answer) {
  const web = createServer(answer).listen(0, '127.0.0.1')
  workspace.onClose(() => web.close())
  await until('the web server', () => web.address())
  return `http://127.0.0.1:${web.address().port}`
}

const ROOT = /^--streams must be the root of a `weir serve`, for example http:\/\/127\.0\.0\.1:4437\/v1\/stream/
const WRITER = /^give the bridge the server's --writer-token-file as --streams-token-file$/

test('a stream server that is not there, or is none', async () => {
  const right = () => ({ args: ['--streams', server.streamsUrl] })
  const found = (message, url, hint, more = []) => one.provoke(message, { args: ['--streams', url, ...more], hint, mend: right })
  const late = new Server(workspace, 'late')
  Object.assign(late, { port: await freePort(), dataDir: path('late-data'), extra: [] })
  late.url = `http://127.0.0.1:${late.port}`
  await one.provoke(/^http:\/\/127\.0\.0\.1:\d+\/v1\/stream\S*: .*[Cc]onnect/, {
    args: ['--streams', `${late.url}/v1/stream`],
    hint: /^weir serve --data DIR --auth jwt \.\.\. # start it there, or give its address as --streams$/,
    mend: () => late.restart(),
  })
  await late.stop()
  const busy = await webServer((request, response) => response.writeHead(503).end())
  await found(/ answered 503$/, `${busy}/v1/stream`, /^weir serve .* or give its address as --streams$/)
  const web = await webServer((request, response) => response.writeHead(404).end('<h1>Not found</h1>'))
  for (const args of [[], ['--dialect', 'weir'], ['--dialect', 'standard']]) await found(/answered 404/, `${web}/v1/stream`, ROOT, args)
  await found(/answered 404/, server.url, ROOT)
  const other = await webServer((request, response) => response.end('{"hello":"world"}'))
  await found(/answered, but not as a weir stream server does$/, `${other}/v1/stream`, ROOT)
  const password = await found(/^the stream server's URL holds a user or password$/, 'http://somebody:secret@127.0.0.1:1/v1/stream', /^leave it out, and give the bridge a token$/)
  assert.ok(!JSON.stringify(password).includes('secret'))
  await found(/^the stream server's URL does not begin with http:\/\/ or https:\/\/$/, 'nonsense', /http:\/\/127\.0\.0\.1:4437\/v1\/stream$/)
})

test('a stream server that does not let the bridge in', async () => {
  writeFileSync(path('secret'), 'x'.repeat(40))
  writeFileSync(path('writer'), 'the-writers-own-token\n')
  writeFileSync(path('wrong'), 'some-other-token-of-old\n')
  writeFileSync(path('nothing'), '\n')
  writeFileSync(path('garbled'), 'two words in a line of a token\n')
  writeFileSync(path('large'), 'x'.repeat(1_000_000))
  const strict = await Server.start(workspace, { name: 'strict', args: ['--auth', 'jwt', '--auth-secret-file', path('secret'), '--writer-token-file', path('writer')] })
  const args = ['--streams', strict.streamsUrl]
  const good = [...args, '--streams-token-file', path('writer')]
  const found = (message, token, hint) => one.provoke(message, { args: [...args, ...token], hint, mend: () => ({ args: good }) })
  for (const token of [[], ['--streams-token-file', path('wrong')], ['--dialect', 'weir', '--streams-token-file', path('wrong')]]) {
    const refused = await found(/answered 401: /, token, WRITER)
    assert.ok(!refused.message.includes('some-other-token'))
  }
  const another = /^put the server's --writer-token-file there, readable by the bridge, or give another --streams-token-file$/
  await found(/^cannot open \S+: No such file or directory$/, ['--streams-token-file', path('none')], another)
  await found(/^cannot read \S+: Is a directory$/, ['--streams-token-file', workspace.dir], another)
  await found(/^\S+ is larger than \d+ bytes$/, ['--streams-token-file', path('large')], another)
  const fromServer = async (file) => {
    const message = file === 'nothing' ? /^\S+ holds no secret$/ : /^\S+ has a line that is not a secret of \d+ to \d+ visible characters$/
    // As it says, and then the server has to be told.
    await one.provoke(message, {
      args: [...args, '--streams-token-file', path(file)],
      hint: /^openssl rand -hex 32 > \S+$/,
      mend: async ({ mend }) => {
        await one.run(mend)
        cpSync(path(file), path('writer'))
        await strict.stop()
        await strict.restart()
      },
    })
  }
  await fromServer('nothing')
  await fromServer('garbled')
  assert.deepEqual((await one.doctor(...good)).faults, [])
  await strict.stop()
})

test('a stream server of the standard dialect: reachable, and lets itself be written', async () => {
  const reference = await ReferenceServer.start(workspace)
  for (const args of [[], ['--dialect', 'standard']]) {
    const { faults, findings } = await one.doctor('--streams', reference.streamsUrl, ...args)
    assert.deepEqual(faults, [])
    assert.ok(findings.some(({ message }) => message === `the stream server at ${reference.streamsUrl} lets the bridge write (standard dialect)`))
  }
  assert.equal((await fetch(`${reference.streamsUrl}/weir/doctor/weir`)).status, 404, 'nothing stays there')
  // One that lets everybody read, and nobody write; and one that refuses a part.
  const gate = (refuses) => webServer((request, response) => {
    const [status, words] = refuses(request) ?? [0]
    if (status) return response.writeHead(status).end(words)
    const passed = http.request(`${reference.url}${request.url}`, { method: request.method, headers: request.headers }, (answer) => {
      response.writeHead(answer.statusCode, answer.headers)
      answer.pipe(response)
    })
    request.pipe(passed)
  })
  const has = (request) => request.headers.authorization === 'Bearer the-writers-own-token-of-it'
  writeFileSync(path('their-token'), 'the-writers-own-token-of-it\n')
  const token = /^give the bridge a token that may read and write, as --streams-token-file$/
  const closed = `${await gate((request) => (has(request) ? undefined : [403]))}/v1/stream`
  const readable = `${await gate((request) => (has(request) || request.method === 'GET' ? undefined : [401]))}/v1/stream`
  const dialect = ['--dialect', 'standard']
  for (const [url, message] of [[closed, / answered 403$/], [readable, /: making a stream: the server answered 401$/]]) {
    await one.provoke(message, { args: ['--streams', url, ...dialect], hint: token, mend: () => ({ args: ['--streams', url, ...dialect, '--streams-token-file', path('their-token')] }) })
  }
  let isRefusing = true
  const stubborn = `${await gate((request) => (isRefusing && request.method === 'POST' ? [400] : undefined))}/v1/stream`
  await one.provoke(/: appending to a stream: the server answered 400$/, { args: ['--streams', stubborn, ...dialect], hint: ROOT, mend: () => ({ args: ['--streams', reference.streamsUrl, ...dialect] }) })
  isRefusing = false
  assert.equal((await one.doctor('--streams', stubborn, ...dialect)).code, 0)
})

test('a stream server that everybody reaches', async () => {
  // 0.0.0.0 is not loopback by its name, and still this machine.
  const far = (url) => url.replace('127.0.0.1', '0.0.0.0')
  writeFileSync(path('far-secret'), 'x'.repeat(40))
  writeFileSync(path('far-writer'), 'the-writers-own-token\n')
  const certificate = ['-keyout', path('far-key'), '-out', path('far-cert'), '-subj', '/CN=0.0.0.0', '-addext', 'subjectAltName=IP:0.0.0.0']
  execFileSync('openssl', ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', ...certificate], { stdio: 'pipe' })
  const strict = ['--auth', 'jwt', '--auth-secret-file', path('far-secret'), '--writer-token-file', path('far-writer')]
  const closed = await Server.start(workspace, { name: 'closed', args: strict })
  await one.provoke(/^the stream server at \S+ lets everybody who reaches it read and write every stream$/, {
    severity: 'warning',
    args: ['--streams', far(server.streamsUrl)],
    hint: /^weir serve --auth jwt --auth-secret-file FILE --writer-token-file FILE \.\.\. # see docs\/access\.md$/,
    mend: () => ({ args: ['--streams', far(closed.streamsUrl), '--streams-token-file', path('far-writer')] }),
  })
  const encrypted = new Server(workspace, 'encrypted')
  Object.assign(encrypted, { port: await freePort(), dataDir: path('encrypted-data'), extra: [...strict, '--tls-cert', path('far-cert'), '--tls-key', path('far-key')] })
  encrypted.launch(encrypted.command())
  const args = ['--streams', `https://0.0.0.0:${encrypted.port}/v1/stream`, '--streams-token-file', path('far-writer'), '--streams-ca-file', path('far-cert')]
  await until('the encrypted server', async () => (await one.doctor(...args)).faults.every(({ check }) => check !== 'streams'))
  await one.provoke(/^the bridge's token and all rows go to \S+ unencrypted$/, {
    severity: 'warning',
    args: ['--streams', far(closed.streamsUrl), '--streams-token-file', path('far-writer')],
    hint: /^weir serve --tls-cert FILE --tls-key FILE \.\.\. # and --streams https:\/\/\.\.\., or a proxy with TLS$/,
    mend: () => ({ args }),
  })
  assert.deepEqual((await one.doctor(...args)).faults, [])
})

test('rules cannot be tried out without a folder for it', async () => {
  const blocked = one.as({ runAs: { env: { ...process.env, TMPDIR: path('no', 'such', 'folder') } } })
  await blocked.provoke(/^rules cannot be tried out: there is no room for a folder /, {
    severity: 'warning',
    hint: /^export TMPDIR=\/var\/tmp # or another folder that can be written to$/,
    mend: () => ({ patient: one.as({ runAs: { env: { ...process.env, TMPDIR: '/var/tmp' } } }) }),
  })
})

test('Postgres is a standby', async () => {
  const standby = await cluster.copy(workspace, { name: 'standby', isStandby: true })
  await standby.restart()
  const far = one.as({ conninfo: one.conninfo.replace(/port=\d+/, `port=${standby.port}`) })
  const both = one.as({ conninfo: `host=127.0.0.1,127.0.0.1 port=${standby.port},${cluster.port} user=weir_bridge dbname=${one.name} target_session_attrs=read-write` })
  const args = ['--state', path('on-standby'), '--slot', 'standbys', '--streams', server.streamsUrl]
  assert.equal((await far.doctor(...args)).faults.length, 1, 'and nothing that follows from it')
  await far.provoke(/^Postgres is a standby or still recovers, and a slot is of the primary$/, {
    args,
    hint: /^give the address of the primary as --db; with several hosts in it, target_session_attrs=read-write finds the primary$/,
    mend: () => ({ patient: both }),
  })
  await standby.promote()
  assert.deepEqual((await far.doctor(...args)).faults.filter(({ severity }) => severity === 'error'), [])
})
