// weir install: by an ordinary owner, again and again, over what is there already, and by hand.

import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { readdirSync } from 'node:fs'
import test, { after, before } from 'node:test'
import { fileURLToPath } from 'node:url'
import { Cluster } from '../e2e/lib/cluster.js'
import { runWeir } from '../e2e/lib/weir.js'
import { Workspace } from '../e2e/lib/workspace.js'

const SQL_DIR = fileURLToPath(new URL('../../sql', import.meta.url))

let workspace
let cluster
let admin
let databases = 0

before(async () => {
  workspace = new Workspace('install')
  cluster = await Cluster.start(workspace)
  admin = await cluster.connect()
  workspace.onClose(() => admin.end())
  await admin.query('CREATE ROLE owner LOGIN; CREATE ROLE stranger LOGIN')
})

after(() => workspace.close())

/** A new database of the role `owner`, which is no superuser. */
async function database() {
  const name = `db${++databases}`
  await admin.query(`CREATE DATABASE ${name} OWNER owner`)
  const db = await cluster.connect(name)
  workspace.onClose(() => db.end())
  return { db, name, conninfo: (user = 'owner') => `host=127.0.0.1 port=${cluster.port} user=${user} dbname=${name}` }
}

const install = (conninfo) => runWeir(['install', '--db', conninfo])

async function installed(conninfo) {
  const { code, output } = await install(conninfo)
  assert.equal(code, 0, output)
  return output
}

async function refused(conninfo, message, hint) {
  const { code, output } = await install(conninfo)
  assert.equal(code, 1, output)
  assert.match(output, message)
  assert.match(output, /^hint: /m)
  assert.match(output, hint)
}

/** All that install makes, but for times and oids. */
async function made(db) {
  const { rows } = await db.query(`
    SELECT 'relation ' || relname || ' ' || relkind::text AS thing FROM pg_class WHERE relnamespace = to_regnamespace('weir')
    UNION ALL SELECT 'function ' || proname || ' ' || md5(prosrc) FROM pg_proc WHERE pronamespace = to_regnamespace('weir')
    UNION ALL SELECT 'trigger ' || pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal
    UNION ALL SELECT 'constraint ' || conname || pg_get_constraintdef(oid) FROM pg_constraint WHERE connamespace = to_regnamespace('weir')
    UNION ALL SELECT 'published ' || schemaname || '.' || tablename FROM pg_publication_tables WHERE pubname = 'weir'
    ORDER BY 1`)
  return rows.map((row) => row.thing)
}

const published = async (db) =>
  (await db.query(`SELECT tablename FROM pg_publication_tables WHERE pubname = 'weir' ORDER BY 1`)).rows.map((row) => row.tablename)

test('an owner without superuser installs, and sees what was made and what comes next', async () => {
  const { db, conninfo } = await database()
  const output = await installed(conninfo())
  assert.match(output, /schema weir +made, version 2/)
  assert.match(output, /publication weir +made/)
  assert.match(output, /ALTER PUBLICATION weir ADD TABLE/)
  assert.match(output, /INSERT INTO weir\.rules/)
  assert.deepEqual(await published(db), ['revoked', 'rules'])
  const { rows } = await db.query(`SELECT relreplident FROM pg_class WHERE oid = 'weir.rules'::regclass`)
  assert.equal(rows[0].relreplident, 'd')
})

test('again: the same, with the rules and tables of before', async () => {
  const { db, conninfo } = await database()
  await installed(conninfo())
  await db.query(`CREATE TABLE todos (id int PRIMARY KEY, owner_id text); ALTER PUBLICATION weir ADD TABLE todos;
                  INSERT INTO weir.rules (name, relation, audience) VALUES ('own', 'todos', 'SELECT todos.owner_id')`)
  const state = () => Promise.all([made(db), db.query('SELECT * FROM weir.rules'), db.query('SELECT * FROM weir.schema_version')])
  const [things, rules, version] = await state()
  const output = await installed(conninfo())
  assert.match(output, /there already, version 2/)
  assert.match(output, /weir\.rules +1 rule$/m)
  assert.match(output, /1 other table$/m)
  const again = await state()
  assert.deepEqual(again[0], things)
  assert.deepEqual(again[1].rows, rules.rows)
  assert.deepEqual(again[2].rows, version.rows)
})

test('the files by hand, with psql, make the same', async () => {
  const [one, other] = [await database(), await database()]
  await installed(one.conninfo())
  const files = readdirSync(SQL_DIR).filter((file) => file.endsWith('.sql')).sort()
  const args = ['-q', '-X', '-1', '-v', 'ON_ERROR_STOP=1', ...files.flatMap((file) => ['-f', `${SQL_DIR}/${file}`]), other.conninfo()]
  for (let round = 0; round < 2; round++) execFileSync(cluster.program('psql'), args, { stdio: ['ignore', 'ignore', 'pipe'] })
  assert.deepEqual(await made(other.db), await made(one.db))
})

test('several installations at once take turns', async () => {
  const { conninfo } = await database()
  const results = await Promise.all([1, 2, 3, 4].map(() => install(conninfo())))
  for (const { code, output } of results) assert.equal(code, 0, output)
})

test('a publication weir that is there gets the rule table', async () => {
  const { db, conninfo } = await database()
  await db.query(`SET ROLE owner; CREATE SCHEMA app; CREATE TABLE app.todos (id int PRIMARY KEY);
                  CREATE PUBLICATION weir FOR TABLE app.todos`)
  assert.match(await installed(conninfo()), /publication weir +was there; weir\.rules is in it now/)
  assert.deepEqual(await published(db), ['revoked', 'rules', 'todos'])
})

test('a publication of all tables has it', async () => {
  const { db, conninfo } = await database()
  await db.query('CREATE PUBLICATION weir FOR ALL TABLES')
  assert.match(await installed(conninfo()), /publication weir +was there; weir\.rules is in it now/)
  await installed(conninfo())
})

test("somebody else's publication: nothing at all is made", async () => {
  const { db, conninfo } = await database()
  await db.query('CREATE TABLE t (id int PRIMARY KEY); CREATE PUBLICATION weir FOR TABLE t')
  await refused(conninfo(), /publication weir exists and belongs to role postgres/, /ALTER PUBLICATION weir OWNER TO owner;/)
  assert.equal((await db.query(`SELECT to_regnamespace('weir') AS weir`)).rows[0].weir, null)
})

test("somebody else's schema weir is left alone", async () => {
  const { db, conninfo } = await database()
  await db.query('SET ROLE owner; CREATE SCHEMA weir; CREATE TABLE weir.rules (fish text)')
  await refused(conninfo(), /schema weir exists, and weir has not made it/, /ALTER SCHEMA weir RENAME/)
  assert.deepEqual((await db.query('SELECT * FROM weir.rules')).fields.map((field) => field.name), ['fish'])
})

test('a newer schema is not taken back', async () => {
  const { db, conninfo } = await database()
  await installed(conninfo())
  await db.query('UPDATE weir.schema_version SET version = 1000')
  await refused(conninfo(), /schema weir has version 1000/, /newer weir/)
})

test('without the rights', async () => {
  const { name, conninfo } = await database()
  await refused(conninfo('stranger'), new RegExp(`role stranger may not make a schema in database ${name}`), new RegExp(`GRANT CREATE ON DATABASE ${name} TO stranger;`))
  await installed(conninfo())
  await refused(conninfo('stranger'), /schema weir belongs to role owner/, /install as that role/)
})

test('no database, no server, no option', async () => {
  await refused(`host=127.0.0.1 port=${cluster.port} user=owner dbname=nowhere`, /database "nowhere" does not exist/, /dbname/)
  await refused('host=127.0.0.1 port=1 user=owner', /127\.0\.0\.1/, /Postgres/)
  const { code, output } = await runWeir(['install'])
  assert.equal(code, 2)
  assert.match(output, /--db/)
})
