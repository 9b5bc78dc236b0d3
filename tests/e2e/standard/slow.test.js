// A server that has no room: the bridge waits, reads no further, and still answers Postgres's
// keep-alives, for longer than Postgres waits for them.

import assert from 'node:assert/strict'
import http from 'node:http'
import test from 'node:test'
import { RULES, SCHEMA, TABLES } from '../lib/application.js'
import { Oracle } from '../lib/oracle.js'
import { ReferenceServer, asServed } from '../lib/reference_server.js'
import { shareCluster } from '../lib/shared_cluster.js'
import { Stack } from '../lib/stack.js'
import { verifyFolds } from '../lib/verify.js'
import { until } from '../lib/wait.js'
import { Bridge, Server } from '../lib/weir.js'

/** Passes requests on to a server; while `refusing` is a status, writes are answered with that. */
async function startGate(workspace, port) {
  const gate = { refusing: 0, refused: 0 }
  gate.server = http.createServer((req, res) => {
    if (gate.refusing && req.method !== 'GET' && req.method !== 'HEAD') {
      gate.refused++
      req.resume()
      req.on('end', () => res.writeHead(gate.refusing, { 'content-type': 'text/plain' }).end('there is no room'))
      return
    }
    const onward = http.request({ port, host: '127.0.0.1', path: req.url, method: req.method, headers: req.headers }, (answer) => {
      res.writeHead(answer.statusCode, answer.headers)
      answer.pipe(res)
    })
    onward.on('error', () => res.destroy())
    req.pipe(onward)
  })
  await new Promise((resolve) => gate.server.listen(0, '127.0.0.1', resolve))
  gate.url = `http://127.0.0.1:${gate.server.address().port}/v1/stream`
  workspace.onClose(() => {
    gate.server.closeAllConnections()
    return new Promise((resolve) => gate.server.close(resolve))
  })
  return gate
}

const cluster = shareCluster('slow', { settings: { wal_sender_timeout: '2s' } })

for (const [name, startServer, status, served] of [
  ['weir serve', (workspace) => Server.start(workspace), 507, (value) => value],
  ['another server', (workspace) => ReferenceServer.start(workspace), 503, asServed],
]) {
  test(`a full server slows the reading and not the feedback: ${name}`, async () => {
    const stack = await Stack.create('slow', { schema: SCHEMA, tables: TABLES, rules: RULES, startServer, cluster: cluster() })
    try {
      const gate = await startGate(stack.workspace, stack.server.port)
      stack.bridge = new Bridge(stack.workspace, { conninfo: stack.cluster.conninfo('app'), streamsUrl: gate.url, args: ['--batch-size', '10000'] })
      stack.bridge.start()
      await stack.settle()
      await stack.settle() // the first may have come with the first load
      gate.refusing = status
      const walsender = async () => (await stack.db.query(`
        SELECT s.active_pid AS pid, r.reply_time::text, r.reply_time > $1::timestamptz + '6s' AS is_late
          FROM pg_replication_slots s LEFT JOIN pg_stat_get_wal_senders() r ON r.pid = s.active_pid WHERE s.slot_name = 'weir'`, [asked])).rows[0]
      let asked = null
      const before = await walsender()
      await stack.db.query(`INSERT INTO users (id) SELECT 'user-' || i FROM generate_series(1, 200) i`)
      for (let i = 1; i <= 300; i++) await stack.db.query(`INSERT INTO todos (id, owner_id, title) VALUES (${10_000 + i}, 'user-' || ${i % 200}, repeat('x', 1000))`)
      await until('the server to refuse', () => gate.refused > 0)
      // By Postgres's own clock the bridge goes on answering for three times as long as it would wait.
      asked = (await walsender()).reply_time
      await until('answers to go on', async () => (await walsender()).is_late, { deadlineMs: 60_000 })
      assert.equal((await walsender()).pid, before.pid, `the walsender has ended\n${stack.bridge.log()}`)
      assert.doesNotMatch(stack.bridge.log(), /Postgres ended the replication stream|terminating/)
      gate.refusing = 0
      await stack.settle()
      await stack.settle()
      await verifyFolds(stack.server.url, await new Oracle(stack.db).state(), [], { asServed: served })
    } catch (error) {
      error.message += `\nbridge:\n${stack.bridge.log()}`
      throw error
    } finally {
      await stack.close()
    }
  })
}
