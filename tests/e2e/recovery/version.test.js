// A state folder of a program that understood rules otherwise: older, newer, or from before the number was
// kept. What a rule has shown that is refused now leaves the streams, nothing comes twice, and it is done
// once, also when it is cut off. The folder is made one of such a program by other_version.c, and by the
// format's name.

import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'node:test'
import { fileURLToPath } from 'node:url'
import { ReferenceServer } from '../lib/reference_server.js'
import { shareCluster } from '../lib/shared_cluster.js'
import { Stack } from '../lib/stack.js'
import { readStream, userStream } from '../lib/stream.js'
import { until } from '../lib/wait.js'
import { runWeir } from '../lib/weir.js'
import { Scene } from './scene.js'

const cluster = shareCluster('version')
const PROGRAM = process.env.WEIR_OTHER_VERSION ?? fileURLToPath(new URL('../../../build/release/other_version', import.meta.url))
const SAYS = 'this version of weir understands rules otherwise than the one before'

/** Where the bridge is killed on its way, each time a step further. */
const STEPS = ['compare.begin', 'compare.read', 'spool.synced', 'outgoing.committed', 'compare.committed', 'resync.restarted', 'outgoing.part', 'outgoing.sent']

const makeOther = (stateDir, language) => execFileSync(PROGRAM, [stateDir, language])

/** The format of programs that did not keep the number. */
function makeFormer(stateDir) {
  makeOther(stateDir, 'none')
  const file = join(stateDir, 'replica.mdb')
  const bytes = readFileSync(file)
  assert.ok(bytes.includes('weir replica 7'))
  for (let at = bytes.indexOf('weir replica 7'); at >= 0; at = bytes.indexOf('weir replica 7')) bytes.write('weir replica 6', at)
  writeFileSync(file, bytes)
}

const VERSIONS = {
  older: (stateDir) => makeOther(stateDir, '0'),
  newer: (stateDir) => makeOther(stateDir, '4000000000'),
  former: makeFormer,
}

const SCHEMA = `
  CREATE SCHEMA app;
  CREATE TABLE app.todos (id int PRIMARY KEY);
  CREATE TABLE public.members (todo_id int, user_id text, PRIMARY KEY (todo_id, user_id));
  INSERT INTO app.todos VALUES (1), (2); INSERT INTO members VALUES (1, 'ana'), (2, 'ana')`

/** A rule that Postgres's word decides on: it is refused once app has another table of the name. */
async function run(name, work, options = {}) {
  const stack = await Stack.create(name, {
    cluster: cluster(),
    schema: SCHEMA,
    tables: ['app.todos', 'public.members'],
    rules: [
      { name: 'members', relation: 'app.todos', audience: 'SELECT m.user_id FROM members m WHERE m.todo_id = todos.id' },
      { name: 'own', relation: 'public.members', audience: 'SELECT members.user_id' },
    ],
    bridgeArgs: ['--catalog-interval', '100ms'],
    ...options,
  })
  try {
    stack.bridge.start()
    await stack.settle()
    await work(stack)
  } catch (error) {
    error.message += `\nbridge:\n${stack.bridge.log(60)}`
    throw error
  } finally {
    await stack.close()
  }
}

const read = async (stack) => (await readStream(stack.server.url, userStream('ana'))).events
const briefly = (events) => events.map(({ operation, type, key }) => `${operation} ${type} ${key}`).sort()

async function becomes(stack, state) {
  await until(`the rule to be ${state}`, async () => {
    const { rows } = await stack.db.query(`SELECT state FROM weir.rule_status WHERE name = 'members'`)
    return rows[0].state === state
  })
  await stack.settle()
}

/** Ends with the rule active again. kill: the step at which the first start is killed. */
async function refusedSince(stack, make, kill) {
  const before = await read(stack)
  await stack.bridge.stop()
  await stack.db.query('CREATE TABLE app.members (nothing int)')
  make(stack.bridge.stateDir)
  const doctor = await runWeir(['doctor', '--db', stack.cluster.conninfo('app'), '--state', stack.bridge.stateDir, '--streams', stack.server.streamsUrl])
  assert.ok(doctor.output.includes(`append to the streams what differs: ${SAYS}`), doctor.output)
  let says = stack.bridge.listen()
  if (kill) {
    stack.bridge.environment = { WEIR_FAULT: `${kill}=kill` }
    stack.bridge.start()
    assert.equal((await stack.bridge.child.exited()).signal, 'SIGKILL', kill)
    stack.bridge.environment = {}
  }
  stack.bridge.start()
  await stack.settle()
  const after = await read(stack)
  assert.deepEqual(after.slice(0, before.length), before)
  assert.deepEqual(briefly(after.slice(before.length)), ['delete todos 1', 'delete todos 2'], kill)
  assert.ok(says().includes(SAYS), says())
  await becomes(stack, 'refused')
  await stack.bridge.stop()
  says = stack.bridge.listen()
  stack.bridge.start()
  await stack.settle()
  assert.ok(!says().includes('resyncing everything'), says())
  await stack.db.query('DROP TABLE app.members')
  await becomes(stack, 'active')
  assert.deepEqual(briefly((await read(stack)).slice(after.length)), ['insert todos 1', 'insert todos 2'])
}

for (const [which, make] of Object.entries(VERSIONS))
  test(`rows of a rule that is refused since leave the streams, in a folder of ${which} version`, () =>
    run('version', async (stack) => {
      assert.deepEqual(briefly(await read(stack)), ['insert members ["1","ana"]', 'insert members ["2","ana"]', 'insert todos 1', 'insert todos 2'])
      await refusedSince(stack, make)
    }))

/** Another's event in the stream: what in it is of the bridge's rules is told by their types. */
async function writeToo(stack) {
  const message = { type: 'chat', key: '1', value: { text: 'hello' }, headers: { operation: 'insert' } }
  const { status } = await fetch(`${stack.server.streamsUrl}/${userStream('ana')}`, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify([message]) })
  assert.equal(status, 204)
}

test('rows of a rule that is refused since leave a stream that others write to as well', () =>
  run('version-shared', async (stack) => {
    await writeToo(stack)
    await refusedSince(stack, VERSIONS.older)
    // Of a rule whose table is not followed any more there is only the name.
    await stack.bridge.stop()
    await stack.db.query('ALTER PUBLICATION weir DROP TABLE app.todos')
    const before = await read(stack)
    stack.bridge.args.push('--resync')
    stack.bridge.start()
    await stack.settle()
    assert.deepEqual(briefly((await read(stack)).slice(before.length)), ['delete todos 1', 'delete todos 2'])
  }))

test('rows of a rule that is refused since leave the streams once, wherever that is cut off', () =>
  run('version-cut', async (stack) => {
    for (const step of STEPS) await refusedSince(stack, VERSIONS.older, step)
  }))

test('every stream is what it was, where the rules still say so, and is never taken back to what it has been', () =>
  Scene.run('version-exact', async (scene, stack) => {
    const make = () => VERSIONS.older(stack.bridge.stateDir)
    assert.equal(await scene.survive(make, { isQuiet: true, says: SAYS }), 0)
    assert.equal(await scene.survive(make, { isQuiet: true, cuts: 3, says: SAYS }), 0)
    // What came behind the replica's rows is in the streams: a snapshot is taken.
    assert.equal(await scene.survive(make, { isQuiet: true, stop: 'ahead', says: SAYS }), 0)
    await scene.survive(make, { stop: 'ahead', cuts: 3, says: SAYS })
    await scene.survive(async () => {
      make()
      await stack.dropSlot()
    }, { says: 'against="the streams"' })
  }, { cluster: cluster() }))

test('a bridge to a stream server of the standard dialect, which cannot be compared with, ends', () =>
  run('version-standard', async (stack) => {
    await stack.bridge.stop()
    VERSIONS.older(stack.bridge.stateDir)
    stack.bridge.start()
    assert.equal((await stack.bridge.child.exited()).code, 1)
    const log = stack.bridge.log()
    assert.ok(log.includes(`${SAYS}, and a server of the standard dialect cannot be compared with`), log)
  }, { startServer: (workspace) => ReferenceServer.start(workspace) }))
