// The overview: how far behind, how much goes through, which bridges, who reads.

import * as api from './api.js'
import { h } from './dom.js'
import { bytes, count, rate, readable, seconds } from './format.js'
import { Plot } from './plot.js'

const PERIOD_MS = 2500

/** A counter's growth per second; null where the counter began anew, and for the first figure. */
function growth(time, counter) {
  return counter.map((value, i) => {
    const before = counter[i - 1]
    if (i === 0 || value === null || before === null || value < before) return null
    return ((value - before) * 1000) / Math.max(1, time[i] - time[i - 1])
  })
}

/** Seconds per commit; null where there was none. */
function commitTime({ commits, commit_seconds: total }) {
  return commits.map((value, i) => {
    if (i === 0 || value <= commits[i - 1]) return null
    return (total[i] - total[i - 1]) / (value - commits[i - 1])
  })
}

/** The worst of all bridges; null while none has measured it. */
function lagOf(bridges) {
  const lags = bridges.map(({ report }) => report.lag_seconds).filter((lag) => lag !== undefined)
  return lags.length ? Math.max(...lags) : null
}

const PLOTS = [
  {
    title: 'Lag, commit to stream',
    lines: [{ name: 'lag', kind: 'one' }],
    format: seconds,
    empty: 'no bridge has measured it',
    now: ({ bridges }) => [lagOf(bridges)],
    figures: (history) => [history.lag_seconds],
  },
  {
    title: 'Throughput',
    lines: [{ name: 'rows/s', kind: 'one' }, { name: 'events/s', kind: 'two' }],
    format: rate,
    figures: (history) => [growth(history.time, history.row_changes), growth(history.time, history.deliveries)],
  },
  {
    title: 'Sent to readers per second',
    lines: [{ name: 'bytes', kind: 'one' }],
    format: bytes,
    figures: (history) => [growth(history.time, history.bytes_out)],
  },
  {
    title: 'Live readers',
    lines: [{ name: 'readers', kind: 'one' }],
    format: count,
    isWhole: true,
    figures: (history) => [history.readers],
  },
  {
    title: 'Requests per second',
    lines: [{ name: 'requests', kind: 'one' }],
    format: rate,
    figures: (history) => [growth(history.time, history.requests)],
  },
  {
    title: 'Durable commit',
    lines: [{ name: 'seconds', kind: 'one' }],
    format: seconds,
    empty: 'nothing was written',
    figures: (history) => [commitTime(history)],
  },
]

const fact = (name, value, kind) => h('div', { class: 'fact' }, h('dt', {}, name), h('dd', { class: kind }, value))

const PHASE_KINDS = { following: 'good', publishing: 'good', loading: 'fair', starting: 'fair', resyncing: 'fair', waiting: 'bad' }

function bridgeCard({ producer, age_ms: age, report }) {
  const kind = age > 10_000 ? 'bad' : (PHASE_KINDS[report.phase] ?? 'fair')
  return h(
    'section',
    { class: 'card' },
    h('div', { class: 'card-head' }, h('h2', {}, `Bridge ${producer}`), h('span', { class: `badge ${kind}` }, age > 10_000 ? `not heard of for ${seconds(age / 1000)}` : String(report.phase))),
    report.waiting ? h('p', { class: 'notice' }, String(report.waiting)) : null,
    h(
      'dl',
      { class: 'facts' },
      fact('Slot', `${report.slot} ${report.slot_active === false ? '(not active)' : ''}`),
      fact('Publication', `${report.publication}, ${report.tables} tables`),
      fact('Rules', report.rules_refused ? `${report.rules_active} active, ${report.rules_refused} refused` : `${report.rules_active} active`, report.rules_refused ? 'bad' : ''),
      fact('WAL kept', report.retained_wal_bytes === undefined ? '–' : `${bytes(report.retained_wal_bytes)}, ${report.wal_status}`),
      fact('Behind', report.lag_bytes === undefined ? '–' : bytes(report.lag_bytes)),
      fact('Confirmed', String(report.confirmed_lsn)),
      fact('Transactions', count(report.transactions)),
      fact('Row changes', count(report.row_changes)),
      fact('Replica', bytes(report.replica_bytes)),
      fact('Up for', seconds((Date.now() - report.started_ms) / 1000)),
    ),
  )
}

const tile = (name, value, note) => h('div', { class: 'tile' }, h('dt', {}, name), h('dd', {}, value), h('dd', { class: 'note' }, note))

function tiles({ server, bridges, history, now_ms: now }) {
  const last = (list) => list.findLast((value) => value !== null) ?? 0
  const lag = lagOf(bridges)
  const rows = growth(history.time, history.row_changes)
  const total = bridges.reduce((sum, { report }) => sum + (report.row_changes ?? 0), 0)
  return [
    tile('Lag', lag === null ? '–' : seconds(lag), lag !== null ? 'from commit to stream' : bridges.length ? 'not measured yet' : 'no bridge is running'),
    tile('Row changes', `${rate(last(rows))}/s`, `${count(total)} in all`),
    tile('Events stored', count(server.messages), `${count(server.commits)} commits`),
    tile('Live readers', count(server.readers), `${count(server.connections)} connections`),
    tile('Server', server.disk_full ? 'disk full' : `up ${seconds((now - server.started_ms) / 1000)}`, `version ${server.version}`),
  ]
}

function busyTable(busy) {
  if (busy.length === 0) return h('p', { class: 'empty' }, 'Nobody is reading live.')
  const row = ({ path, readers, bytes: size }) => h('tr', {}, h('th', { scope: 'row' }, h('a', { href: `#/stream/${path}` }, readable(path))), h('td', { class: 'number' }, count(readers)), h('td', { class: 'number' }, bytes(size)))
  return h('div', { class: 'scroll', tabindex: 0, role: 'region', 'aria-label': 'Streams read by most' }, h('table', {}, h('thead', {}, h('tr', {}, h('th', { scope: 'col' }, 'Stream'), h('th', { scope: 'col', class: 'number' }, 'Readers'), h('th', { scope: 'col', class: 'number' }, 'Size'))), h('tbody', {}, busy.map(row))))
}

export function overviewView(main, { signal, setHealth }) {
  const plots = PLOTS.map((spec) => new Plot(spec))
  const figures = h('dl', { class: 'tiles' })
  const bridges = h('div', { class: 'cards' })
  const busy = h('div', {})
  const trouble = h('p', { class: 'notice', role: 'alert', hidden: true })
  main.append(h('h1', { class: 'hidden' }, 'Overview'), trouble, figures, h('div', { class: 'plots' }, plots.map((plot) => plot.element)), h('p', { class: 'note under' }, 'The last hour, a figure every five seconds.'), bridges, h('section', { class: 'card' }, h('h2', {}, 'Read by most'), busy))
  signal.addEventListener('abort', () => plots.forEach((plot) => plot.close()))

  function show(overview) {
    figures.replaceChildren(...tiles(overview))
    PLOTS.forEach(({ figures: of, now }, i) => plots[i].show(overview.history.time, of(overview.history), now?.(overview)))
    bridges.replaceChildren(...(overview.bridges.length ? overview.bridges.map(bridgeCard) : [h('p', { class: 'card empty' }, 'No bridge has reported. Start one with weir bridge --streams and this server’s address.')]))
    busy.replaceChildren(busyTable(overview.busy))
  }

  return repeat(PERIOD_MS, signal, async () => {
    try {
      const overview = await api.overview(signal)
      trouble.hidden = true
      setHealth(overview)
      show(overview)
    } catch (error) {
      if (signal.aborted) return
      setHealth(null)
      trouble.textContent = `The server does not answer: ${error.message}`
      trouble.hidden = false
    }
  })
}

/** Again and again until the signal; not while nobody looks. */
async function repeat(period, signal, work) {
  while (!signal.aborted) {
    if (!document.hidden) await work()
    await new Promise((done) => setTimeout(done, period))
  }
}
