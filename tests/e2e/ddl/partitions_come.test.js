// Partitions that come are read by themselves, whether the bridge's role may read them or only their table; one that was
// detached for a while has its table read, as it may have become another's in between.

import assert from 'node:assert/strict'
import test from 'node:test'
import { Oracle } from '../lib/oracle.js'
import { shareCluster } from '../lib/shared_cluster.js'
import { Stack } from '../lib/stack.js'
import { readStream } from '../lib/stream.js'
import { verifyFolds } from '../lib/verify.js'

const STREAMS = ['ana', 'bo'].map((user) => `user/${user}/data`)
const SCHEMA = `
  CREATE TABLE events (day int, id int, who text, note text, PRIMARY KEY (day, id)) PARTITION BY RANGE (day);
  CREATE TABLE events_0 PARTITION OF events FOR VALUES FROM (0) TO (10);
  CREATE TABLE other (id int PRIMARY KEY, who text);
  INSERT INTO events SELECT 1, i, 'ana', 'old' FROM generate_series(1, 100) i`
const RIGHTS = `
  CREATE ROLE weir_bridge LOGIN REPLICATION;
  GRANT USAGE ON SCHEMA weir TO weir_bridge; GRANT SELECT ON ALL TABLES IN SCHEMA weir, public TO weir_bridge;
  GRANT INSERT, UPDATE, DELETE ON weir.rule_status, weir.parked TO weir_bridge;
  ALTER PUBLICATION weir SET (publish_via_partition_root = true)`

const cluster = shareCluster('partitions-come')

async function scene(act) {
  const stack = await Stack.create('partitions-come', {
    cluster: cluster(), schema: SCHEMA, tables: ['events', 'other'],
    rules: [{ name: 'events', relation: 'events', audience: 'SELECT events.who' }, { name: 'other', relation: 'other', audience: 'SELECT other.who' }],
    bridgeArgs: ['--catalog-interval', '1h'],
  })
  const settled = async () => {
    await stack.settle()
    await verifyFolds(stack.server.url, await new Oracle(stack.db).state(), STREAMS)
  }
  try {
    await stack.db.query(RIGHTS)
    stack.bridge.args = stack.bridge.args.map((arg) => arg.replace('user=postgres', 'user=weir_bridge'))
    stack.bridge.start()
    await settled()
    await act(stack, settled)
  } catch (error) {
    error.message += `\nbridge:\n${stack.bridge.log(40)}`
    throw error
  } finally {
    await stack.close()
  }
}

const filled = (name, day, more = '') => `
  CREATE TABLE ${name} (note text, who text, id int NOT NULL, gone int, day int NOT NULL, PRIMARY KEY (day, id)); ALTER TABLE ${name} DROP COLUMN gone;
  INSERT INTO ${name} (day, id, who, note) VALUES (${day}, 1, 'ana', 'new'), (${day}, 2, 'bo', 'new'); ${more};
  ALTER TABLE events ATTACH PARTITION ${name} FOR VALUES FROM (${day}) TO (${day + 10})`

// [what is run, each in a transaction of its own; how many rows are read]
const COMING = {
  'an empty one, and rows written to it': [['CREATE TABLE events_1 PARTITION OF events FOR VALUES FROM (10) TO (20)', `INSERT INTO events VALUES (11, 1, 'bo', 'new')`], 1],
  'an empty one, in the transaction that writes to it': [[`CREATE TABLE events_1 PARTITION OF events FOR VALUES FROM (10) TO (20); INSERT INTO events VALUES (11, 1, 'bo', 'new'); UPDATE events SET note = 'same' WHERE id = 1`], 1],
  'one with rows, of another order of columns': [[filled('events_1', 10, 'GRANT SELECT ON events_1 TO weir_bridge'), `UPDATE events SET note = 'newer' WHERE id = 1`], 2],
  'one that the role may not read by itself': [[filled('events_1', 10), `UPDATE events SET note = 'newer' WHERE id = 1`], 2],
  'one whose policies the role may not pass': [[filled('events_1', 10, 'GRANT SELECT ON events_1 TO weir_bridge; ALTER TABLE events_1 ENABLE ROW LEVEL SECURITY'), `DELETE FROM events WHERE day = 10 AND id = 1`], 1],
  'one that takes rows of the others': [['CREATE TABLE events_1 PARTITION OF events FOR VALUES FROM (10) TO (20); UPDATE events SET day = 10, who = \'bo\' WHERE id < 5', 'UPDATE events SET day = 2 WHERE id = 2'], 3],
  'one that has partitions itself': [['CREATE TABLE events_1 PARTITION OF events FOR VALUES FROM (10) TO (30) PARTITION BY RANGE (day)',
    'CREATE TABLE events_1a PARTITION OF events_1 FOR VALUES FROM (10) TO (20)', 'CREATE TABLE events_1b PARTITION OF events_1 FOR VALUES FROM (20) TO (30)',
    `INSERT INTO events VALUES (11, 1, 'bo', 'new'), (21, 1, 'ana', 'new')`], 2],
  'one, and then another': [[filled('events_1', 10), filled('events_2', 20), `INSERT INTO other VALUES (1, 'ana')`], 4],
}

for (const [what, [acts, rows]] of Object.entries(COMING)) {
  for (const how of ['one after the other', 'while the bridge is away']) {
    test(`${what}: ${how}`, () => scene(async (stack, settled) => {
      const { db, bridge } = stack
      if (how !== 'one after the other') await bridge.stop()
      const before = bridge.log(Infinity).length
      for (const act of acts) {
        await db.query(act)
        if (how === 'one after the other') await settled()
      }
      if (how !== 'one after the other') bridge.start()
      await settled()
      const log = bridge.log(Infinity).slice(before)
      assert.match(log, /reading a partition/)
      assert.doesNotMatch(log, /reading a table/)
      if (how !== 'one after the other') assert.equal([...log.matchAll(/rows_read=(\d+)/g)].reduce((sum, [, n]) => sum + Number(n), 0), rows)
      await bridge.kill() // it is known by then that they are there
      bridge.start()
      await db.query(`UPDATE events SET note = 'last'; DELETE FROM events WHERE id = 1`)
      await settled()
      assert.doesNotMatch(bridge.log(Infinity).slice(before), /reading a table/)
    }))
  }
}

test('what is written to a partition while it is detached is in nobody\'s stream', () => scene(async (stack, settled) => {
  await stack.bridge.stop()
  await stack.db.query('ALTER TABLE events DETACH PARTITION events_0')
  await stack.db.query(`INSERT INTO events_0 VALUES (2, 7, 'bo', 'secret')`)
  await stack.db.query(`DELETE FROM events_0 WHERE note = 'secret'; UPDATE events_0 SET note = 'other' WHERE id = 1`)
  await stack.db.query('ALTER TABLE events ATTACH PARTITION events_0 FOR VALUES FROM (0) TO (10)')
  stack.bridge.start()
  await settled()
  const { events } = await readStream(stack.server.url, 'user/bo/data')
  assert.ok(!JSON.stringify(events).includes('secret'), JSON.stringify(events))
}))
