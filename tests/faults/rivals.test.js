// Two of a kind: bridges on one slot and on one state folder, servers on one data folder, and a bridge that
// stood still while another one took its place. One of them writes, the other waits, is refused, or ends;
// what users see is right. WEIR_SEED repeats a run.

import assert from 'node:assert/strict'
import { cpSync, readFileSync } from 'node:fs'
import test from 'node:test'
import { seedFromEnvironment } from '../e2e/lib/random.js'
import { request } from '../e2e/lib/raw_http.js'
import { shareCluster } from '../e2e/lib/shared_cluster.js'
import { freePort } from '../e2e/lib/workspace.js'
import { until } from '../e2e/lib/wait.js'
import { Bridge, Server, runWeir } from '../e2e/lib/weir.js'
import { withWorld } from './lib/world.js'

const cluster = shareCluster('rivals')
const LONG = process.env.WEIR_LONG === '1'
const seed = seedFromEnvironment()
console.log(`WEIR_SEED=${seed}`)

const IN_USE = /slot (?:\\")?weir(?:\\")? is in use by the process with pid \d+/
/** idle: between two transactions, with nothing on its way. */
const STEPS = ['idle', 'transaction.end', 'publish.send', 'publish.answered', 'transaction.applied', 'replica.commit', 'replica.committed', 'slot.confirm', 'slot.confirmed']

/** All of them, or idle and some. */
const stepsOf = (random) => (LONG ? [...STEPS, ...STEPS, ...STEPS] : STEPS.filter((step) => step === 'idle' || random.chance(0.4)))

let rivals = 0

/** Another bridge for the same slot and streams, with a folder of its own, or the copy of another's. */
function rivalOf(world, bridge, { copies = false } = {}) {
  const rival = new Bridge(world.stack.workspace, { conninfo: '', streamsUrl: '', name: `rival-${++rivals}` })
  if (copies) cpSync(bridge.stateDir, rival.stateDir, { recursive: true })
  rival.args = bridge.args.map((arg) => (arg === bridge.stateDir ? rival.stateDir : arg))
  return rival
}

/** The daemons' disks forget nothing here. */
const keepDisks = (world) => Object.values(world.disks).forEach((disk) => (disk.environment = () => ({})))

const epochOf = async (world) => JSON.parse((await request(world.server.url, '/v1/stream/__weir/producers/weir')).body).epoch

const standsStill = ({ child }) => / T /.test(readFileSync(`/proc/${child.pid}/stat`, 'utf8'))

/** The bridge stops at the step as SIGSTOP does, and holds its slot. */
async function pauseAt(world, step) {
  const { bridge } = world
  world.stack.workspace.onClose(() => bridge.isRunning() && bridge.child.process.kill('SIGCONT'))
  await world.kill('bridge')
  if (step === 'idle') {
    await world.start('bridge')
    await world.stack.settle()
    await until('the bridge to have confirmed it', async () => (await world.walsender())?.is_all_confirmed)
    world.signal('bridge', 'SIGSTOP')
    return
  }
  await world.start('bridge', { WEIR_FAULT: `${step}:${world.random.between(1, 3)}=pause` })
  for (let i = 0; i < 80 && !standsStill(bridge); i++) await world.transaction()
  await until(`the bridge to stand still at ${step}`, () => standsStill(bridge), { deadlineMs: 60_000 })
}

const endWalsender = (world) => world.stack.db.query(`SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE active`)

for (const [folder, copies] of [['of its own', false], ['that is a copy', true]]) {
  test(`a bridge that was paused, while one with a folder ${folder} took its place, is fenced when it wakes up`, async () => {
    await withWorld('rivals-paused', seed, async (world) => {
      keepDisks(world)
      await world.begin()
      const ways = { ended: 0, waits: 0 }
      for (const step of stepsOf(world.random)) {
        const sleeper = world.bridge
        await pauseAt(world, step)
        const rival = rivalOf(world, sleeper, { copies })
        rival.start()
        // With a copy it may know the sleeper's walsender for its own, and end it itself.
        const isThrough = () => copies && rival.log(30).includes('msg=following')
        await until('the rival to wait', () => IN_USE.test(rival.log(30)) || isThrough())
        if (!isThrough()) await endWalsender(world)
        await world.transactions(world.random.between(0, 4))
        await world.stack.settle({ deadlineMs: 120_000 })
        const epoch = await epochOf(world)
        const before = sleeper.log(1000).length
        sleeper.child.process.kill('SIGCONT')
        await world.transactions(world.random.between(0, 4))
        const said = () => sleeper.log(1000).slice(before)
        await until('the sleeper to end or to wait', () => !sleeper.isRunning() || IN_USE.test(said()), { deadlineMs: 60_000 })
        await world.stack.settle({ deadlineMs: 120_000 })
        if (sleeper.isRunning()) {
          // The slot has gone beyond it: it must not take that for a lost slot of its own.
          assert.ok(copies || step !== 'idle', 'it waits for a slot that is no longer its own')
          ways.waits++
          await sleeper.kill()
        } else {
          ways.ended++
          assert.equal((await sleeper.child.exited()).code, 1)
          assert.match(said(), /another bridge has taken producer \\?"weir\\?" over/)
        }
        assert.ok(rival.isRunning(), `${step}: the rival has ended:\n${rival.log(20)}`)
        assert.equal(await epochOf(world), epoch, `${step}: the sleeper has claimed the producer`)
        world.stack.bridge = rival
        if (copies) await world.verify()
        else await world.verifyEnds()
      }
      console.log(`folder ${folder}: ${JSON.stringify(ways)}`)
    }, { cluster: cluster(), traffic: { truncate: false } })
  })
}

test('a second bridge waits for the slot, takes nothing from the first, and goes on when that stops', async () => {
  await withWorld('rivals-waiting', seed, async (world) => {
    keepDisks(world)
    await world.begin()
    await world.bridge.stop()
    const older = rivalOf(world, world.bridge, { copies: true }), fresh = rivalOf(world, world.bridge), resyncing = rivalOf(world, world.bridge)
    resyncing.args.push('--resync')
    await world.start('bridge')
    await world.transactions(6)
    await world.stack.settle()
    const first = world.bridge, epoch = await epochOf(world)
    for (const rival of [older, fresh, resyncing]) {
      rival.start()
      await until('the rival to wait', () => IN_USE.test(rival.log(30)))
      await world.transactions(3)
      await world.stack.settle()
      assert.ok(rival.isRunning() && first.isRunning())
      if (rival !== fresh) await rival.kill()
    }
    assert.equal(await epochOf(world), epoch, 'a rival has claimed the producer')
    await world.verify()
    await first.stop()
    world.stack.bridge = fresh
    await world.stack.settle({ deadlineMs: 120_000 })
    await world.transactions(3)
    await world.verify() // it has compared everything, and nothing differed
    assert.ok((await epochOf(world)) > epoch)
  }, { cluster: cluster(), traffic: { truncate: false } })
})

test('a second bridge on a state folder, and a second server on a data folder, are refused', async () => {
  await withWorld('rivals-folders', seed, async (world) => {
    keepDisks(world)
    await world.begin()
    const second = await runWeir(world.bridge.args)
    assert.equal(second.code, 1)
    assert.match(second.output, /the state folder .*-state is in use by another bridge.*hint="stop the other one, or give this one a --state of its own"/)
    const server = new Server(world.stack.workspace, 'serve-second')
    Object.assign(server, { port: await freePort(), dataDir: world.server.dataDir, extra: [] })
    const refused = await runWeir(server.command())
    assert.equal(refused.code, 1)
    assert.match(refused.output, /the data folder .*-data is in use by another process.*hint="stop the other weir serve, or give this one a folder of its own"/)
    await world.transactions(4)
    await world.verify()
  }, { cluster: cluster() })
})
