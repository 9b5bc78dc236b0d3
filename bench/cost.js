// What one row change costs the bridge, as the number of users, rows and rules grows: every world has a
// bridge and a server of its own, all run side by side, and the same changes go into one after the other,
// round by round.

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
-- Rows here and there, a hundred in a transaction.
CREATE PROCEDURE change_items(changes int, turn int) LANGUAGE plpgsql AS $$
BEGIN
  FOR i IN 0 .. changes / 100 - 1 LOOP
    UPDATE items SET n = n + 1, title = 'changed in ' || i WHERE id = ANY (
      SELECT (((i * 100 + k) * 104729::bigint + turn * 15485863::bigint) % ${rows} + 1)::int FROM generate_series(0, 99) k);
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
      cluster, database: `cost_${name}`, slot: name, bridgeArgs: ['--catalog-interval', '600s', '--replica-limit', '64G'],
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

  /** Microseconds of the bridge a change: until it is with the readers, and until it is durable. */
  async measure(round) {
    const { stack, settings } = this
    const changes = settings.changes
    const pid = stack.bridge.child.pid
    const before = processorSeconds(pid)
    await stack.db.query(`CALL change_items(${changes}, ${round})`)
    await stack.settle({ deadlineMs: DEADLINE_MS })
    const published = processorSeconds(pid)
    await this.#confirmed()
    const per = (seconds) => (seconds * 1e6) / changes
    return { published: per(published - before), durable: per(processorSeconds(pid) - before) }
  }
}

/** plan: {rounds, warmUps, groups: [{title, worlds: [[name, settings], …]}, …]}. {name: [measure of each round]} */
export async function measureCost(plan, rounds, log) {
  const workspace = new Workspace('bench-cost')
  const worlds = []
  try {
    const cluster = await Cluster.start(workspace, { settings: { max_replication_slots: 40, max_wal_senders: 40, max_connections: 200, synchronous_commit: 'off' } })
    for (const { worlds: each } of plan.groups) for (const [name, settings] of each) worlds.push(await CostWorld.create(cluster, name, settings, log))
    const results = Object.fromEntries(worlds.map((world) => [world.name, []]))
    for (let round = -plan.warmUps; round < rounds; round++) {
      for (const world of worlds) {
        const measure = await world.measure(round + plan.warmUps)
        if (round >= 0) results[world.name].push(measure)
        log(`round ${round + 1}/${rounds} ${world.name}: ${measure.published.toFixed(1)} µs, ${measure.durable.toFixed(1)} µs`)
      }
    }
    return results
  } finally {
    for (const world of worlds) await world.stack.close().catch((error) => log(error.message))
    await workspace.close()
  }
}
