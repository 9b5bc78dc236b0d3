// docs/rules.md, taken at its word: each recipe of the cookbook runs in a real bridge and its
// streams are compared with what Postgres answers; each refusal of the table is asked for.

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import test, { after, before } from 'node:test'
import { Oracle } from '../e2e/lib/oracle.js'
import { Stack } from '../e2e/lib/stack.js'
import { readStream } from '../e2e/lib/stream.js'
import { until } from '../e2e/lib/wait.js'
import { verifyFolds } from '../e2e/lib/verify.js'

const PAGE = readFileSync(new URL('../../docs/rules.md', import.meta.url), 'utf8')
const COOKBOOK = PAGE.slice(PAGE.indexOf('## Cookbook'), PAGE.indexOf('## What must be known'))
const [SETUP, ...RECIPES] = [...COOKBOOK.matchAll(/^```sql\n(.*?)^```$/gms)].map((match) => match[1])
const TITLES = [...COOKBOOK.matchAll(/^\*\*(.*?)[.*]/gm)].map((match) => match[1])
const REFUSALS = [...PAGE.matchAll(/^\| `((?:SELECT|WITH|VALUES).*?)` \| (.*?) \|$/gm)].map((match) => [match[1], match[2]])

const DATA = `
  INSERT INTO users VALUES ('ana', false), ('bo', false), ('cy', true);
  INSERT INTO projects VALUES (1, 'one'), (2, 'two');
  INSERT INTO members VALUES (1, 'ana', 'owner'), (1, 'bo', 'viewer'), (2, 'bo', 'editor');
  INSERT INTO notes VALUES (1, 'ana', 1, false, 'plan', 'a'), (2, 'bo', 2, true, 'news', 'b'), (3, 'cy', NULL, false, 'lone', 'c');
  INSERT INTO comments VALUES (1, 1, 'yes'), (2, 2, 'no');
  INSERT INTO tokens VALUES ('secret/1', 1);
  INSERT INTO blocks VALUES ('bo', 'cy');`

// Each is a transaction. Between them, rights come and go in every way that a recipe speaks of.
const CHANGES = [
  `UPDATE notes SET author_id = 'bo' WHERE id = 1`,
  `INSERT INTO members VALUES (2, 'ana', 'viewer'); UPDATE members SET role = 'banned' WHERE project_id = 1 AND user_id = 'bo'`,
  `UPDATE notes SET project_id = 2, title = 'moved' WHERE id = 1`,
  `UPDATE users SET is_admin = NOT is_admin WHERE id IN ('ana', 'cy')`,
  `UPDATE notes SET is_public = NOT is_public`,
  `INSERT INTO blocks VALUES ('ana', 'bo'); DELETE FROM blocks WHERE blocker_id = 'bo'`,
  `UPDATE members SET role = 'editor' WHERE user_id = 'ana'; UPDATE members SET role = 'viewer' WHERE user_id = 'bo'`,
  `DELETE FROM tokens; INSERT INTO tokens VALUES ('secret/2', 2), ('secret/3', 3)`,
  `INSERT INTO users VALUES ('di', true); INSERT INTO members VALUES (1, 'di')`,
  `DELETE FROM notes WHERE id = 2; UPDATE comments SET body = 'still' WHERE id = 1`,
  `DELETE FROM members WHERE user_id = 'bo'`,
  `INSERT INTO notes VALUES (4, 'ana', 2, true, 'last', 'd'); INSERT INTO tokens VALUES ('secret/4', 4); INSERT INTO comments VALUES (4, 4, 'last')`,
  `UPDATE notes SET title = title || '!'`,
]

const RESET = `TRUNCATE users, projects, members, notes, comments, blocks, tokens; ${DATA}`

let stack
let oracle
const paths = new Set()

before(async () => {
  stack = await Stack.create('cookbook', { schema: SETUP.slice(0, SETUP.indexOf('ALTER PUBLICATION')), tables: [], rules: [] })
  await stack.db.query(SETUP.slice(SETUP.indexOf('ALTER PUBLICATION')))
  await stack.db.query(`CREATE TABLE secrets (user_id text PRIMARY KEY); ${DATA}`)
  await stack.db.query('SET jit = off') // it takes seconds over the oracle's one large query
  oracle = new Oracle(stack.db)
  stack.bridge.start()
})

after(() => stack?.close())

async function statuses() {
  const { rows } = await stack.db.query(`SELECT name, state, reason FROM weir.rule_status WHERE name <> 'test marker' ORDER BY name`)
  return rows
}

/** Compares all streams with Postgres; returns how many events they hold by now. */
async function compare() {
  await stack.settle()
  const state = await oracle.state()
  for (const path of state.keys()) paths.add(path)
  return verifyFolds(stack.server.url, state, paths)
}

const dropRules = () => stack.db.query(`DELETE FROM weir.rules WHERE name <> 'test marker'`)

assert.equal(RECIPES.length, TITLES.length, 'each recipe has a title')
assert.ok(RECIPES.length >= 10 && REFUSALS.length >= 25, 'the page has its cookbook and its refusals')

for (const [index, recipe] of RECIPES.entries()) {
  test(TITLES[index], async () => {
    await dropRules()
    await stack.db.query(RESET)
    await stack.db.query(recipe)
    let before = await compare()
    for (const rule of await statuses()) assert.equal(rule.state, 'active', `${rule.name}: ${rule.reason}`)
    let moved = 0
    for (const change of CHANGES) {
      await stack.db.query(change)
      const now = await compare()
      moved += now > before
      before = now
    }
    assert.ok(moved >= 2, `only ${moved} of the changes reached a stream`)
    await dropRules()
    assert.ok((await compare()) > before, 'deleting the rule empties its streams')
  })
}

test('all recipes together', async () => {
  await dropRules()
  await stack.db.query(RESET)
  await stack.db.query(RECIPES.join(''))
  await compare()
  for (const change of CHANGES) {
    await stack.db.query(change)
    await compare()
  }
  await dropRules()
  await compare()
})

// What the page's table of supported SQL names, each in one audience.
const SUPPORTED = [
  `SELECT DISTINCT m.user_id FROM members m UNION ALL SELECT 'all'`,
  `SELECT 7`,
  `SELECT 'note ' || notes.id || '/' || notes.author_id`,
  `SELECT notes.id::text || 'x'`,
  `SELECT u.id FROM users u, members m WHERE u.id = m.user_id AND m.project_id = notes.project_id`,
  `SELECT u.id FROM users u CROSS JOIN projects p WHERE p.id = notes.project_id`,
  `SELECT other.user_id FROM members m JOIN members other USING (project_id) WHERE m.user_id = notes.author_id`,
  `SELECT public.users.id FROM public.users WHERE users.is_admin`,
  `SELECT m.user_id FROM members m WHERE NOT (m.role = 'banned' OR m.project_id <> notes.project_id)`,
  `SELECT m.user_id FROM members m WHERE m.user_id NOT IN (SELECT b.blocker_id FROM blocks b WHERE b.blocked_id = notes.author_id)`,
  `SELECT u.id FROM users u WHERE u.id = ANY (SELECT m.user_id FROM members m WHERE m.project_id = notes.project_id)`,
  `SELECT u.id FROM users u WHERE u.id IN (SELECT m.user_id FROM members m UNION SELECT b.blocker_id FROM blocks b)`,
  `SELECT u.id FROM users u WHERE EXISTS (SELECT FROM members m WHERE m.user_id = u.id AND NOT EXISTS (SELECT 1 FROM tokens t WHERE t.note_id = notes.id))`,
  `SELECT u.id FROM users u WHERE u.id IN ('ana', 'bo') AND notes.id NOT IN (2, 99)`,
  `SELECT u.id FROM users u WHERE u.id = ANY (ARRAY['ana', 'cy'])`,
  `SELECT u.id FROM users u WHERE notes.id BETWEEN 1 AND 2 AND notes.id <= 2 AND notes.id > 0.5`,
  `SELECT u.id FROM users u WHERE notes.id NOT BETWEEN 2 AND 3`,
  `SELECT u.id FROM users u WHERE notes.project_id IS NULL AND notes.author_id IS NOT NULL`,
  `SELECT u.id FROM users u WHERE u.is_admin IS NOT TRUE AND notes.is_public IS FALSE`,
  `SELECT notes.author_id WHERE notes.is_public AND NOT notes.id = 7`,
]

test('what the page says is supported is followed', async () => {
  await dropRules()
  await stack.db.query(RESET)
  for (const [index, audience] of SUPPORTED.entries()) {
    await stack.db.query('INSERT INTO weir.rules (name, relation, audience, stream) VALUES ($1, $2, $3, $4)', [
      `supported ${index}`, 'notes', audience, `supported-${index}/{subject}`,
    ])
  }
  await compare()
  for (const rule of await statuses()) assert.equal(rule.state, 'active', `${rule.name}: ${rule.reason}`)
  for (const [index, change] of CHANGES.entries()) {
    await stack.db.query(change)
    if (index % 3 === 0) await compare()
  }
  await compare()
  const silent = SUPPORTED.filter((_, index) => ![...paths].some((path) => path.startsWith(`supported-${index}/`)))
  assert.deepEqual(silent, [], 'each of them shows something to somebody')
})

test('an audience has its bounds, and says so', async () => {
  await dropRules()
  const wide = `SELECT u.id FROM users u WHERE ${'(u.id = notes.author_id OR u.is_admin) AND '.repeat(7)} u.id <> 'x'`
  const long = `SELECT u0.id FROM users u0 ${Array.from({ length: 31 }, (_, i) => `JOIN users u${i + 1} ON u${i + 1}.id = u${i}.id`).join(' ')}`
  await stack.db.query(`INSERT INTO weir.rules (name, relation, audience) VALUES ('1 wide', 'notes', $1), ('2 long', 'notes', $2)`, [wide, long])
  await stack.settle()
  let rows
  await until('both rules to be reported', async () => (rows = await statuses()).length === 2)
  assert.match(rows[0].reason, /^the audience has more than 64 alternatives/)
  assert.match(rows[1].reason, /^more than 31 tables is not supported/)
})

test('every refusal is made as the page says', async () => {
  await dropRules()
  for (const [index, [audience]] of REFUSALS.entries()) {
    await stack.db.query('INSERT INTO weir.rules (name, relation, audience, stream) VALUES ($1, $2, $3, $4)', [
      `refused ${String(index).padStart(2, '0')}`, 'notes', audience.replaceAll('\\|', '|'), 'refused/{subject}',
    ])
  }
  await stack.settle()
  let rows
  await until('all rules to be reported', async () => (rows = await statuses()).length === REFUSALS.length)
  const said = rows.map((row, index) => `${REFUSALS[index][0]}: ${row.state}: ${row.reason?.replace(/ \(hint: .*\)$/, '')}`)
  assert.deepEqual(said, REFUSALS.map(([audience, reason]) => `${audience}: refused: ${reason}`))
  for (const subject of ['ana', 'bo', 'cy', 'all']) assert.equal((await readStream(stack.server.url, `refused/${subject}`)).exists, false)
})
