// The bridge against a stream server that is not Weir's: the protocol's reference server, in memory
// and with its file store. The same exactness as with `weir serve`: every event of random histories,
// with daemons killed and connections cut. WEIR_SEED repeats a run, WEIR_LONG=1 makes it long.

import assert from 'node:assert/strict'
import test from 'node:test'
import { RULES, SCHEMA, SUBJECTS, TABLES } from '../lib/application.js'
import { Cutter } from '../lib/cutter.js'
import { Oracle } from '../lib/oracle.js'
import { Random, seedFromEnvironment } from '../lib/random.js'
import { request } from '../lib/raw_http.js'
import { ReferenceServer, asServed } from '../lib/reference_server.js'
import { shareCluster } from '../lib/shared_cluster.js'
import { Stack } from '../lib/stack.js'
import { Fold, readStream, userStream } from '../lib/stream.js'
import { Traffic } from '../lib/traffic.js'
import { History, verifyFolds } from '../lib/verify.js'
import { until } from '../lib/wait.js'
import { Bridge } from '../lib/weir.js'

const cluster = shareCluster('standard')
const LONG = process.env.WEIR_LONG === '1'
const ALL_STREAMS = SUBJECTS.map(userStream)

/** Streams are served side by side, so one of them says nothing about the others; but what is committed
 * once the first marker has arrived comes behind everything that came with it. */
async function settle(stack) {
  await stack.settle({ deadlineMs: 180_000 })
  await stack.settle({ deadlineMs: 180_000 })
}

async function scene(name, run, { files = false, bridgeArgs, through } = {}) {
  const seed = seedFromEnvironment()
  console.log(`${name}: WEIR_SEED=${seed}`)
  const startServer = (workspace) => ReferenceServer.start(workspace, { files })
  const stack = await Stack.create(name, { cluster: cluster(), schema: SCHEMA, tables: TABLES, rules: RULES, startServer, bridgeArgs })
  if (through) await through(stack)
  const oracle = new Oracle(stack.db)
  const traffic = new Traffic(await stack.connect(), new Random(seed))
  try {
    for (let i = 0; i < 60; i++) await traffic.transaction()
    await run(stack, { random: new Random(seed + 1), oracle, traffic, history: new History(await oracle.state(), { asServed }) })
  } catch (error) {
    error.message += `\nseed: WEIR_SEED=${seed}\nbridge:\n${stack.bridge.log(40)}\nserver:\n${stack.server.log()}`
    throw error
  } finally {
    await stack.close()
  }
}

async function transact(count, { history, oracle, traffic }, disturb = async () => {}) {
  for (let i = 0; i < count; i++) {
    const disturbance = disturb()
    const { txid } = await traffic.transaction()
    if (txid !== null) history.committed(txid, await oracle.state(), traffic.log)
    await disturbance
  }
}

for (const [name, options] of [['memory', {}], ['files', { files: true }], ['spilled', { bridgeArgs: ['--transaction-memory', '1'] }]]) {
  test(`every event is what the rules in SQL call for: ${name}`, async () => {
    await scene(`standard-${name}`, async (stack, context) => {
      stack.bridge.start()
      await settle(stack)
      for (let round = 0; round < (LONG ? 20 : 1); round++) {
        await transact(60, context)
        await settle(stack)
        await context.history.verify(stack.server.url, ALL_STREAMS)
      }
      await stack.bridge.stop()
      await transact(20, context)
      stack.bridge.start()
      await settle(stack)
      const events = await context.history.verify(stack.server.url, ALL_STREAMS)
      console.log(`${events} events`)
    }, options)
  })
}

const killBridge = async (stack) => {
  await stack.bridge.kill()
  stack.bridge.start()
}

const killServer = async (stack) => {
  await stack.server.kill()
  await stack.server.restart()
}

const killBoth = async (stack) => {
  await stack.bridge.kill()
  await killServer(stack)
  stack.bridge.start()
}

test('killed bridges lose, repeat and leak nothing', async () => {
  await scene('standard-kill', async (stack, context) => {
    stack.isKilling = true
    stack.bridge.start()
    let kills = 0
    for (let round = 0; round < (LONG ? 40 : 2); round++) {
      await transact(60, context, async () => {
        if (context.random.chance(0.1)) await killBridge(stack, kills++)
      })
      await settle(stack)
      await context.history.verify(stack.server.url, ALL_STREAMS, { snapshots: Infinity })
    }
    console.log(`${kills} kills`)
  })
})

test('killed bridges and servers lose, repeat and leak nothing', async () => {
  await scene('standard-kill-files', async (stack, context) => {
    stack.isKilling = true
    stack.bridge.start()
    await settle(stack)
    let kills = 0
    for (let round = 0; round < (LONG ? 40 : 2); round++) {
      await transact(50, context, async () => {
        if (!context.random.chance(0.1)) return
        kills++
        await context.random.pick([killBridge, killServer, killBoth])(stack)
      })
      await settle(stack)
      await context.history.verify(stack.server.url, ALL_STREAMS, { snapshots: Infinity })
    }
    console.log(`${kills} kills`)
  }, { files: true })
})

test('connections that are cut lose and repeat nothing', async () => {
  let cutter
  const through = async (stack) => {
    cutter = await Cutter.start(stack.workspace, stack.server.port)
    stack.bridge = new Bridge(stack.workspace, { conninfo: stack.cluster.conninfo('app'), streamsUrl: `${cutter.url}/v1/stream`, args: ['--dialect', 'standard'] })
  }
  await scene('standard-cut', async (stack, context) => {
    stack.bridge.start()
    let cuts = 0
    for (let round = 0; round < (LONG ? 20 : 1); round++) {
      await transact(60, context, async () => {
        if (context.random.chance(0.3)) cuts += cutter.cut()
      })
      await settle(stack)
      await context.history.verify(stack.server.url, ALL_STREAMS, { snapshots: Infinity })
    }
    assert.ok(cuts > 0)
    console.log(`${cuts} connections cut`)
  }, { through })
})

test('killed in the middle of large transactions', async () => {
  const rows = LONG ? 60_000 : 6_000
  await scene('standard-large', async (stack, { random, oracle }) => {
    stack.isKilling = true
    await stack.db.query(`
      TRUNCATE todos CASCADE;
      INSERT INTO users (id) VALUES ('ana'), ('bo'), ('cy') ON CONFLICT DO NOTHING;
      INSERT INTO projects VALUES (1, 'large', 'ana') ON CONFLICT DO NOTHING;
      DELETE FROM members WHERE project_id = 1`)
    stack.bridge.start()
    await settle(stack)
    for (const sql of [
      `INSERT INTO todos (id, project_id, owner_id, title) SELECT i, 1, 'ana', 'row ' || i FROM generate_series(1, ${rows}) i`,
      `INSERT INTO members VALUES (1, 'bo', 'editor'), (1, 'cy', 'viewer')`,
      `UPDATE todos SET title = 'changed ' || id, owner_id = CASE WHEN id % 2 = 0 THEN 'bo' ELSE owner_id END`,
      `UPDATE members SET role = 'banned' WHERE user_id = 'bo' AND project_id = 1`,
      `DELETE FROM projects WHERE id = 1`,
    ]) {
      await stack.db.query(sql)
      for (let kills = random.between(1, 2); kills > 0; kills--) {
        for (let left = random.below(100); left > 0; left--) await request(stack.server.url, '/v1/stream/nobody')
        await random.pick([killBridge, killServer, killBoth])(stack)
      }
    }
    await settle(stack)
    const events = await verifyFolds(stack.server.url, await oracle.state(), ALL_STREAMS, { asServed })
    assert.ok(events >= 5 * rows, `${events} events`)
  }, { files: true, bridgeArgs: ['--transaction-memory', '1M'] })
})

test('a server that has forgotten its streams gets nothing more', async () => {
  await scene('standard-forgot', async (stack, { traffic }) => {
    stack.bridge.start()
    await settle(stack)
    await killServer(stack) // in memory
    await traffic.transaction()
    await stack.mark()
    await until('the bridge to stop', () => !stack.bridge.isRunning())
    assert.match(stack.bridge.log(), /has lost its streams/)
    stack.bridge.start()
    await until('the bridge to stop again', () => !stack.bridge.isRunning())
    assert.match(stack.bridge.log(1), /cannot be compared with/)
  })
})

test('another writer in a stream, and a closed stream', async () => {
  await scene('standard-others', async (stack) => {
    const put = (path, headers) => request(stack.server.url, `/v1/stream/${path}`, { method: 'PUT', headers: { 'content-type': 'application/json', ...headers } })
    assert.equal((await put(userStream('closed'), { 'stream-closed': 'true' })).status, 201)
    stack.bridge.start()
    await settle(stack)
    await stack.db.query(`INSERT INTO todos (id, owner_id, title) VALUES (1001, 'closed', 'x'), (1002, 'open', 'x')`)
    await settle(stack)
    assert.equal((await readStream(stack.server.url, userStream('closed'))).events.length, 0)
    assert.equal(new Fold().applyAll((await readStream(stack.server.url, userStream('open'))).events).state.get('todos').size, 1)
    assert.match(stack.bridge.log(), /streams that are closed or deleted were left out/)

    const later = await request(stack.server.url, `/v1/stream/${userStream('open')}`, {
      method: 'POST', headers: { 'content-type': 'application/json', 'stream-seq': 'FFFFFFFFFFFFFFFF' }, body: '[{"type":"todos","key":"1","headers":{"operation":"delete"}}]' })
    assert.equal(later.status, 204)
    await stack.db.query(`UPDATE todos SET title = 'y' WHERE id = 1002`)
    await until('the bridge to stop', () => !stack.bridge.isRunning())
    assert.match(stack.bridge.log(), /another writer appends to this stream/)
  })
})
