// What a bridge keeps in three places, each lost, exchanged or older than the others while clients
// follow: what the streams lack is found by difference, and nothing else is appended.

import assert from 'node:assert/strict'
import { cpSync, rmSync } from 'node:fs'
import test from 'node:test'
import { shareCluster } from '../lib/shared_cluster.js'
import { until } from '../lib/wait.js'
import { Scene } from './scene.js'

const cluster = shareCluster('recovery')

test('the slot is dropped or moved on', async () => {
  await Scene.run('recovery-slot', async (scene, stack) => {
    await scene.survive(() => stack.dropSlot(), { says: 'against="the replica"' })
    await scene.survive(() => stack.dropSlot(), { stop: 'ahead', says: 'against="the streams"' })
    const moveOn = () => until('the slot to be free', () => stack.db.query('SELECT pg_replication_slot_advance($1, pg_current_wal_lsn())', [stack.bridge.slot]))
    await scene.survive(moveOn, { says: 'was moved on' })
    await scene.survive(moveOn, { stop: 'ahead', says: 'against="the streams"' })
    await scene.survive(() => stack.dropSlot(), { stop: 'ahead', cuts: 3 })
  }, { cluster: cluster() })
})

test('the state folder is lost, or an older copy', async () => {
  await Scene.run('recovery-state', async (scene, stack) => {
    const { stateDir } = stack.bridge
    const lose = () => rmSync(stateDir, { recursive: true })
    await scene.survive(lose, { stop: 'kill', says: 'compared with the streams' })
    await scene.survive(lose, { stop: 'kill', cuts: 3 })
    await scene.survive(async () => {
      lose()
      await stack.dropSlot()
    }, { says: 'compared with the streams' })
    await stack.bridge.stop()
    cpSync(stateDir, `${stateDir}-old`, { recursive: true })
    stack.bridge.start()
    await scene.traffic(20)
    await stack.settle()
    await scene.survive(() => {
      lose()
      cpSync(`${stateDir}-old`, stateDir, { recursive: true })
    }, { says: 'older copy' })
  }, { cluster: cluster() })
})

test('the streams are lost, or an older copy', async () => {
  await Scene.run('recovery-data', async (scene, stack) => {
    const { dataDir } = stack.server
    await stack.bridge.stop()
    await stack.server.stop()
    cpSync(dataDir, `${dataDir}-old`, { recursive: true })
    await stack.server.restart()
    stack.bridge.start()
    await scene.traffic(20)
    await stack.settle()
    const exchange = (from) => async () => {
      await stack.server.kill()
      rmSync(dataDir, { recursive: true })
      if (from) cpSync(from, dataDir, { recursive: true })
      await stack.server.restart()
      await scene.beginAnew()
      await scene.remember()
    }
    await scene.survive(exchange(`${dataDir}-old`), { isQuiet: true, says: 'compared with the streams' })
    // The bridge runs on while its server is exchanged.
    for (const from of [`${dataDir}-old`, undefined]) {
      await exchange(from)()
      await scene.traffic(10)
      await stack.settle()
      assert.ok(stack.bridge.isRunning())
      await scene.verifyFold()
    }
    // State and streams: that could be a wrong server, and is not done unasked.
    await stack.bridge.stop()
    await exchange(undefined)()
    rmSync(stack.bridge.stateDir, { recursive: true })
    stack.bridge.start()
    const { code } = await stack.bridge.child.exited()
    assert.equal(code, 1)
    assert.match(stack.bridge.log(), /neither the state folder .* nor the stream server knows it.*--resync/)
    stack.bridge.args.push('--resync')
    stack.bridge.start()
    await stack.settle()
    await scene.verify()
  }, { cluster: cluster() })
})

test('the slot is lost while the bridge runs', async () => {
  const settings = { max_slot_wal_keep_size: '1MB', max_wal_size: '32MB', min_wal_size: '32MB' }
  await Scene.run('recovery-running', async (scene, stack) => {
    await stack.db.query('CREATE TABLE ballast (text text)')
    // Stopped, it does not read on, and Postgres gives its slot up.
    process.kill(stack.bridge.child.pid, 'SIGSTOP')
    await until('the slot to be lost', async () => {
      await scene.traffic(2)
      await stack.db.query(`INSERT INTO ballast SELECT repeat(md5(i::text), 60) FROM generate_series(1, 4000) i`)
      await stack.db.query('SELECT pg_switch_wal()')
      await stack.db.query('CHECKPOINT')
      const { rows } = await stack.db.query(`SELECT wal_status FROM pg_replication_slots WHERE slot_name = $1`, [stack.bridge.slot])
      return rows[0].wal_status === 'lost'
    })
    await scene.remember()
    process.kill(stack.bridge.child.pid, 'SIGCONT')
    await stack.settle()
    await scene.verify()
    assert.match(stack.bridge.log(100), /Postgres has given the replication slot up/)
  }, { cluster: { settings } })
})
