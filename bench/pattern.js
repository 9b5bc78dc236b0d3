// The usual Node pattern with the reference server in memory, beside bridge and server: throughput
// over a prepared slot, and the time from a commit to the reader of a stream by SSE.

import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { Child } from '../tests/e2e/lib/process.js'
import { until } from '../tests/e2e/lib/wait.js'
import { freePort } from '../tests/e2e/lib/workspace.js'
import { Stack } from '../tests/e2e/lib/stack.js'
import { copySlot, drainWithWeir, prepare } from './drain.js'
import { measureLatencyOf } from './latency.js'
import { RULES, SCHEMA, TABLES, changesOf } from './workload.js'

const DEADLINE_MS = 600_000
const script = (name) => fileURLToPath(new URL(`peer/${name}.js`, import.meta.url))

class Peer {
  static async startServer(stack) {
    const peer = new Peer()
    peer.stack = stack
    peer.port = await freePort()
    peer.url = `http://127.0.0.1:${peer.port}`
    peer.server = peer.#launch('server', [String(peer.port)])
    await until('the reference server to start', () => peer.#output('server').includes('ready'))
    return peer
  }

  #logName(name) {
    return `peer-${name}-${this.port}.log`
  }

  #launch(name, args) {
    return new Child(process.execPath, [script(name), ...args], { env: this.stack.cluster.environment('app'), logFile: this.stack.workspace.path(this.#logName(name)) })
  }

  #output(name) {
    return readFileSync(this.stack.workspace.path(this.#logName(name)), 'utf8')
  }

  startBridge(slot) {
    this.bridge = this.#launch('bridge', [`${this.url}/v1/stream`, slot])
  }

  /** {appended, failed} as last reported. */
  progress() {
    const reports = [...this.#output('bridge').matchAll(/^appended (\d+) failed (\d+)$/gm)]
    const last = reports.at(-1)
    return last ? { appended: Number(last[1]), failed: Number(last[2]) } : { appended: 0, failed: 0 }
  }

  isBridgeReady() {
    return this.#output('bridge').includes('ready')
  }

  async stop() {
    if (this.bridge) await this.bridge.stop()
    await this.server.stop()
  }
}

export async function drainWithPeer(stack, changes) {
  await copySlot(stack, 'peer')
  const peer = await Peer.startServer(stack)
  try {
    const started = process.hrtime.bigint()
    peer.startBridge('peer')
    await until('the peer to be through', () => {
      if (!peer.bridge.isRunning()) throw Object.assign(new Error('the peer ended'), { isFinal: true })
      return peer.progress().appended >= changes
    }, { deadlineMs: DEADLINE_MS })
    return { seconds: Number(process.hrtime.bigint() - started) / 1e9, failed: peer.progress().failed }
  } finally {
    await peer.stop()
  }
}

/** rounds × {weir, node}: seconds to drain the same changes. */
export async function measureThroughput(size, rounds, log) {
  const stack = await prepare('bench-pattern', size)
  try {
    const results = []
    for (let round = 0; round < rounds; round++) {
      const result = {}
      const runs = [['node', () => drainWithPeer(stack, changesOf(size))], ['weir', () => drainWithWeir(stack)]]
      if (round % 2 === 1) runs.reverse()
      for (const [name, run] of runs) {
        result[name] = await run()
        log(`throughput ${round + 1}/${rounds} ${name}: ${Math.round(changesOf(size) / result[name].seconds)} row changes/s`)
      }
      results.push(result)
    }
    return results
  } finally {
    await stack.close()
  }
}

/** rounds × {weir, node}: latencies in ms, sorted. */
export async function measureLatency(settings, rounds, log) {
  const results = []
  for (let round = 0; round < rounds; round++) {
    const result = {}
    const runs = [['node', latencyOfPeer], ['weir', latencyOfWeir]]
    if (round % 2 === 1) runs.reverse()
    for (const [name, run] of runs) {
      result[name] = await run(settings)
      log(`latency ${round + 1}/${rounds} ${name}: p50 ${percentile(result[name], 0.5).toFixed(2)} ms, p99 ${percentile(result[name], 0.99).toFixed(2)} ms`)
    }
    results.push(result)
  }
  return results
}

export const percentile = (sorted, part) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))]

async function withStack(run) {
  const stack = await Stack.create('bench-latency', { schema: SCHEMA, tables: TABLES, rules: RULES })
  try {
    return await run(stack)
  } finally {
    await stack.close()
  }
}

function latencyOfWeir(settings) {
  return withStack(async (stack) => {
    stack.bridge.start()
    await stack.settle()
    return measureLatencyOf(stack.server.url, stack, settings)
  })
}

function latencyOfPeer(settings) {
  return withStack(async (stack) => {
    await stack.db.query(`SELECT pg_create_logical_replication_slot('peer', 'wal2json')`)
    const peer = await Peer.startServer(stack)
    try {
      peer.startBridge('peer')
      await until('the peer to follow', () => peer.isBridgeReady())
      return await measureLatencyOf(peer.url, stack, settings)
    } finally {
      await peer.stop()
    }
  })
}
