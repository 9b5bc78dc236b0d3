// What holds a slot up: an idle publication, long transactions, and a connection that was cut without
// a word.

import assert from 'node:assert/strict'
import net from 'node:net'
import test from 'node:test'
import { request } from '../lib/raw_http.js'
import { shareCluster } from '../lib/shared_cluster.js'
import { Stack, insertRule } from '../lib/stack.js'
import { readStream } from '../lib/stream.js'
import { until } from '../lib/wait.js'

const cluster = shareCluster('recovery-waiting')
const SETTINGS = {
  schema: `CREATE TABLE public.notes (id int PRIMARY KEY, owner text, body text);
           CREATE TABLE public.later (id int PRIMARY KEY, owner text);
           CREATE TABLE public.unpublished (id int)`,
  tables: ['public.notes'],
  rules: [{ name: 'own notes', relation: 'notes', audience: 'SELECT notes.owner' }],
}

async function withStack(name, options, work) {
  const stack = await Stack.create(name, { cluster: cluster(), ...SETTINGS, ...options })
  try {
    await work(stack)
  } catch (error) {
    error.message += `\nbridge:\n${stack.bridge.log(40)}`
    throw error
  } finally {
    await stack.close()
  }
}

function lsnOf(text) {
  const [high, low] = text.split('/').map((part) => BigInt(`0x${part}`))
  return (high << 32n) | low
}

async function report(stack, condition) {
  return until('a report', async () => {
    const { bridges } = JSON.parse((await request(stack.server.url, '/v1/stream/__weir/overview')).body)
    return bridges[0] && condition(bridges[0].report) && bridges[0].report
  })
}

test('an idle publication on a busy server holds back no WAL, and sends nothing', async () => {
  const bridgeArgs = ['--checkpoint-interval', '500ms', '--probe-interval', '0s']
  await withStack('recovery-idle', { bridgeArgs }, async (stack) => {
    stack.bridge.start()
    await stack.settle()
    const confirmed = async () => (await stack.db.query(
      `SELECT confirmed_flush_lsn AS lsn, restart_lsn > $2::pg_lsn AS is_past, confirmed_flush_lsn >= $2::pg_lsn AS is_there
         FROM pg_replication_slots WHERE slot_name = $1`, [stack.bridge.slot, target])).rows[0]
    let target = '0/0'
    // What a report says may be older than what has arrived.
    const { length: events } = (await readStream(stack.server.url, 'test-marker/all/data')).events
    await report(stack, (r) => r.phase === 'following' && r.events === events)
    for (let round = 0; round < 3; round++) {
      for (let i = 0; i < 200; i++) await stack.db.query('INSERT INTO unpublished VALUES ($1)', [i])
      target = (await stack.db.query('SELECT pg_current_wal_lsn() AS lsn')).rows[0].lsn
      await until('what was not published to be confirmed', async () => (await confirmed()).is_there)
    }
    const first = target
    await until('the WAL to be given free', async () => {
      await stack.db.query('CHECKPOINT')
      await stack.db.query('INSERT INTO unpublished VALUES (0)')
      target = first
      return (await confirmed()).is_past
    })
    const later = await report(stack, (r) => r.phase === 'following' && lsnOf(r.received_lsn) >= lsnOf(first))
    assert.equal(later.events, events)
  })
})

test('a new table waits for a long transaction, and the others go on', async () => {
  const bridgeArgs = ['--catalog-interval', '100ms']
  await withStack('recovery-long', { bridgeArgs }, async (stack) => {
    stack.bridge.start()
    await stack.settle()
    const long = await stack.connect()
    await long.query('BEGIN; INSERT INTO unpublished VALUES (1)')
    const { rows: [{ pid }] } = await long.query('SELECT pg_backend_pid() AS pid')
    await stack.db.query('INSERT INTO later VALUES (1, $1)', ['ana'])
    await stack.db.query('ALTER PUBLICATION weir ADD TABLE public.later')
    await insertRule(stack.db, { name: 'later', relation: 'later', audience: 'SELECT later.owner' })
    await until('the bridge to name whom it waits for', () =>
      new RegExp(`change of the published tables waits.*process with pid ${pid}, begun at \\d{4}`).test(stack.bridge.log(40)))
    for (let i = 0; i < 5; i++) {
      await stack.db.query('INSERT INTO notes VALUES ($1, $2)', [i, 'ana'])
      await stack.settle()
    }
    const read = async () => (await readStream(stack.server.url, 'user/ana/data')).events
    assert.deepEqual((await read()).map((event) => event.type), Array(5).fill('notes'))
    await long.query('COMMIT')
    await until('the new table', async () => (await read()).some((event) => event.type === 'later'), { deadlineMs: 60_000 })
    await stack.settle()
    assert.equal((await read()).length, 6)
  })
})

test('where commits would wait for the bridge, it says so and stays away until they do not', async () => {
  await withStack('recovery-awaited', { cluster: {} }, async (stack) => {
    const admin = await stack.connect()
    let written = 0
    const names = async (value) => {
      await admin.query(`ALTER SYSTEM SET synchronous_standby_names = '${value}'`)
      await admin.query('SELECT pg_reload_conf()')
    }
    const senders = async () => (await admin.query('SELECT count(*)::int AS n FROM pg_stat_replication')).rows[0].n
    const says = async (value, since) => until('the bridge to say so', async () =>
      since().replaceAll('\\"', '"').includes(`synchronous_standby_names is ${value}, so commits wait for the bridge`) && (await senders()) === 0)
    // Others by whatever name are no concern of the bridge's, which does not wait for them itself.
    await names('weir_other, "a ""*"""')
    await stack.db.query('SET synchronous_commit = local')
    stack.bridge.start()
    await stack.settle()
    await stack.db.query('SET synchronous_commit = on')
    for (const value of ['*', 'FIRST 1 (walreceiver, Weir)', 'ANY 2 (s1, "weir")']) {
      // While it runs: as soon as Postgres goes by it, a commit waits, and the bridge for it.
      const since = stack.bridge.listen()
      await names(value)
      let isSaid = false
      const committing = (async () => {
        while (!isSaid) await stack.db.query('INSERT INTO notes VALUES ($1, $2)', [++written, 'ana'])
      })()
      committing.catch(() => {}) // it is waited for below
      await says(value, since)
      isSaid = true
      // And a start.
      await stack.bridge.kill()
      const again = stack.bridge.listen()
      stack.bridge.start()
      await says(value, again)
      await names('')
      await committing
      await stack.settle()
    }
    assert.equal((await readStream(stack.server.url, 'user/ana/data')).events.length, written)
  })
})

/** Forwards to Postgres; a connection whose client goes away is kept, as a dead peer's would be. */
class Tomb {
  kept = []

  static async start(stack) {
    const tomb = new Tomb()
    tomb.server = net.createServer({ allowHalfOpen: true }, (inner) => {
      const outer = net.connect(stack.cluster.port, '127.0.0.1')
      tomb.kept.push(outer)
      inner.on('data', (bytes) => outer.write(bytes))
      outer.on('data', (bytes) => inner.destroyed || inner.write(bytes))
      for (const socket of [inner, outer]) socket.on('error', () => {})
      inner.on('end', () => inner.destroy())
      outer.on('close', () => inner.destroy())
    })
    await new Promise((resolve) => tomb.server.listen(0, '127.0.0.1', resolve))
    stack.workspace.onClose(() => {
      for (const socket of tomb.kept) socket.destroy()
      return new Promise((resolve) => tomb.server.close(resolve))
    })
    return tomb
  }

  get port() {
    return this.server.address().port
  }
}

test('a walsender that a dead bridge left behind is ended by the next one, and by no other', async () => {
  await withStack('recovery-left', {}, async (stack) => {
    const tomb = await Tomb.start(stack)
    stack.bridge.args[stack.bridge.args.indexOf('--db') + 1] = `host=127.0.0.1 port=${tomb.port} user=postgres dbname=app`
    stack.bridge.start()
    await stack.settle()
    const holder = async () => (await stack.db.query('SELECT active_pid FROM pg_replication_slots WHERE slot_name = $1', [stack.bridge.slot])).rows[0].active_pid
    const left = await until('the slot to be held', holder)
    // From then on it has been noted whose it is.
    await until('the bridge to follow', () => stack.bridge.log().includes('msg=following'))
    await stack.bridge.kill()
    assert.equal(await holder(), left)
    // With another state folder, it is somebody else's.
    const { stateDir, args } = stack.bridge
    stack.isKilling = true
    stack.bridge.args = args.map((arg) => (arg === stateDir ? `${stateDir}-other` : arg))
    stack.bridge.start()
    await until('the other one to wait', () => stack.bridge.log().includes(`in use by the process with pid ${left}`))
    await stack.bridge.kill()
    assert.equal(await holder(), left)
    stack.bridge.args = args
    stack.bridge.start()
    await stack.settle()
    assert.notEqual(await holder(), left)
    assert.match(stack.bridge.log(), /ended a walsender/)
  })
})
