// What a row filter may hold is what a condition of an audience may; but the bridge reads it as Postgres
// prints it, which is often not how it was written: LIKE becomes ~~, a constant gets a cast. A table for
// each form, with rows that come, move over its border, and go.

import assert from 'node:assert/strict'
import test from 'node:test'
import { Oracle } from '../lib/oracle.js'
import { Stack } from '../lib/stack.js'
import { verifyFolds } from '../lib/verify.js'

const FORMS = [
  `t LIKE 'a%'`, `t NOT LIKE '%b'`, `v LIKE '_b'`, `j ->> 'k' = 'x'`, `(j -> 'a' ->> 0) IN ('1', 'y')`, `j ->> '0' IS NULL`, `t || '/' || v = 'ab/ab'`,
  `t IN ('a', 'ab')`, `s NOT IN (1, 2)`, `n > 10 OR n = -1`, `n IN (1, 2.5)`, `f > 1 AND f < 2.5`, `c = 'ab'`, `c IN ('a', 'ab')`, `d > '2026-01-01'`,
  `d IN ('2026-01-01', '2026-02-01')`, `ts BETWEEN '2026-01-01' AND '2027-01-01 10:00'`, `tz >= '2026-01-01 05:00+05'`, `t IS DISTINCT FROM 'a'`,
  `COALESCE(t, 'a') = 'a'`, 'COALESCE(b, false)', 'b', 'NOT b', 'b IS NOT TRUE', `t = ANY ('{a,b}')`, `u = 'A0EEBC99-9c0b-4ef8-bb6d-6bb9bd380a11'`,
  `x = '\\x00'`, `t COLLATE "C" < 'b'`, 't IS NULL OR n IS NOT NULL', 'bi = 9999999999', 's > -1', `'a' = ANY (arr)`, 't = v', 'true',
]
const rows = (id) => [
  `(${id}1, 'a', 'a', '{"k": "x", "a": [1]}', 1, 1, 1.5, 'ab', '2026-01-01', '2026-06-01', '2026-01-01 00:00+00', true, 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '\\x00', 7, '{a}')`,
  `(${id}2, 'ab', 'cb', '{"k": "y", "a": ["y"]}', 5, 10.5, 2.5, 'a', '2026-02-01', '2020-01-01', '2025-01-01', false, NULL, '', 9999999999, '{}')`,
  `(${id}3, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)`,
  `(${id}4, '', '', '[]', -1, -1, -1, '', 'infinity', 'infinity', '-infinity', NULL, NULL, '\\x0000', 0, '{NULL}')`,
].join(', ')

const tables = FORMS.map((_, i) => `filtered_${i}`)
const forEach = (sql) => tables.map(sql).join(';')

test('row filters as Postgres prints them', async () => {
  const stack = await Stack.create('filter-forms', {
    schema: forEach((table) => `CREATE TABLE ${table} (id int PRIMARY KEY, t text, v varchar(9), j jsonb, s smallint, n numeric, f float8, c char(4), d date,
      ts timestamp, tz timestamptz, b bool, u uuid, x bytea, bi bigint, arr text[]); ALTER TABLE ${table} REPLICA IDENTITY FULL; INSERT INTO ${table} VALUES ${rows('')}`),
    tables: FORMS.map((form, i) => `${tables[i]} WHERE (${form})`),
    rules: tables.map((table) => ({ name: table, relation: table, audience: `SELECT 'all'` })),
  })
  try {
    const verify = async () => {
      await stack.settle()
      await verifyFolds(stack.server.url, await new Oracle(stack.db, { publication: 'weir' }).state(), ['user/all/data'])
    }
    stack.bridge.start()
    await verify()
    await stack.db.query(forEach((table) => `INSERT INTO ${table} VALUES ${rows('1')}`))
    await verify()
    await stack.db.query(forEach((table) => `UPDATE ${table} SET t = 'ab', v = 'ab', s = 5, n = 2.5, b = NOT b, d = '2026-01-01', j = '{"k": "x"}' WHERE id % 10 IN (1, 4)`))
    await verify()
    await stack.db.query(forEach((table) => `DELETE FROM ${table} WHERE id < 3`))
    await verify()
    const { rows: refused } = await stack.db.query(`SELECT name, reason FROM weir.rule_status WHERE state <> 'active'`)
    assert.deepEqual(refused, [])
  } catch (error) {
    error.message += `\nbridge:\n${stack.bridge.log(40)}`
    throw error
  } finally {
    await stack.close()
  }
})
