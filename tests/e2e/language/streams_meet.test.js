// Patterns that lead to one stream with the right subjects, as p/{subject} and p/a{subject}. Side by side under one type they
// are refused, by the bridge too where Postgres did not look; a rule that goes from one to the other hands its rows over.

import assert from 'node:assert/strict'
import test from 'node:test'
import { Oracle } from '../lib/oracle.js'
import { Stack, insertRule } from '../lib/stack.js'
import { verifyFolds } from '../lib/verify.js'

const PAIRS = [
  ['p/{subject}', 'p/a{subject}'], ['p/{subject}-x', 'p/a-{subject}'], ['{subject}/all', 'p/{subject}'], ['p/{subject}/x', '{subject}/a/x'], ['p/.{subject}x', 'p/.a{subject}x'],
]
const APART = [['p/{subject}', 'p/{subject}/a'], ['p/a{subject}', 'p/b{subject}'], ['{subject}/abcd', 'p/abc{subject}bcd']]
const SCHEMA = `
CREATE TABLE notes (id int PRIMARY KEY, one text, other text, title text);
INSERT INTO notes VALUES (1, 'a', NULL, 't'), (2, 'ab', 'b', 't'), (3, 'b', 'ab', 't'), (4, 'p', 'a', 't'), (5, 'a-x', 'x', 't'), (6, 'p', 'all', 't'), (7, 'a', 'p', 't');
INSERT INTO notes SELECT i, 'ab', 'b', 't' FROM generate_series(11, 60) i`
const ONE = { name: 'one', relation: 'notes', audience: 'SELECT notes.one' }
const OTHER = { name: 'other', relation: 'notes', audience: `SELECT notes.other WHERE notes.other IS NOT NULL`, columns: ['id', 'title'] }

/** Puts a rule in without a look at it, as a subscription or a restore does. */
async function smuggle(db, rule) {
  await db.query('SET session_replication_role = replica')
  await insertRule(db, rule)
  await db.query('RESET session_replication_role')
}

/** What an edit reaches is spilled, and then comes in no order. */
async function inStack(act) {
  const stack = await Stack.create('streams-meet', { schema: SCHEMA, tables: ['notes'], rules: [], bridgeArgs: ['--transaction-memory', '1K'] })
  const seen = new Set() // a stream stays when its rows are gone
  const isRight = async () => {
    await stack.settle()
    const state = await new Oracle(stack.db).state()
    for (const path of state.keys()) seen.add(path)
    await verifyFolds(stack.server.url, state, seen)
  }
  const status = async () => (await stack.db.query(`SELECT state, reason FROM weir.rule_status WHERE name = 'other'`)).rows[0]
  try {
    stack.bridge.start()
    await stack.settle()
    await act(stack.db, isRight, status)
  } finally {
    await stack.close()
  }
}

test('side by side they are refused, and those that never meet are not', () =>
  inStack(async (db, isRight, status) => {
    for (const [one, other] of PAIRS) {
      await insertRule(db, { ...ONE, stream: one })
      await isRight()
      await smuggle(db, { ...OTHER, stream: other })
      await db.query(`UPDATE notes SET title = title || '!'`)
      await isRight().then(() => assert.fail('shown'), (error) => assert.match(error.message, /lost|differs/))
      assert.match((await status()).reason, /can be one stream, and would both have rows of type "notes"/)
      await db.query(`UPDATE weir.rules SET type = 'other' WHERE name = 'other'`)
      await isRight()
      assert.equal((await status()).state, 'active')
      await db.query(`DELETE FROM weir.rules WHERE name IN ('one', 'other')`)
      await isRight()
    }
    for (const [one, other] of APART) {
      await insertRule(db, { ...ONE, stream: one })
      await insertRule(db, { ...OTHER, stream: other })
      await isRight()
      assert.equal((await status()).state, 'active', `${one} ${other}`)
      await db.query(`DELETE FROM weir.rules WHERE name IN ('one', 'other')`)
    }
  }))

test('a rule that goes from one to the other hands its rows over', () =>
  inStack(async (db, isRight) => {
    for (const [one, other] of [...PAIRS, ...PAIRS.map(([a, b]) => [b, a])]) {
      await insertRule(db, { ...ONE, stream: one })
      await isRight()
      await db.query('UPDATE weir.rules SET stream = $1, audience = $2 WHERE name = $3', [other, OTHER.audience, 'one'])
      await isRight()
      await db.query(`BEGIN; UPDATE weir.rules SET stream = '${one}', audience = 'SELECT notes.one' WHERE name = 'one'; UPDATE notes SET title = title || '.', one = other, other = one; COMMIT`)
      await isRight()
      await db.query(`DELETE FROM weir.rules WHERE name = 'one'`)
      await isRight()
    }
  }))

test('an end is compared by its characters, not within an encoded one', () =>
  inStack(async (db, isRight, status) => {
    await insertRule(db, { ...ONE, stream: 'p/{subject}5', audience: 'SELECT notes.one WHERE notes.id = 0' })
    await insertRule(db, { ...OTHER, stream: 'p/{subject}%', audience: 'SELECT notes.other WHERE notes.id = 0' }) // %25
    await isRight()
    assert.deepEqual(await status(), { state: 'active', reason: null })
  }))
