// What bench/run server measures. Each measure has its targets, which take turns, and gives for one
// target the numbers of one round.

import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { request } from '../tests/e2e/lib/raw_http.js'
import { until } from '../tests/e2e/lib/wait.js'
import { Workspace } from '../tests/e2e/lib/workspace.js'
import { holdReaders, load } from './load_generator.js'
import { Target, nginxVersion } from './server_targets.js'

const STREAM = '/v1/stream/bench'
const JSON_TYPE = { 'Content-Type': 'application/json' }
const POST_BYTES = 256 * 1024
const REFERENCES = ['memory', 'file']

async function ask(target, method, path, body) {
  const answer = await request(target.url, path, { method, headers: JSON_TYPE, body })
  if (answer.status < 200 || answer.status > 299) throw new Error(`${target.name}: ${method} ${path}: ${answer.status}`)
  return answer
}

async function withTarget(workspace, name, run) {
  const target = await Target.start(workspace, name)
  try {
    return await run(target)
  } finally {
    await target.stop()
  }
}

// ---- Appends ----

async function measureAppends(workspace, name, { streams, seconds }) {
  return withTarget(workspace, name, async (target) => {
    await load(target, 'create', { streams })
    const run = await load(target, 'append', { streams, time: `${seconds * 1000}ms` })
    return { rate: run.done / run.seconds, serverTime: (run.server_cores * run.seconds) / run.done, ...run }
  })
}

async function measureBatches(workspace, { streams, seconds }) {
  return withTarget(workspace, 'weir', async (target) => {
    const run = await load(target, 'batch', { streams, time: `${seconds * 1000}ms` })
    return { rate: run.done / run.seconds, serverTime: (run.server_cores * run.seconds) / run.done, ...run }
  })
}

// ---- Catch-up ----

/** Events of 200 bytes as one JSON array without its brackets, so many bytes or a few less. */
function eventsOf(bytes, first) {
  const events = []
  for (let size = 0, id = first; size + 200 <= bytes; id++) {
    const start = `{"type":"items","key":"${id}","headers":{"operation":"insert"},"value":{"id":${id},"text":"`
    events.push(`${start.padEnd(196, 'x')}"}}`)
    size += events.at(-1).length + 1
  }
  return events
}

async function fill(target, bytes) {
  await ask(target, 'PUT', STREAM)
  for (let done = 0, id = 0; done < bytes; done += POST_BYTES) {
    const events = eventsOf(Math.min(POST_BYTES, bytes - done), id)
    id += events.length
    await ask(target, 'POST', STREAM, `[${events.join(',')}]`)
  }
}

/** The same bytes as a file, for nginx. */
function fillFile(target, bytes) {
  const parts = []
  for (let done = 0, id = 0; done < bytes; done += POST_BYTES) {
    const events = eventsOf(Math.min(POST_BYTES, bytes - done), id)
    id += events.length
    parts.push(events.join(','))
  }
  writeFileSync(join(target.folder, 'bench'), `[${parts.join(',')}]`)
}

/** Weir is restarted first, so that nothing of the stream is in its own memory. The reference server
 * is asked less often, as it takes long. */
async function measureCatchUp(workspace, name, { bytes, connections, ...plan }) {
  const count = REFERENCES.includes(name) ? plan.referenceCount : plan.count
  return withTarget(workspace, name, async (target) => {
    if (name === 'nginx') fillFile(target, bytes)
    else await fill(target, bytes)
    if (name === 'weir') await target.restart()
    const path = name === 'nginx' ? '/bench' : STREAM
    await load(target, 'read', { path, connections: 1, count: 1 })
    const run = await load(target, 'read', { path, connections, count })
    if (run.bytes < bytes * 0.99 * count) throw new Error(`${name}: ${run.bytes} bytes instead of ${bytes * count}`)
    return { rate: (bytes * count) / run.seconds, serverTime: (run.server_cores * run.seconds) / (bytes * count), ...run }
  })
}

// ---- Live readers ----

async function measureFanOut(workspace, name, { readers, ...plan }) {
  const rounds = REFERENCES.includes(name) ? plan.referenceRounds : plan.rounds
  return withTarget(workspace, name, async (target) => {
    await ask(target, 'PUT', STREAM)
    const run = await load(target, 'fanout', { path: STREAM, readers, rounds })
    return { rate: run.delivered / run.seconds, serverTime: (run.server_cores * run.seconds) / run.delivered, ...run }
  })
}

async function settledMemory(target) {
  let last = 0
  return until('the memory to settle', () => {
    const now = target.memory()
    const isSame = now === last
    last = now
    return isSame && now
  })
}

async function measureIdle(workspace, name, { readers }) {
  return withTarget(workspace, name, async (target) => {
    await ask(target, 'PUT', STREAM)
    await (await holdReaders(target, { path: STREAM, readers: 1 }))()
    const before = await settledMemory(target)
    const release = await holdReaders(target, { path: STREAM, readers })
    const bytes = ((await settledMemory(target)) - before) / readers
    await release()
    return { bytes }
  })
}

// ---- All ----

/** [{key, targets, rounds: of its own, if any, run(workspace, target)}] */
function measuresOf(plan) {
  const appends = plan.appends.map((settings) => ({
    key: `appends-${settings.streams}`,
    targets: ['weir', ...REFERENCES],
    run: (workspace, name) => measureAppends(workspace, name, settings),
  }))
  const batches = plan.appends.map((settings) => ({
    key: `batches-${settings.streams}`,
    targets: ['weir'],
    run: (workspace) => measureBatches(workspace, settings),
  }))
  const catchUp = plan.catchUp.map((settings) => ({
    key: `catch-up-${settings.bytes}`,
    targets: ['weir', ...REFERENCES, ...(nginxVersion() ? ['nginx'] : [])],
    run: (workspace, name) => measureCatchUp(workspace, name, settings),
  }))
  return [
    ...appends, ...batches, ...catchUp,
    { key: 'fan-out', targets: ['weir', ...REFERENCES], run: (workspace, name) => measureFanOut(workspace, name, plan.fanOut) },
    // Memory does not depend on what else the machine does.
    { key: 'idle', targets: ['weir', ...REFERENCES], rounds: 1, run: (workspace, name) => measureIdle(workspace, name, plan.idle) },
  ]
}

/** {key: {target: [one result a round]}}; of one kind only, if its name is given. */
export async function measureServers(plan, rounds, log, only) {
  const results = {}
  const workspace = new Workspace('bench-server')
  try {
    for (const { key, targets, rounds: count = rounds, run } of measuresOf(plan).filter((measure) => !only || measure.key.startsWith(only))) {
      results[key] = Object.fromEntries(targets.map((name) => [name, []]))
      for (let round = 0; round < count; round++) {
        const turns = targets.map((_, i) => targets[(i + round) % targets.length])
        for (const name of turns) {
          const result = await run(workspace, name)
          results[key][name].push(result)
          log(`${key} ${round + 1}/${count} ${name}: ${JSON.stringify(result)}`)
        }
      }
    }
    return results
  } finally {
    await workspace.close()
  }
}
