// What doctor finds in a database: the schema, the rights, the publication, tables, rules, the slot.

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import test, { after, before } from 'node:test'
import { Cluster } from '../e2e/lib/cluster.js'
import { runWeir, weirProgram } from '../e2e/lib/weir.js'
import { Workspace } from '../e2e/lib/workspace.js'
import { Patient, keepProvoked, reload } from './doctor.js'

let workspace
let cluster

before(async () => {
  workspace = new Workspace('doctor')
  cluster = await Cluster.start(workspace, { settings: { max_slot_wal_keep_size: '8GB' } })
})

after(async () => {
  keepProvoked('database')
  await workspace.close()
})

const patient = (options) => Patient.make(workspace, cluster, options)
const WARNING = { severity: 'warning' }

/** One with a table that is published. */
async function withTable(table = 'CREATE TABLE todos (id int PRIMARY KEY, owner_id text, done bool)') {
  const one = await patient()
  await one.db.query(`${table}; GRANT SELECT ON ALL TABLES IN SCHEMA public TO weir_bridge`)
  return one
}

/** What it prints on a terminal, which util-linux's script makes. */
async function onTerminal(args, env = {}) {
  const command = [weirProgram(), ...args].map((word) => `'${word}'`).join(' ')
  const child = spawn('script', ['-qec', command, '/dev/null'], { stdio: ['pipe', 'pipe', 'inherit'], env: { ...process.env, ...env } })
  let text = ''
  child.stdout.on('data', (chunk) => (text += chunk))
  await once(child, 'close')
  return text
}

test('the role of docs/operations.md passes, with a table and a rule', async () => {
  const one = await withTable()
  await one.db.query(`ALTER PUBLICATION weir ADD TABLE todos;
    INSERT INTO weir.rules (name, relation, audience) VALUES ('own', 'todos', 'SELECT todos.owner_id')`)
  const { code, findings } = await one.doctor('--state', workspace.path('new-state'))
  assert.equal(code, 0, JSON.stringify(findings))
  assert.ok(findings.some(({ message }) => /^1 table of the application/.test(message)))
  assert.ok(findings.some(({ message }) => /^1 rule can be followed/.test(message)))
  const { output } = await runWeir(['doctor', '--db', one.conninfo])
  assert.match(output, /^ok {6} connected to PostgreSQL/)
  assert.match(output, /\n0 errors, 0 warnings\n$/)
  assert.ok(!output.includes('\u001b'), 'no colours in a file')
  const seen = await onTerminal(['doctor', '--db', one.conninfo])
  assert.match(seen, /^\u001b\[32mok {6}\u001b\[0m connected to PostgreSQL/)
  assert.ok(!(await onTerminal(['doctor', '--db', one.conninfo], { NO_COLOR: '1' })).includes('\u001b'))
  const slots = await one.db.query('SELECT count(*)::int AS n FROM pg_replication_slots')
  assert.equal(slots.rows[0].n, 0, 'nothing stays behind')
})

test('not installed, and of an older and a newer version', async () => {
  const one = await patient({ isInstalled: false })
  await one.provoke(/^database \w+ has no schema weir$/)
  await one.db.query('GRANT USAGE ON SCHEMA weir TO weir_bridge; UPDATE weir.schema_version SET version = 1')
  await one.db.query('GRANT SELECT ON weir.rules, weir.revoked TO weir_bridge; GRANT SELECT, INSERT, UPDATE, DELETE ON weir.rule_status TO weir_bridge; GRANT SELECT, INSERT, UPDATE ON weir.parked TO weir_bridge')
  await one.provoke(/^schema weir has version 1, and this weir works with version \d+$/)
  await one.db.query('UPDATE weir.schema_version SET version = 1000')
  // The newer weir cannot be installed here: what it would find is the version as it is.
  await one.provoke(/^schema weir has version 1000/, { hint: /^apt install weir # a newer one, as made schema weir$/, mend: () => one.db.query('UPDATE weir.schema_version SET version = 2') })
})

test('an installation of version 1 is brought up to date, with the rights of the role that it had', async () => {
  const one = await patient()
  await one.db.query('ALTER PUBLICATION weir DROP TABLE weir.revoked; DROP TABLE weir.revoked, weir.parked; UPDATE weir.schema_version SET version = 1')
  await one.provoke(/^schema weir has version 1,/)
  const { code, findings } = await one.doctor()
  assert.equal(code, 0, JSON.stringify(findings))
})

test('each right on schema weir', async () => {
  const one = await patient({ roleSql: '' })
  await one.db.query('REVOKE SELECT ON weir.schema_version FROM PUBLIC')
  await one.provoke(/^role weir_bridge may not use schema weir$/)
  await one.provoke(/^role weir_bridge lacks SELECT on weir\.rules$/)
  await one.provoke(/^role weir_bridge lacks SELECT on weir\.revoked$/)
  await one.provoke(/^role weir_bridge lacks SELECT on weir\.schema_version$/)
  await one.provoke(/^role weir_bridge lacks UPDATE, SELECT, INSERT, DELETE on weir\.rule_status$/)
  await one.provoke(/^role weir_bridge lacks UPDATE, SELECT, INSERT on weir\.parked$/)
  assert.equal((await one.doctor()).code, 0)
})

test('rights on tables, their schemas, and row level security', async () => {
  const one = await patient()
  await one.db.query(`CREATE SCHEMA "my app"; CREATE TABLE "my app"."all todos" (id int PRIMARY KEY); ALTER PUBLICATION weir ADD TABLE "my app"."all todos"`)
  await one.provoke(/^role weir_bridge may not use schema "my app", and so not read table "my app"\."all todos"$/)
  await one.provoke(/^role weir_bridge may not read table "my app"\."all todos"$/)
  await one.db.query('ALTER TABLE "my app"."all todos" ENABLE ROW LEVEL SECURITY')
  await one.provoke(/^role weir_bridge sees of table "my app"\."all todos" only the rows that its policies show it$/)
  assert.equal((await one.doctor()).code, 0)
})

test('the publication', async () => {
  const one = await patient()
  await one.db.query('DROP PUBLICATION weir')
  await one.provoke(/^publication weir does not exist$/)
  await one.db.query('ALTER PUBLICATION weir DROP TABLE weir.rules, weir.revoked')
  await one.provoke(/^publication weir does not hold the rule table weir\.rules$/)
  await one.provoke(/^publication weir does not hold weir\.revoked/, WARNING)
  await one.db.query(`ALTER PUBLICATION weir SET (publish = 'insert')`)
  await one.provoke(/^publication weir does not publish update, delete, truncate, so people keep seeing/, WARNING)
  assert.equal((await one.doctor()).code, 0)
  await one.db.query('DROP PUBLICATION weir; CREATE TABLE a (id int PRIMARY KEY); GRANT SELECT ON a TO weir_bridge; CREATE PUBLICATION weir FOR ALL TABLES')
  await one.provoke(/^publication weir is FOR ALL TABLES/, WARNING)
  assert.equal((await one.doctor()).code, 0)
  await one.db.query('CREATE PUBLICATION "my other" FOR TABLE weir.rules, a')
  await one.provoke(/^publication "my other" does not hold weir\.revoked/, { ...WARNING, args: ['--publication', 'my other'] })
})

test('tables without a key, asked for and not', async () => {
  const one = await withTable('CREATE TABLE keyless (x int)')
  await one.db.query('ALTER PUBLICATION weir ADD TABLE keyless')
  await one.provoke(/^table "public"\."keyless" has no primary key/)
  await one.db.query('DROP PUBLICATION weir; CREATE PUBLICATION weir FOR TABLE weir.rules, weir.revoked, TABLES IN SCHEMA public')
  await one.provoke(/^table "public"\."keyless" has no primary key/, WARNING)
})

test('keys of which two may look alike', async () => {
  const one = await withTable(`CREATE TYPE pair AS (a int, b jsonb); CREATE DOMAIN pair_too AS pair; CREATE TABLE alike (id int, "k 1" jsonb[], CONSTRAINT "the key" PRIMARY KEY (id, "k 1"));
    CREATE TABLE pairs (id pair_too PRIMARY KEY)`)
  await one.db.query(`ALTER PUBLICATION weir ADD TABLE alike; GRANT SELECT ON alike, pairs TO weir_bridge; INSERT INTO alike VALUES (1, '{NULL}'), (1, '{"null"}'), (1, '[2:2]={NULL}')`)
  await one.provoke(/^the primary key of table "public"\."alike" has an array or a composite type in it, so its rows cannot be told apart$/)
  assert.equal((await one.doctor()).code, 0)
  await one.db.query('ALTER PUBLICATION weir ADD TABLE pairs')
  await one.provoke(/^the primary key of table "public"\."pairs" has an array or a composite type in it/)
  assert.equal((await one.doctor()).code, 0)
})

test('replica identities', async () => {
  const one = await withTable()
  await one.db.query('CREATE UNIQUE INDEX other ON todos (owner_id); ALTER TABLE todos ALTER owner_id SET NOT NULL; ALTER PUBLICATION weir ADD TABLE todos')
  await one.db.query('ALTER TABLE todos REPLICA IDENTITY NOTHING')
  await one.provoke(/^table "public"\."todos" has REPLICA IDENTITY NOTHING/)
  await one.db.query('ALTER TABLE todos REPLICA IDENTITY USING INDEX other')
  assert.equal((await one.doctor()).code, 0)
  await one.db.query('DROP INDEX other')
  await one.provoke(/^the index of table "public"\."todos"'s REPLICA IDENTITY is gone/)
  await one.db.query(`ALTER TABLE todos REPLICA IDENTITY DEFAULT; ALTER TABLE todos DROP CONSTRAINT todos_pkey;
    ALTER TABLE todos ADD PRIMARY KEY (id) DEFERRABLE`)
  await one.provoke(/^the primary key of table "public"\."todos" is deferrable, so updates/)
  assert.equal((await one.doctor()).code, 0)
  await one.db.query(`ALTER PUBLICATION weir SET (publish = 'insert, update, delete')`)
  await one.provoke(/^the primary key of table "public"\."todos" is deferrable, and publication "weir" leaves out operations/)
  assert.equal((await one.doctor()).code, 0)
})

test('a partition whose changes are in no log', async () => {
  const one = await withTable('CREATE TABLE parted (id int PRIMARY KEY) PARTITION BY RANGE (id); CREATE UNLOGGED TABLE low PARTITION OF parted FOR VALUES FROM (0) TO (10)')
  await one.db.query(`ALTER PUBLICATION weir SET (publish_via_partition_root = true); ALTER PUBLICATION weir ADD TABLE parted`)
  await one.provoke(/^partition "public"\."low" of table "public"\."parted" is unlogged/)
  assert.equal((await one.doctor()).code, 0)
})

test('column lists and row filters, for the bridge and for the application', async () => {
  const one = await withTable()
  const publish = (what) => one.db.query(`ALTER PUBLICATION weir SET TABLE weir.rules, weir.revoked, ${what}`)
  await publish('todos (owner_id)')
  await one.provoke(/^the column list of table "public"\."todos" in publication "weir" leaves out a primary key column$/)
  await publish('todos (id, owner_id)')
  await one.db.query(`INSERT INTO todos VALUES (1, 'ana'); ALTER TABLE todos REPLICA IDENTITY FULL`)
  await assert.rejects(one.db.query('UPDATE todos SET done = true'), /cannot update/)
  await one.provoke(/^Postgres refuses every UPDATE and DELETE of table public\.todos: it has a column list/)
  await one.db.query('UPDATE todos SET done = true')
  await publish('todos WHERE (done AND id > 0)')
  await assert.rejects(one.db.query('UPDATE todos SET done = false'), /cannot update/)
  await one.provoke(/^Postgres refuses every UPDATE and DELETE of table public\.todos: its row filter/)
  await one.db.query('UPDATE todos SET done = false')
  await publish('todos WHERE (id > 0)')
  await one.db.query('ALTER TABLE todos REPLICA IDENTITY DEFAULT')
  assert.equal((await one.doctor()).code, 0)
  await publish(`todos WHERE (id % 2 = 1)`)
  await one.db.query(`INSERT INTO weir.rules (name, relation, audience) VALUES ('own', 'todos', 'SELECT todos.owner_id')`)
  await one.provoke(/^the publication's row filter of public\.todos cannot be followed/)
  assert.equal((await one.doctor()).code, 0, 'and the rule that reads the table with it')
  await one.db.query('ALTER PUBLICATION weir SET TABLE weir.revoked, weir.rules WHERE (name <> \'x\')')
  await one.provoke(/^table "weir"\."rules" has a row filter in publication "weir"$/)
})

test('partitions', async () => {
  const one = await withTable(`CREATE TABLE parted (id int PRIMARY KEY) PARTITION BY RANGE (id); CREATE TABLE low PARTITION OF parted FOR VALUES FROM (0) TO (9);
    CREATE TABLE high PARTITION OF parted FOR VALUES FROM (9) TO (99)`)
  await one.db.query('ALTER PUBLICATION weir ADD TABLE parted')
  await one.provoke(/^table public\.parted is published as its partitions, so its own rules show nothing$/, WARNING)
  assert.equal((await one.doctor()).code, 0)
})

test('rules that cannot be followed', async () => {
  const one = await withTable()
  await one.db.query(`ALTER PUBLICATION weir ADD TABLE todos; CREATE TABLE hidden (id int PRIMARY KEY);
    INSERT INTO weir.rules (name, relation, audience) VALUES ('it''s
      odd', 'todos', 'SELECT lower(todos.owner_id)'), ('unpublished', 'hidden', 'SELECT 1')`)
  await one.provoke(/^rule "it's\n +odd" is refused and shows nothing to anybody: /)
  await one.provoke(/^rule "unpublished" is refused and shows nothing to anybody: /)
  assert.equal((await one.doctor()).code, 0)
})

test('the attribute REPLICATION', async () => {
  const one = await patient()
  await one.db.query('ALTER ROLE weir_bridge NOREPLICATION')
  await one.provoke(/^role weir_bridge lacks the attribute REPLICATION$/)
})

test('commits that would wait for the bridge', async () => {
  const one = await patient()
  const set = (value) => reload(cluster, one.db, 'synchronous_standby_names', `ALTER SYSTEM SET synchronous_standby_names = '${value}'`)
  await set('ANY 1 (*)')
  await one.provoke(/^synchronous_standby_names is ANY 1 \(\*\), so commits wait for the bridge as for a standby, and the bridge for the commits$/, {
    hint: /^name the standbys in synchronous_standby_names one by one, without \* and weir, and SELECT pg_reload_conf\(\);$/,
    mend: () => set('ANY 1 (s1, s2)'),
  })
  await reload(cluster, one.db, 'synchronous_standby_names', 'ALTER SYSTEM RESET synchronous_standby_names')
})

test("slots: of another plugin, another database, given up, full of WAL, without a limit", async () => {
  const one = await patient()
  const slot = (plugin = 'wal2json', db = one.db) => db.query(`SELECT pg_create_logical_replication_slot('weir', $1)`, [plugin])
  const write = async (segments) => {
    for (let i = 0; i < segments; i++) await one.db.query(`SELECT pg_logical_emit_message(false, 'doctor', 'x'), pg_switch_wal()`)
    await one.db.query('CHECKPOINT')
  }
  const set = (name, value) => reload(cluster, one.db, name, `ALTER SYSTEM SET ${name} = '${value}'`)
  await slot('test_decoding')
  await one.provoke(/^slot weir is of plugin test_decoding, and not of wal2json$/)
  const other = await patient()
  await slot('wal2json', other.db)
  await one.provoke(/^slot weir belongs to database \w+$/)
  await slot()
  await set('max_wal_size', '32MB')
  await write(6)
  await one.provoke(/^slot weir holds back \d+ [kM]B of WAL, and no bridge reads it$/, WARNING)
  await slot()
  await set('max_slot_wal_keep_size', '1MB')
  await write(4)
  await one.provoke(/^Postgres has given slot weir up, as it held back too much WAL$/, WARNING)
  await set('max_slot_wal_keep_size', '-1')
  await one.provoke(/^max_slot_wal_keep_size is not set/, WARNING)
  assert.equal((await one.doctor()).code, 0)
})

test('a rule table that is not the one of its version', async () => {
  const one = await withTable()
  await one.db.query('ALTER TABLE weir.rules DROP COLUMN relation_oid CASCADE')
  await one.provoke(/^weir\.rules has no column relation_oid: it is of another version of weir$/)
  assert.equal((await one.doctor()).code, 0)
})

test('options that are wrong', async () => {
  const dialect = await runWeir(['doctor', '--db', 'x', '--dialect', 'klingon'])
  assert.equal(dialect.code, 64)
  assert.match(dialect.output, /--dialect is not auto, weir or standard/)
  const { code, output } = await runWeir(['doctor', '--dp', 'x'])
  assert.equal(code, 64)
  assert.match(output, /unknown option --dp\nhint: see weir doctor --help/)
})
