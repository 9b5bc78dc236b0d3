// bench/run: measures everything of one kind in one run and writes its part of the report.

import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { weirProgram } from '../tests/e2e/lib/weir.js'
import { measureCost } from './cost.js'
import { costReport } from './cost_report.js'
import { measureDrain } from './drain.js'
import { describeMachine, loadBefore, versionOf } from './machine.js'
import { writePart } from './page.js'
import { measureLatency, measureThroughput } from './pattern.js'
import { report } from './report.js'
import { measureStandard, standardReport } from './standard.js'
import { measureServers } from './server_measures.js'
import { serverReport } from './server_report.js'
import { nginxVersion } from './server_targets.js'

const FULL = {
  rounds: 3,
  drain: { inserts: 300_000, updates: 200_000, singles: 60_000 },
  throughput: { inserts: 12_000, updates: 8_000, singles: 2_000 },
  latency: { readers: 100, rate: 200, seconds: 15 },
}
const FULL_SERVER = {
  rounds: 3,
  appends: [1, 1000, 100_000].map((streams) => ({ streams, seconds: 3 })),
  catchUp: [
    { bytes: 1e6, count: 4000, referenceCount: 20, connections: 4 },
    { bytes: 100e6, count: 40, referenceCount: 2, connections: 2 },
  ],
  fanOut: { readers: 1000, rounds: 200, referenceRounds: 20 },
  idle: { readers: 15_000 },
}
const FULL_STANDARD = { rounds: 3, size: { inserts: 12_000, updates: 8_000, singles: 2_000 } }
const QUICK_STANDARD = { rounds: 1, size: { inserts: 2_000, updates: 1_000, singles: 200 } }
// Show that everything runs; their numbers mean nothing.
const QUICK = {
  rounds: 1,
  drain: { inserts: 6_000, updates: 4_000, singles: 1_000 },
  throughput: { inserts: 2_000, updates: 1_000, singles: 200 },
  latency: { readers: 10, rate: 100, seconds: 1 },
}
const QUICK_SERVER = {
  rounds: 1,
  appends: [{ streams: 10, seconds: 0.1 }],
  catchUp: [{ bytes: 1e6, count: 4, referenceCount: 2, connections: 2 }],
  fanOut: { readers: 20, rounds: 5, referenceRounds: 5 },
  idle: { readers: 100 },
}

/** checkpoint: seconds between two of the server; changes: of a turn; the sizes of users, rows, rules and of those who see everything; userRows: the rows of all worlds of users;
 * same: how many rows the turns go to that are alike in all worlds, a transaction's hundred at least. */
function costPlan({ rounds, warmUps = 1, checkpoint, changes, users, rows, rules, active, userRows, same }) {
  const group = (name, sizes, settings, turns) => ({ name, turns, worlds: sizes.map((size) => ({ name: `${name}_${size}`, settings: { checkpoint, ...settings(size) }, size })) })
  const all = { name: 'all', changes }
  const most = Math.max(...active)
  return {
    rounds, warmUps,
    groups: [
      group('users', users, (size) => ({ users: size, rows: userRows }), [{ name: 'same', changes, among: same }, all]),
      group('rows', rows, (size) => ({ rows: size }), [{ name: 'same', changes, among: same }, { name: 'all', changes: changes * 4 }]),
      group('rules', rules, (size) => ({ rules: size }), [all]),
      group('broadcast', active, (size) => ({ users: most, active: size, rows: 100, isBroadcast: true }), [{ name: 'all', changes: Math.max(100, changes / 50) }]),
    ],
  }
}
const FULL_COST = costPlan({ rounds: 3, checkpoint: 10, changes: 50_000, users: [1000, 30_000, 1_000_000], rows: [1000, 30_000, 1_000_000], rules: [10, 100, 1000], active: [100, 1000, 10_000], userRows: 100_000, same: 100 })
const QUICK_COST = costPlan({ rounds: 1, warmUps: 0, checkpoint: 1, changes: 200, users: [20, 200], rows: [100, 200], rules: [2, 20], active: [10, 100], userRows: 200, same: 100 })

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { quick: { type: 'boolean' }, rounds: { type: 'string' }, out: { type: 'string' }, only: { type: 'string' } },
})
const log = (line) => console.error(line)

async function measurePipeline(plan, rounds, context) {
  const drain = await measureDrain(plan.drain, rounds, log)
  const throughput = await measureThroughput(plan.throughput, rounds, log)
  const latency = await measureLatency(plan.latency, rounds, log)
  return report({ plan, drain, throughput, latency, ...context })
}

async function measureServer(plan, rounds, context) {
  const versions = [...context.versions, ...(nginxVersion() ? [nginxVersion()] : [])]
  const results = await measureServers(plan, rounds, log, values.only)
  return { text: serverReport({ ...context, plan, rounds, results, versions }), summary: [] }
}

async function measureCosts(plan, rounds, context) {
  if (values.only) plan.groups = plan.groups.filter(({ name }) => name === values.only)
  const results = await measureCost(plan, rounds, log)
  return { text: costReport({ ...context, groups: plan.groups, rounds, results }), summary: [] }
}

async function measureOthers({ size }, rounds, context) {
  const results = await measureStandard(size, rounds, log)
  return { text: standardReport({ ...context, size, results }), summary: [] }
}

const KINDS = {
  pipeline: { full: FULL, quick: QUICK, measure: measurePipeline },
  standard: { full: FULL_STANDARD, quick: QUICK_STANDARD, measure: measureOthers },
  server: { full: FULL_SERVER, quick: QUICK_SERVER, measure: measureServer },
  cost: { full: FULL_COST, quick: QUICK_COST, measure: measureCosts },
}
const kind = positionals[0] ?? 'pipeline'
const { full, quick, measure } = KINDS[kind]
const plan = values.quick ? quick : full
const rounds = values.rounds ? Number(values.rounds) : plan.rounds
const out = values.out ?? fileURLToPath(new URL('../docs/benchmarks.md', import.meta.url))
const context = { machine: describeMachine(), load: loadBefore(), versions: [versionOf(weirProgram()), `Node ${process.version}`] }
log(`load of the machine before: ${context.load}`)

const { text, summary } = await measure(plan, rounds, context)
writePart(out, text, kind)
console.log([text, ...summary].join('\n'))
log(`written: ${out}`)
