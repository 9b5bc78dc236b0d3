// A rule as long as a program can write it. What it costs to understand it has to follow its length:
// a bridge that runs out of memory over one rule shows nothing to anybody.

import test from 'node:test'
import { Oracle } from '../lib/oracle.js'
import { Stack } from '../lib/stack.js'
import { verifyFolds } from '../lib/verify.js'

const CONDITIONS = 5_000

const SCHEMA = `
CREATE TABLE users (id text PRIMARY KEY, n int);
CREATE TABLE notes (id int PRIMARY KEY);
INSERT INTO users VALUES ('ana', 1), ('bo', ${CONDITIONS + 1})`

test('a rule of five thousand conditions', async () => {
  const terms = (operator) => Array.from({ length: CONDITIONS }, (_, i) => `u.n ${operator} ${i + 2}`)
  const stack = await Stack.create('long', {
    schema: SCHEMA,
    tables: ['users', 'notes'],
    rules: [
      { name: 'all of them', relation: 'notes', audience: `SELECT u.id FROM users u WHERE ${terms('<>').join(' AND ')}` },
      { name: 'none of them', relation: 'notes', audience: `SELECT u.id FROM users u WHERE NOT (${terms('=').join(' OR ')})`, type: 'other' },
    ],
  })
  const { db } = stack
  const verify = async () => {
    await stack.settle()
    await verifyFolds(stack.server.url, await new Oracle(db).state(), ['user/ana/data', 'user/bo/data'])
  }
  try {
    await db.query(`INSERT INTO notes VALUES (1)`)
    stack.bridge.start()
    await verify()
    await db.query(`UPDATE users SET n = -n`)
    await verify()
  } catch (error) {
    error.message += `\nbridge:\n${stack.bridge.log(40).slice(-4000)}`
    throw error
  } finally {
    await stack.close()
  }
})
