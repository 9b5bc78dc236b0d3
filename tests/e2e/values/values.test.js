// Every type's values, once through the snapshot (COPY) and once through the slot (wal2json), have to
// be exactly what to_jsonb makes of them.

import test from 'node:test'
import { Oracle } from '../lib/oracle.js'
import { shareCluster } from '../lib/shared_cluster.js'
import { Stack } from '../lib/stack.js'
import { userStream } from '../lib/stream.js'
import { History, verifyFolds } from '../lib/verify.js'

const TYPES = `
  CREATE TYPE mood AS ENUM ('glad', 'so so', 'sad "quoted"', 'comma,d', 'null');
  CREATE TYPE point3 AS (x int, y numeric, label text);
  CREATE TYPE nested AS (p point3, list int[], "odd ""name" text, flag boolean, doc jsonb, bytes bytea);
  CREATE DOMAIN positive AS int CHECK (value > 0);
  CREATE DOMAIN label AS text;
  CREATE DOMAIN bytes AS bytea;
  CREATE DOMAIN labels AS text[];
  CREATE DOMAIN document AS jsonb;
  CREATE DOMAIN place AS point3;
  CREATE DOMAIN deep AS positive;
  CREATE EXTENSION hstore; CREATE EXTENSION citext; CREATE EXTENSION ltree; CREATE EXTENSION cube;
  CREATE TYPE stored AS (n int, h hstore, d date);
  CREATE SCHEMA "odd schema";
  CREATE TYPE "odd schema"."odd type" AS ENUM ('a', 'B c');`

/** [type, literals]; NULL comes along with each. */
const VALUES = [
  ['boolean', ['true', 'false']],
  ['smallint', ['-32768', '0', '32767']],
  ['integer', ['-2147483648', '42']],
  ['bigint', ['-9223372036854775808', '9223372036854775807', '9007199254740993']],
  ['numeric', ['0', '-0', '1.10', '100', '1e30', '1e-30', '12345678901234567890123456789.123456789', '-0.000', '0.00000001']],
  ['numeric(10, 3)', ['1', '-99.9995', '1234567.1']],
  ['numeric(5, -2)', ['12345']],
  ['real', ['0', '-0', '1.5', '1e-7', '3.4028235e38', '1.17549435e-38', '16777216', '0.1', '1e10', '123456.7', '1e-4', '1e-5', '1e6', '1e7']],
  ['double precision', ['0', '-0', '0.1', '1e300', '5e-324', '1e15', '1e16', '123456789012345680', '1e-4', '1e-5', '1.7976931348623157e308', '100', '1e21', '1e22', '123456789.125']],
  ['text', ['', ' ', 'plain', 'a"b', "it''s", 'back\\slash', 'tab\tnewline\nreturn\r', '\u0001\u001f\u007f', '日本 😀', '\\N', 'NULL', '{}', '\u2028', 'x'.repeat(3000)]],
  ['varchar(20)', ['', 'some text ', 'null']],
  ['char(5)', ['', 'ab', 'abcde', 'é']],
  ['"char"', ['a', '']],
  ['name', ['a_name']],
  ['bytea', ['\\x', '\\x00', '\\xdeadbeef5c22']],
  ['date', ['2026-02-28', 'infinity', '-infinity', '0044-03-15 BC', '12026-01-01']],
  ['time', ['00:00', '23:59:59.999999', '24:00']],
  ['timetz', ['12:34:56+02', '00:00:00-11:30']],
  ['timestamp', ['2026-01-31 12:34:56.123456', '2026-01-31', 'infinity', '-infinity', '0044-03-15 12:00 BC', '12026-01-01 00:00:00.5']],
  ['timestamptz', ['2026-01-31 12:34:56.123456+02', '2026-01-31', 'infinity', '-infinity', '0044-03-15 12:00:00 BC', '1900-01-01 00:00+00']],
  ['interval', ['1 year 2 mons -3 days 04:05:06.7', '-00:00:01', '0', '100000 hours', '1 mon -1 sec']],
  ['uuid', ['A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11']],
  ['json', ['{"a": 1.0, "b" : [1e2, "\\u00e9\\n", null]}', '[]', '" x "', 'null', '1.10', '{"a":1,"a":2}', '{"b":1,"a":2,"aa":3}', '123456789012345678901234567890', '1E400', '-0', '"\\ud83d\\ude00 \\/ \\""', ' [ 1 , 2 ] ']],
  ['jsonb', ['{"b":1,"a":{"é":"\\""}}', '[1.50, 1e3]', '"text"', 'null', '12345678901234567890.10', 'true']],
  ['int[]', ['{}', '{1,NULL,-3}', '{{1,2},{3,4}}', '[0:1]={5,6}', '{{{1}}}']],
  ['text[]', ['{}', '{"a b","quote\\"d",NULL,"null","{}","",back\\\\slash,"com,ma"}', '{{a,b},{c,NULL}}', '{"line\nbreak"}']],
  ['boolean[]', ['{t,f,NULL}']],
  ['numeric[]', ['{1.10,2e3,NULL}']],
  ['double precision[]', ['{1e300,0.1,1e15,100}']],
  ['timestamptz[]', ['{"2026-01-31 12:34:56+02",infinity}']],
  ['date[]', ['{2026-01-31,infinity}']],
  ['bytea[]', ['{"\\\\x00ff",NULL}']],
  ['json[]', ['{"{\\"a\\": 1.0}",null,"null"}']],
  ['jsonb[]', ['{"{\\"a\\": [1, \\"x\\"]}"}']],
  ['char(3)[]', ['{a,abc}']],
  ['uuid[]', ['{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}']],
  ['mood', ['glad', 'so so', 'sad "quoted"', 'comma,d', 'null']],
  ['mood[]', ['{glad,"so so","sad \\"quoted\\"","comma,d",NULL,"null"}']],
  ['"odd schema"."odd type"', ['B c']],
  ['"odd schema"."odd type"[]', ['{a,"B c"}']],
  ['point3', ['(1,2.50,"a ""b"" , c")', '(,,)', '(1,,"")', '(3,1e3,"back\\\\slash")', '(1,2,NULL)']],
  ['point3[]', ['{"(1,2.5,x)",NULL,"(,,\\"a,b\\")"}']],
  ['nested', ['("(1,2,""a"")","{1,2}",x,t,"{""a"": 1}","\\\\xff")', '(,,,,,)', '("(,,)",{},"",f,null,)']],
  ['positive', ['5']],
  ['deep', ['6']],
  ['positive[]', ['{1,2}']],
  ['label', ['x "y"', '']],
  ['bytes', ['\\xff00']],
  ['labels', ['{a,"b c"}', '{}']],
  ['document', ['{"a":1.0}']],
  ['place', ['(1,2.50,x)']],
  ['bit(3)', ['101']],
  ['bit varying(12)', ['101', '']],
  ['inet', ['10.0.0.1/8', '::1', '10.0.0.1']],
  ['cidr', ['10.0.0.0/8']],
  ['macaddr', ['08:00:2b:01:02:03']],
  ['money', ['12.34', '-1234567.89']],
  ['oid', ['0', '4294967295']],
  ['xid8', ['18446744073709551615']],
  ['pg_lsn', ['0/16B3748']],
  ['regclass', ['pg_class', '0']],
  ['point', ['(1,-2.5)']],
  ['box', ['(2,2),(0,0)']],
  ['int4range', ['[1,5)', 'empty', '(,)']],
  ['numrange', ['[1.10,2)']],
  ['tstzrange', ['["2026-01-01 00:00+00","2026-02-01 00:00+00")']],
  ['int4multirange', ['{[1,3),[5,7)}']],
  ['tsvector', ["'a':1 'b c':2"]],
  ['tsquery', ["'a' & 'b'"]],
  ['hstore', ['', 'a=>1, "b c"=>NULL, "\\""=>"x, y"']],
  ['hstore[]', ['{"a=>1","b=>\\"2\\"",NULL}']],
  ['stored', ['(1,"a=>1",2026-01-01)', '(,,)']],
  ['citext', ['', 'Ab"c']],
  ['ltree', ['Top.Science', '']],
  ['cube', ['(1,2),(3,4)']],
  ['xml', ['<a b="c">d &amp; e</a>']],
]

const table = (index) => `v_${index}`
const literal = (text) => `E'${text.replace(/\\/g, '\\\\').replace(/'+/g, "\\'")}'`

/** Rows from `first` on: NULL and every literal. */
function insertAll(index, first) {
  const [type, literals] = VALUES[index]
  const rows = [`(${first}, NULL)`, ...literals.map((text, i) => `(${first + i + 1}, ${literal(text)}::${type})`)]
  return `INSERT INTO ${table(index)} (id, v) VALUES ${rows.join(', ')}`
}

const cluster = shareCluster('values')

// 2.5 writes null for these; a column that cannot be NULL is asked for, a key has the table read again.
test('NaN and infinities of numbers that cannot be NULL', async () => {
  const stack = await Stack.create('nan', {
    cluster: cluster(),
    schema: `CREATE TABLE numbers (a int, "b ""c" text, n numeric NOT NULL, f float8 NOT NULL, r real NOT NULL, long text, PRIMARY KEY (a, "b ""c"));
      ALTER TABLE numbers ALTER long SET STORAGE EXTERNAL; CREATE TABLE keyed (id numeric PRIMARY KEY, v int)`,
    tables: ['numbers', 'keyed'],
    rules: [{ name: 'all', relation: 'numbers', audience: `SELECT 'reader'` }, { name: 'keyed', relation: 'keyed', audience: `SELECT 'reader'` }],
  })
  const { db } = stack
  try {
    const oracle = new Oracle(db)
    await db.query(`INSERT INTO numbers VALUES (1, 'x', 'NaN', '-Infinity', 'Infinity', repeat('x', 3000))`)
    stack.bridge.start()
    await stack.settle()
    const history = new History(await oracle.state())
    const commit = async (sql) => {
      const results = await db.query(`BEGIN; ${sql}; SELECT pg_current_xact_id()::xid::text AS txid; COMMIT`)
      history.committed(results.at(-2).rows[0].txid, await oracle.state(), sql)
      await stack.settle() // the rows are asked for as they are now
    }
    await commit(`INSERT INTO numbers VALUES (2, 'y"''', 'Infinity', 'NaN', '-Infinity'), (3, '', 1.50, 2, 3)`)
    await commit(`UPDATE numbers SET a = 10, f = 'Infinity' WHERE a = 1`)
    await commit(`UPDATE numbers SET n = 'NaN', r = 'NaN' WHERE a = 3`)
    await commit(`UPDATE numbers SET n = 7 WHERE a = 3`)
    await history.verify(stack.server.url, [userStream('reader')])
    await db.query(`INSERT INTO keyed VALUES (1, 1), ('NaN', 2); UPDATE keyed SET v = 3 WHERE id = 'NaN'; DELETE FROM numbers WHERE n = 'NaN'`)
    await stack.settle()
    await verifyFolds(stack.server.url, await oracle.state(), [userStream('reader')])
    await db.query(`DELETE FROM keyed WHERE id = 'NaN'`)
    await stack.settle()
    await verifyFolds(stack.server.url, await oracle.state(), [userStream('reader')])
  } catch (error) {
    error.message += `\nbridge:\n${stack.bridge.log()}`
    throw error
  } finally {
    await stack.close()
  }
})

test('values of every type are what to_jsonb says, from the snapshot and from the slot', async () => {
  const tables = VALUES.map(([type], index) => `CREATE TABLE ${table(index)} (id int PRIMARY KEY, v ${type}, w ${type})`)
  const stack = await Stack.create('values', {
    cluster: cluster(),
    schema: [TYPES, ...tables].join(';\n'),
    tables: VALUES.map((_, index) => table(index)),
    rules: VALUES.map(([type], index) => ({ name: type, relation: table(index), audience: `SELECT 'reader'` })),
  })
  try {
    const oracle = new Oracle(stack.db)
    for (const index of VALUES.keys()) await stack.db.query(insertAll(index, 0))
    const history = new History(await oracle.state())
    const commit = async (sql) => {
      await stack.db.query('BEGIN')
      await stack.db.query(sql)
      const { rows } = await stack.db.query('SELECT pg_current_xact_id()::xid::text AS txid')
      await stack.db.query('COMMIT')
      history.committed(rows[0].txid, await oracle.state(), sql.slice(0, 300))
    }
    stack.bridge.start()
    await stack.settle()
    for (const index of VALUES.keys()) {
      await commit(insertAll(index, 100))
      await commit(`UPDATE ${table(index)} SET w = v WHERE id > 100`)
      await commit(`UPDATE ${table(index)} SET v = NULL WHERE id > 100`)
    }
    await stack.settle()
    await history.verify(stack.server.url, [userStream('reader')])
  } catch (error) {
    error.message += `\nbridge:\n${stack.bridge.log()}`
    throw error
  } finally {
    await stack.close()
  }
})
