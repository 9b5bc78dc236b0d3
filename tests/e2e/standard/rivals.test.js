// Two bridges on one slot, before a server of the standard dialect: it has no epochs, so the slot and the
// sequences are all there is to keep one from undoing what the other does. WEIR_SEED repeats a run.

import assert from 'node:assert/strict'
import { cpSync } from 'node:fs'
import test from 'node:test'
import { RULES, SCHEMA, SUBJECTS, TABLES } from '../lib/application.js'
import { Oracle } from '../lib/oracle.js'
import { Random, seedFromEnvironment } from '../lib/random.js'
import { ReferenceServer, asServed } from '../lib/reference_server.js'
import { shareCluster } from '../lib/shared_cluster.js'
import { Stack } from '../lib/stack.js'
import { userStream } from '../lib/stream.js'
import { Traffic } from '../lib/traffic.js'
import { History } from '../lib/verify.js'
import { until } from '../lib/wait.js'
import { Bridge } from '../lib/weir.js'

const cluster = shareCluster('standard-rivals')
const ALL_STREAMS = SUBJECTS.map(userStream)
const IN_USE = /slot (?:\\")?weir(?:\\")? is in use by the process with pid \d+/
const seed = seedFromEnvironment()
console.log(`WEIR_SEED=${seed}`)

async function scene(name, run) {
  const startServer = (workspace) => ReferenceServer.start(workspace)
  const stack = await Stack.create(name, { cluster: cluster(), schema: SCHEMA, tables: TABLES, rules: RULES, startServer, bridgeArgs: ['--checkpoint-interval', '300ms'] })
  stack.isKilling = true
  const bridges = [stack.bridge]
  try {
    const oracle = new Oracle(stack.db)
    const traffic = new Traffic(await stack.connect(), new Random(seed), { truncate: false })
    for (let i = 0; i < 30; i++) await traffic.transaction()
    const history = new History(await oracle.state(), { asServed })
    const transactions = async (count) => {
      for (let i = 0; i < count; i++) {
        const { txid } = await traffic.transaction()
        if (txid !== null) history.committed(txid, await oracle.state(), traffic.log)
      }
    }
    // A second mark, as streams are not in step with each other.
    const settle = async () => {
      for (let i = 0; i < 2; i++) await stack.settle({ deadlineMs: 120_000 })
    }
    const verify = async () => {
      await settle()
      return history.verify(stack.server.url, ALL_STREAMS)
    }
    const rival = (bridge, { copies }) => {
      const other = new Bridge(stack.workspace, { conninfo: '', streamsUrl: '', name: `rival-${bridges.length}` })
      if (copies) cpSync(bridge.stateDir, other.stateDir, { recursive: true })
      other.args = bridge.args.map((arg) => (arg === bridge.stateDir ? other.stateDir : arg))
      bridges.push(other)
      return other
    }
    stack.bridge.start()
    await settle()
    await run(stack, { transactions, settle, verify, rival })
  } catch (error) {
    error.message += `\nWEIR_SEED=${seed}\n${bridges.map((bridge) => `${bridge.logName}:\n${bridge.log(30)}`).join('\n')}`
    throw error
  } finally {
    for (const bridge of bridges) if (bridge.isRunning()) await bridge.kill()
    await stack.close()
  }
}

const isAllSent = async (stack) => (await stack.db.query(
  `SELECT 1 FROM pg_stat_replication JOIN pg_replication_slots ON active_pid = pid WHERE slot_name = 'weir' AND sent_lsn >= pg_current_wal_lsn()`)).rows.length === 1

test('a second bridge with a folder of its own refuses the streams that are there, and says what to do', async () => {
  await scene('standard-second', async (stack, { transactions, settle, verify, rival }) => {
    await transactions(5)
    await settle()
    const first = stack.bridge, second = rival(first, { copies: false })
    second.start()
    await until('the second to refuse', () => !second.isRunning(), { deadlineMs: 60_000 })
    assert.match(second.log(30), /holds streams of the producer weir[^\n]*another --slot[^\n]*cannot be compared with/)
    await transactions(5)
    await verify()
    assert.ok(first.isRunning())
  })
})

for (const inHand of [false, true]) {
  test(`a bridge that was paused ${inHand ? 'with appends in hand' : 'idle'}, while a copy took its place, undoes nothing when it wakes up`, async () => {
    await scene('standard-paused', async (stack, { transactions, settle, verify, rival }) => {
      for (let round = 0; round < 3; round++) {
        const sleeper = stack.bridge
        if (inHand) {
          stack.server.child.process.kill('SIGSTOP')
          await transactions(6)
          await until('all to be with the bridge', () => isAllSent(stack))
        }
        sleeper.child.process.kill('SIGSTOP')
        stack.server.child.process.kill('SIGCONT')
        const other = rival(sleeper, { copies: true })
        other.start()
        const isThrough = () => /msg=following/.test(other.log(30))
        await until('the other to wait, or to have ended the walsender', () => IN_USE.test(other.log(30)) || isThrough())
        if (!isThrough()) await stack.db.query('SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE active')
        await until('the other to follow', isThrough, { deadlineMs: 60_000 })
        await transactions(4)
        await settle()
        const said = sleeper.listen()
        sleeper.child.process.kill('SIGCONT')
        await transactions(4)
        await until('the sleeper to end or to wait', () => !sleeper.isRunning() || IN_USE.test(said()), { deadlineMs: 60_000 })
        await verify()
        assert.ok(other.isRunning(), 'the other has ended')
        console.log(`round ${round}: the sleeper ${sleeper.isRunning() ? 'waits' : `has ended: ${said().match(/error="([^"]*)/)?.[1]}`}`)
        if (sleeper.isRunning()) await sleeper.kill()
        stack.bridge = other
      }
    })
  })
}
