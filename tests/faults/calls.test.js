// The n-th call of a kind fails, for every n: the daemon goes on or says why it ends, and in the end the
// streams are right. WEIR_SEED repeats a run; WEIR_LONG=1 tries every n instead of some.

import assert from 'node:assert/strict'
import test from 'node:test'
import { readFileSync } from 'node:fs'
import { Random, seedFromEnvironment } from '../e2e/lib/random.js'
import { shareCluster } from '../e2e/lib/shared_cluster.js'
import { until } from '../e2e/lib/wait.js'
import { failingCalls } from './lib/disk.js'
import { withWorld } from './lib/world.js'

const cluster = shareCluster('calls')
const LONG = process.env.WEIR_LONG === '1'
const seed = seedFromEnvironment()
const SANITIZED = process.env.WEIR_FAULT_PRELOAD_FIRST !== undefined
console.log(`WEIR_SEED=${seed}`)

const ERRORS = { open: ['EIO', 'EMFILE'], write: ['EIO', 'ENOSPC'], sync: ['EIO'], truncate: ['ENOSPC'], mmap: ['ENOMEM'], unlink: ['EIO'], malloc: ['ENOMEM'] }
const SAYS = { EIO: /Input\/output error/, EMFILE: /Too many open files/, ENOSPC: /No space left|no room/, ENOMEM: /Cannot allocate memory|Memory allocation failure|check failed/ }

/** How the daemon took it: 'not reached', 'went on', or how it ended. */
async function fail(world, name, kind, n, error) {
  const daemon = world.daemon(name)
  const before = readFileSync(world.stack.workspace.path(daemon.logName), 'utf8').length
  await world.kill(name)
  await world.start(name, failingCalls(world.disk(name).root, `${kind}:${n}=${error}`), { waits: false })
  for (let i = 0; i < 4 && daemon.isRunning(); i++) await world.transaction()
  const mark = await world.stack.mark()
  await until('the marker, or an end', async () => !daemon.isRunning() || world.stack.marker.hasArrived(mark), { deadlineMs: 60_000 })
  const isAlive = daemon.isRunning()
  if (isAlive) await world.kill(name)
  const { code, signal } = await daemon.child.exited()
  const log = readFileSync(world.stack.workspace.path(daemon.logName), 'utf8').slice(before)
  if (!log.includes('disk.c: call')) return 'not reached'
  if (isAlive) return 'went on'
  const how = signal ?? `exit ${code}`
  assert.match(log, SAYS[error], `${name}: ${kind} ${n} ${error}: ended with ${how} and did not say why:\n${log}`)
  assert.ok(signal === 'SIGABRT' || code === 1, `${name}: ${kind} ${n} ${error}: ended with ${how}:\n${log}`)
  return how
}

for (const name of ['server', 'bridge']) {
  test(`the n-th call of ${name} fails`, async () => {
    await withWorld(`calls-${name}`, seed, async (world) => {
      await world.begin()
      const random = new Random(seed + 3)
      for (const [kind, errors] of Object.entries(ERRORS)) {
        if (kind === 'malloc' && SANITIZED) continue
        const outcomes = {}
        const first = LONG ? 1 : random.between(1, 4)
        for (let n = first; n < (LONG ? 400 : 9); n += LONG && kind !== 'malloc' ? 1 : random.between(1, kind === 'malloc' ? 40 : 6)) {
          const how = await fail(world, name, kind, n, random.pick(errors))
          outcomes[how] = (outcomes[how] ?? 0) + 1
          if (how === 'not reached' && n > 8) break
        }
        console.log(`${name} ${kind}: ${JSON.stringify(outcomes)}`)
        await world.verify()
      }
    }, { cluster: cluster(), traffic: { truncate: false }, bridgeArgs: ['--transaction-memory', '1'] })
  })
}
