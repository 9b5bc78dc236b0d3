// The standard dialect: the bridge against the reference server, beside the usual Node pattern against
// the same server, over the same changes. bench/run standard.

import { Marker, Stack } from '../tests/e2e/lib/stack.js'
import { ReferenceServer } from '../tests/e2e/lib/reference_server.js'
import { until } from '../tests/e2e/lib/wait.js'
import { BASE_SLOT, countEvents } from './drain.js'
import { drainWithPeer } from './pattern.js'
import { median, ratio, table, whole } from './report.js'
import { RULES, SCHEMA, TABLES, changesOf, writeItems } from './workload.js'

const DEADLINE_MS = 600_000

async function drain(size, files, withPeer) {
  const startServer = (workspace) => ReferenceServer.start(workspace, { files })
  const stack = await Stack.create('bench-standard', { schema: SCHEMA, tables: TABLES, rules: RULES, startServer, bridgeArgs: files ? ['--streams-connections', '1'] : [] })
  try {
    stack.bridge.start()
    await stack.settle()
    await stack.settle()
    await stack.bridge.stop()
    await stack.db.query('SELECT pg_copy_logical_replication_slot($1, $2)', [stack.bridge.slot, BASE_SLOT])
    await writeItems(await stack.connect(), size)
    const mark = await stack.mark()
    const marker = new Marker(stack.server.url)
    const started = process.hrtime.bigint()
    stack.bridge.start()
    await until('the bridge to be through', () => {
      if (!stack.bridge.isRunning()) throw Object.assign(new Error(`weir bridge ended:\n${stack.bridge.log()}`), { isFinal: true })
      return marker.hasArrived(mark)
    }, { deadlineMs: DEADLINE_MS })
    const result = { weir: Number(process.hrtime.bigint() - started) / 1e9 }
    await stack.bridge.stop() // only when everything is stored
    const events = await countEvents(stack)
    if (events !== changesOf(size)) throw new Error(`${events} events in the streams, for ${changesOf(size)} row changes`)
    if (withPeer) {
      const peer = await drainWithPeer(stack, changesOf(size))
      Object.assign(result, { node: peer.seconds, failed: peer.failed })
    }
    return result
  } finally {
    await stack.close()
  }
}

export async function measureStandard(size, rounds, log) {
  const results = []
  for (let round = 0; round < rounds; round++) {
    const memory = await drain(size, false, true)
    const files = await drain(size, true, false)
    results.push({ memory: memory.weir, files: files.weir, node: memory.node, failed: memory.failed })
    const rate = (seconds) => Math.round(changesOf(size) / seconds)
    log(`standard ${round + 1}/${rounds}: in memory ${rate(memory.weir)}, with files ${rate(files.weir)}, Node pattern ${rate(memory.node)} row changes/s`)
  }
  return results
}

export function standardReport({ size, results, machine, load, versions }) {
  const changes = changesOf(size)
  const line = (name, r) => [name, whole(changes / r.memory), whole(changes / r.files), whole(changes / r.node), ratio(r.node / r.memory)]
  const middle = Object.fromEntries(['memory', 'files', 'node'].map((name) => [name, median(results.map((r) => r[name]))]))
  middle.memory = middle.node / median(results.map((r) => r.node / r.memory))
  return `## Other stream servers

Written by \`bench/run standard\`: ${whole(size.inserts)} inserts and ${whole(size.updates)} updates in transactions of 1,000 rows and ${whole(size.singles)} one-row
transactions, of 1,000 users, through \`weir bridge --dialect standard\` into the reference server (\`@durable-streams/server\`), in memory and with its
file store (one request at a time: \`--streams-connections 1\`), and through the Node pattern into the same server in memory. Machine: ${machine}; load in the minute before: ${load}. ${versions.join('; ')}.

${table(['row changes/s', 'weir, in memory', 'weir, file store', 'Node pattern, in memory', 'ratio'], results.map((r, i) => line(`round ${i + 1}`, r)))}
`
}
