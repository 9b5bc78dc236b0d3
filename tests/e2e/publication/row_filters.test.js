// Row filters of the publication: a row outside of its table's filter is there for no rule, neither as
// the row that is shown nor as one that an audience reads. Filters, like tables, come and go while rows
// change. What Postgres prints for a filter is what the bridge compiles.

import assert from 'node:assert/strict'
import test from 'node:test'
import { Oracle } from '../lib/oracle.js'
import { Random, seedFromEnvironment } from '../lib/random.js'
import { shareCluster } from '../lib/shared_cluster.js'
import { Stack } from '../lib/stack.js'
import { verifyFolds } from '../lib/verify.js'
import { until } from '../lib/wait.js'

const cluster = shareCluster('row-filters')
const USERS = ['ana', 'bo', 'cy']
const SCHEMA = `
CREATE TYPE mood AS ENUM ('glad', 'so so', 'sad');
CREATE TABLE notes (id int PRIMARY KEY, owner_id varchar(20), team int, score numeric(8, 2), mood mood, is_open boolean, at timestamptz,
  code char(4), ref uuid, long text);
ALTER TABLE notes REPLICA IDENTITY FULL;
ALTER TABLE notes ALTER long SET STORAGE EXTERNAL;
CREATE TABLE members (team int, user_id text, role text, PRIMARY KEY (team, user_id, role));
CREATE TABLE events (day int, id int, owner_id text, note text, PRIMARY KEY (day, id)) PARTITION BY RANGE (day);
CREATE TABLE events_0 PARTITION OF events FOR VALUES FROM (0) TO (10);
CREATE TABLE events_1 PARTITION OF events FOR VALUES FROM (10) TO (20);`

const RULES = [
  { name: 'own', relation: 'notes', audience: 'SELECT notes.owner_id' },
  { name: 'team', relation: 'notes', audience: 'SELECT m.user_id FROM members m WHERE m.team = notes.team' },
  { name: 'not banned', relation: 'notes', audience: `SELECT u.user_id FROM members u WHERE NOT EXISTS (SELECT 1 FROM members b WHERE b.user_id = u.user_id AND b.role = 'banned' AND b.team = notes.team)`, stream: 'rest/{subject}' },
  { name: 'events', relation: 'events', audience: 'SELECT events.owner_id' },
]

const FILTERS = {
  notes: [null, 'is_open', 'NOT is_open', 'id > 10', 'score < 3.5', `owner_id = 'ana' OR owner_id = 'bo'`, `code IN ('ab', 'x')`,
    `team IN (1, 2)`, `team NOT IN (1, 3)`, 'score BETWEEN -1 AND 4', `at > '2026-01-01 00:00+00'`, `code = 'ab'`, 'team IS NULL', `(owner_id = 'ana') IS NOT TRUE`,
    `owner_id IS DISTINCT FROM 'bo'`, `ref = '00000000-0000-0000-0000-000000000001'`, 'team > 1 AND (score <> 2 OR is_open IS NULL)', 'score = -1', 'is_open IS TRUE'],
  members: [null, 'team = 1', `role <> 'viewer'`, `user_id = 'ana' OR team < 3`, `role IN ('banned', 'editor')`],
  events: [null, 'day < 10', 'id > 3 AND day <> 12'],
}

const value = (random, ...values) => random.pick([null, ...values])

/** A row of notes; the long text is kept out of line. */
const note = (r) => [1 + r.below(25), value(r, ...USERS), value(r, 1, 2, 3), value(r, '-1.00', '2', '3.50'), value(r, 'glad', 'so so', 'sad'),
  value(r, true, false), value(r, '2025-06-01', '2026-06-01'), value(r, 'ab', 'cd'), value(r, '00000000-0000-0000-0000-000000000001'), value(r, r.noise(3000))]

const STEPS = [
  [6, (db, r) => db.query(`INSERT INTO notes VALUES (${note(r).map((_, i) => `$${i + 1}`).join(', ')}) ON CONFLICT (id) DO UPDATE
     SET owner_id = excluded.owner_id, is_open = excluded.is_open, long = excluded.long`, note(r))],
  // Over the border of one filter or another, with the long text left out of the WAL's new row.
  [6, (db, r) => db.query(`UPDATE notes SET is_open = $1, score = $2, mood = $3, team = $4 WHERE id % 5 = $5`, [value(r, true, false), value(r, '2', '9'), value(r, 'sad', 'so so'), value(r, 1, 2), r.below(5)])],
  [2, (db, r) => db.query('UPDATE notes SET id = $1 WHERE id = $2 AND NOT EXISTS (SELECT FROM notes WHERE id = $1)', [1 + r.below(25), 1 + r.below(25)])],
  [2, (db, r) => db.query('DELETE FROM notes WHERE id = $1', [1 + r.below(25)])],
  [4, (db, r) => db.query('INSERT INTO members VALUES ($1, $2, $3) ON CONFLICT DO NOTHING', [1 + r.below(3), r.pick(USERS), r.pick(['viewer', 'editor', 'banned'])])],
  [3, (db, r) => db.query('UPDATE members SET role = $1 WHERE team = $2 AND user_id = $3 AND NOT EXISTS (SELECT FROM members m WHERE m.team = $2 AND m.user_id = $3 AND m.role = $1)', [r.pick(['viewer', 'editor', 'banned']), 1 + r.below(3), r.pick(USERS)]).catch(isTaken)],
  [2, (db, r) => db.query('DELETE FROM members WHERE team = $1 AND user_id = $2', [1 + r.below(3), r.pick(USERS)])],
  [4, (db, r) => db.query('INSERT INTO events VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING', [r.below(20), r.below(6), r.pick(USERS), r.noise(5)])],
  [2, (db, r) => db.query('UPDATE events SET day = (day + 10) % 20, note = $1 WHERE id = $2 AND NOT EXISTS (SELECT FROM events e WHERE e.day = (events.day + 10) % 20 AND e.id = $2)', [r.noise(5), r.below(6)])],
  [1, (db) => db.query('TRUNCATE members')],
]

/** Two rows of one update that would become the same. */
const isTaken = (error) => {
  if (error.code !== '23505') throw error
}

async function setFilter(db, table, filter) {
  await db.query(`BEGIN; ALTER PUBLICATION weir DROP TABLE ${table}; ALTER PUBLICATION weir ADD TABLE ${table} ${filter ? `WHERE (${filter})` : ''}; COMMIT`)
}

test('row filters hold, and change, while rows do', async () => {
  const seed = seedFromEnvironment()
  console.log(`seed: WEIR_SEED=${seed}`)
  const stack = await Stack.create('row-filters', { cluster: cluster(), schema: SCHEMA, tables: Object.keys(FILTERS), rules: RULES, bridgeArgs: ['--catalog-interval', '100ms'] })
  const { db } = stack
  const random = new Random(seed)
  try {
    await db.query('ALTER PUBLICATION weir SET (publish_via_partition_root = true)')
    await setFilter(db, 'notes', 'is_open')
    for (let i = 0; i < 60; i++) await random.weighted(STEPS)(db, random)
    stack.bridge.start()
    await stack.settle()
    const filters = Object.entries(FILTERS).flatMap(([table, all]) => all.map((filter) => [table, filter]))
    // Each once, in some order.
    for (let at = filters.length - 1; at > 0; at--) {
      const other = random.below(at + 1)
      ;[filters[at], filters[other]] = [filters[other], filters[at]]
    }
    const count = process.env.WEIR_LONG === '1' ? filters.length : 12
    for (const [index, [table, filter]] of filters.slice(0, count).entries()) {
      await setFilter(db, table, filter)
      for (let i = 0; i < 15; i++) await random.weighted(STEPS)(db, random)
      // Rows change under a filter that the bridge knows of, too.
      await stack.settle()
      for (let i = 0; i < 15; i++) await random.weighted(STEPS)(db, random)
      await stack.settle()
      if (index % 9 === 8) {
        await stack.bridge.stop()
        stack.bridge.start()
        await stack.settle()
      }
      const expected = await new Oracle(db, { publication: 'weir' }).state()
      await until(`every stream to be what the rules and the filter of ${table}, ${filter}, say`, async () => {
        await verifyFolds(stack.server.url, expected, USERS.flatMap((user) => [`user/${user}/data`, `rest/${user}`]))
        return true
      })
      const { rows } = await db.query(`SELECT name, reason FROM weir.rule_status WHERE state <> 'active'`)
      assert.deepEqual(rows, [], `with ${filter} on ${table}`)
    }
  } catch (error) {
    error.message += `\nseed: WEIR_SEED=${seed}\nbridge:\n${stack.bridge.log(60)}`
    throw error
  } finally {
    await stack.close()
  }
})

test('a row filter that cannot be followed: its table shows nothing, and the rules say why', async () => {
  const stack = await Stack.create('row-filter-refused', { cluster: cluster(), schema: SCHEMA, tables: ['notes', 'members', 'events'], rules: RULES, bridgeArgs: ['--catalog-interval', '100ms'] })
  const { db } = stack
  try {
    await db.query('ALTER PUBLICATION weir SET (publish_via_partition_root = true)')
    await db.query(`INSERT INTO notes (id, owner_id, team) VALUES (1, 'ana', 1); INSERT INTO members VALUES (1, 'ana', 'editor'); INSERT INTO events VALUES (1, 1, 'ana')`)
    stack.bridge.start()
    await stack.settle()
    await setFilter(db, 'notes', `lower(owner_id) = 'ana'`)
    await until('the notes to be gone', async () => {
      const expected = new Map([['user/ana/data', new Map([['events\u0000["1","1"]', '{"day":1,"id":1,"note":null,"owner_id":"ana"}']])]])
      await verifyFolds(stack.server.url, expected, ['rest/ana'])
      return true
    })
    const { rows } = await db.query(`SELECT name, state, reason FROM weir.rule_status WHERE name IN ('own', 'team', 'events') ORDER BY name`)
    assert.deepEqual(rows.map((row) => [row.name, row.state]), [['events', 'active'], ['own', 'refused'], ['team', 'refused']])
    assert.match(rows[1].reason, /row filter of public\.notes .*function lower is not supported.*ALTER PUBLICATION/)
    await setFilter(db, 'notes', null)
    await stack.settle()
    const expected = await new Oracle(db).state()
    await until('the notes to be back', async () => {
      await verifyFolds(stack.server.url, expected)
      return true
    })
  } catch (error) {
    error.message += `\nbridge:\n${stack.bridge.log(60)}`
    throw error
  } finally {
    await stack.close()
  }
})
