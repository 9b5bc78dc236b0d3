// Connections that stand still: a walsender that waits for a sign of life while the bridge waits for the
// stream server, and something in between that drops what is idle. WEIR_SEED repeats a run.

import assert from 'node:assert/strict'
import test from 'node:test'
import { seedFromEnvironment } from '../e2e/lib/random.js'
import { shareCluster } from '../e2e/lib/shared_cluster.js'
import { until } from '../e2e/lib/wait.js'
import { withWorld } from './lib/world.js'

const cluster = shareCluster('quiet')
const seed = seedFromEnvironment()
console.log(`WEIR_SEED=${seed}`)

const TIMEOUT_S = 4

/** The bridge raises wal_sender_timeout for its session. This has Postgres believe that it did not. */
function keepTimeoutSmall(proxy) {
  proxy.rewrite = (bytes, isFromNear) => {
    if (!isFromNear || !bytes.includes(`'30min'`)) return bytes
    return Buffer.from(bytes.toString('latin1').replace(`'30min'`, `'${TIMEOUT_S}s'`.padEnd(7)), 'latin1')
  }
}

for (const [what, bridgeArgs] of [['batches', ['--batch-size', '1K']], ['the parts of a large transaction', ['--transaction-memory', '4K']]]) {
  test(`a bridge that cannot get rid of ${what} answers for longer than wal_sender_timeout`, async () => {
    await withWorld('quiet-walsender', seed, async (world) => {
      keepTimeoutSmall(world.proxies.postgres)
      await world.begin()
      const { pid } = await until('the bridge to follow', () => world.walsender())
      world.signal('server', 'SIGSTOP')
      for (let round = 1; round <= 6; round++) {
        await world.recorded(`INSERT INTO todos (id, owner_id, body) SELECT ${round} * 10000 + i, 'ana', repeat(md5(i::text), 60) FROM generate_series(1, 500) i`)
      }
      const start = (await world.walsender()).reply_time.getTime()
      await until('answers for longer than the timeout', async () => {
        const walsender = await world.walsender()
        assert.ok(walsender, 'the walsender has ended')
        return walsender.reply_time.getTime() - start > 2.5 * TIMEOUT_S * 1000
      }, { deadlineMs: 120_000 })
      assert.equal((await world.walsender()).pid, pid, 'it is another walsender')
      world.signal('server', 'SIGCONT')
      await world.verify()
      assert.equal((await world.walsender()).pid, pid, 'it is another walsender')
      // That the timeout is as small as that: a bridge that does not answer loses its walsender.
      world.signal('bridge', 'SIGSTOP')
      await until('the walsender to give up', async () => (await world.walsender())?.pid !== pid, { deadlineMs: 120_000 })
      world.signal('bridge', 'SIGCONT')
      await world.transactions(3)
      await world.verify()
    }, { cluster: cluster(), bridgeArgs, traffic: { truncate: false } })
  })
}

test('connections are dropped whenever they are idle', async () => {
  await withWorld('quiet-idle', seed, async (world) => {
    await world.begin()
    const { postgres, server } = world.proxies
    for (const proxy of [postgres, server]) proxy.dropIdle(200)
    for (let round = 0; round < 6; round++) {
      await world.transactions(2)
      await world.stack.settle()
      const proxy = round % 2 ? postgres : server
      const dropped = proxy.dropped
      await until('an idle connection to be dropped', async () => proxy.dropped > dropped, { deadlineMs: 60_000 })
    }
    for (const proxy of [postgres, server]) proxy.heal()
    await world.verify()
  }, { cluster: cluster() })
})
