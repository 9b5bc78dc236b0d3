// A partitioned table that is published by its root: rows come under the root's name, whichever
// partition they are in, while partitions are made, attached, detached, truncated and dropped.

import test from 'node:test'
import { Oracle } from '../lib/oracle.js'
import { Random, seedFromEnvironment } from '../lib/random.js'
import { shareCluster } from '../lib/shared_cluster.js'
import { Stack } from '../lib/stack.js'
import { verifyFolds } from '../lib/verify.js'
import { until } from '../lib/wait.js'

const cluster = shareCluster('partitions')
const USERS = ['ana', 'bo', 'cy']
const SCHEMA = `
CREATE TABLE public.events (day int NOT NULL, id int NOT NULL, owner_id text, note text, PRIMARY KEY (day, id)) PARTITION BY RANGE (day);
CREATE TABLE public."events 0" PARTITION OF public.events FOR VALUES FROM (0) TO (10);
CREATE TABLE public.events_1 (note text, owner_id text, id int NOT NULL, day int NOT NULL);
ALTER TABLE public.events ATTACH PARTITION public.events_1 FOR VALUES FROM (10) TO (20);
CREATE TABLE public.events_default PARTITION OF public.events DEFAULT;`

test('a table published by its partitions’ root', async () => {
  const seed = seedFromEnvironment()
  console.log(`seed: WEIR_SEED=${seed}`)
  const stack = await Stack.create('partitions', {
    cluster: cluster(),
    schema: SCHEMA,
    tables: ['public.events'],
    rules: [{ name: 'events', relation: 'events', audience: 'SELECT events.owner_id' }],
    bridgeArgs: ['--catalog-interval', '100ms'],
  })
  const random = new Random(seed)
  const { db } = stack
  const day = () => random.below(40)
  const id = () => random.below(30)
  const insert = () => db.query('INSERT INTO events VALUES ($1, $2, $3, $4) ON CONFLICT (day, id) DO UPDATE SET note = excluded.note, owner_id = excluded.owner_id', [day(), id(), random.pick(USERS), random.noise(8)])
  const steps = [
    ...Array(8).fill(insert),
    () => db.query('UPDATE events SET day = $1 WHERE day = $2 AND id = $3 AND NOT EXISTS (SELECT 1 FROM events e WHERE e.day = $1 AND e.id = $3)', [day(), day(), id()]),
    () => db.query('UPDATE events SET owner_id = $1 WHERE day = $2', [random.pick(USERS), day()]),
    () => db.query('DELETE FROM events WHERE id = $1', [id()]),
  ]
  let next = 2
  const changes = [
    () => db.query('TRUNCATE events_1'),
    () => db.query('TRUNCATE events'),
    () => db.query(`ALTER TABLE events ADD COLUMN extra_${next++} int DEFAULT 7`),
    async () => {
      const name = `events_${next++}`
      await db.query(`
        BEGIN;
        CREATE TABLE ${name} (LIKE events INCLUDING ALL);
        INSERT INTO ${name} (day, id, owner_id) VALUES (${next * 100}, 1, 'ana');
        ALTER TABLE events ATTACH PARTITION ${name} FOR VALUES FROM (${next * 100}) TO (${next * 100 + 50});
        INSERT INTO events (day, id, owner_id) VALUES (${next * 100 + 1}, 1, 'bo');
        COMMIT`)
    },
    async () => {
      await db.query('ALTER TABLE events DETACH PARTITION "events 0"')
      await db.query(`INSERT INTO "events 0" (day, id, owner_id) VALUES (1, 77, 'cy') ON CONFLICT DO NOTHING`)
      await db.query('ALTER TABLE events ATTACH PARTITION "events 0" FOR VALUES FROM (0) TO (10)').catch((error) => {
        if (error.code !== '23514') throw error // the default partition took such rows meanwhile
        return db.query('DROP TABLE "events 0"; CREATE TABLE "events 0" (LIKE events INCLUDING ALL)')
      })
    },
  ]
  try {
    await db.query('ALTER PUBLICATION weir SET (publish_via_partition_root = true)')
    for (let i = 0; i < 40; i++) await insert()
    stack.bridge.start()
    await stack.settle()
    for (let round = 0; round < 8; round++) {
      for (let i = 0; i < 40; i++) await random.pick(steps)()
      await random.pick(changes)()
      for (let i = 0; i < 10; i++) await random.pick(steps)()
      await stack.settle()
      const expected = await new Oracle(db).state()
      await until('every stream to be what the rule in SQL says', async () => {
        await verifyFolds(stack.server.url, expected, USERS.map((user) => `user/${user}/data`))
        return true
      })
    }
  } catch (error) {
    error.message += `\nseed: WEIR_SEED=${seed}\nbridge:\n${stack.bridge.log(60)}`
    throw error
  } finally {
    await stack.close()
  }
})

test('a partition whose changes are not logged takes its table out, until it is mended as the bridge says', async () => {
  const stack = await Stack.create('unlogged', {
    cluster: cluster(), schema: SCHEMA, tables: ['public.events'],
    rules: [{ name: 'events', relation: 'events', audience: 'SELECT events.owner_id' }],
    bridgeArgs: ['--catalog-interval', '100ms'],
  })
  const { db, server } = stack
  const streams = USERS.map((user) => `user/${user}/data`)
  const becomes = (state, expected) => until(`the rule to be ${state}`, async () => {
    const { rows } = await db.query(`SELECT state FROM weir.rule_status WHERE name = 'events'`)
    if (rows[0]?.state !== state) return false
    await verifyFolds(server.url, expected, streams)
    return true
  })
  try {
    await db.query('ALTER PUBLICATION weir SET (publish_via_partition_root = true)')
    await db.query(`INSERT INTO events VALUES (1, 1, 'ana', 'a'), (11, 1, 'bo', 'b')`)
    stack.bridge.start()
    await stack.settle()
    await becomes('active', await new Oracle(db).state())
    await db.query('ALTER TABLE events_1 SET UNLOGGED')
    await becomes('refused', new Map())
    const [, mend] = /partition \\"public\\"\.\\"events_1\\" of table .* is unlogged, so its changes cannot be followed" hint="(.*?;)"/.exec(stack.bridge.log(60))
    await db.query(`UPDATE events SET owner_id = 'cy' WHERE day = 11; ${mend.replaceAll('\\"', '"')}`)
    await becomes('active', await new Oracle(db).state())
    await stack.settle()
  } catch (error) {
    error.message += `\nbridge:\n${stack.bridge.log(40)}`
    throw error
  } finally {
    await stack.close()
  }
})
