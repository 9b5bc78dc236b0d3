// Operators and casts of the application's own, which Postgres takes where a rule writes = or || or makes a text
// of a value: made and dropped while the bridge runs. A rule that one of them concerns shows nothing, and says so;
// the others go on.

import assert from 'node:assert/strict'
import test from 'node:test'
import { Oracle } from '../lib/oracle.js'
import { shareCluster } from '../lib/shared_cluster.js'
import { insertRule, Stack } from '../lib/stack.js'
import { verifyFolds } from '../lib/verify.js'
import { until } from '../lib/wait.js'
import { runWeir } from '../lib/weir.js'

const cluster = shareCluster('own')
const SCHEMA = `
  CREATE TYPE role AS ENUM ('admin', 'user');
  CREATE DOMAIN code AS text;
  CREATE TABLE users (id text PRIMARY KEY, role role, nick varchar(20), n int, number numeric, code code, u uuid, span interval);
  CREATE TABLE notes (id int PRIMARY KEY, role role, nick varchar(20), n int, code code);
  INSERT INTO users VALUES ('ana', 'admin', 'ann', 1, 1.5, 'a', '0000000a-0000-0000-0000-000000000000', '1 day'),
    ('bo', 'user', 'bob', 2, 2, 'b', '0000000b-0000-0000-0000-000000000000', '2 days');
  INSERT INTO notes VALUES (1, 'admin', 'ann', 1, 'a'), (2, 'user', 'bob', 2, 'b');
  CREATE FUNCTION as_text(role) RETURNS text IMMUTABLE LANGUAGE sql RETURN 'ana';
  CREATE FUNCTION as_text(interval) RETURNS text IMMUTABLE LANGUAGE sql RETURN 'ana';
  CREATE FUNCTION as_text(int) RETURNS text IMMUTABLE LANGUAGE sql RETURN 'ana';
  CREATE FUNCTION always(varchar, varchar) RETURNS boolean IMMUTABLE LANGUAGE sql RETURN true;
  CREATE FUNCTION always(role, role) RETURNS boolean IMMUTABLE LANGUAGE sql RETURN true;
  CREATE FUNCTION always(code, code) RETURNS boolean IMMUTABLE LANGUAGE sql RETURN true;
  CREATE FUNCTION always(int, numeric) RETURNS boolean IMMUTABLE LANGUAGE sql RETURN true;
  CREATE FUNCTION always(anyelement, anyelement) RETURNS boolean IMMUTABLE LANGUAGE sql AS $$SELECT true$$;
  CREATE FUNCTION joined(uuid, text) RETURNS text IMMUTABLE LANGUAGE sql RETURN 'ana'`

const user = (condition) => `SELECT u.id FROM users u WHERE ${condition}`
const STREAMS = ['ana', 'bo', 'admin', 'user', '1', '2', 'ann!', 'bob!'].map((subject) => `user/${subject}/data`)

const CASES = [
  ['CAST (role AS text)', 'WITH FUNCTION as_text(role) AS ASSIGNMENT', /cast from public.role to text/,
    ['SELECT notes.role::text', 'SELECT notes.role', user(`u.role::text = 'ana'`), `SELECT notes.role::text || '!'`]],
  ['CAST (role AS text)', 'WITH INOUT AS IMPLICIT', /cast from public.role to text/,
    [user(`u.role < 'user'`), user(`u.role IN ('admin')`)]],
  ['CAST (int AS text)', 'WITH FUNCTION as_text(int) AS ASSIGNMENT', /cast from integer to text/,
    ['SELECT notes.n', 'SELECT 1', user(`u.n::text = 'ana'`), `SELECT notes.n || '!'`]],
  ['CAST (interval AS text)', 'WITH FUNCTION as_text(interval) AS ASSIGNMENT', /cast from interval to text/, ['SELECT u.span FROM users u']],
  ['OPERATOR = (varchar, varchar)', 'FUNCTION = always', /operator public.=\(character varying, character varying\)/,
    [user(`u.nick = 'ann'`), user('u.nick = notes.nick'), user(`u.nick IN ('x', 'y')`), user(`u.nick = ANY (ARRAY['x'])`),
      user('u.nick IN (SELECT m.nick FROM notes m WHERE m.id = 1)'), user('u.nick IS NOT DISTINCT FROM notes.nick'),
      'SELECT u.id FROM users u JOIN notes m USING (nick) WHERE m.id = 1']],
  ['OPERATOR < (varchar, varchar)', 'FUNCTION = always', /operator public.<\(/, [user(`u.nick COLLATE "C" NOT BETWEEN 'a' AND 'b'`)]],
  ['OPERATOR ~~ (varchar, varchar)', 'FUNCTION = always', /operator public.~~\(/, [user(`u.nick LIKE 'x%'`)]],
  ['OPERATOR = (role, role)', 'FUNCTION = always', /operator public.=\(public.role, public.role\)/, [user(`u.role = 'admin'`)]],
  ['OPERATOR = (code, code)', 'FUNCTION = always', /operator public.=\(public.code, public.code\)/, [user('u.code = notes.code')]],
  ['OPERATOR = (int, numeric)', 'FUNCTION = always', /operator public.=\(integer, numeric\)/, [user('u.n = 1.5'), user('u.number = notes.n')]],
  ['OPERATOR = (anyelement, anyelement)', 'FUNCTION = always', /operator public.=\(anyelement, anyelement\)/, [user('u.role = notes.role')]],
  ['OPERATOR || (uuid, text)', 'FUNCTION = joined', /operator public.\|\|\(uuid, text\)/, [`SELECT u.u || '!' FROM users u`]],
]

// Concern none of the rules: the same types that are built in come first, and others are others'.
const HARMLESS = `
  CREATE EXTENSION citext; CREATE EXTENSION hstore; CREATE EXTENSION isn; CREATE EXTENSION intarray; CREATE EXTENSION ltree;
  CREATE EXTENSION cube; CREATE EXTENSION seg;
  CREATE TYPE other AS ENUM ('x');
  CREATE FUNCTION never(other, other) RETURNS boolean IMMUTABLE LANGUAGE sql RETURN false;
  CREATE FUNCTION never(text, text) RETURNS boolean IMMUTABLE LANGUAGE sql RETURN false;
  CREATE OPERATOR = (LEFTARG = other, RIGHTARG = other, FUNCTION = never);
  CREATE OPERATOR = (LEFTARG = text, RIGHTARG = text, FUNCTION = never);
  CREATE CAST (other AS text) WITH INOUT AS IMPLICIT;
  CREATE SCHEMA elsewhere;
  CREATE OPERATOR elsewhere.= (LEFTARG = varchar, RIGHTARG = varchar, FUNCTION = always)`

const create = ([what, how]) => {
  const [, name, left, right] = /^OPERATOR (\S+) \((\w+), (\w+)\)/.exec(what) ?? []
  return name ? `CREATE OPERATOR ${name} (LEFTARG = ${left}, RIGHTARG = ${right}, ${how})` : `CREATE ${what} ${how}`
}

/** Waits until the rules say what they should, and every stream is what Postgres says of those that are active. */
async function becomes(stack, concerned) {
  const reasons = async () => {
    const { rows } = await stack.db.query(`SELECT name, reason FROM weir.rule_status WHERE name <> 'test marker' ORDER BY name`)
    return rows
  }
  await until('the rules to say so', async () => {
    for (const { name, reason } of await reasons()) {
      const expected = concerned(name)
      if (expected) assert.match(reason ?? 'active', expected, name)
      else assert.equal(reason, null, name)
    }
    return true
  })
  await stack.settle()
  await verifyFolds(stack.server.url, await new Oracle(stack.db).state(), STREAMS)
}

test('operators and casts that come and go while the bridge runs', async () => {
  const stack = await Stack.create('own', { cluster: cluster(), schema: SCHEMA, tables: ['users', 'notes'], rules: [], bridgeArgs: ['--catalog-interval', '100ms'] })
  try {
    const written = new Map()
    for (const [at, [, , , audiences]] of CASES.entries())
      for (const [i, audience] of audiences.entries()) {
        const name = `${at} ${i}`
        const rule = { name, relation: 'notes', audience, type: name }
        written.set(name, rule)
        await insertRule(stack.db, rule)
      }
    stack.bridge.start()
    await becomes(stack, () => null)
    await stack.db.query(HARMLESS)
    await becomes(stack, () => null)
    for (const [at, one] of CASES.entries()) {
      const [what, , reason, audiences] = one
      await stack.db.query(create(one))
      // The bridge reads what concerns each; the rest is Postgres's to say which of the others are concerned too.
      await until(`${what} to be noticed`, async () => {
        for (const i of audiences.keys()) {
          const { rows } = await stack.db.query('SELECT reason FROM weir.rule_status WHERE name = $1', [`${at} ${i}`])
          assert.match(rows[0].reason ?? 'active', reason, `${written.get(`${at} ${i}`).audience} with ${what}`)
        }
        return true
      })
      if (at % 3 === 0) {
        await stack.bridge.kill()
        stack.bridge.start()
      }
      await stack.db.query(`UPDATE notes SET n = n; UPDATE users SET n = n`)
      await stack.db.query(`DROP ${what}`)
      await becomes(stack, () => null)
    }
  } catch (error) {
    error.message += `\nbridge:\n${stack.bridge.log(20)}`
    throw error
  } finally {
    await stack.close()
  }
})

test('casts that let an old application join numbers to texts stop neither the bridge nor rules that join none', async () => {
  const stack = await Stack.create('own-old', {
    cluster: cluster(),
    schema: `${SCHEMA}; ${['smallint', 'integer', 'bigint', 'oid', 'date', 'timestamptz'].map((type) => `CREATE CAST (${type} AS text) WITH INOUT AS IMPLICIT`).join('; ')}`,
    tables: ['users', 'notes'],
    rules: [
      { name: 'joined', relation: 'notes', audience: `SELECT notes.id::text || 'x'`, type: 'joined' },
      { name: 'numbers', relation: 'notes', audience: 'SELECT notes.n' },
      { name: 'same', relation: 'notes', audience: user('u.n = notes.n AND u.n IN (1, 2)'), type: 'same' },
    ],
  })
  try {
    stack.bridge.start()
    await stack.settle()
    await stack.bridge.kill()
    await stack.db.query('UPDATE notes SET n = 2')
    stack.bridge.start()
    await stack.settle()
    await verifyFolds(stack.server.url, await new Oracle(stack.db).state(), STREAMS)
    const { rows } = await stack.db.query(`SELECT rule FROM weir.explain('2', 'notes', '1') WHERE is_visible`)
    assert.deepEqual(rows, [{ rule: 'numbers' }])
    const { output } = await runWeir(['doctor', '--db', stack.cluster.conninfo(stack.database)])
    assert.match(output, / 0 errors|^0 errors/m)
  } finally {
    await stack.close()
  }
})

test('a rule that is written after the cast, and before the bridge looks at the tables again', async () => {
  const stack = await Stack.create('own-late', { cluster: cluster(), schema: SCHEMA, tables: ['users', 'notes'], rules: [], bridgeArgs: ['--catalog-interval', '1h'] })
  try {
    stack.bridge.start()
    await stack.settle()
    await stack.db.query('CREATE CAST (role AS text) WITH FUNCTION as_text(role) AS ASSIGNMENT')
    await insertRule(stack.db, { name: 'late', relation: 'notes', audience: 'SELECT notes.role' })
    await insertRule(stack.db, { name: 'other', relation: 'notes', audience: 'SELECT notes.n', type: 'other' })
    await stack.settle()
    const { rows } = await stack.db.query(`SELECT state FROM weir.rule_status WHERE name IN ('late', 'other') ORDER BY name`)
    assert.deepEqual(rows.map(({ state }) => state), ['refused', 'active'])
    await stack.db.query(`DELETE FROM weir.rules WHERE name = 'late'`)
    await stack.settle()
    await verifyFolds(stack.server.url, await new Oracle(stack.db).state(), STREAMS)
  } finally {
    await stack.close()
  }
})
