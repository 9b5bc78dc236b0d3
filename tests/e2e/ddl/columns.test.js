// Columns that a rule names without their table, and columns that swap their names: the rule's text stays as
// it is while ALTER TABLE changes what it means.

import test from 'node:test'
import { ruleScene } from '../lib/rule_scene.js'
import { shareCluster } from '../lib/shared_cluster.js'

const cluster = shareCluster('columns')

const SCHEMA = `
  CREATE TABLE notes (id int PRIMARY KEY, project int, title text);
  CREATE TABLE members (id int PRIMARY KEY, in_project int, of_project int, who text, other text);
  INSERT INTO notes VALUES (1, 10, 'a'), (2, 20, 'b'), (3, NULL, 'c');
  INSERT INTO members VALUES (1, 10, 20, 'ana', 'bo'), (2, 20, 20, 'bo', 'cem'), (3, 30, 10, 'cem', 'ana');`

const scene = (name, audience, act, tables = ['notes', 'members']) =>
  ruleScene(`columns-${name}`, { cluster: cluster(), schema: SCHEMA, tables, rule: { relation: 'notes', audience } }, async (stack, becomes) => {
    await becomes()
    await act(stack, becomes)
  })

const OUTER = 'SELECT m.who FROM members m WHERE m.in_project = project'

test('a column that is added to a table is what a name of the outer row means from then on, and no longer when it goes', () =>
  scene('added', OUTER, async (stack, becomes) => {
    await stack.db.query('ALTER TABLE members ADD COLUMN project int')
    await becomes()
    await stack.db.query('UPDATE members SET project = in_project WHERE id = 3')
    await stack.settle()
    await becomes()
    await stack.db.query('ALTER TABLE members DROP COLUMN project')
    await becomes()
  }))

test('the same by names that change, in one transaction with writes, and over a kill', () =>
  scene('renamed', OUTER, async (stack, becomes) => {
    await stack.bridge.kill()
    await stack.db.query(`BEGIN; INSERT INTO notes VALUES (4, 10, 'd'); ALTER TABLE members RENAME of_project TO project;
      INSERT INTO notes VALUES (5, 10, 'e'); COMMIT`)
    await stack.db.query(`INSERT INTO notes VALUES (6, 20, 'f')`)
    stack.bridge.start()
    await stack.settle()
    await becomes()
    await stack.db.query('ALTER TABLE members RENAME project TO of_project')
    await becomes()
  }))

test('columns that a rule reads swap their names', () =>
  scene('swapped', 'SELECT m.who FROM members m WHERE m.in_project = notes.project', async (stack, becomes) => {
    for (const [a, b] of [['who', 'other'], ['in_project', 'of_project']]) {
      await stack.db.query(`BEGIN; ALTER TABLE members RENAME ${a} TO x; ALTER TABLE members RENAME ${b} TO ${a};
        ALTER TABLE members RENAME x TO ${b}; COMMIT`)
      await becomes()
    }
  }))

for (const [column, from] of [
  ['who', 'SELECT who FROM members m JOIN notes n ON n.project = m.in_project WHERE n.id = notes.id'],
  ['of_project', 'SELECT k.who FROM notes n JOIN members m ON m.in_project = n.project JOIN members k USING (of_project) WHERE n.id = notes.id'],
]) {
  test(`a name that becomes ambiguous shows nothing: ${column}`, () =>
    scene(`ambiguous-${column}`, from, async (stack, becomes) => {
      await stack.db.query(`ALTER TABLE notes ADD COLUMN ${column} text`)
      await becomes(new RegExp(`column ${column} is ambiguous`))
      await stack.db.query(`ALTER TABLE notes DROP COLUMN ${column}`)
      await becomes()
    }))
}

test('a column that USING makes one of two is its own table\'s in a row filter', () =>
  scene('filtered', 'SELECT b.who FROM members a JOIN members b USING (in_project) WHERE in_project = notes.project', async (stack, becomes) => {
    await stack.db.query(`INSERT INTO members VALUES (4, 10, 10, 'bo', 'bo')`)
    await stack.settle()
    await becomes()
  }, ['notes', 'members WHERE (in_project > 0)']))

test('a column that a rule shows gets another name, and its name goes to another column', () =>
  ruleScene('columns-shown', { cluster: cluster(), schema: SCHEMA, tables: ['notes'], rule: { relation: 'notes', audience: `SELECT 'ana'`, columns: ['id', 'title'] } }, async (stack, becomes) => {
    await becomes()
    await stack.db.query('ALTER TABLE notes RENAME title TO heading')
    await becomes(/column "title" of notes is not published \(hint: write the rule's columns anew; /)
    await stack.db.query('ALTER TABLE notes RENAME project TO title')
    await becomes()
  }))
