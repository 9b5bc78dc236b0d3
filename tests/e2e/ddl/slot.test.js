// A slot that is dropped, or that Postgres has given up, while the bridge is away: what the streams
// lack is found by difference, and nothing comes twice.

import test from 'node:test'
import { RULES, SCHEMA, SUBJECTS, TABLES } from '../lib/application.js'
import { Oracle } from '../lib/oracle.js'
import { Random, seedFromEnvironment } from '../lib/random.js'
import { Stack } from '../lib/stack.js'
import { userStream } from '../lib/stream.js'
import { Traffic } from '../lib/traffic.js'
import { verifyFolds } from '../lib/verify.js'
import { until } from '../lib/wait.js'

const ALL_STREAMS = SUBJECTS.map(userStream)

/** Writes WAL until Postgres no longer keeps what the slot needs. */
async function loseSlot(stack) {
  await stack.db.query('CREATE TABLE IF NOT EXISTS ballast (text text)')
  await until('the slot to be lost', async () => {
    await stack.db.query(`INSERT INTO ballast SELECT repeat(md5(i::text), 60) FROM generate_series(1, 4000) i`)
    await stack.db.query('SELECT pg_switch_wal()')
    await stack.db.query('CHECKPOINT')
    const { rows } = await stack.db.query(`SELECT wal_status FROM pg_replication_slots WHERE slot_name = $1`, [stack.bridge.slot])
    return rows[0].wal_status === 'lost'
  })
}

const dropSlot = (stack) => stack.dropSlot()

for (const [name, lose, settings] of [['dropped', dropSlot, {}], ['lost', loseSlot, { max_slot_wal_keep_size: '1MB', max_wal_size: '32MB', min_wal_size: '32MB' }]]) {
  test(`a slot that was ${name} while the bridge was away`, async () => {
    const seed = seedFromEnvironment()
    console.log(`seed: WEIR_SEED=${seed}`)
    const stack = await Stack.create('slot', { schema: SCHEMA, tables: TABLES, rules: RULES, cluster: { settings } })
    try {
      const random = new Random(seed)
      const traffic = new Traffic(await stack.connect(), new Random(seed + 1))
      stack.isKilling = true
      for (let round = 0; round < 4; round++) {
        const said = stack.bridge.listen()
        stack.bridge.start()
        // Now and then the resync itself is cut off.
        if (round > 0 && random.chance(0.5)) {
          await until('the bridge to begin', () => said().includes('resyncing'))
          await stack.bridge.kill()
          stack.bridge.start()
        }
        for (let i = 0; i < 30; i++) await traffic.transaction()
        await stack.settle()
        await verifyFolds(stack.server.url, await new Oracle(stack.db).state(), ALL_STREAMS)
        await stack.bridge.stop()
        for (let i = 0; i < 30; i++) await traffic.transaction()
        await lose(stack)
        for (let i = 0; i < 10; i++) await traffic.transaction()
      }
    } catch (error) {
      error.message += `\nseed: WEIR_SEED=${seed}\nbridge:\n${stack.bridge.log(60)}`
      throw error
    } finally {
      await stack.close()
    }
  })
}
