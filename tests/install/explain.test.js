// weir.explain and weir.preview: what they say is what the streams hold, and what becomes of them.

import assert from 'node:assert/strict'
import test, { after, before } from 'node:test'
import { Random, seedFromEnvironment } from '../e2e/lib/random.js'
import { insertRule, Stack } from '../e2e/lib/stack.js'
import { Fold, readStream, userStream } from '../e2e/lib/stream.js'
import { until } from '../e2e/lib/wait.js'

const SUBJECTS = ['ana', 'bo', 'cy', "it's", 'a/b', '7']

const SCHEMA = `
  CREATE TYPE mood AS ENUM ('good', 'bad');
  CREATE TABLE notes (id int PRIMARY KEY, author_id text, project_id int, body text);
  CREATE TABLE members (project_id int, user_id text, PRIMARY KEY (project_id, user_id));
  CREATE TABLE odd (day date, mood mood, code char(6), at timestamptz, seen_by text[], PRIMARY KEY (day, mood, code, at));
  CREATE TABLE parted (id bigint, part int, owner_id text, PRIMARY KEY (id, part)) PARTITION BY LIST (part);
  CREATE TABLE parted_1 PARTITION OF parted FOR VALUES IN (1);
  CREATE TABLE parted_2 PARTITION OF parted FOR VALUES IN (2);
  CREATE TABLE unpublished (id int PRIMARY KEY);
  CREATE SCHEMA other;
  CREATE TABLE other.notes (id text PRIMARY KEY, members text);
  CREATE FUNCTION writes() RETURNS text LANGUAGE sql AS $$ DELETE FROM notes RETURNING 'x' $$;`

const RULES = [
  { name: 'own', relation: 'notes', audience: 'SELECT notes.author_id -- the author' },
  { name: 'team', relation: 'notes', audience: 'SELECT m.user_id FROM members m WHERE m.project_id = notes.project_id', columns: ['id', 'body'] },
  { name: 'elsewhere', relation: 'notes', audience: `SELECT 'ana'`, stream: 'other/{subject}' },
  { name: 'refused', relation: 'notes', audience: 'SELECT lower(notes.author_id)' },
  { name: 'fellows', relation: 'members', audience: 'SELECT m.user_id FROM members m WHERE m.project_id = members.project_id' },
  { name: 'readers', relation: 'odd', audience: `SELECT m.user_id FROM members m WHERE m.user_id = ANY (odd.seen_by)` },
  { name: 'owners', relation: 'parted', audience: 'SELECT parted.owner_id' },
  { name: 'namesakes', relation: 'other.notes', audience: 'SELECT n.members FROM notes n WHERE n.id = notes.id', type: 'other notes' },
]

/** The tables, with the type of their events and the key of a row as SQL. */
const TABLES = [
  { name: 'notes', type: 'notes', key: 'id::text' },
  { name: 'members', type: 'members', key: `replace(json_build_array(project_id::text, user_id)::text, ', ', ',')` },
  { name: 'odd', type: 'odd', key: `replace(json_build_array(day::text, mood::text, code::text, at::text)::text, '", "', '","')` },
  { name: 'parted', type: 'parted', key: `replace(json_build_array(id::text, part::text)::text, ', ', ',')` },
  { name: 'other.notes', type: 'other notes', key: 'id' },
]

const seed = seedFromEnvironment()
const random = new Random(seed)
let stack

async function fill() {
  const someone = () => random.pick([...SUBJECTS, null])
  for (let i = 1; i <= 20; i++) await stack.db.query('INSERT INTO notes VALUES ($1, $2, $3, $4)', [i, someone(), random.pick([1, 2, 3, null]), `body ${i}`])
  for (const project of [1, 2, 3])
    for (const user of SUBJECTS) if (random.chance(0.4)) await stack.db.query('INSERT INTO members VALUES ($1, $2)', [project, user])
  for (let i = 1; i <= 10; i++) {
    await stack.db.query(`INSERT INTO odd VALUES (date '2026-01-01' + $1::int, 'good', $2, '2026-01-01 00:00:00.5+05', $3)`, [i, `c ${i}`, [random.pick(SUBJECTS), random.pick(SUBJECTS)]])
    await stack.db.query('INSERT INTO parted VALUES ($1, $2, $3)', [i, random.between(1, 2), someone()])
    await stack.db.query('INSERT INTO other.notes VALUES ($1, $2)', [random.pick(["it's", 'a"b', '\\']) + i, someone()])
  }
}

before(async () => {
  console.log(`seed ${seed}`)
  const tables = ['notes', 'members', 'odd', 'parted', 'other.notes']
  stack = await Stack.create('explain', { schema: SCHEMA, tables, rules: RULES })
  await stack.db.query('ALTER PUBLICATION weir SET (publish_via_partition_root = true)')
  await fill()
  stack.bridge.start()
  await stack.settle()
  await until('all rules to be reported', async () => (await stack.db.query('SELECT FROM weir.rule_status')).rowCount === RULES.length + 1)
})

after(() => stack?.close())

/** What a stream holds: a set of `type key`. */
async function held(path) {
  const { events } = await readStream(stack.server.url, path)
  const rows = new Map()
  for (const [type, byKey] of new Fold().applyAll(events).state)
    for (const [key, value] of byKey) rows.set(`${type} ${key}`, Object.keys(JSON.parse(value)).sort())
  return rows
}

const explain = async (subject, relation, key, db = stack.db) =>
  (await db.query('SELECT rule, is_visible, stream, columns::text[], reason FROM weir.explain($1, $2::text::regclass, $3)', [subject, relation, key])).rows

const preview = async (relation, audience, name = null) =>
  (await stack.db.query('SELECT subject, gains::int, losses::int FROM weir.preview($1::text::regclass, $2, $3)', [relation, audience, name])).rows

test('a row is in a stream exactly when a rule is explained to show it there, with its columns', async () => {
  let shown = 0
  let hidden = 0
  for (const subject of SUBJECTS) {
    const rows = await held(userStream(subject))
    for (const table of TABLES) {
      const keys = await stack.db.query({ text: `SELECT ${table.key} FROM ${table.name}`, rowMode: 'array' })
      for (const [key] of keys.rows) {
        const answers = await explain(subject, table.name, key)
        const showing = answers.filter((answer) => answer.is_visible && answer.stream === 'user/{subject}/data')
        const columns = [...new Set(showing.flatMap((answer) => answer.columns))].sort()
        assert.deepEqual(columns, rows.get(`${table.type} ${key}`) ?? [], `${subject}, ${table.name}, ${key}: ${JSON.stringify(answers)}`)
        rows.delete(`${table.type} ${key}`)
        if (showing.length) shown++
        else hidden++
      }
    }
    assert.deepEqual([...rows.keys()], [], `all of ${subject}'s stream was asked about`)
  }
  assert.ok(shown > 40 && hidden > 40, `${shown} shown, ${hidden} hidden`)
})

test('each rule of the table has a row, a refused one with what the bridge says', async () => {
  await stack.db.query(`INSERT INTO notes VALUES (100, 'zed', NULL, 'last')`)
  const answers = await explain('zed', 'notes', '100')
  assert.deepEqual(answers.map((answer) => [answer.rule, answer.is_visible]), [['elsewhere', false], ['own', true], ['refused', false], ['team', false]])
  const [elsewhere, own, refused, team] = answers
  assert.equal(elsewhere.stream, 'other/{subject}')
  assert.deepEqual(own.columns, ['id', 'author_id', 'project_id', 'body'])
  assert.equal(own.reason, null)
  assert.match(refused.reason, /^the bridge has refused the rule: the function lower is not supported in an audience/)
  assert.deepEqual(team.columns, ['id', 'body'])
  assert.equal(team.reason, 'the audience does not select this subject')
  await stack.db.query('DELETE FROM notes WHERE id = 100')
})

test('where no rule can show the row, one row says why', async () => {
  const only = async (...question) => {
    const answers = await explain(...question)
    assert.equal(answers.length, 1)
    assert.equal(answers[0].rule, null)
    assert.equal(answers[0].is_visible, false)
    return answers[0].reason
  }
  assert.equal(await only('ana', 'notes', '4711'), 'table public.notes has no row with this key')
  assert.equal(await only('ana', 'odd', '["2026-01-02","good","c 1 too long","2026-01-01"]'), 'table public.odd has no row with this key')
  assert.equal(await only('ana', 'unpublished', '1'), 'table public.unpublished is not published, so nobody sees its rows')
  await stack.db.query('CREATE TABLE ruleless (id int PRIMARY KEY); INSERT INTO ruleless VALUES (1); ALTER PUBLICATION weir ADD TABLE ruleless')
  assert.equal(await only('ana', 'ruleless', '1'), 'no rule shows rows of table public.ruleless')
  await stack.db.query('DROP TABLE ruleless')
})

test('a key that cannot be one of the table is an error that says what a key is', async () => {
  for (const key of ['1', '["1"]', '["1",null]', '{}', '["1","2","3"]'])
    await assert.rejects(explain('ana', 'members', key), { message: 'a key of table public.members is a JSON array of 2 texts', hint: 'as in the key of an event: ["value 1","value 2"]' })
  await assert.rejects(explain('ana', 'notes', 'one'), /invalid input syntax for type integer: "one"/)
})

test('the caller\'s rights decide, and nothing is written', async () => {
  await stack.db.query(`CREATE ROLE asker; GRANT USAGE ON SCHEMA weir TO asker; GRANT SELECT ON weir.rules, weir.rule_status, notes TO asker`)
  const asker = await stack.connect()
  await asker.query('SET ROLE asker')
  const [elsewhere, own, , team] = await explain('ana', 'notes', '1', asker)
  assert.equal(elsewhere.is_visible, true)
  assert.notEqual(own.is_visible, null)
  assert.equal(team.is_visible, null)
  assert.equal(team.reason, 'the audience cannot be evaluated: permission denied for table members')
  const ask = (audience) => asker.query('SELECT * FROM weir.preview($1, $2)', ['notes', audience])
  await assert.rejects(ask('SELECT m.user_id FROM members m'), /permission denied for table members/)
  await assert.rejects(stack.db.query(`SELECT * FROM weir.preview('notes', 'SELECT public.writes()')`), /cannot execute DELETE in a read-only transaction/)
  await assert.rejects(ask(`SELECT 'ana') AS x(y); DELETE FROM notes; --`), /syntax error/)
  await assert.rejects(ask(`SELECT $1`), /there is no parameter \$1/)
  await assert.rejects(stack.db.query(`SELECT * FROM weir.preview('notes', 'SELECT notes.nobody')`), /column notes\.nobody does not exist/)
  await assert.rejects(preview('notes', `SELECT 'x'`, 'nothing'), { message: 'there is no rule "nothing"', hint: 'leave the name out to preview a new rule' })
  await assert.rejects(preview('notes', `SELECT 'x'`, 'owners'), { message: 'rule "owners" is about table public.parted, and not about public.notes' })
  assert.deepEqual(await explain(`' OR true --`, 'notes', '1').then((rows) => rows.map((row) => row.is_visible)), [false, false, false, false])
  assert.equal((await stack.db.query('SELECT FROM notes')).rowCount, 20)
})

test('subjects that a collation takes for equal are two all the same', async () => {
  await stack.db.query(`
    CREATE COLLATION loose (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
    CREATE TABLE loose (id int PRIMARY KEY, reader text COLLATE loose);
    INSERT INTO loose VALUES (1, 'Yo'), (2, 'yo'); ALTER PUBLICATION weir ADD TABLE loose`)
  const audience = 'SELECT loose.reader'
  await insertRule(stack.db, { name: 'loose', relation: 'loose', audience })
  await until('the rule to be followed', async () => (await stack.db.query(`SELECT FROM weir.rule_status WHERE name = 'loose' AND state = 'active'`)).rowCount === 1)
  const { rows } = await stack.db.query(`SELECT s, (weir.explain(s, 'loose', '1')).is_visible FROM unnest('{Yo,yo}'::text[]) s`)
  assert.deepEqual(rows, [{ s: 'Yo', is_visible: true }, { s: 'yo', is_visible: false }])
  assert.deepEqual(await preview('loose', 'SELECT NULL::text', 'loose'), [{ subject: 'Yo', gains: 0, losses: 1 }, { subject: 'yo', gains: 0, losses: 1 }])
  await stack.db.query('DROP TABLE loose')
})

test('an audience means to the caller what it means to the bridge, whatever the session says', async () => {
  const other = await stack.connect()
  try {
    await other.query('SET standard_conforming_strings = off; SET transform_null_equals = on; SET array_nulls = off')
    await other.query('BEGIN')
    await other.query(`INSERT INTO notes VALUES (900, E'a\\\\b', NULL, NULL)`)
    await other.query(`INSERT INTO weir.rules (name, relation, audience) VALUES ('of backslashes', 'notes', $$SELECT 'bs' WHERE notes.author_id = 'a\\b'$$)`)
    const { rows } = await other.query(`SELECT is_visible FROM weir.explain('bs', 'notes', '900') WHERE rule = 'of backslashes'`)
    assert.deepEqual(rows, [{ is_visible: true }])
    const gains = async (audience) => (await other.query(`SELECT subject, gains FROM weir.preview('notes', $1)`, [audience])).rows
    assert.deepEqual(await gains(`SELECT 'nobody' WHERE notes.body = NULL`), [])
    assert.deepEqual(await gains(String.raw`SELECT 'new' WHERE notes.author_id = ANY ('{"a\\b",NULL}') OR notes.author_id <> ALL ('{"x",NULL}')`), [{ subject: 'new', gains: '1' }])
    await other.query('ROLLBACK')
  } finally {
    await other.end()
  }
})

test('settings of the session stay as they were, and its own changes are seen', async () => {
  await stack.db.query(`SET timezone = 'Asia/Tokyo'; SET datestyle = 'German'; BEGIN; INSERT INTO notes VALUES (200, 'ana', NULL, '')`)
  const answers = await explain('ana', 'notes', '200')
  assert.equal(answers.find((answer) => answer.rule === 'own').is_visible, true)
  assert.equal((await stack.db.query('SHOW timezone')).rows[0].TimeZone, 'Asia/Tokyo')
  await stack.db.query(`DELETE FROM notes WHERE id = 200; ROLLBACK; SET timezone = 'UTC'; SET datestyle = 'ISO'`)
})

// [relation, audience, the rule that it replaces]
const EDITS = [
  ['notes', `SELECT NULL::text`, 'own'],
  ['notes', 'SELECT m.user_id FROM members m WHERE m.project_id = 1', 'new'],
  ['notes', 'SELECT m.user_id FROM members m', 'team'],
  ['notes', `SELECT 'ana' UNION SELECT notes.author_id`, 'elsewhere'],
  ['notes', 'SELECT notes.author_id', 'refused'],
  ['parted', `SELECT 'cy' UNION ALL SELECT 'cy' WHERE parted.part = 1`, 'owners'],
  ['other.notes', 'SELECT n.user_id FROM public.members n', 'namesakes'],
]

let telling = 0
for (const [relation, audience, name] of EDITS) {
  test(`preview of "${name}" is what then happens`, async () => {
    const isNew = name === 'new'
    const pattern = name === 'elsewhere' ? 'other' : 'user'
    const paths = SUBJECTS.map((subject) => (pattern === 'user' ? userStream(subject) : `other/${encodeURIComponent(subject)}`))
    const all = () => Promise.all(paths.map((path) => held(path)))
    const expected = await preview(relation, audience, isNew ? null : name)
    const earlier = await all()
    if (isNew) await insertRule(stack.db, { name, relation, audience })
    else await stack.db.query('UPDATE weir.rules SET audience = $1 WHERE name = $2', [audience, name])
    await stack.settle()
    const later = await all()
    const actual = SUBJECTS.map((subject, i) => ({
      subject,
      gains: [...later[i].keys()].filter((id) => !earlier[i].has(id)).length,
      losses: [...earlier[i].keys()].filter((id) => !later[i].has(id)).length,
    })).filter(({ gains, losses }) => gains + losses > 0)
    const bySubject = (a, b) => (a.subject < b.subject ? -1 : 1)
    assert.deepEqual(expected.sort(bySubject), actual.sort(bySubject))
    if (actual.length) telling++
  })
}

test('edits change something: with a few random rows, an edit alone may not', () => {
  assert.ok(telling >= 3, `${telling} edits changed something`)
})
