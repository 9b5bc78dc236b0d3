// weir status, as text, as JSON, and on a terminal (util-linux's script makes one).

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import test, { after, before } from 'node:test'
import { Stack } from '../e2e/lib/stack.js'
import { until } from '../e2e/lib/wait.js'
import { Server, runWeir, weirProgram } from '../e2e/lib/weir.js'

let stack

before(async () => {
  stack = await Stack.create('status', {
    schema: 'CREATE TABLE notes (id int PRIMARY KEY, owner text); CREATE TABLE "odd name" (id int PRIMARY KEY)',
    tables: ['notes', '"odd name"'],
    rules: [
      { name: 'own notes', relation: 'notes', audience: 'SELECT notes.owner' },
      { name: 'evil \u001b[2J\nname \u009b', relation: 'notes', audience: 'SELECT lower(notes.owner)' },
    ],
    bridgeArgs: ['--probe-interval', '100ms'],
  })
})
after(() => stack?.close())

const status = (...args) => runWeir(['status', '--streams', stack.server.streamsUrl, ...args])
const db = () => ['--db', stack.cluster.conninfo('app')]

test('before the bridge: nobody has been heard of, and there is no slot', async () => {
  const { code, output } = await status(...db())
  assert.equal(code, 0, output)
  assert.match(output, /^streams {3}http:.*\/v1\/stream, weir \d/)
  assert.match(output, /^bridge {4}none has been heard of$/m)
  assert.match(output, /^slot {6}there is none yet$/m)
  assert.match(output, /own notes on public\.notes: not reached/)
})

test('with it: slot, lag, rates, tables, rules, and who reads what', async (t) => {
  stack.bridge.start()
  await stack.db.query(`INSERT INTO notes SELECT n, 'ana' FROM generate_series(1, 200) n`)
  await stack.settle()
  const reader = new AbortController()
  t.after(() => reader.abort())
  const response = await fetch(`${stack.server.streamsUrl}/user/ana/data?offset=-1&live=sse`, { signal: reader.signal })
  response.body.getReader().read().catch(() => {})
  const { output } = await until('a lag and the rates', async () => {
    const seen = await status(...db())
    return /^lag {7}\d+\.\d{3} s, /m.test(seen.output) && /^rates {5}[\d.]+ row changes\/s/m.test(seen.output) && /user\/ana\/data: 1 live/.test(seen.output) && seen
  }, { deadlineMs: 60_000 })
  assert.match(output, /^bridge {4}weir: following; heard of \d/m)
  assert.match(output, /^follows {3}\d+ tables, 2 rules, 1 refused; 0 resyncs$/m)
  assert.match(output, /^slot {6}weir: in use, WAL reserved, confirmed to \S+, \d+ \w+ held back$/m)
  assert.match(output, /own notes on public\.notes: active$/m)
  assert.match(output, /evil {2}\[2J name {3}on public\.notes: refused, \S/)
  assert.match(output, /public\."odd name": about 0 rows/)
  assert.ok(!/[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/.test(output), 'nothing moves the cursor')
  const json = JSON.parse((await status(...db(), '--json')).output)
  assert.equal(json.postgres.slot.name, 'weir')
  assert.equal(json.postgres.rules.length, 3)
  assert.equal(json.streams.overview.bridges[0].report.phase, 'following')
})

/** Runs it on a terminal of 30 columns and 14 lines until `enough`. */
async function onTerminal(args, enough, { env = {} } = {}) {
  const command = `stty cols 30 rows 14; exec ${[weirProgram(), 'status', ...args].map((word) => `'${word}'`).join(' ')}`
  const child = spawn('script', ['-qfec', command, '/dev/null'], { stdio: ['pipe', 'pipe', 'inherit'], env: { ...process.env, TERM: 'xterm', ...env }, detached: true })
  let text = ''
  child.stdout.on('data', (chunk) => (text += chunk))
  const ended = once(child, 'exit')
  try {
    await until('the terminal', () => enough(text), { deadlineMs: 60_000 })
  } finally {
    child.stdin.write('\u0003') // Ctrl-C
    const timer = setTimeout(() => child.kill('SIGKILL'), 20_000)
    await ended
    clearTimeout(timer)
  }
  return text
}

test('on a terminal: again and again, in its size, with colours', async () => {
  const frames = (text) => text.split('\u001b[H').length - 1
  const args = ['--streams', stack.server.streamsUrl, ...db(), '--interval', '100ms']
  const text = await onTerminal(args, (seen) => frames(seen) >= 3)
  const frame = text.split('\u001b[H')[2]
  const lines = frame.replace(/\u001b\[[0-9;]*[A-Za-z]/g, '').split(/\r?\n/).filter((line) => line)
  assert.ok(lines.length <= 14, `${lines.length} lines`)
  assert.ok(lines.every((line) => [...line].length <= 30), JSON.stringify(lines))
  assert.match(frame, /\u001b\[32mbridge/)
  assert.match(frame, /and \d+ more (rules|tables|streams)/)
  const bare = await onTerminal(args, (seen) => frames(seen) >= 2, { env: { NO_COLOR: '1' } })
  assert.ok(!bare.includes('\u001b[32m'))
})

test('who does not answer is said, and the exit code tells', async () => {
  const nobody = await runWeir(['status', '--streams', 'http://127.0.0.1:1/v1/stream', '--db', 'host=127.0.0.1 port=1'])
  assert.equal(nobody.code, 1)
  assert.match(nobody.output, /^streams {3}http.*[Cc]onnect/m)
  assert.match(nobody.output, /^postgres {2}cannot connect to Postgres/m)
  const file = (name, text) => {
    writeFileSync(stack.workspace.path(name), text)
    return stack.workspace.path(name)
  }
  const strict = await Server.start(stack.workspace, {
    name: 'strict',
    args: ['--auth', 'jwt', '--auth-secret-file', file('secret', 'x'.repeat(40)), '--writer-token-file', file('writer', 'the-writers-own-token'), '--admin-token-file', file('admin', 'the-admins-own-token')],
  })
  const asked = (...args) => runWeir(['status', '--streams', strict.streamsUrl, ...args])
  const refused = await asked()
  assert.equal(refused.code, 1)
  assert.match(refused.output, /answered 401\n +hint: give the server's --admin-token-file/)
  assert.equal((await asked('--admin-token-file', stack.workspace.path('writer'))).code, 1)
  const let_in = await asked('--admin-token-file', stack.workspace.path('admin'))
  assert.equal(let_in.code, 0, let_in.output)
  const missing = await asked('--admin-token-file', stack.workspace.path('nothing'))
  assert.equal(missing.code, 2)
})
