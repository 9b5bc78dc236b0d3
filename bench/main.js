// bench/run: measures everything in one run and writes the report.

import { writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { weirProgram } from '../tests/e2e/lib/weir.js'
import { measureDrain } from './drain.js'
import { describeMachine, loadBefore, versionOf } from './machine.js'
import { measureLatency, measureThroughput } from './pattern.js'
import { report } from './report.js'

const FULL = {
  rounds: 3,
  drain: { inserts: 300_000, updates: 200_000, singles: 60_000 },
  throughput: { inserts: 12_000, updates: 8_000, singles: 2_000 },
  latency: { readers: 100, rate: 200, seconds: 15 },
}
// Shows that everything runs; its numbers mean nothing.
const QUICK = {
  rounds: 1,
  drain: { inserts: 6_000, updates: 4_000, singles: 1_000 },
  throughput: { inserts: 2_000, updates: 1_000, singles: 200 },
  latency: { readers: 10, rate: 100, seconds: 1 },
}

const { values } = parseArgs({
  options: { quick: { type: 'boolean' }, rounds: { type: 'string' }, out: { type: 'string' } },
})
const plan = values.quick ? QUICK : FULL
const rounds = values.rounds ? Number(values.rounds) : plan.rounds
const out = values.out ?? fileURLToPath(new URL('../docs/benchmarks.md', import.meta.url))
const log = (line) => console.error(line)
const load = loadBefore()
log(`load of the machine before: ${load}`)

const drain = await measureDrain(plan.drain, rounds, log)
const throughput = await measureThroughput(plan.throughput, rounds, log)
const latency = await measureLatency(plan.latency, rounds, log)
const { text, summary } = report({
  plan, drain, throughput, latency,
  machine: describeMachine(), load,
  versions: [versionOf(weirProgram()), `Node ${process.version}`],
})
writeFileSync(out, text)
console.log(`${text}\n${summary.join('\n')}`)
log(`written: ${out}`)
