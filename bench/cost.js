// What one row change costs, as the number of users, rows and rules grows: every world has a bridge and a
// server of its own, those of a table run side by side, and the same changes go into one after the other, round by round.
//
// In a turn the bridge is stopped while the changes are committed, and then catches up: that is its steady
// state under more than it can take, in which what one change costs is how many there can be.

import { readFileSync, readdirSync } from 'node:fs'
import { Cluster } from '../tests/e2e/lib/cluster.js'
import { Stack } from '../tests/e2e/lib/stack.js'
import { until } from '../tests/e2e/lib/wait.js'
import { Workspace } from '../tests/e2e/lib/workspace.js'

const DEADLINE_MS = 1_800_000
const MEMBERS = 10 // of a project, each of whom gets its items' changes

/** Seconds that the threads of a process have been on a processor, to the nanosecond. */
function processorSeconds(pid) {
  let nanoseconds = 0
  for (const task of readdirSync(`/proc/${pid}/task`)) {
    nanoseconds += Number(readFileSync(`/proc/${pid}/task/${task}/schedstat`, 'utf8').split(' ')[0])
  }
  return nanoseconds / 1e9
}

const TEAM = `SELECT m.user_id FROM members m WHERE m.project_id = items.project_id`

const SCHEMA = ({ users, rows, rules, active }) => `
CREATE TABLE users (id int PRIMARY KEY, is_active boolean NOT NULL);
CREATE TABLE members (project_id int, user_id int, role text NOT NULL, PRIMARY KEY (project_id, user_id));
CREATE TABLE items (id int PRIMARY KEY, project_id int NOT NULL, kind text NOT NULL, title text NOT NULL, n int NOT NULL);
INSERT INTO users SELECT i, i <= ${active} FROM generate_series(1, ${users}) i;
INSERT INTO members SELECT i / ${MEMBERS}, i + 1, 'member' FROM generate_series(0, ${users - 1}) i;
INSERT INTO items SELECT i, i::bigint * 7919 % ${Math.max(1, users / MEMBERS)}, 'kind ' || i % ${rules}, 'item number ' || i, 0
  FROM generate_series(1, ${rows}) i;
-- Here and there among the first rows, a hundred in a transaction.
CREATE PROCEDURE change_items(changes int, among int, turn int) LANGUAGE plpgsql AS $$
BEGIN
  FOR i IN 0 .. changes / 100 - 1 LOOP
    UPDATE items SET n = n + 1, title = 'changed in ' || i WHERE id = ANY (
      SELECT (((i * 100 + k) * 104729::bigint + turn * 15485863::bigint) % among + 1)::int FROM generate_series(0, 99) k);
    COMMIT;
  END LOOP;
END $$;
ANALYZE;`

function rulesOf({ rules, isBroadcast }) {
  if (isBroadcast) return [{ name: 'everybody', relation: 'items', audience: 'SELECT u.id FROM users u WHERE u.is_active' }]
  if (rules === 1) return [{ name: 'team', relation: 'items', audience: TEAM }]
  return Array.from({ length: rules }, (_, i) => ({ name: `kind ${i}`, relation: 'items', audience: `${TEAM} AND items.kind = 'kind ${i}'` }))
}

class CostWorld {
  static async create(cluster, name, settings, log) {
    const world = new CostWorld()
    world.name = name
    world.settings = { users: 1000, rows: 10_000, rules: 1, active: 0, ...settings }
    world.stack = await Stack.create(`bench-cost-${name}`, {
      schema: SCHEMA(world.settings), tables: ['users', 'members', 'items'], rules: rulesOf(world.settings),
      cluster, database: `cost_${name}`, slot: name, serverArgs: ['--checkpoint-interval', `${world.settings.checkpoint}s`], bridgeArgs: ['--catalog-interval', '600s', '--replica-limit', '64G'],
    })
    world.stack.bridge.start()
    await world.stack.settle({ deadlineMs: DEADLINE_MS })
    await world.#confirmed()
    log(`${name}: loaded`)
    return world
  }

  /** Once what has been applied is durable and the slot is confirmed. */
  async #confirmed() {
    const { rows } = await this.stack.db.query('SELECT pg_current_wal_lsn() AS lsn')
    await until('the slot to be confirmed', async () => (await this.stack.db.query(
      `SELECT confirmed_flush_lsn >= $1::pg_lsn - 2000 AS is_through FROM pg_replication_slots WHERE database = current_database() AND NOT temporary`, [rows[0].lsn])).rows[0].is_through, { deadlineMs: DEADLINE_MS })
  }

  /** Milliseconds since the server last did more than wait. */
  #quietMs() {
    const now = processorSeconds(this.stack.server.child.pid)
    if (now - (this.seen ?? -1) > 0.005) [this.seen, this.seenAt] = [now, Date.now()]
    return Date.now() - this.seenAt
  }

  /** Microseconds a change, of a turn among the first rows: of the bridge until its changes are with the readers and
   * until they are durable, on the clock until they are with the readers; and with `finish`, later, of the server. */
  async measure(among, changes, round) {
    const { settings } = this
    const { bridge, server, db } = this.stack
    const [bridgePid, serverPid] = [bridge.child.pid, server.child.pid]
    process.kill(bridgePid, 'SIGSTOP')
    try {
      await db.query('SET synchronous_commit = off')
      await db.query(`CALL change_items(${changes}, ${among}, ${round})`)
      await db.query('SET synchronous_commit = on') // so that what comes last is sent at once
    } finally {
      process.kill(bridgePid, 'SIGCONT')
    }
    const before = { clock: performance.now() / 1e3, bridge: processorSeconds(bridgePid), server: processorSeconds(serverPid) }
    await this.stack.settle({ deadlineMs: DEADLINE_MS })
    const clock = performance.now() / 1e3
    const published = processorSeconds(bridgePid)
    await this.#confirmed()
    const durable = processorSeconds(bridgePid)
    const per = (seconds) => (seconds * 1e6) / changes
    const finish = async () => {
      await until('the streams to be in the catalog', () => this.#quietMs() >= settings.checkpoint * 1000 + 1000, { deadlineMs: DEADLINE_MS })
      return per(processorSeconds(serverPid) - before.server)
    }
    return { finish, published: per(published - before.bridge), durable: per(durable - before.bridge), clock: per(clock - before.clock) }
  }
}

/** One turn of each world that has it: [{key, a measure's figures}, …]. */
async function measureTurns(worlds, turn, round) {
  const taken = []
  for (const world of worlds) {
    const { name, changes, among = world.settings.rows } = turn
    taken.push({ key: `${world.name} ${name}`, ...(await world.measure(among, changes, round)) })
  }
  const servers = await Promise.all(taken.map(({ finish }) => finish()))
  return taken.map(({ key, published, durable, clock }, i) => ({ key, measure: { published, durable, clock, server: servers[i] } }))
}

/** The worlds of one group side by side, and no others: they share caches and disk with each other. */
async function measureGroup(cluster, group, { warmUps, rounds }, results, log) {
  const worlds = []
  try {
    for (const { name, settings } of group.worlds) worlds.push(await CostWorld.create(cluster, name, settings, log))
    for (let round = -warmUps; round < rounds; round++) {
      for (const turn of group.turns) {
        for (const { key, measure } of await measureTurns(worlds, turn, round + warmUps)) {
          if (round >= 0) (results[key] ??= []).push(measure)
          log(`round ${round + 1}/${rounds} ${key}: ${Object.entries(measure).map(([what, value]) => `${what} ${value.toFixed(1)}`).join(', ')} µs`)
        }
      }
    }
  } finally {
    for (const world of worlds) await world.stack.close().catch((error) => log(error.message))
  }
}

/** plan: {warmUps, groups: [{worlds: [{name, settings}, …], turns: [{name, changes, among}, …]}, …]}; among: of so many rows, or
 * of all. {`world turn`: [measure of each round]} */
export async function measureCost(plan, rounds, log) {
  const workspace = new Workspace('bench-cost')
  try {
    const cluster = await Cluster.start(workspace, { settings: { max_replication_slots: 40, max_wal_senders: 40, max_connections: 200 } })
    const results = {}
    for (const group of plan.groups) await measureGroup(cluster, group, { ...plan, rounds }, results, log)
    return results
  } finally {
    await workspace.close()
  }
}
