// What people see of both daemons: /metrics, /readyz, the overview, and the lag that a probe measures.

import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { after, before, test } from 'node:test'
import { request } from '../lib/raw_http.js'
import { Stack } from '../lib/stack.js'
import { until } from '../lib/wait.js'

let stack

before(async () => {
  stack = await Stack.create('monitoring', {
    schema: 'CREATE TABLE public.notes (id int PRIMARY KEY, owner text, body text)',
    tables: ['public.notes'],
    rules: [
      { name: 'own notes', relation: 'notes', audience: 'SELECT notes.owner' },
      { name: 'refused', relation: 'notes', audience: 'SELECT lower(notes.owner)' },
    ],
    serverArgs: ['--ready-lag', '1s'],
    bridgeArgs: ['--probe-interval', '100ms'],
  })
  stack.bridge.start()
})
after(() => stack?.close())

const get = async (path) => (await request(stack.server.url, path)).body.toString()
const overview = async () => JSON.parse(await get('/v1/stream/__weir/overview'))
const ready = async () => (await request(stack.server.url, '/readyz')).status === 200

/** The first bridge's report, once it says what is asked. */
const report = (what, condition) =>
  until(`a report: ${what}`, async () => {
    const [bridge] = (await overview()).bridges
    return bridge && condition(bridge.report) && bridge
  })

/** {name: value} of a Prometheus text; the labels are part of the name. */
const metrics = async () =>
  Object.fromEntries((await get('/metrics')).split('\n').filter((line) => line && !line.startsWith('#')).map((line) => {
    const at = line.lastIndexOf(' ')
    return [line.slice(0, at), Number(line.slice(at + 1))]
  }))

test('a bridge reports its phase, its lag and its slot', async () => {
  const { producer, report: seen } = await report('lag and slot', (r) => r.phase === 'following' && r.lag_seconds > 0 && r.wal_status)
  assert.equal(producer, 'weir')
  assert.equal(seen.wal_status, 'reserved')
  assert.equal(seen.slot_active, true)
  assert.equal(seen.publication, 'weir')
  assert.equal(seen.rules_active, 2) // and the marker's
  assert.equal(seen.rules_refused, 1)
  assert.equal(seen.waiting, '')
  assert.ok(seen.lag_seconds < 30, `${seen.lag_seconds} s`)
  await until('readiness', ready)
})

test('metrics count what goes through', async () => {
  const earlier = await metrics()
  await stack.db.query(`INSERT INTO public.notes SELECT n, 'user ' || n % 10, 'text' FROM generate_series(1, 100) n`)
  await stack.settle()
  const later = await until('the bridge to count', async () => {
    const now = await metrics()
    return now['weir_bridge_row_changes_total{producer="weir"}'] >= 101 && now
  })
  const grew = (name) => later[name] - (earlier[name] ?? 0)
  assert.ok(grew('weir_bridge_deliveries_total{producer="weir"}') >= 100)
  assert.ok(grew('weir_batch_events_total') >= 101)
  assert.ok(grew('weir_commits_total') >= 1)
  assert.equal(later['weir_commit_duration_seconds_count'], later['weir_commits_total'])
  assert.ok(later['weir_commit_duration_seconds_sum'] > 0)
  assert.equal(later['weir_bridge_rules_refused{producer="weir"}'], 1)
  assert.equal(later['weir_bridge_following{producer="weir"}'], 1)
})

test('promtool has no complaint about the metrics', async (t) => {
  const promtool = spawnSync('promtool', ['--version'])
  if (promtool.error) return t.skip('promtool (Debian: prometheus) is not installed')
  assert.equal(execFileSync('promtool', ['check', 'metrics'], { input: await get('/metrics') }).toString(), '')
})

test('foreign logical messages, of whatever bytes, are passed over', async () => {
  await stack.db.query(`
    SELECT pg_logical_emit_message(t, p, m) FROM (VALUES (true), (false)) a(t), (VALUES ('weir'), ('other')) b(p),
           (VALUES ('\\xff00fe22'::bytea), ('probe 1 1'), ('probe zz'), ('{"action":"B"}')) c(m)`)
  await stack.db.query(`INSERT INTO public.notes VALUES (1000, 'after messages', '')`)
  await stack.settle()
  assert.ok(stack.bridge.isRunning())
})

test('readiness goes while the streams are behind, and comes back', async () => {
  const { rows } = await stack.db.query(`SELECT active_pid FROM pg_replication_slots WHERE slot_name = 'weir'`)
  process.kill(rows[0].active_pid, 'SIGSTOP')
  try {
    const { body } = await until('readiness to go', async () => {
      const answer = await request(stack.server.url, '/readyz')
      return answer.status === 503 && answer
    })
    assert.match(body.toString(), /the bridge weir is \d+ s behind/)
  } finally {
    process.kill(rows[0].active_pid, 'SIGCONT')
  }
  await until('readiness to come back', ready)
})

test('the overview has a history and the busiest streams', async () => {
  const reader = new AbortController()
  const response = await fetch(`${stack.server.streamsUrl}/user/user%201/data?offset=-1&live=sse`, { signal: reader.signal })
  await response.body.getReader().read()
  const seen = await until('the reader to be counted', async () => {
    const now = await overview()
    return now.busy.length && now
  })
  assert.equal(seen.busy[0].path, 'user/user%201/data')
  assert.equal(seen.busy[0].readers, 1)
  assert.ok(seen.history.time.length >= 1)
  for (const column of Object.values(seen.history)) assert.equal(column.length, seen.history.time.length)
  reader.abort()
  const { streams, found } = JSON.parse(await get('/v1/stream/__weir/streams?search=user%201%2F'))
  assert.equal(found, 0)
  assert.equal(streams.length, 0)
  const some = JSON.parse(await get('/v1/stream/__weir/streams?search=user%25201'))
  assert.deepEqual(some.streams.map(({ path }) => path), ['user/user%201/data'])
  assert.ok(some.streams[0].bytes > 0)
})

test('bad reports and questions get a clear answer', async () => {
  const post = (path, body) => request(stack.server.url, `/v1/stream/__weir/${path}`, { method: 'POST', body })
  assert.equal((await post('reports/other', 'no JSON')).status, 400)
  assert.equal((await post('reports/other', '[]')).status, 400)
  assert.equal((await post('reports/other', JSON.stringify({ a: 'x'.repeat(300_000) }))).status, 413)
  assert.equal((await request(stack.server.url, '/v1/stream/__weir/reports/other')).status, 405)
  assert.equal((await post('questions', '{"subject":"a"}')).status, 400)
  assert.equal((await request(stack.server.url, '/v1/stream/__weir/questions/12345')).status, 404)
  assert.equal((await overview()).bridges.length, 1)
})

test('a bridge that stops says goodbye', async () => {
  await stack.bridge.stop()
  assert.deepEqual((await overview()).bridges, [])
  assert.ok(await ready())
})

test('what a bridge waits for is told', async () => {
  stack.bridge.start()
  await report('following', (r) => r.phase === 'following')
  await until('readiness', ready)
  await stack.db.end()
  await stack.cluster.stop()
  const { report: seen } = await report('waiting', (r) => r.phase === 'waiting')
  assert.match(seen.waiting, /Postgres|connect/)
  assert.equal(await ready(), false)
})
