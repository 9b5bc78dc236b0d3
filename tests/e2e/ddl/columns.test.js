// Columns that a rule names without their table, and columns that swap their names: the rule's text stays as
// it is while ALTER TABLE changes what it means.

import assert from 'node:assert/strict'
import test from 'node:test'
import { Oracle } from '../lib/oracle.js'
import { Stack } from '../lib/stack.js'
import { verifyFolds } from '../lib/verify.js'
import { until } from '../lib/wait.js'

const STREAMS = ['ana', 'bo', 'cem'].map((user) => `user/${user}/data`)
const SCHEMA = `
  CREATE TABLE notes (id int PRIMARY KEY, project int, title text);
  CREATE TABLE members (id int PRIMARY KEY, in_project int, of_project int, who text, other text);
  INSERT INTO notes VALUES (1, 10, 'a'), (2, 20, 'b'), (3, NULL, 'c');
  INSERT INTO members VALUES (1, 10, 20, 'ana', 'bo'), (2, 20, 20, 'bo', 'cem'), (3, 30, 10, 'cem', 'ana');`

/** Waits until every stream is what Postgres says, and the rule what it should be. */
async function becomes(stack, reason) {
  const expected = reason ? new Map() : await new Oracle(stack.db).state()
  await until(`the rule to be ${reason ?? 'active'}`, async () => {
    const { rows } = await stack.db.query(`SELECT state, reason FROM weir.rule_status WHERE name = 'members'`)
    assert.equal(rows[0].state, reason ? 'refused' : 'active')
    if (reason) assert.match(rows[0].reason, reason)
    await verifyFolds(stack.server.url, expected, STREAMS)
    return true
  })
}

async function scene(name, audience, act, tables = ['notes', 'members']) {
  const stack = await Stack.create(`columns-${name}`, {
    schema: SCHEMA, tables,
    rules: [{ name: 'members', relation: 'notes', audience }],
    bridgeArgs: ['--catalog-interval', '100ms'],
  })
  try {
    stack.bridge.start()
    await stack.settle()
    await becomes(stack)
    await act(stack)
  } catch (error) {
    error.message += `\nbridge:\n${stack.bridge.log(40)}`
    throw error
  } finally {
    await stack.close()
  }
}

const OUTER = 'SELECT m.who FROM members m WHERE m.in_project = project'

test('a column that is added to a table is what a name of the outer row means from then on, and no longer when it goes', () =>
  scene('added', OUTER, async (stack) => {
    await stack.db.query('ALTER TABLE members ADD COLUMN project int')
    await becomes(stack)
    await stack.db.query('UPDATE members SET project = in_project WHERE id = 3')
    await stack.settle()
    await becomes(stack)
    await stack.db.query('ALTER TABLE members DROP COLUMN project')
    await becomes(stack)
  }))

test('the same by names that change, in one transaction with writes, and over a kill', () =>
  scene('renamed', OUTER, async (stack) => {
    await stack.bridge.kill()
    await stack.db.query(`BEGIN; INSERT INTO notes VALUES (4, 10, 'd'); ALTER TABLE members RENAME of_project TO project;
      INSERT INTO notes VALUES (5, 10, 'e'); COMMIT`)
    await stack.db.query(`INSERT INTO notes VALUES (6, 20, 'f')`)
    stack.bridge.start()
    await stack.settle()
    await becomes(stack)
    await stack.db.query('ALTER TABLE members RENAME project TO of_project')
    await becomes(stack)
  }))

test('columns that a rule reads swap their names', () =>
  scene('swapped', 'SELECT m.who FROM members m WHERE m.in_project = notes.project', async (stack) => {
    for (const [a, b] of [['who', 'other'], ['in_project', 'of_project']]) {
      await stack.db.query(`BEGIN; ALTER TABLE members RENAME ${a} TO x; ALTER TABLE members RENAME ${b} TO ${a};
        ALTER TABLE members RENAME x TO ${b}; COMMIT`)
      await becomes(stack)
    }
  }))

for (const [column, from] of [
  ['who', 'SELECT who FROM members m JOIN notes n ON n.project = m.in_project WHERE n.id = notes.id'],
  ['of_project', 'SELECT k.who FROM notes n JOIN members m ON m.in_project = n.project JOIN members k USING (of_project) WHERE n.id = notes.id'],
]) {
  test(`a name that becomes ambiguous shows nothing: ${column}`, () =>
    scene(`ambiguous-${column}`, from, async (stack) => {
      await stack.db.query(`ALTER TABLE notes ADD COLUMN ${column} text`)
      await becomes(stack, new RegExp(`column ${column} is ambiguous`))
      await stack.db.query(`ALTER TABLE notes DROP COLUMN ${column}`)
      await becomes(stack)
    }))
}

test('a column that USING makes one of two is its own table\'s in a row filter', () =>
  scene('filtered', 'SELECT b.who FROM members a JOIN members b USING (in_project) WHERE in_project = notes.project', async (stack) => {
    await stack.db.query(`INSERT INTO members VALUES (4, 10, 10, 'bo', 'bo')`)
    await stack.settle()
    await becomes(stack)
  }, ['notes', 'members WHERE (in_project > 0)']))
