// Every way to change rows, on tables of every replica identity: each transaction's events are exactly
// what the rules in SQL call for. Rows are found by unique indexes where deletes carry no primary key.

import assert from 'node:assert/strict'
import test from 'node:test'
import { Oracle } from '../lib/oracle.js'
import { Random, seedFromEnvironment } from '../lib/random.js'
import { shareCluster } from '../lib/shared_cluster.js'
import { Stack } from '../lib/stack.js'
import { History, verifyFolds } from '../lib/verify.js'
import { until } from '../lib/wait.js'

const cluster = shareCluster('dml', { settings: { max_prepared_transactions: '5' } })
const LONG = process.env.WEIR_LONG === '1'
const USERS = ['ana', 'bo', 'c/d']
const STREAMS = USERS.map((user) => `user/${encodeURIComponent(user)}/data`)

const SCHEMA = `
CREATE TYPE kind AS ENUM ('low', 'high');
CREATE TABLE accounts (id int PRIMARY KEY, code numeric NOT NULL, owner text, long text);
CREATE UNIQUE INDEX accounts_code ON accounts (code);
ALTER TABLE accounts REPLICA IDENTITY USING INDEX accounts_code, ALTER long SET STORAGE EXTERNAL;
CREATE TABLE items (
  id bigint, account_id int REFERENCES accounts ON DELETE CASCADE ON UPDATE CASCADE, a text NOT NULL, b kind NOT NULL,
  c int NOT NULL, d date NOT NULL, long text, PRIMARY KEY (id));
CREATE UNIQUE INDEX items_four ON items (d, b, a, c);
ALTER TABLE items REPLICA IDENTITY USING INDEX items_four, ALTER a SET STORAGE EXTERNAL, ALTER long SET STORAGE EXTERNAL;
CREATE TABLE notes (id text PRIMARY KEY, owner text, ref int NOT NULL UNIQUE, long text);
ALTER TABLE notes REPLICA IDENTITY FULL, ALTER long SET STORAGE EXTERNAL, ALTER id SET STORAGE EXTERNAL;
CREATE TABLE parts (region int, id int, code text NOT NULL, owner text, long text, PRIMARY KEY (region, id)) PARTITION BY LIST (region);
CREATE TABLE parts_0 PARTITION OF parts FOR VALUES IN (0);
CREATE TABLE parts_1 (owner text, code text NOT NULL, id int NOT NULL, long text, region int NOT NULL);
ALTER TABLE parts ATTACH PARTITION parts_1 FOR VALUES IN (1);
CREATE TABLE parts_2 PARTITION OF parts FOR VALUES IN (2);
CREATE UNIQUE INDEX parts_code ON parts (code, region);
ALTER TABLE parts_1 REPLICA IDENTITY USING INDEX parts_1_code_region_idx;
ALTER TABLE parts_2 REPLICA IDENTITY FULL`

const RULES = [
  { name: 'accounts', relation: 'accounts', audience: 'SELECT accounts.owner' },
  { name: 'items', relation: 'items', audience: 'SELECT a.owner FROM accounts a WHERE a.id = items.account_id' },
  { name: 'low items', relation: 'items', audience: `SELECT 'bo' WHERE items.b = 'low'` },
  { name: 'notes', relation: 'notes', audience: 'SELECT notes.owner UNION SELECT a.owner FROM accounts a WHERE a.code = notes.ref' },
  { name: 'parts', relation: 'parts', audience: 'SELECT parts.owner' },
]

/** Random transactions; keys and unique columns are few, so that they meet. */
class Changes {
  constructor(db, random) {
    this.db = db
    this.random = random
    this.log = []
  }

  text(value) {
    return `'${value}'`
  }

  owner = () => this.text(this.random.pick(USERS))
  key = () => this.random.below(25)
  code = () => `${this.random.below(25)}.${'0'.repeat(this.random.below(3))}`
  long = () => this.text(this.random.noise(this.random.chance(0.5) ? 3000 : 10))
  /** Long ones lie out of line and in the unique index too. */
  unique = () => this.text(`${this.random.below(8)}`.repeat(this.random.chance(0.5) ? 2100 : 1))
  kind = () => this.text(this.random.pick(['low', 'high']))
  day = () => this.text(`2026-01-0${1 + this.random.below(3)}`)

  accounts = () => this.random.weighted([
    [5, `INSERT INTO accounts VALUES (${this.key()}, ${this.code()}, ${this.owner()}, ${this.long()})`],
    [3, `INSERT INTO accounts VALUES (${this.key()}, ${this.code()}, ${this.owner()}, ${this.long()}) ON CONFLICT (id) DO UPDATE SET owner = excluded.owner`],
    [3, `INSERT INTO accounts VALUES (${this.key()}, ${this.code()}, ${this.owner()}, ${this.long()}) ON CONFLICT (code) DO UPDATE SET id = excluded.id, long = accounts.long || 'x'`],
    [1, `INSERT INTO accounts VALUES (${this.key()}, ${this.code()}, ${this.owner()}, NULL) ON CONFLICT DO NOTHING`],
    [3, `UPDATE accounts SET owner = ${this.owner()} WHERE id % 5 = ${this.random.below(5)}`],
    [3, `UPDATE accounts SET code = ${this.code()} WHERE id = ${this.key()}`],
    [3, `UPDATE accounts SET id = ${this.key()} WHERE code = ${this.code()}`],
    [2, `UPDATE accounts SET id = ${this.key()}, code = ${this.code()} WHERE id = ${this.key()}`],
    [1, 'UPDATE accounts SET code = code + 100'],
    [1, 'UPDATE accounts SET code = code - 100 WHERE code >= 100'],
    [3, `DELETE FROM accounts WHERE id = ${this.key()}`],
    // What is prepared would keep the oracle from reading the table.
    ...(this.canTruncate ? [[1, 'TRUNCATE accounts CASCADE']] : []),
  ])

  item = (id) => `(${id}, (SELECT min(id) FROM accounts WHERE id > ${this.key()}), ${this.unique()}, ${this.kind()}, ${this.random.below(4)}, ${this.day()}, ${this.long()})`
  items = () => this.random.weighted([
    [6, `INSERT INTO items VALUES ${this.item(this.key())}`],
    [3, `INSERT INTO items VALUES ${this.item(this.key())} ON CONFLICT (d, b, a, c) DO UPDATE SET id = excluded.id, long = excluded.long`],
    [3, `UPDATE items SET account_id = (SELECT max(id) FROM accounts WHERE id < ${this.key()}) WHERE id % 4 = ${this.random.below(4)}`],
    [2, `UPDATE items SET a = ${this.unique()}, b = ${this.kind()} WHERE id = ${this.key()}`],
    [2, `UPDATE items SET id = id + 1000 WHERE a = ${this.unique()}`],
    [2, `UPDATE items SET id = id - 1000 WHERE id >= 1000`],
    [2, `UPDATE items SET c = c + 10, id = id + 2000 WHERE d = ${this.day()}`],
    [2, `DELETE FROM items WHERE id >= 1000`],
    [2, `DELETE FROM items WHERE a = ${this.unique()}`],
  ])

  notes = () => this.random.weighted([
    [5, `INSERT INTO notes VALUES (${this.unique()}, ${this.owner()}, ${this.key()}, ${this.long()})`],
    [2, `UPDATE notes SET owner = ${this.owner()}`],
    [2, `UPDATE notes SET id = ${this.unique()} WHERE ref = ${this.key()}`],
    [2, 'UPDATE notes SET owner = owner'],
    [2, `DELETE FROM notes WHERE ref % 3 = ${this.random.below(3)}`],
    [1, 'TRUNCATE notes'],
  ])

  parts = () => this.random.weighted([
    [6, `INSERT INTO parts VALUES (${this.random.below(3)}, ${this.key()}, ${this.text(this.key())}, ${this.owner()}, ${this.long()})`],
    [4, `UPDATE parts SET region = ${this.random.below(3)} WHERE id % 6 = ${this.random.below(6)}`],
    [2, `UPDATE parts SET code = ${this.text(this.key())} WHERE id = ${this.key()}`],
    [2, `UPDATE parts SET id = ${this.key()} WHERE code = ${this.text(this.key())}`],
    [3, `UPDATE parts SET owner = ${this.owner()} WHERE code = ${this.text(this.key())}`],
    [3, `DELETE FROM parts WHERE id = ${this.key()}`],
  ])

  /** Statements each under a savepoint, as any may fail by a constraint; some are taken back. */
  async #statements(tables) {
    const count = this.random.weighted([[4, 1], [3, 2], [2, 5], [1, 12]])
    for (let i = 0; i < count; i++) {
      const sql = this[this.random.pick(tables)]()
      this.log.push(sql.replace(/(\w)\1{20,}|'[a-z0-9]{100,}'/g, '…'))
      await this.db.query('SAVEPOINT one')
      try {
        await this.db.query(sql)
        if (this.random.chance(0.1)) await this.db.query('ROLLBACK TO one')
        else if (this.random.chance(0.5)) await this.db.query('RELEASE one')
      } catch (error) {
        if (!/^23|^21/.test(error.code ?? '')) throw error
        await this.db.query('ROLLBACK TO one')
      }
    }
  }

  /** The txid of what was committed; null where nothing was. between: run while it is prepared. */
  async transaction(tables, between = null) {
    this.log = []
    this.canTruncate = !between
    await this.db.query('BEGIN')
    await this.#statements(tables)
    const { rows: [{ txid }] } = await this.db.query('SELECT pg_current_xact_id_if_assigned()::xid::text AS txid')
    const isCommitted = this.random.chance(0.9)
    if (!between) {
      await this.db.query(isCommitted ? 'COMMIT' : 'ROLLBACK')
    } else {
      await this.db.query(`PREPARE TRANSACTION 'it'`)
      await between()
      await this.db.query(isCommitted ? `COMMIT PREPARED 'it'` : `ROLLBACK PREPARED 'it'`)
    }
    return isCommitted ? txid : null
  }
}

async function everyEvent(name, rounds, bridgeArgs) {
  const seed = seedFromEnvironment()
  console.log(`seed: WEIR_SEED=${seed}`)
  const stack = await Stack.create(name, {
    cluster: cluster(), schema: SCHEMA, tables: [], rules: [], bridgeArgs,
  })
  try {
    await stack.db.query('ALTER PUBLICATION weir ADD TABLE accounts, items, notes, parts; ALTER PUBLICATION weir SET (publish_via_partition_root = true)')
    for (const rule of RULES) await stack.db.query('INSERT INTO weir.rules (name, relation, audience) VALUES ($1, $2::regclass, $3)', [rule.name, rule.relation, rule.audience])
    const random = new Random(seed)
    const changes = new Changes(await stack.connect(), random)
    const others = new Changes(await stack.connect(), random)
    const oracle = new Oracle(stack.db)
    for (let i = 0; i < 30; i++) await changes.transaction(['accounts', 'items', 'notes', 'parts'])
    const history = new History(await oracle.state())
    const record = async (txid, log) => txid && history.committed(txid, await oracle.state(), log.join('\n'))
    stack.bridge.start()
    await stack.settle()
    let events = 0
    for (let round = 0; round < rounds; round++) {
      for (let i = 0; i < 60; i++) {
        const isPrepared = random.chance(0.15)
        const meanwhile = async () => record(await others.transaction(['notes', 'parts']), others.log)
        const txid = await changes.transaction(isPrepared ? ['accounts', 'items'] : ['accounts', 'items', 'items', 'notes', 'parts'], isPrepared ? meanwhile : null)
        await record(txid, changes.log)
      }
      await stack.settle()
      events = await history.verify(stack.server.url, STREAMS)
    }
    console.log(`${rounds * 60} transactions, ${events} events`)
    // Nothing of this is mended by reading a table again.
    assert.doesNotMatch(stack.bridge.log(1000), /resync|reading a table/)
  } catch (error) {
    error.message += `\nseed: WEIR_SEED=${seed}\nbridge:\n${stack.bridge.log(40)}`
    throw error
  } finally {
    await stack.close()
  }
}

test('every event of all kinds of changes and replica identities', () => everyEvent('dml', LONG ? 60 : 6, []))

test('the same where each transaction is worked on in the state folder', () => everyEvent('dml-spilled', LONG ? 20 : 2, ['--transaction-memory', '1']))

test('the replica identity changes while rows do; NOTHING is refused, and then mended as it says', async () => {
  const stack = await Stack.create('identity', {
    cluster: cluster(),
    schema: `CREATE TABLE notes (id int PRIMARY KEY, code int NOT NULL UNIQUE, other text NOT NULL UNIQUE, owner text);
      INSERT INTO notes SELECT i, i, i, 'ana' FROM generate_series(1, 20) i`,
    tables: ['notes'], rules: [{ name: 'own', relation: 'notes', audience: 'SELECT notes.owner' }], bridgeArgs: ['--catalog-interval', '100ms'],
  })
  const { db } = stack
  const verify = async () => {
    await stack.settle()
    await verifyFolds(stack.server.url, await new Oracle(db).state(), STREAMS)
  }
  try {
    stack.bridge.start()
    await verify()
    let next = 1
    for (const identity of ['USING INDEX notes_code_key', 'FULL', 'USING INDEX notes_other_key', 'DEFAULT']) {
      // In one transaction with changes of before and after.
      await db.query(`BEGIN; DELETE FROM notes WHERE id = ${next}; UPDATE notes SET id = -${next}, owner = 'bo' WHERE code = ${next + 1};
        ALTER TABLE notes REPLICA IDENTITY ${identity};
        UPDATE notes SET code = -${next}, other = 'x${next}', owner = 'ana' WHERE id = -${next}; DELETE FROM notes WHERE id = ${next + 2}; COMMIT`)
      await verify()
      next += 3
    }
    assert.doesNotMatch(stack.bridge.log(1000), /resync|reading a table/)
    await db.query('ALTER TABLE notes REPLICA IDENTITY USING INDEX notes_code_key; ALTER TABLE notes DROP CONSTRAINT notes_code_key')
    await until('the bridge to tell that the index is gone', () => /table .*notes.*'s REPLICA IDENTITY is gone/.test(stack.bridge.log(50)))
    await db.query('ALTER TABLE notes REPLICA IDENTITY NOTHING')
    await until('the bridge to refuse NOTHING', () => /notes.* has REPLICA IDENTITY NOTHING/.test(stack.bridge.log(50)))
    await until('nobody to see the rows', async () => {
      await verifyFolds(stack.server.url, new Map(), STREAMS)
      return true
    })
    const [hint] = stack.bridge.log(50).match(/ALTER TABLE \S+ REPLICA IDENTITY \w+;/g).slice(-1)
    await db.query(`${hint.replaceAll('\\"', '"')} UPDATE notes SET owner = 'bo' WHERE id = 15`)
    await stack.settle()
    const expected = await new Oracle(db).state()
    await until('the rows to be back', async () => {
      await verifyFolds(stack.server.url, expected, STREAMS)
      return true
    })
  } catch (error) {
    error.message += `\nbridge:\n${stack.bridge.log(40)}`
    throw error
  } finally {
    await stack.close()
  }
})

for (const identity of ['NOTHING', 'USING INDEX parts_2_code']) {
  test(`a partition with REPLICA IDENTITY ${identity} of its own is refused by its name`, async () => {
    const stack = await Stack.create('leaf-identity', {
      cluster: cluster(),
      schema: `${SCHEMA}; CREATE UNIQUE INDEX parts_2_code ON parts_2 (code); ALTER TABLE parts_2 REPLICA IDENTITY ${identity}`, tables: [], rules: [],
    })
    try {
      await stack.db.query('ALTER PUBLICATION weir ADD TABLE parts; ALTER PUBLICATION weir SET (publish_via_partition_root = true)')
      stack.bridge.start()
      await until('the bridge to end', () => !stack.bridge.isRunning())
      assert.match(stack.bridge.log(), /table .*parts_2.* REPLICA IDENTITY .*ALTER TABLE .*parts_2.* REPLICA IDENTITY DEFAULT;/s)
    } finally {
      await stack.close()
    }
  })
}
