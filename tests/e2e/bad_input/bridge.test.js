// What stops a bridge: a message that names the thing and says what to do, and an exit code or a
// retry where waiting can help. Nothing that was committed is lost by any of it.

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import test, { after, before } from 'node:test'
import { Cluster } from '../lib/cluster.js'
import { Child } from '../lib/process.js'
import { insertRule } from '../lib/stack.js'
import { Fold, readStream } from '../lib/stream.js'
import { until } from '../lib/wait.js'
import { Bridge, Server, runWeir } from '../lib/weir.js'
import { Workspace, freePort } from '../lib/workspace.js'

const SCHEMA = `
  CREATE TABLE notes (id int PRIMARY KEY, owner_id text, body text);
  CREATE TABLE tags (id int PRIMARY KEY, owner_id text);`
const RULES = [{ name: 'own notes', relation: 'notes', audience: 'SELECT notes.owner_id' }]

let workspace
let cluster
let server
let databases = 0

before(async () => {
  workspace = new Workspace('bad-input')
  cluster = await Cluster.start(workspace, { settings: { max_replication_slots: '40', max_wal_senders: '40' } }) // one a scene
  server = await Server.start(workspace)
})

after(() => workspace.close())

/** A database with weir installed, and a bridge to be started on it with a slot of its own. */
async function scene({ options = '', install = true } = {}) {
  const name = `db${++databases}`
  const admin = await cluster.connect()
  await admin.query(`CREATE DATABASE ${name} ${options}`)
  await admin.end()
  const conninfo = cluster.conninfo(name)
  const db = await cluster.connect(name)
  workspace.onClose(() => db.end())
  await db.query(SCHEMA)
  if (install) {
    const { code, output } = await runWeir(['install', '--db', conninfo])
    assert.equal(code, 0, output)
    await db.query('ALTER PUBLICATION weir ADD TABLE notes')
    for (const rule of RULES) await insertRule(db, { ...rule, stream: `${name}/{subject}` })
  }
  const bridge = new Bridge(workspace, { conninfo, streamsUrl: server.streamsUrl, name: `bridge-${name}`, slot: `slot_${name}` })
  return { name, db, bridge, conninfo }
}

const logOf = (bridge) => readFileSync(workspace.path(bridge.logName), 'utf8')
const says = (bridge, pattern) => until(`the bridge to say ${pattern}`, () => pattern.test(logOf(bridge))).catch((error) => {
  throw new Error(`${error.message}; it says:\n${logOf(bridge)}`)
})

async function refuses(bridge, ...patterns) {
  bridge.start()
  const { code } = await bridge.child.exited(60_000).catch((error) => {
    throw new Error(`${error.message}; it says:\n${logOf(bridge)}`)
  })
  const log = logOf(bridge)
  assert.ok(code > 0, `exit code ${code}:\n${log}`)
  for (const pattern of [...patterns, /hint/i]) assert.match(log, pattern)
}

/** Waits until the stream of a scene's user holds note `id`. */
async function delivers(scenery, user, id) {
  await until(`note ${id} for ${user}`, async () => {
    const { events } = await readStream(server.url, `${scenery.name}/${user}`)
    return new Fold().applyAll(events).state.get('notes')?.has(String(id))
  }).catch((error) => {
    throw new Error(`${error.message}; the bridge says:\n${logOf(scenery.bridge)}`)
  })
}

test('a rule with a typo fails in SQL, with the message of Postgres', async () => {
  const { db } = await scene()
  await assert.rejects(insertRule(db, { name: 'typo', relation: 'notes', audience: 'SELECT notes.ownr_id' }), /ownr_id/)
  await assert.rejects(insertRule(db, { name: 'typo', relation: 'notes', audience: 'SELEC notes.owner_id' }), /syntax error/)
  await assert.rejects(insertRule(db, { name: 'typo', relation: 'nowhere', audience: 'SELECT 1' }), /nowhere/)
  const { rows } = await db.query(`SELECT count(*)::int AS n FROM weir.rules WHERE name = 'typo'`)
  assert.equal(rows[0].n, 0)
})

test('a rule beyond the supported subset shows nothing to anybody and is reported; others go on', async () => {
  const scenery = await scene()
  const { db, bridge } = scenery
  await db.query('ALTER PUBLICATION weir ADD TABLE tags')
  const beyond = `SELECT max(t.owner_id) FROM tags t WHERE t.id = tags.id GROUP BY t.id`
  await insertRule(db, { name: 'beyond', relation: 'tags', audience: beyond, stream: `${scenery.name}/{subject}` })
  await db.query(`INSERT INTO tags VALUES (1, 'ana'); INSERT INTO notes VALUES (1, 'ana', 'x')`)
  bridge.start()
  await delivers(scenery, 'ana', 1)
  await says(bridge, /beyond/)
  await db.query(`INSERT INTO tags VALUES (2, 'ana'); INSERT INTO notes VALUES (2, 'ana', 'y')`)
  await delivers(scenery, 'ana', 2)
  const { events } = await readStream(server.url, `${scenery.name}/ana`)
  assert.deepEqual([...new Set(events.map((event) => event.type))], ['notes'])
})

test('a table without a primary key', async () => {
  const { db, bridge } = await scene()
  await db.query('CREATE TABLE keyless (a int); ALTER PUBLICATION weir ADD TABLE keyless')
  await refuses(bridge, /keyless/, /primary key/)
})

test('a database that is not UTF8', async () => {
  const { bridge, name } = await scene({ options: `ENCODING 'LATIN1' TEMPLATE template0`, install: false })
  await refuses(bridge, new RegExp(name), /UTF-?8/i)
})

test('a database without weir in it', async () => {
  const { bridge } = await scene({ install: false })
  await refuses(bridge, /weir install/)
})

test('a slot of another plugin', async () => {
  const { db, bridge } = await scene()
  await db.query(`SELECT pg_create_logical_replication_slot($1, 'test_decoding')`, [bridge.slot])
  await refuses(bridge, new RegExp(bridge.slot))
})

test('wal_level that is not logical', async () => {
  const other = await Cluster.start(workspace, { name: 'pg-replica', settings: { wal_level: 'replica' } })
  const db = await other.connect()
  await db.query(SCHEMA)
  await runWeir(['install', '--db', other.conninfo()])
  await db.end()
  const bridge = new Bridge(workspace, { conninfo: other.conninfo(), streamsUrl: server.streamsUrl, name: 'bridge-replica', slot: 'slot_replica' })
  await refuses(bridge, /wal_level/, /logical/)
  await other.stop()
})

test('wal2json that is not on the allow-list, where Postgres has one', async (t) => {
  const db = await cluster.connect()
  const { rows } = await db.query(`SELECT 1 FROM pg_settings WHERE name = 'output_plugin_libraries'`)
  await db.end()
  if (rows.length === 0) return t.skip('this minor of Postgres has no output_plugin_libraries')
  const other = await Cluster.start(workspace, { name: 'pg-list', settings: { output_plugin_libraries: 'pgoutput' } })
  const there = await other.connect()
  await there.query(SCHEMA)
  await runWeir(['install', '--db', other.conninfo()])
  await there.end()
  const bridge = new Bridge(workspace, { conninfo: other.conninfo(), streamsUrl: server.streamsUrl, name: 'bridge-list', slot: 'slot_list' })
  await refuses(bridge, /output_plugin_libraries/, /wal2json/)
  await other.stop()
})

test('a slot in use: the bridge says so, waits, and goes on when it is free', async () => {
  const scenery = await scene()
  const { db, bridge } = scenery
  bridge.start()
  await db.query(`INSERT INTO notes VALUES (1, 'ana', 'x')`)
  await delivers(scenery, 'ana', 1)
  await bridge.stop()
  const holder = new Child(cluster.program('pg_recvlogical'), ['-d', scenery.name, '--slot', bridge.slot, '--start', '-f', '/dev/null', '-o', 'format-version=2'],
    { env: cluster.environment(scenery.name), logFile: workspace.path('holder.log') })
  workspace.onClose(() => holder.stop())
  const isHeld = async () => (await db.query('SELECT active FROM pg_replication_slots WHERE slot_name = $1', [bridge.slot])).rows[0].active
  await until('the slot to be held', isHeld)
  bridge.start()
  await says(bridge, new RegExp(`${bridge.slot}.*(in use|active)|(in use|active).*${bridge.slot}`, 's'))
  assert.ok(bridge.isRunning(), logOf(bridge))
  await holder.stop()
  await db.query(`INSERT INTO notes VALUES (2, 'ana', 'y')`)
  await delivers(scenery, 'ana', 2)
})

test('a stream server that cannot be reached: the bridge retries and loses nothing', async () => {
  const port = await freePort()
  const name = `db${databases + 1}`
  const scenery = await scene()
  assert.equal(scenery.name, name)
  const bridge = new Bridge(workspace, { conninfo: scenery.conninfo, streamsUrl: `http://127.0.0.1:${port}/v1/stream`, name: 'bridge-away', slot: 'slot_away' })
  await scenery.db.query(`INSERT INTO notes VALUES (1, 'ana', 'x')`)
  bridge.start()
  await says(bridge, new RegExp(`127\\.0\\.0\\.1:${port}`))
  assert.ok(bridge.isRunning(), logOf(bridge))
  const late = new Server(workspace, 'serve-late')
  Object.assign(late, { port, url: `http://127.0.0.1:${port}`, dataDir: workspace.path('late-data'), extra: [] })
  await late.restart()
  await until('the note to arrive', async () => (await readStream(late.url, `${name}/ana`)).events.length === 1)
  await bridge.stop()
})

test('Postgres that cannot be reached is named, without the password', async () => {
  const port = await freePort()
  const bridge = new Bridge(workspace, {
    conninfo: `host=127.0.0.1 port=${port} user=postgres password=not-for-logs dbname=app`, streamsUrl: server.streamsUrl, name: 'bridge-nowhere', slot: 'slot_nowhere' })
  bridge.start()
  await says(bridge, new RegExp(String(port)))
  assert.doesNotMatch(logOf(bridge), /not-for-logs/)
  if (bridge.isRunning()) await bridge.stop()
  else assert.ok((await bridge.child.exited()).code > 0)
})

test('a replication connection that breaks: the bridge connects again and loses nothing', async () => {
  const scenery = await scene()
  const { db, bridge } = scenery
  bridge.start()
  for (let round = 1; round <= 3; round++) {
    await db.query(`INSERT INTO notes VALUES ($1, 'ana', 'x')`, [round])
    await delivers(scenery, 'ana', round)
    await db.query('SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = $1', [bridge.slot])
    await db.query(`UPDATE notes SET body = 'broken ' || $1 WHERE id = $1`, [round])
  }
  await db.query(`INSERT INTO notes VALUES (4, 'ana', 'x')`)
  await delivers(scenery, 'ana', 4)
  const { events } = await readStream(server.url, `${scenery.name}/ana`)
  assert.equal(events.length, 7)
  assert.ok(bridge.isRunning())
})

test('a second bridge on the same slot does not take part, and the first goes on', async () => {
  const scenery = await scene()
  const { db, bridge, conninfo } = scenery
  bridge.start()
  await db.query(`INSERT INTO notes VALUES (1, 'ana', 'x')`)
  await delivers(scenery, 'ana', 1)
  const second = new Bridge(workspace, { conninfo, streamsUrl: server.streamsUrl, name: 'bridge-second', slot: bridge.slot })
  second.start()
  await says(second, /\S/)
  await db.query(`INSERT INTO notes VALUES (2, 'ana', 'y')`)
  await until('note 2, once', async () => {
    const { events } = await readStream(server.url, `${scenery.name}/ana`)
    return new Fold().applyAll(events).state.get('notes').size === 2
  })
  await second.stop().catch(() => {}) // it may have ended by itself, with an error as it should
})

test('subjects that no path can carry stop nobody else', async () => {
  const scenery = await scene()
  const { db, bridge } = scenery
  const hostile = ['', 'line\nbreak', 'carriage\rreturn', 'x'.repeat(20_000), '\u0001', 'é'.repeat(3000), '__weir', '__ds']
  bridge.start()
  for (const [index, subject] of hostile.entries()) await db.query(`INSERT INTO notes VALUES ($1, $2, 'hostile')`, [index, subject])
  await db.query(`INSERT INTO notes VALUES (100, 'ana', 'x')`)
  await delivers(scenery, 'ana', 100)
  const { events } = await readStream(server.url, `${scenery.name}/ana`)
  assert.deepEqual(events.map((event) => event.key), ['100'])
  assert.ok(bridge.isRunning())
})

test('a subject in the first segment cannot reach the reserved paths', async () => {
  const scenery = await scene()
  const { db, bridge } = scenery
  await db.query('ALTER PUBLICATION weir ADD TABLE tags')
  await insertRule(db, { name: 'root', relation: 'tags', audience: 'SELECT tags.owner_id', stream: '{subject}/tags' })
  await db.query(`INSERT INTO tags VALUES (1, '__weir'), (2, '__ds'), (3, '..'), (4, 'plain')`)
  bridge.start()
  await db.query(`INSERT INTO notes VALUES (1, 'ana', 'x')`)
  await delivers(scenery, 'ana', 1)
  assert.equal((await readStream(server.url, 'plain/tags')).events.length, 1)
})

test('a subject of dots that is a part of a segment has its stream', async () => {
  const scenery = await scene()
  const { db, bridge } = scenery
  await db.query('ALTER PUBLICATION weir ADD TABLE tags')
  await insertRule(db, { name: 'part', relation: 'tags', audience: 'SELECT tags.owner_id', stream: `${scenery.name}-part/x-{subject}` })
  await db.query(`INSERT INTO tags VALUES (1, '.'), (2, '..')`)
  bridge.start()
  await db.query(`INSERT INTO notes VALUES (1, 'ana', 'x')`)
  await delivers(scenery, 'ana', 1)
  const keys = async (path) => (await readStream(server.url, path)).events.map((event) => event.key)
  assert.deepEqual(await keys(`${scenery.name}-part/x-.`), ['1'])
  assert.deepEqual(await keys(`${scenery.name}-part/x-..`), ['2'])
})

test('the command line: what is wrong is named, and the exit code is not 0', async () => {
  for (const [args, pattern] of [
    [['nonsense'], /nonsense/],
    [['serve', '--no-such-option'], /no-such-option/],
    [['serve', '--listen', 'not an address', '--data', workspace.path('x'), '--auth', 'none'], /not an address/],
    [['bridge', '--slot', 'x'], /--db|--streams|--state/],
    [['install'], /--db/],
    [['install', '--db', 'host=127.0.0.1 port=1 user=nobody'], /127\.0\.0\.1/],
    [['install', '--db', 'this is no conninfo'], /this|conninfo|connection/],
  ]) {
    const { code, output } = await runWeir(args)
    assert.ok(code > 0, `weir ${args.join(' ')} ended with ${code}`)
    assert.match(output, pattern, `weir ${args.join(' ')}`)
  }
})

test('weir install twice is as good as once', async () => {
  const { db, conninfo } = await scene()
  const before = await db.query('SELECT * FROM weir.rules')
  const { code, output } = await runWeir(['install', '--db', conninfo])
  assert.equal(code, 0, output)
  assert.deepEqual((await db.query('SELECT * FROM weir.rules')).rows, before.rows)
  const { rows } = await db.query(`SELECT tablename FROM pg_publication_tables WHERE pubname = 'weir' ORDER BY 1`)
  assert.deepEqual(rows.map((row) => row.tablename), ['notes', 'revoked', 'rules'])
})

test('a state folder of another slot, and of another database', async () => {
  const first = await scene()
  first.bridge.start()
  await first.db.query(`INSERT INTO notes VALUES (1, 'ana', 'x')`)
  await delivers(first, 'ana', 1)
  await first.bridge.stop()
  const name = first.bridge.logName.replace(/\.log$/, '')
  const otherSlot = new Bridge(workspace, { conninfo: first.conninfo, streamsUrl: server.streamsUrl, name, slot: 'slot_of_another' })
  await refuses(otherSlot, /was made from|another one/)
  const second = await scene()
  const otherDatabase = new Bridge(workspace, { conninfo: second.conninfo, streamsUrl: server.streamsUrl, name, slot: first.bridge.slot })
  await refuses(otherDatabase, /was made from/)
  const { rows } = await second.db.query('SELECT slot_name FROM pg_replication_slots WHERE slot_name = $1', ['slot_of_another'])
  assert.equal(rows.length, 0, 'no slot was made')
  first.bridge.start()
  await first.db.query(`INSERT INTO notes VALUES (2, 'ana', 'y')`)
  await delivers(first, 'ana', 2)
  await first.bridge.stop()
})

test('a name that may be a column which the publication leaves out shows nothing', async () => {
  const scenery = await scene()
  const { db, bridge } = scenery
  await db.query(`
    CREATE TABLE readers (id int PRIMARY KEY, who text, level text);
    CREATE TABLE pages (id int PRIMARY KEY, level text);
    ALTER PUBLICATION weir ADD TABLE readers (id, who), pages;
    INSERT INTO readers VALUES (1, 'ana', 'none'); INSERT INTO pages VALUES (1, 'all')`)
  // Postgres takes level for the readers', of which the bridge does not know; the pages' would let ana in.
  await insertRule(db, { name: 'pages', relation: 'pages', audience: `SELECT r.who FROM readers r WHERE level = 'all'`, stream: `${scenery.name}/{subject}` })
  bridge.start()
  await says(bridge, /rule=pages reason="column level may be one that the publication's column list of readers leaves out"/)
  await db.query(`INSERT INTO notes VALUES (1, 'ana', 'x')`)
  await delivers(scenery, 'ana', 1)
  const { events } = await readStream(server.url, `${scenery.name}/ana`)
  assert.deepEqual(events.filter((event) => event.type === 'pages'), [])
  await bridge.stop()
})
