// What the rule table says to a wrong rule when it is written, and that it takes right ones.

import assert from 'node:assert/strict'
import test, { after, before } from 'node:test'
import { Cluster } from '../e2e/lib/cluster.js'
import { runWeir } from '../e2e/lib/weir.js'
import { Workspace } from '../e2e/lib/workspace.js'

const SCHEMA = `
  CREATE TABLE todos (id int PRIMARY KEY, owner_id text, project_id int, done boolean);
  CREATE TABLE members (project_id int, user_id text, role text, PRIMARY KEY (project_id, user_id));
  CREATE TABLE keyless (a int);
  CREATE UNLOGGED TABLE scratch (id int PRIMARY KEY);
  CREATE TABLE dated (id int, day date, PRIMARY KEY (id, day)) PARTITION BY RANGE (day);
  CREATE VIEW open_todos AS SELECT * FROM todos WHERE NOT done;
  CREATE SCHEMA "My App";
  CREATE TABLE "My App"."To Do" (id int PRIMARY KEY, "Owner" text);
  CREATE TABLE "My App".members (project_id int PRIMARY KEY, only_here text);
  CREATE TABLE "My App".todos (id int PRIMARY KEY);
  CREATE FUNCTION broken(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 / 0';`

let workspace
let cluster
let db

before(async () => {
  workspace = new Workspace('rules')
  cluster = await Cluster.start(workspace)
  const { code, output } = await runWeir(['install', '--db', cluster.conninfo()])
  assert.equal(code, 0, output)
  db = await cluster.connect()
  workspace.onClose(() => db.end())
  await db.query(SCHEMA)
})

after(() => workspace.close())

const DEFAULTS = { name: 'r', relation: 'todos', audience: 'SELECT todos.owner_id', columns: null, type: null, stream: 'user/{subject}/data' }

async function insert(rule, client = db) {
  const { name, relation, audience, columns, type, stream } = { ...DEFAULTS, ...rule }
  await client.query(
    'INSERT INTO weir.rules (name, relation, audience, columns, type, stream) VALUES ($1, $2::regclass, $3, $4::name[], $5, $6)',
    [name, relation, audience, columns, type, stream],
  )
}

/** Runs work in a transaction that leaves nothing behind. */
async function undone(work) {
  await db.query('BEGIN')
  try {
    return await work()
  } finally {
    await db.query('ROLLBACK')
  }
}

// Each: the rule, what the message holds, what the hint holds (null: Postgres gives none).
const WRONG = [
  // Postgres's own messages about the audience
  [{ audience: 'SELECT todos.ownr_id' }, /column todos\.ownr_id does not exist/, /todos\.owner_id/],
  [{ audience: 'SELEC todos.owner_id' }, /syntax error at or near "todos"/, null],
  [{ audience: 'SELECT m.user_id FROM membrs m' }, /relation "membrs" does not exist/, null],
  [{ audience: 'SELECT m.user_id FROM members m WHERE m.project_id = todos.done' }, /operator does not exist: integer = boolean/, /type casts/],
  [{ audience: 'SELECT other.owner_id' }, /missing FROM-clause entry for table "other"/, null],
  [{ audience: 'SELECT owner_id, id FROM todos' }, /must return only one column/, null],
  [{ audience: 'SELECT' }, /must return only one column/, null],
  [{ audience: 'SELECT * FROM members' }, /must return only one column/, null],
  [{ audience: 'todos.owner_id' }, /syntax error/, null],
  [{ audience: `SELECT 'ana' /* never ends` }, /unterminated \/\* comment/, null],
  [{ audience: `SELECT 'ana` }, /unterminated quoted string/, null],
  [{ audience: 'DELETE FROM todos RETURNING owner_id' }, /syntax error/, null],
  [{ audience: 'SELECT owner_id INTO copy FROM todos' }, /SELECT \.\.\. INTO is not allowed here|INTO/, null],
  [{ audience: 'SELECT broken(1)' }, /division by zero/, null],
  [{ audience: 'SELECT $1' }, /there is no parameter \$1/, null],
  // Texts that would end the statement they are planned in
  [{ audience: 'SELECT 1; DROP TABLE todos' }, /syntax error at or near ";"/, null],
  [{ audience: 'SELECT 1) IS NULL; DROP TABLE todos; SELECT (SELECT 1' }, /cannot open multi-query plan|syntax error/, null],
  [{ audience: 'SELECT 1) AS x, LATERAL (SELECT 2' }, /syntax error/, null],
  [{ audience: 'SELECT 1) IS NULL OR (SELECT 2' }, /syntax error|must have an alias/, null],
  [{ audience: 'SELECT 1), (SELECT 2' }, /syntax error/, null],
  [{ audience: ' \n' }, /the audience is empty/, /SELECT todos\.owner_id/],
  // The table
  [{ relation: 'keyless', audience: `SELECT 'all'` }, /table public\.keyless has no primary key/, /ALTER TABLE public\.keyless ADD PRIMARY KEY/],
  [{ relation: 'open_todos', audience: `SELECT 'all'` }, /public\.open_todos is not a table/, /table that holds/],
  [{ relation: 'scratch', audience: `SELECT 'all'` }, /table public\.scratch is unlogged/, /ALTER TABLE public\.scratch SET LOGGED/],
  [{ relation: 'pg_class', audience: `SELECT 'all'` }, /pg_class belongs to the system/, /application/],
  [{ relation: 'weir.rules', audience: `SELECT 'all'` }, /weir\.rules belongs to the system/, /application/],
  [{ relation: '4000000000', audience: `SELECT 'all'` }, /no table with oid 4000000000/, /delete the rule/],
  // Columns, type and name
  [{ columns: ['id', 'titel'] }, /column titel of table public\.todos does not exist/, /id, owner_id, project_id, done/],
  [{ columns: ['ctid'] }, /column ctid of table/, /id, owner_id/],
  [{ columns: [null] }, /column NULL of table/, /id, owner_id/],
  [{ columns: [] }, /columns is empty/, /NULL/],
  [{ type: '' }, /type is empty/, /NULL/],
  [{ name: '' }, /empty name/, /name it/],
  // The stream
  [{ stream: 'user/data' }, /stream "user\/data" does not have \{subject\} in it exactly once/, /user\/\{subject\}\/data/],
  [{ stream: '{subject}/{subject}' }, /exactly once/, /user\/\{subject\}\/data/],
  [{ stream: 'user/{Subject}' }, /exactly once/, /user\/\{subject\}\/data/],
  [{ stream: '' }, /exactly once/, /user\/\{subject\}\/data/],
  [{ stream: '/user/{subject}' }, /empty segment/, /without a slash/],
  [{ stream: 'user/{subject}/' }, /empty segment/, /without a slash/],
  [{ stream: 'user//{subject}' }, /empty segment/, /without a slash/],
  [{ stream: 'user/./{subject}' }, /segment of dots/, /path/],
  [{ stream: 'user/{subject}/..' }, /segment of dots/, /path/],
  [{ stream: 'user/.{subject}' }, /segment of dots/, /path/],
  [{ stream: 'user/{subject}../x' }, /segment of dots/, /path/],
  [{ stream: '__weir/{subject}' }, /reserved segment/, /path/],
  [{ stream: '__ds/{subject}' }, /reserved segment/, /path/],
  [{ stream: 'user/{subject}\n' }, /control character/, /path/],
  [{ stream: `${'x'.repeat(500)}/{subject}` }, /longer than 500 bytes/, /path/],
]

for (const [rule, message, hint] of WRONG) {
  const shown = JSON.stringify(rule).slice(0, 100)
  test(`refused: ${shown}`, () =>
    undone(async () => {
      const error = await insert(rule).then(() => null, (reason) => reason)
      assert.ok(error, 'the rule was taken')
      assert.match(error.message, message)
      if (hint) assert.match(error.hint ?? '', hint)
      assert.equal(error.severity, 'ERROR')
    }))
}

const RIGHT = [
  {},
  { audience: 'SELECT todos.owner_id -- the owner' },
  { audience: 'SELECT todos.owner_id /* the owner */' },
  { audience: 'SELECT public.todos.owner_id' },
  { audience: 'SELECT owner_id' },
  { audience: 'SELECT todos.id' },
  { audience: `SELECT 'ana' UNION SELECT user_id FROM members` },
  { audience: `SELECT m.user_id FROM members m WHERE m.project_id = todos.project_id AND m.role <> 'banned'` },
  { audience: String.raw`SELECT 'back\slash'` },
  { audience: 'SELECT NULL' },
  { columns: ['id', 'done'], type: 'to-do' },
  { stream: '{subject}' },
  { stream: 'a.b/x.{subject}.y/ü %/{x}' },
  { relation: 'dated', audience: 'SELECT dated.id' },
  { relation: '"My App"."To Do"', audience: 'SELECT "To Do"."Owner"', columns: ['Owner'] },
]

for (const rule of RIGHT) test(`taken: ${JSON.stringify(rule)}`, () => undone(() => insert(rule)))

test("names are looked up in the table's schema, then in public, whatever the session's search_path", () =>
  undone(async () => {
    await db.query('SET LOCAL search_path = weir')
    await insert({ name: 'a', relation: '"My App"."To Do"', audience: 'SELECT only_here FROM members' })
    await insert({ name: 'b', relation: 'public.todos', audience: 'SELECT user_id FROM members' })
    await db.query('CREATE TEMP TABLE members (temporary text)')
    await insert({ name: 'c', relation: 'public.todos', audience: 'SELECT user_id FROM members' })
    assert.equal((await db.query('SHOW search_path')).rows[0].search_path, 'weir')
    await assert.rejects(insert({ name: 'd', relation: 'public.todos', audience: 'SELECT only_here FROM members' }), /only_here/)
  }))

test('backslashes mean what they mean to the bridge, whatever the session says', () =>
  undone(async () => {
    await db.query('SET LOCAL standard_conforming_strings = off')
    await db.query(String.raw`INSERT INTO weir.rules (name, relation, audience) VALUES ('r', 'todos', $$SELECT 'a\'$$)`)
  }))

test('nothing of an audience is executed', () =>
  undone(async () => {
    await db.query('CREATE SEQUENCE counter')
    await insert({ audience: `SELECT nextval('counter')` })
    assert.equal((await db.query('SELECT is_called FROM counter')).rows[0].is_called, false)
  }))

test('two tables cannot share a type in the same streams', () =>
  undone(async () => {
    await insert({ name: 'here' })
    await insert({ name: 'also here', audience: `SELECT 'ana'` })
    const there = { name: 'there', relation: '"My App".todos', audience: `SELECT 'all'` }
    await db.query('SAVEPOINT s')
    const error = await insert(there).then(() => null, (reason) => reason)
    assert.match(error.message, /"My App"\.todos and of public\.todos.*type "todos" in the same streams/)
    assert.match(error.hint, /another type/)
    await db.query('ROLLBACK TO s')
    await insert({ ...there, name: 'other type', type: 'app todos' })
    await insert({ ...there, name: 'other stream', stream: 'app/{subject}' })
    // A rule may move to another table and take another name in one go.
    await db.query(`DELETE FROM weir.rules WHERE name = 'also here'`)
    await db.query(`UPDATE weir.rules SET name = 'moved', relation = '"My App".todos', audience = $$SELECT 'all'$$ WHERE name = 'here'`)
    await assert.rejects(db.query(`UPDATE weir.rules SET relation = 'public.todos', type = 'app todos', audience = $$SELECT 'all'$$ WHERE name = 'moved'`), /app todos/)
  }))

const ONE_STREAM = [
  ['p/{subject}', 'p/a{subject}'], ['p/a{subject}', 'p/{subject}'], ['p/{subject}-x', 'p/team-{subject}'], ['{subject}/all', 'public/{subject}'],
  ['p/a{subject}z', 'p/{subject}yz'], ['p/{subject}/data', '{subject}/p/data'], ['a %/{subject}', '{subject}/b'],
]
const NEVER_ONE = [
  ['p/{subject}', 'q/{subject}'], ['p/{subject}', 'p/{subject}/data'], ['p/a{subject}', 'p/b{subject}'], ['p/{subject}a', 'p/{subject}b'],
  ['{subject}/all', 'public/{subject}/x'], ['a{subject}/all', 'public/{subject}'], ['{subject}/abcd', 'p/abc{subject}bcd'],
]

test('two patterns of a type cannot meet in one stream', () =>
  undone(async () => {
    for (const [one, other] of ONE_STREAM) {
      await db.query('SAVEPOINT s')
      await insert({ name: 'one', stream: one })
      await insert({ name: 'other type', stream: other, type: 'other' })
      const error = await insert({ name: 'other', stream: other }).then(() => null, (reason) => reason)
      assert.match(error?.message ?? '', /can be one stream.*type "todos"/, `${one} ${other}`)
      assert.match(error.hint, /another type/)
      await db.query('ROLLBACK TO s')
    }
    for (const [one, other] of NEVER_ONE) {
      await db.query('SAVEPOINT s')
      await insert({ name: 'one', stream: one })
      await insert({ name: 'other', stream: other })
      await db.query('ROLLBACK TO s')
    }
  }))

test('an update is checked like an insert', () =>
  undone(async () => {
    await insert({})
    await assert.rejects(db.query(`UPDATE weir.rules SET audience = 'SELECT todos.ownr_id'`), /ownr_id/)
  }))

test('what is NULL is named by its column', async () => {
  for (const column of ['name', 'relation', 'audience', 'stream'])
    await undone(() => assert.rejects(insert({ [column]: null }), new RegExp(`null value in column "${column}"`)))
})

test('a rule for a table that is not published is taken, with a word about it', () =>
  undone(async () => {
    const notices = []
    const listen = (notice) => notices.push(notice)
    db.on('notice', listen)
    await insert({ name: 'before' })
    await db.query('ALTER PUBLICATION weir ADD TABLE todos')
    await insert({ name: 'after' })
    db.off('notice', listen)
    assert.equal(notices.length, 1)
    assert.match(notices[0].message, /table public\.todos is not published/)
    assert.equal(notices[0].hint, 'ALTER PUBLICATION weir ADD TABLE public.todos;')
  }))

test('a rule is planned with the rights of its author', async () => {
  await db.query(`CREATE ROLE author LOGIN; GRANT USAGE ON SCHEMA weir TO author; GRANT SELECT, INSERT ON weir.rules TO author;
                  GRANT SELECT ON todos TO author`)
  await undone(async () => {
    await db.query('SET LOCAL ROLE author')
    await insert({ name: 'may' })
    await assert.rejects(insert({ name: 'may not', audience: 'SELECT user_id FROM members' }), /permission denied for table members/)
  })
})

test('a dump is restored with its rules, in whatever order the tables come', async () => {
  await db.query('CREATE DATABASE copy')
  await insert({ name: 'dumped', relation: '"My App"."To Do"', audience: `SELECT 'all'`, columns: ['id'] })
  const { execFileSync } = await import('node:child_process')
  const dump = execFileSync(cluster.program('pg_dump'), [], { env: cluster.environment('postgres') })
  execFileSync(cluster.program('psql'), ['-q', '-X', '-v', 'ON_ERROR_STOP=1'], { env: cluster.environment('copy'), input: dump, stdio: ['pipe', 'ignore', 'pipe'] })
  const copy = await cluster.connect('copy')
  workspace.onClose(() => copy.end())
  const { rows } = await copy.query('SELECT relation::text, columns::text[] FROM weir.rules')
  assert.deepEqual(rows, [{ relation: '"My App"."To Do"', columns: ['id'] }])
  await assert.rejects(insert({ audience: 'SELECT todos.ownr_id' }, copy), /ownr_id/)
  const { code, output } = await runWeir(['install', '--db', cluster.conninfo('copy')])
  assert.equal(code, 0, output)
})
