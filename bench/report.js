// The tables of docs/benchmarks.md.

import { percentile } from './pattern.js'
import { changesOf } from './workload.js'

export function median(values) {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}

export const whole = (value) => Math.round(value).toLocaleString('en')
export const ratio = (value) => value.toFixed(2)

export function table(head, rows) {
  const line = (cells) => `| ${cells.join(' | ')} |`
  return [line(head), line(head.map((_, i) => (i === 0 ? '---' : '---:'))), ...rows.map(line)].join('\n')
}

/** One row a round and the medians; ratios of rates, ours over theirs. */
function rates(results, changes, other, otherTitle) {
  const rate = (run) => changes / run.seconds
  const rows = results.map((r, i) => [`round ${i + 1}`, whole(rate(r.weir)), whole(rate(r[other])), ratio(rate(r.weir) / rate(r[other]))])
  const ours = median(results.map((r) => rate(r.weir)))
  const theirs = median(results.map((r) => rate(r[other])))
  const middle = median(results.map((r) => rate(r.weir) / rate(r[other])))
  rows.push(['**median**', `**${whole(ours)}**`, `**${whole(theirs)}**`, `**${ratio(middle)}**`])
  return { text: table(['row changes/s', 'weir', otherTitle, 'ratio'], rows), ratio: middle, ours, theirs }
}

function processorTime(results, changes) {
  const per = (select) => `${((median(results.map((r) => select(r.weir.cpu))) / changes) * 1e6).toFixed(1)} µs`
  const mib = (select) => `${Math.round(median(results.map((r) => select(r.weir.mib))))} MiB`
  return table(['processor time of one row change', 'walsender', 'weir bridge', 'weir serve'], [
    ['time', per((c) => c.walsender), per((c) => c.bridge), per((c) => c.server)],
    ['resident memory at its highest', '', mib((m) => m.bridge), mib((m) => m.server)],
  ])
}

function latencies(results) {
  const parts = [['p50', 0.5], ['p90', 0.9], ['p99', 0.99], ['p99.9', 0.999]]
  return table(['commit to client, ms', 'weir', 'Node pattern', 'ratio'], parts.map(([name, part]) => {
    const ours = median(results.map((r) => percentile(r.weir, part)))
    const theirs = median(results.map((r) => percentile(r.node, part)))
    return [name, ours.toFixed(2), theirs.toFixed(2), ratio(ours / theirs)]
  }))
}

/** {text, summary} of one whole run. */
export function report({ plan, machine, load, versions, drain, throughput, latency }) {
  const d = rates(drain, changesOf(plan.drain), 'recvlogical', 'pg_recvlogical')
  const t = rates(throughput, changesOf(plan.throughput), 'node', 'Node pattern')
  const failed = Math.max(...throughput.map((r) => r.node.failed))
  const { inserts, updates, singles } = plan.drain
  const text = `# Benchmarks

Written by \`bench/run\`. Both sides of every table ran in one run on one machine, in turns; what
counts is the ratio. Machine: ${machine}; its load in the minute before was ${load}, and
where that is not near 0 others took part of the processors. ${versions.join('; ')}.

## Draining a slot

${whole(inserts)} inserts and ${whole(updates)} updates in transactions of 1,000 rows and ${whole(singles)} one-row transactions, of
1,000 users, wait in a slot. \`weir bridge\` and \`weir serve\` take them from there into durable streams, one
stream a user; \`pg_recvlogical\` writes the same WAL, decoded with the same wal2json options, to a file.
From the start of the program to the last change.

${d.text}

${processorTime(drain, changesOf(plan.drain))}

## The usual pattern in Node

pg-logical-replication and \`@durable-streams/client\`, one append a row change, against the reference
server in memory (\`bench/peer\`); it evaluates no rules and loses everything at a restart. The same prepared
slot of ${whole(changesOf(plan.throughput))} row changes for both.${failed > 0 ? ` Up to ${whole(failed)} of its appends failed.` : ''}

${t.text}

${plan.latency.rate} transactions of one row a second, ${plan.latency.readers} readers by SSE, ${plan.latency.seconds} s a round, medians of ${latency.length} rounds. The
time runs from just before the INSERT is sent until the event has been parsed, the commit included.

${latencies(latency)}
`
  const summary = [
    `drain: ${whole(d.ours)} row changes/s, ${ratio(d.ratio)} of pg_recvlogical (${whole(d.theirs)})`,
    `throughput: ${ratio(t.ratio)} times the Node pattern`,
  ]
  return { text, summary }
}
