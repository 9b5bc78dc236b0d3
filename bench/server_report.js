// The tables of bench/run server.

import { median, ratio, table, whole } from './report.js'

const TITLES = { weir: 'weir', memory: 'reference, in memory', file: 'reference, file store', nginx: 'nginx' }
const DASH = '–'

/** Numbers of weir beside those of others: the median of the rounds, and of the ratios within them. */
function comparison(result, select, print) {
  const values = (name) => (result?.[name] ?? []).map(select)
  const cell = (name) => (values(name).length > 0 ? print(median(values(name))) : DASH)
  const ratioTo = (name) => {
    const theirs = values(name)
    return theirs.length > 0 ? ratio(median(values('weir').map((ours, i) => ours / theirs[i]))) : DASH
  }
  return { cell, ratioTo }
}

function compared(rows, others, select, print) {
  const head = ['', 'weir', ...others.flatMap((name) => [TITLES[name], 'ratio'])]
  return table(head, rows.map(([title, result]) => {
    const { cell, ratioTo } = comparison(result, select, print)
    return [title, `**${cell('weir')}**`, ...others.flatMap((name) => [cell(name), `**${ratioTo(name)}**`])]
  }))
}

const perSecond = (run) => run.rate
const serverMicroseconds = (run) => run.serverTime * 1e6
const micro = (value) => `${value.toFixed(1)} µs`
const milli = (value) => `${value.toFixed(2)} ms`
const mega = (value) => whole(value / 1e6)
const kibi = (value) => `${(value / 1024).toFixed(1)} KiB`

const streamsOf = ({ streams }) => `${whole(streams)} ${streams === 1 ? 'stream' : 'streams'}`
const sizeOf = ({ bytes }) => `${whole(bytes / 1e6)} MB`

/** How much of a core the load generator and the servers took, in the measures that begin so. */
function busy(results, start) {
  const of = (name, select) => {
    const runs = Object.entries(results).filter(([key]) => key.startsWith(start)).flatMap(([, result]) => result[name] ?? [])
    return runs.length > 0 ? median(runs.map(select)).toFixed(2) : null
  }
  return Object.keys(TITLES)
    .filter((name) => of(name, () => 0) !== null)
    .map((name) => `${TITLES[name]} ${of(name, (run) => run.server_cores)} beside ${of(name, (run) => run.load_cores)}`)
    .join('; ')
}

function refusals(plan, results) {
  const parts = plan.appends.flatMap((settings) => ['memory', 'file', 'weir'].flatMap((name) => {
    const runs = results[`appends-${settings.streams}`]?.[name] ?? []
    const failed = median(runs.map((run) => run.failed / (run.failed + run.done)))
    return failed > 0 ? [`${TITLES[name]}, ${streamsOf(settings)}: ${(failed * 100).toFixed(0)} %`] : []
  }))
  return parts.length > 0 ? ` Requests that were refused, and are not counted: ${parts.join('; ')}.` : ''
}

export function serverReport({ plan, rounds, results, machine, load, versions }) {
  const appends = plan.appends.map((settings) => [streamsOf(settings), results[`appends-${settings.streams}`]])
  const batches = plan.appends.map((settings) => [streamsOf(settings), results[`batches-${settings.streams}`]])
  const catchUp = plan.catchUp.map((settings) => [sizeOf(settings), results[`catch-up-${settings.bytes}`]])
  const fanOut = [['', results['fan-out']]]
  return `## The stream server by itself

Written by \`bench/run server\`: medians of ${rounds} rounds, in which the servers take turns, each on a fresh folder; a
ratio is the median of the rounds' ratios, weir's over the other's. Machine: ${machine}; load in the minute before:
${load}. ${versions.join('; ')}. Weir answers an append when it is synced to the disk, the reference server
(\`@durable-streams/server\`) in memory keeps nothing, and its file store syncs each append by itself. The load comes from
\`bench/load\`, one thread; how much of a core each server took, and beside it the load generator, stands below each table:
where the two add up to less than the machine has, others took part of it, or the disk was waited for.

### Small appends

Events of 200 bytes, each by a POST of its own to a random one of so many streams, over 64 connections.

${compared(appends, ['memory', 'file'], perSecond, (value) => `${whole(value)}/s`)}

Cores: ${busy(results, 'appends')}.${refusals(plan, results)}

Processor time of the server for one append, which depends less on what else the machine does:

${compared(appends, ['memory', 'file'], serverMicroseconds, micro)}

From the request to its answer, p50 and p99:

${compared(appends, ['memory', 'file'], (run) => run.p50_ms, milli)}

${compared(appends, ['memory', 'file'], (run) => run.p99_ms, milli)}

The same events through the batch append, 1,000 in a request, one request at a time:

${table(['', 'events/s', 'processor time of the server'], batches.map(([title, result]) => {
    const { cell } = comparison(result, perSecond, whole)
    return [title, cell('weir'), comparison(result, serverMicroseconds, micro).cell('weir')]
  }))}

### Catch-up

A stream of JSON events of 200 bytes is read from its beginning to its tail: by weir after a restart and in pages of 1 MB, which
come from the disk's cache at first and then stay encoded in memory; a stream of 1 MB is one page. The reference server
sends all in one answer. nginx serves the same bytes as a static file, with sendfile.

${compared(catchUp, ['nginx', 'memory', 'file'], perSecond, (value) => `${mega(value)} MB/s`)}

Cores: ${busy(results, 'catch-up')}.

### Fan-out

One stream with ${whole(plan.fanOut.readers)} readers by SSE. First one append after the other, each when all readers have the one before: the time
from sending it until the last reader has it.

${compared(fanOut, ['memory', 'file'], (run) => run.p50_ms, milli)}

Then ${whole(plan.fanOut.rounds)} appends (the reference server: ${whole(plan.fanOut.referenceRounds)}), each when the one before is answered: events received by readers.

${compared(fanOut, ['memory', 'file'], perSecond, (value) => `${whole(value)}/s`)}

Cores: ${busy(results, 'fan-out')}.

### Idle readers

${whole(plan.idle.readers)} readers by SSE that wait, in one round: growth of the server's anonymous resident memory for each; the
kernel's memory of a socket is not in it.

${compared([['', results.idle]], ['memory', 'file'], (run) => run.bytes, kibi)}
`
}
