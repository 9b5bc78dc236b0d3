// Every metric that the dashboard and the alerts speak of is one that /metrics has, with these labels;
// promtool has no complaint and sees each alert fire; and a Prometheus that scrapes the daemons as
// docs/monitoring/prometheus.yml says answers each of the dashboard's queries.

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import test, { after, before } from 'node:test'
import { fileURLToPath } from 'node:url'
import { Child } from '../e2e/lib/process.js'
import { request } from '../e2e/lib/raw_http.js'
import { Stack } from '../e2e/lib/stack.js'
import { until } from '../e2e/lib/wait.js'
import { freePort } from '../e2e/lib/workspace.js'

const MONITORING = fileURLToPath(new URL('../../docs/monitoring/', import.meta.url))
const read = (name) => readFileSync(MONITORING + name, 'utf8')
const dashboard = JSON.parse(read('grafana-dashboard.json'))
const alerts = read('alerts.yml')

let stack
let labelsOf // metric -> the labels of its samples

before(async () => {
  stack = await Stack.create('dashboards', { schema: 'CREATE TABLE notes (id int PRIMARY KEY, owner text)', tables: ['notes'], rules: [{ name: 'own', relation: 'notes', audience: 'SELECT notes.owner' }], bridgeArgs: ['--probe-interval', '100ms'] })
  stack.bridge.start()
  await stack.db.query(`INSERT INTO notes VALUES (1, 'ana')`)
  await stack.settle()
  labelsOf = await until('all the bridge says', async () => {
    const text = (await request(stack.server.url, '/metrics')).body.toString()
    const found = new Map()
    for (const [, name, labels = ''] of text.matchAll(/^(weir_\w+)(?:\{([^}]*)\})? /gm)) found.set(name, new Set([...(found.get(name) ?? []), ...[...labels.matchAll(/(\w+)=/g)].map(([, label]) => label)]))
    return found.has('weir_bridge_lag_seconds') && found.has('weir_bridge_retained_wal_bytes') && found
  })
})

after(() => stack?.close())

const panels = () => dashboard.panels.filter((panel) => panel.type !== 'row')
const queries = () => [
  ...panels().flatMap((panel) => panel.targets.map((target) => target.expr)),
  ...dashboard.templating.list.filter((variable) => variable.type === 'query').map((variable) => variable.definition),
]
const metricsIn = (text) => [...text.matchAll(/\bweir_\w+/g)].map(([name]) => name)

test('what the dashboard and the alerts ask for exists, with the labels that they select by', () => {
  const expressions = [...queries(), ...[...alerts.matchAll(/expr: (.+)/g)].map(([, expression]) => expression)]
  const names = new Set(expressions.flatMap(metricsIn))
  assert.ok(names.size > 30, `${names.size} metrics`)
  assert.deepEqual([...names].filter((name) => !labelsOf.has(name)), [])
  for (const expression of expressions)
    for (const [, name, selector] of expression.matchAll(/\b(weir_\w+)\{([^}]*)\}/g))
      for (const [, label] of selector.matchAll(/(\w+)=/g)) assert.ok(label === 'instance' || labelsOf.get(name).has(label), `${name}: ${label}`)
})

test('every metric that is there is on the dashboard or known to be left out', () => {
  const shown = new Set(queries().flatMap(metricsIn))
  const whole = (name) => name.replace(/_(bucket|sum|count)$/, '')
  const leftOut = new Set(['weir_build_info', 'weir_requests_total', 'weir_batches_total', 'weir_batch_events_total', 'weir_commit_bytes_total', 'weir_streams_created_total', 'weir_streams_deleted_total', 'weir_checkpoints_total', 'weir_bridge_checkpoints_total', 'weir_bridge_slot_active', 'weir_pages_encoded_total'])
  const there = [...new Set([...labelsOf.keys()].map(whole))]
  assert.deepEqual(there.filter((name) => !leftOut.has(name) && ![...shown].some((one) => whole(one) === name)), [])
})

test('the dashboard is laid out without holes and overlaps, each panel with an id of its own', () => {
  assert.equal(new Set(dashboard.panels.map((panel) => panel.id)).size, dashboard.panels.length)
  const cells = new Set()
  for (const { gridPos: { x, y, w, h }, title } of dashboard.panels) {
    assert.ok(title && x + w <= 24)
    for (let i = x; i < x + w; i++)
      for (let j = y; j < y + h; j++) {
        assert.ok(!cells.has(`${i},${j}`), title)
        cells.add(`${i},${j}`)
      }
  }
})

test('promtool: the configuration, the rules, and each alert at its time', (t) => {
  const promtool = (...args) => spawnSync('promtool', args, { cwd: MONITORING, encoding: 'utf8' })
  if (promtool('--version').error) return t.skip('promtool (Debian: prometheus) is not installed')
  for (const args of [['check', 'rules', 'alerts.yml'], ['check', 'config', '--syntax-only', 'prometheus.yml'], ['test', 'rules', fileURLToPath(new URL('alerts_test.yml', import.meta.url))]]) {
    const { status, stdout, stderr } = promtool(...args)
    assert.equal(status, 0, `${args.join(' ')}\n${stdout}${stderr}`)
  }
  const names = [...alerts.matchAll(/alert: (\w+)/g)].map(([, name]) => name)
  const tested = readFileSync(new URL('alerts_test.yml', import.meta.url), 'utf8')
  assert.deepEqual(names.filter((name) => !tested.includes(`"${name}"`)), [])
})

/** A Prometheus with the configuration of docs/monitoring, once it has two figures of the server: its
 * API as a function of path and parameters. */
async function startPrometheus() {
  const { workspace, server } = stack
  const port = await freePort()
  writeFileSync(workspace.path('admin.token'), 'nobody-asks-for-it\n')
  const changes = [['127.0.0.1:4437', `127.0.0.1:${server.port}`], ['scrape_interval: 15s', 'scrape_interval: 1s\n  evaluation_interval: 1s'], ['- alerts.yml', `- ${MONITORING}alerts.yml`], ['/etc/prometheus/weir-admin.token', workspace.path('admin.token')]]
  const config = changes.reduce((text, [from, to]) => {
    assert.ok(text.includes(from), from)
    return text.replace(from, to)
  }, read('prometheus.yml'))
  writeFileSync(workspace.path('prometheus.yml'), config)
  const prometheus = new Child('prometheus', [`--config.file=${workspace.path('prometheus.yml')}`, `--storage.tsdb.path=${workspace.path('tsdb')}`, `--web.listen-address=127.0.0.1:${port}`, '--log.level=warn'], { logFile: workspace.path('prometheus.log') })
  workspace.onClose(() => prometheus.stop())
  const api = async (path, parameters = {}) => {
    const answer = await (await fetch(`http://127.0.0.1:${port}/api/v1/${path}?${new URLSearchParams(parameters)}`)).json()
    assert.equal(answer.status, 'success', `${JSON.stringify(parameters)}: ${answer.error}`)
    return answer.data
  }
  await until('two scrapes', async () => {
    if (!prometheus.isRunning()) throw Object.assign(new Error(workspace.tail('prometheus.log')), { isFinal: true })
    const { result } = await api('query', { query: 'count_over_time(weir_bridge_following[1m])' })
    return result.length === 1 && Number(result[0].value[1]) >= 2
  }, { deadlineMs: 120_000 })
  return api
}

test('a real Prometheus answers each query of the dashboard, with the labels that its legend names', async (t) => {
  if (spawnSync('prometheus', ['--version']).error) return t.skip('prometheus is not installed')
  const api = await startPrometheus()
  const variables = { $__rate_interval: '1m', $instance: '.*', $producer: '.*' }
  const filled = (expression) => Object.entries(variables).reduce((text, [name, value]) => text.replaceAll(name, value), expression)
  const targets = panels().flatMap((panel) => panel.targets.map((target) => ({ ...target, title: panel.title })))
  assert.ok(targets.length > 30)
  for (const { title, expr, legendFormat = '' } of targets) {
    assert.doesNotMatch(filled(expr), /\$/, title)
    const { result } = await api('query', { query: filled(expr) })
    assert.ok(result.length > 0, `${title}: ${expr} has no answer`)
    for (const [, label] of legendFormat.matchAll(/\{\{(\w+)\}\}/g)) assert.ok(result.every(({ metric }) => metric[label]), `${title}: {{${label}}}`)
  }
  for (const { definition } of dashboard.templating.list.filter((variable) => variable.type === 'query')) {
    const [, metric, label] = /^label_values\((\w+), (\w+)\)$/.exec(definition)
    assert.equal((await api(`label/${label}/values`, { 'match[]': metric })).length, 1, definition)
  }
  const { groups } = await until('the rules to have been looked at', async () => {
    const data = await api('rules')
    return data.groups.every(({ rules }) => rules.every(({ health }) => health !== 'unknown')) && data
  }, { deadlineMs: 120_000 })
  const rules = groups.flatMap((group) => group.rules)
  assert.ok(rules.length > 5)
  assert.deepEqual(rules.filter(({ health }) => health !== 'ok').map(({ name, lastError }) => [name, lastError]), [])
  assert.deepEqual(rules.filter(({ state }) => state === 'firing').map(({ name }) => name), [])
})
