// weir.explain and weir.preview where only a part of a table is published: they say what the streams hold.

import assert from 'node:assert/strict'
import test from 'node:test'
import { Random, seedFromEnvironment } from '../e2e/lib/random.js'
import { Stack } from '../e2e/lib/stack.js'
import { Fold, readStream, userStream } from '../e2e/lib/stream.js'
import { until } from '../e2e/lib/wait.js'

const USERS = ['ana', 'bo', 'cy']

const SCHEMA = `
  CREATE TABLE notes (id int PRIMARY KEY, author_id text, project_id int, is_draft boolean NOT NULL, secret text);
  CREATE TABLE "mem-bers" (project_id int, user_id text, is_active boolean, note text, PRIMARY KEY (project_id, user_id));
  CREATE SCHEMA app; CREATE TABLE app.docs (id int PRIMARY KEY, project_id int);`

const RULES = [
  { name: 'own', relation: 'notes', audience: 'SELECT notes.author_id' },
  { name: 'team', relation: 'notes', audience: 'SELECT m.user_id FROM "mem-bers" m WHERE m.project_id = notes.project_id', columns: ['id', 'is_draft'] },
  { name: 'colleagues', relation: 'notes', audience: 'SELECT n.author_id FROM notes n WHERE n.project_id = notes.project_id', type: 'seen' },
  { name: 'docs', relation: 'app.docs', audience: 'SELECT m.user_id FROM "mem-bers" m WHERE m.project_id = docs.project_id' },
  { name: 'members', relation: '"mem-bers"', audience: 'SELECT "mem-bers".user_id' },
]

const EDITS = [
  ['notes', 'SELECT m.user_id FROM "mem-bers" m WHERE m.project_id <> notes.project_id', 'team'],
  ['notes', `SELECT 'cy' UNION SELECT n.author_id FROM notes n WHERE n.id > notes.id`, 'own'],
  ['app.docs', 'SELECT n.author_id FROM notes n WHERE n.project_id = docs.project_id', 'docs'],
]

test('what is explained and previewed is what the streams hold and get', async () => {
  const seed = seedFromEnvironment()
  console.log(`seed: WEIR_SEED=${seed}`)
  const random = new Random(seed)
  const stack = await Stack.create('explain-part', { schema: SCHEMA, tables: ['app.docs'], rules: [] })
  const { db } = stack
  const held = async (subject) => {
    const { events } = await readStream(stack.server.url, userStream(subject))
    const rows = new Map()
    for (const [type, byKey] of new Fold().applyAll(events).state) for (const [key, value] of byKey) rows.set(`${type} ${key}`, Object.keys(JSON.parse(value)).sort())
    return rows
  }
  const preview = async (relation, audience, name) =>
    (await db.query('SELECT subject, gains::int, losses::int FROM weir.preview($1::text::regclass, $2, $3) ORDER BY subject', [relation, audience, name])).rows
  try {
    await db.query(`ALTER PUBLICATION weir ADD TABLE notes (id, author_id, project_id, is_draft) WHERE (NOT is_draft), "mem-bers" (project_id, user_id, is_active) WHERE (is_active)`)
    await db.query(`ALTER PUBLICATION weir SET (publish = 'insert')`) // updates would want the filters' columns in the keys
    for (const { name, relation, audience, columns = null, type = null } of RULES)
      await db.query('INSERT INTO weir.rules (name, relation, audience, columns, type) VALUES ($1, $2::regclass, $3, $4, $5)', [name, relation, audience, columns, type])
    const someone = () => random.pick([...USERS, null])
    for (let i = 1; i <= 30; i++) await db.query('INSERT INTO notes VALUES ($1, $2, $3, $4, $5)', [i, someone(), random.pick([1, 2, 3, null]), random.chance(0.5), 'hidden'])
    for (const project of [1, 2, 3]) for (const user of USERS) if (random.chance(0.7)) await db.query('INSERT INTO "mem-bers" VALUES ($1, $2, $3)', [project, user, random.pick([true, false, null])])
    for (let i = 1; i <= 6; i++) await db.query('INSERT INTO app.docs VALUES ($1, $2)', [i, random.pick([1, 2, 3, null])])
    stack.markByInsert = true
    stack.bridge.start()
    await stack.settle()
    await until('the rules to be reported', async () => (await db.query(`SELECT FROM weir.rule_status WHERE state = 'active'`)).rowCount === RULES.length + 1)

    let outside = 0
    for (const subject of USERS) {
      const rows = await held(subject)
      for (const [relation, key] of [['notes', 'id::text'], ['app.docs', 'id::text'], ['"mem-bers"', `replace(json_build_array(project_id::text, user_id)::text, ', ', ',')`]]) {
        for (const { key: at } of (await db.query(`SELECT ${key} AS key FROM ${relation}`)).rows) {
          const answers = (await db.query('SELECT a.rule, a.is_visible, a.columns::text[], a.reason, r.type FROM weir.explain($1, $2::text::regclass, $3) a LEFT JOIN weir.rules r ON r.name = a.rule', [subject, relation, at])).rows
          assert.ok(answers.every((answer) => answer.is_visible !== null), JSON.stringify(answers))
          outside += answers.filter((answer) => /^the row is outside of the row filter/.test(answer.reason)).length
          for (const type of new Set(answers.map((answer) => answer.type))) {
            const showing = answers.filter((answer) => answer.is_visible && answer.type === type)
            const id = `${type ?? { notes: 'notes', 'app.docs': 'docs', '"mem-bers"': 'mem-bers' }[relation]} ${at}`
            assert.deepEqual([...new Set(showing.flatMap((answer) => answer.columns))].sort(), rows.get(id) ?? [], `${subject} ${id}: ${JSON.stringify(answers)}`)
            rows.delete(id)
          }
        }
      }
      assert.deepEqual([...rows.keys()], [], 'all of the stream was asked about')
    }
    assert.ok(outside > 10, `${outside} rows outside of the filters`)

    for (const [relation, audience, name] of EDITS) {
      const expected = await preview(relation, audience, name)
      const earlier = new Map(await Promise.all(USERS.map(async (user) => [user, await held(user)])))
      await db.query('UPDATE weir.rules SET audience = $1 WHERE name = $2', [audience, name])
      await stack.settle()
      const actual = []
      for (const subject of USERS) {
        const later = await held(subject)
        const gains = [...later.keys()].filter((id) => !earlier.get(subject).has(id)).length
        const losses = [...earlier.get(subject).keys()].filter((id) => !later.has(id)).length
        if (gains + losses > 0) actual.push({ subject, gains, losses })
      }
      assert.deepEqual(expected, actual, `preview of ${name}`)
    }
    await assert.rejects(preview('notes', 'SELECT m.note FROM "mem-bers" m', null), /column m.note does not exist/)
    await assert.rejects(preview('notes', 'SELECT m.user_id FROM public . "mem-bers" m', null), /only a part of table public."mem-bers" is published/)
    await assert.rejects(preview('notes', 'SELECT notes.secret', null), /column notes.secret does not exist/)
  } catch (error) {
    error.message += `\nseed: WEIR_SEED=${seed}\nbridge:\n${stack.bridge.log()}`
    throw error
  } finally {
    await stack.close()
  }
})
