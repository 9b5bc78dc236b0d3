// kill -9 of the bridge or the server at random moments of a random history: after it, nothing is
// lost, nothing comes twice, nothing leaks. WEIR_SEED repeats a run, WEIR_LONG=1 makes it long.

import assert from 'node:assert/strict'
import test from 'node:test'
import { RULES, SCHEMA, SUBJECTS, TABLES } from '../lib/application.js'
import { Oracle } from '../lib/oracle.js'
import { Random, seedFromEnvironment } from '../lib/random.js'
import { request } from '../lib/raw_http.js'
import { shareCluster } from '../lib/shared_cluster.js'
import { Stack } from '../lib/stack.js'
import { Fold, readStream, userStream } from '../lib/stream.js'
import { Traffic } from '../lib/traffic.js'
import { History, verifyFolds } from '../lib/verify.js'
import { until } from '../lib/wait.js'

const cluster = shareCluster('kill')
const LONG = process.env.WEIR_LONG === '1'
const ALL_STREAMS = SUBJECTS.map(userStream)

const killOne = (stack, random) => kill(stack, random.weighted([[3, 'bridge'], [3, 'server'], [1, 'both']]))

async function kill(stack, victim) {
  if (victim !== 'server') await stack.bridge.kill()
  if (victim !== 'bridge') {
    await stack.server.kill()
    await stack.server.restart()
  }
  if (victim !== 'server') stack.bridge.start()
}

/** Transactions run while daemons die and come back; `pace` decides how often one is killed. */
async function killDuring(stack, random, { history, oracle, traffic, transactions, pace }) {
  let kills = 0
  for (let i = 0; i < transactions; i++) {
    // Not waited for: the transactions of the next lines run while daemons come up.
    const killing = random.chance(pace) ? killOne(stack, random) : undefined
    if (killing) kills++
    const { txid } = await traffic.transaction()
    if (txid !== null) history.committed(txid, await oracle.state(), traffic.log)
    await killing
  }
  return kills
}

async function scene(name, run, { round = 0 } = {}) {
  const seed = seedFromEnvironment() + round
  console.log(`${name}: WEIR_SEED=${seed}`)
  const stack = await Stack.create(name, { cluster: cluster(), schema: SCHEMA, tables: TABLES, rules: RULES })
  stack.isKilling = true
  try {
    const oracle = new Oracle(stack.db)
    const traffic = new Traffic(await stack.connect(), new Random(seed + 1))
    for (let i = 0; i < 150; i++) await traffic.transaction()
    await run(stack, { random: new Random(seed), oracle, traffic, history: new History(await oracle.state()) })
  } catch (error) {
    error.message += `\nseed: WEIR_SEED=${seed}\nbridge:\n${stack.bridge.log(40)}\nserver:\n${stack.server.log()}`
    throw error
  } finally {
    await stack.close()
  }
}

test('killed daemons lose, repeat and leak nothing', async () => {
  await scene('kill', async (stack, { random, oracle, traffic, history }) => {
    stack.bridge.start()
    await stack.settle()
    const rounds = LONG ? 40 : 4
    let kills = 0
    for (let round = 0; round < rounds; round++) {
      kills += await killDuring(stack, random, { history, oracle, traffic, transactions: 60, pace: 0.12 })
      await stack.settle()
      await history.verify(stack.server.url, ALL_STREAMS)
    }
    console.log(`${kills} kills`)
  })
})

test('killed while the first snapshot is loaded and published', async () => {
  for (let round = 0; round < (LONG ? 20 : 3); round++) {
    await scene('kill-first', async (stack, { random, oracle, traffic, history }) => {
      stack.bridge.start()
      const pace = random.pick([0.5, 0.25, 0.1])
      const kills = await killDuring(stack, random, { history, oracle, traffic, transactions: 40, pace })
      await stack.settle()
      await history.verify(stack.server.url, ALL_STREAMS, { snapshots: Infinity })
      console.log(`${kills} kills`)
    }, { round })
  }
})

/** Lets a random number of requests go by: a moment that no clock decides. */
async function aMoment(stack, random) {
  for (let left = random.below(150); left > 0; left--) await request(stack.server.url, '/healthz')
}

test('killed in the middle of large transactions', async () => {
  await scene('kill-large', async (stack, { random, oracle }) => {
    const rows = LONG ? 100_000 : 15_000
    await stack.db.query(`
      TRUNCATE todos CASCADE;
      INSERT INTO users (id) VALUES ('ana'), ('bo'), ('cy') ON CONFLICT DO NOTHING;
      INSERT INTO projects VALUES (1, 'large', 'ana') ON CONFLICT DO NOTHING;
      DELETE FROM members WHERE project_id = 1`)
    stack.bridge.start()
    await stack.settle()
    for (const sql of [
      `INSERT INTO todos (id, project_id, owner_id, title) SELECT i, 1, 'ana', 'row ' || i FROM generate_series(1, ${rows}) i`,
      `INSERT INTO members VALUES (1, 'bo', 'editor'), (1, 'cy', 'viewer')`,
      `UPDATE todos SET title = 'changed ' || id, owner_id = CASE WHEN id % 2 = 0 THEN 'bo' ELSE owner_id END`,
      `UPDATE members SET role = 'banned' WHERE user_id = 'bo' AND project_id = 1`,
      `DELETE FROM projects WHERE id = 1`,
    ]) {
      await stack.db.query(sql)
      for (let kills = random.between(1, 3); kills > 0; kills--) {
        await aMoment(stack, random)
        await killOne(stack, random)
      }
    }
    await stack.settle({ deadlineMs: 120_000 })
    const events = await verifyFolds(stack.server.url, await oracle.state(), ALL_STREAMS)
    assert.ok(events >= 5 * rows, `${events} events`)
  })
})

/** Whether the server has some parts of a transaction that is larger than a request, not all. */
async function isBetweenParts(stack) {
  const { status, body } = await request(stack.server.url, `/v1/stream/__weir/producers/${stack.bridge.slot}`)
  return status === 200 && JSON.parse(body).step > 0
}

for (const victim of LONG ? ['bridge', 'server', 'both'] : ['both']) {
  test(`${victim} killed between the parts of a transaction that is larger than a request`, async () => {
    await scene('kill-parts', async (stack) => {
      const [rows, owners] = [200_000, 10]
      stack.bridge.start()
      await stack.settle()
      await stack.db.query(`
        INSERT INTO todos (id, owner_id, title, body)
        SELECT 1000 + i, 'owner-' || i % ${owners}, 'row ' || i, repeat('x', 200) FROM generate_series(1, ${rows}) i`)
      await until('the first part', () => isBetweenParts(stack))
      await kill(stack, victim)
      await stack.settle({ deadlineMs: 120_000 })
      for (let owner = 0; owner < owners; owner++) {
        const { events } = await readStream(stack.server.url, userStream(`owner-${owner}`))
        assert.equal(new Fold().applyAll(events).state.get('todos').size, rows / owners)
      }
    })
  })
}
