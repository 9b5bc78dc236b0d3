// Change throughput: bridge and server drain a prepared slot, against pg_recvlogical writing the
// same WAL, decoded with the same options, to a file. Rounds alternate; every round starts from
// copies of the same slot and of the same folders.

import { execFileSync } from 'node:child_process'
import { rmSync, statSync } from 'node:fs'
import { Child } from '../tests/e2e/lib/process.js'
import { request } from '../tests/e2e/lib/raw_http.js'
import { Marker, Stack } from '../tests/e2e/lib/stack.js'
import { until } from '../tests/e2e/lib/wait.js'
import { cpuSeconds, residentMiB } from './machine.js'
import { RULES, SCHEMA, TABLES, USERS, changesOf, writeItems } from './workload.js'

const DEADLINE_MS = 600_000
export const BASE_SLOT = 'prepared'

/** Folders with sparse files of many gigabytes. */
function copyFolder(from, to) {
  rmSync(to, { recursive: true, force: true })
  execFileSync('cp', ['-a', '--sparse=always', from, to])
}

/** A stack whose bridge has made its snapshot and stopped, and a slot at the same place. */
export async function prepare(name, size) {
  const stack = await Stack.create(name, { schema: SCHEMA, tables: TABLES, rules: RULES })
  try {
    stack.bridge.start()
    await stack.settle()
    stack.options = await until('the options of the slot', () => optionsInUse(stack))
    await stack.bridge.stop()
    await stack.server.stop()
    for (const dir of [stack.server.dataDir, stack.bridge.stateDir]) copyFolder(dir, `${dir}.prepared`)
    await stack.db.query('SELECT pg_copy_logical_replication_slot($1, $2)', [stack.bridge.slot, BASE_SLOT])
    await writeItems(await stack.connect(), size)
    stack.changes = changesOf(size)
    stack.lastMark = await stack.mark()
    const { rows } = await stack.db.query('SELECT pg_current_wal_insert_lsn()::text AS lsn')
    stack.endLsn = rows[0].lsn
    return stack
  } catch (error) {
    await stack.close()
    throw error
  }
}

/** wal2json's options as the bridge gave them: [[name, value], …]. Not those that it only tried: what is streaming has taken them. */
async function optionsInUse(stack) {
  const { rows } = await stack.db.query(`
    SELECT a.query FROM pg_stat_activity a JOIN pg_stat_replication r USING (pid) WHERE r.state = 'streaming' AND a.query LIKE 'START_REPLICATION%'`)
  if (rows.length === 0) return null
  return [...rows[0].query.matchAll(/"([^"]+)" '((?:[^']|'')*)'/g)].map(([, name, value]) => [name, value.replaceAll("''", "'")])
}

/** A fresh copy of the prepared slot, once nobody holds an old one. */
export async function copySlot(stack, name) {
  await until(`slot ${name} to be free`, async () => {
    await stack.db.query('SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = $1', [name])
    return true
  })
  await stack.db.query('SELECT pg_copy_logical_replication_slot($1, $2)', [BASE_SLOT, name])
}

async function walsenderPid(stack, slot) {
  const { rows } = await stack.db.query('SELECT active_pid FROM pg_replication_slots WHERE slot_name = $1', [slot])
  return rows[0]?.active_pid
}

const seconds = (from) => Number(process.hrtime.bigint() - from) / 1e9

/** {seconds, cpu: {walsender, bridge, server}, mib: {…}} */
export async function drainWithWeir(stack) {
  await copySlot(stack, stack.bridge.slot)
  for (const dir of [stack.server.dataDir, stack.bridge.stateDir]) copyFolder(`${dir}.prepared`, dir)
  await stack.server.restart()
  const marker = new Marker(stack.server.url)
  const started = process.hrtime.bigint()
  stack.bridge.start()
  let sender
  await until('the bridge to be through', async () => {
    sender ??= await walsenderPid(stack, stack.bridge.slot)
    if (!stack.bridge.isRunning()) throw Object.assign(new Error(`weir bridge ended:\n${stack.bridge.log()}`), { isFinal: true })
    return marker.hasArrived(stack.lastMark)
  }, { deadlineMs: DEADLINE_MS })
  const result = {
    seconds: seconds(started),
    cpu: { walsender: cpuSeconds(sender), bridge: cpuSeconds(stack.bridge.child.pid), server: cpuSeconds(stack.server.child.pid) },
    mib: { bridge: residentMiB(stack.bridge.child.pid), server: residentMiB(stack.server.child.pid) },
  }
  const events = await countEvents(stack)
  if (events !== stack.changes) throw new Error(`${events} events in the streams, for ${stack.changes} row changes`)
  await stack.bridge.stop()
  await stack.server.stop()
  return result
}

/** Events in all users' streams, so that nobody can win by leaving some out. */
export async function countEvents(stack) {
  let count = 0
  for (let user = 1; user <= USERS; user++) {
    for (let offset = '-1', isThrough = false; !isThrough;) {
      const { status, headers, body } = await request(stack.server.url, `/v1/stream/user/${user}/data?offset=${offset}`)
      if (status !== 200) throw new Error(`stream of user ${user}: ${status}`)
      count += body.toString('latin1').split('"operation":').length - 1
      offset = headers['stream-next-offset']
      isThrough = headers['stream-up-to-date'] === 'true'
    }
  }
  return count
}

/** {seconds, bytes} */
export async function drainWithRecvlogical(stack) {
  await copySlot(stack, 'recvlogical')
  const file = stack.workspace.path('recvlogical.out')
  rmSync(file, { force: true })
  const options = stack.options.flatMap(([name, value]) => ['-o', `${name}=${value}`])
  const args = ['-d', 'app', '--slot', 'recvlogical', '--start', '--no-loop', '--endpos', stack.endLsn, '-f', file, ...options]
  const started = process.hrtime.bigint()
  const child = new Child(stack.cluster.program('pg_recvlogical'), args, { env: stack.cluster.environment('app'), logFile: stack.workspace.path('recvlogical.log') })
  const { code } = await child.exited(DEADLINE_MS)
  const result = { seconds: seconds(started), bytes: code === 0 ? statSync(file).size : 0 }
  if (code !== 0) throw new Error(`pg_recvlogical ended with ${code}:\n${stack.workspace.tail('recvlogical.log')}`)
  return result
}

/** rounds × {weir, recvlogical}, in turns, each first in every other round. */
export async function measureDrain(size, rounds, log) {
  const stack = await prepare('bench-drain', size)
  try {
    const results = []
    for (let round = 0; round < rounds; round++) {
      const result = {}
      const runs = [['recvlogical', drainWithRecvlogical], ['weir', drainWithWeir]]
      if (round % 2 === 1) runs.reverse()
      for (const [name, run] of runs) {
        result[name] = await run(stack)
        log(`drain ${round + 1}/${rounds} ${name}: ${Math.round(changesOf(size) / result[name].seconds)} row changes/s`)
      }
      results.push(result)
    }
    return results
  } finally {
    await stack.close()
  }
}
