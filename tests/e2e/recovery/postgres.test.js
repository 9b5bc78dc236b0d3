// Another Postgres behind the same address: a promoted standby, a restored backup, another database.

import assert from 'node:assert/strict'
import test from 'node:test'
import { runWeir } from '../lib/weir.js'
import { until } from '../lib/wait.js'
import { Scene } from './scene.js'

test('a standby is promoted, and lacks what was committed last', async () => {
  await Scene.run('recovery-failover', async (scene, stack) => {
    const primary = stack.cluster
    const standby = await primary.copy(stack.workspace, { name: 'standby', isStandby: true })
    await standby.restart()
    const hosts = `host=127.0.0.1,127.0.0.1 port=${primary.port},${standby.port} user=postgres dbname=app target_session_attrs=read-write`
    await stack.bridge.stop()
    stack.bridge.args[stack.bridge.args.indexOf('--db') + 1] = hosts
    stack.bridge.start()
    await scene.traffic(20)
    await stack.settle()
    // What comes now, the standby never hears of; the streams do.
    await until('the standby to have it', async () => {
      const { rows } = await stack.db.query('SELECT replay_lsn >= pg_current_wal_lsn() AS is_there FROM pg_stat_replication WHERE state = $1 AND application_name = $2', ['streaming', 'walreceiver'])
      return rows[0]?.is_there
    })
    await standby.crash()
    await scene.traffic(30)
    await stack.settle()
    await primary.crash()
    await scene.remember()
    await standby.restart()
    // The bridge is there before it is promoted, and waits.
    await until('the bridge to wait', () => /"?waiting"?/.test(stack.bridge.log(3)))
    await standby.promote()
    await scene.use(standby)
    await stack.settle()
    await scene.verify()
    assert.match(stack.bridge.log(100), /another timeline/)
    await scene.traffic(20)
    await stack.settle()
    await scene.verifyFold()
    // And the next one, with the bridge away.
    await scene.survive(() => stack.dropSlot())
  })
})

test('a backup is restored: Postgres is older than the streams', async () => {
  await Scene.run('recovery-backup', async (scene, stack) => {
    const running = stack.cluster
    const backup = await running.copy(stack.workspace, { name: 'backup', port: running.port })
    await scene.traffic(60)
    await stack.settle()
    await scene.survive(async () => {
      await running.crash()
      await backup.restart()
      await scene.use(backup)
    }, { stop: 'kill', says: 'a backup was restored' })
  })
})

test('another database is refused, and taken with --resync', async () => {
  await Scene.run('recovery-database', async (scene, stack) => {
    await stack.bridge.stop()
    await scene.remember()
    await stack.dropSlot()
    const admin = await stack.cluster.connect('postgres')
    await admin.query('SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1', ['app'])
    await admin.query('ALTER DATABASE app RENAME TO old')
    await admin.query('CREATE DATABASE app TEMPLATE old')
    await admin.end()
    await scene.use(stack.cluster)
    await scene.traffic(20)
    stack.bridge.start()
    assert.equal((await stack.bridge.child.exited()).code, 1)
    assert.match(stack.bridge.log(), /was made from slot weir of \d+\/\d+ \(system\/database\), and this is .*--resync/)
    await scene.remember()
    stack.bridge.args.push('--resync')
    stack.bridge.start()
    await stack.settle()
    await scene.verify()
    assert.equal((await runWeir(['install', '--db', stack.cluster.conninfo('app')])).code, 0)
  })
})
