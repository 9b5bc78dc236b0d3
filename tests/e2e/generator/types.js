// The types that generated columns have: what may be written into them, and what a rule may do with
// them (docs/rules.md, docs/types.md). Values are SQL literals, few of each, so that rows meet.

import { SUBJECTS } from '../lib/application.js'
import { literal } from './sql.js'

/** What every generated database has beside its tables. */
export const TYPE_SQL = `
  CREATE TYPE public.mood AS ENUM ('glad', 'so, so', 'sad "quoted"');
  CREATE TYPE public.point3 AS (x int, y numeric, label text);
  CREATE DOMAIN public.positive AS int CHECK (value > 0);
  CREATE DOMAIN public.label AS text;
  CREATE DOMAIN public.body AS text;`

const SOME_SUBJECTS = SUBJECTS.slice(0, 10).map(literal)
const uuid = (n) => `'00000000-0000-4000-8000-${String(n).padStart(12, '0')}'`
const numbers = (from, to) => Array.from({ length: to - from + 1 }, (_, i) => String(from + i))

// family: what compares with what. isKey: may be (part of) a primary key. keys: more values for
// keys, which have to differ. isOrdered: < and > in rules. isSubject: may be selected.
const define = (family, values, options = {}) => ({ family, values, constants: [], keys: values, isOrdered: false, isKey: false, isSubject: true, ...options })
const unseen = (values) => define('other', values, { isSubject: false })

/** By the name that format_type() gives. */
export const TYPES = {
  integer: define('number', numbers(1, 8), { constants: ["'2'", '2.0', '1e0'], keys: numbers(1, 30), isOrdered: true, isKey: true }),
  bigint: define('number', [...numbers(1, 8), '9223372036854775807'], { constants: ['2.5'], keys: numbers(1, 25), isOrdered: true, isKey: true }),
  smallint: define('number', [...numbers(1, 4), '-32768'], { constants: ["'02'"], keys: numbers(1, 20), isOrdered: true, isKey: true }),
  positive: define('number', numbers(1, 5), { keys: numbers(1, 20), isOrdered: true, isKey: true }),
  numeric: define('number', ['1', '1.0', '2.50', '3', '-1', '0.0', '12345678901234567890.123456789', '1e30', '1e-12'], { constants: ["'1.00'", '25e-1'], isOrdered: true }),
  'numeric(8,2)': define('number', ['1', '2.5', '-7.25', '0'], { isOrdered: true }),
  text: define('text', SOME_SUBJECTS, { constants: ["''"], keys: [...SOME_SUBJECTS, ...["''", "' '", "'{}'", "'[\"x\"]'", "E'line\\nbreak\\ttab'", "E'\\u0001'", "'a,b'", "'日本'", "'back\\slash'", "'\"'"]], isKey: true }),
  body: define('text', ["''", "'ana'", "'bo'"], { isSubject: false }),
  label: define('text', SOME_SUBJECTS.slice(0, 6), { isKey: true }),
  'character varying(8)': define('text', ["'a'", "'b'", "'ab '", "'ana'", "'1'"], { keys: numbers(1, 20).map(literal), isKey: true }),
  'character(3)': define('char', ["'a'", "'b'", "'ab'", "''", "'bo'"], { constants: ["'a  '"] }),
  boolean: define('boolean', ['true', 'false'], { constants: ["'t'", "'no'"], isOrdered: true }),
  date: define('date', ["'2026-01-01'", "'2026-12-31'", "'0044-03-15 BC'", "'infinity'", "'2026-02-28'"], { constants: ["'Jan 1, 2026'"], isOrdered: true, isKey: true }),
  'timestamp without time zone': define('timestamp', ["'2026-01-01 00:00'", "'2026-01-01 00:00:00.5'", "'10000-01-01'", "'0044-03-15 12:00 BC'", "'-infinity'"], { constants: ["'2026-01-01'"], isOrdered: true }),
  'timestamp with time zone': define('timestamptz', ["'2026-01-01 00:00+00'", "'2026-01-01 00:00:00.25+00'", "'-infinity'", "'1999-12-31 23:59:59-08'"], { constants: ["'2026-01-01 05:30+05:30'"], isOrdered: true, isKey: true }),
  uuid: define('uuid', numbers(1, 6).map(uuid), { constants: ["'{00000000-0000-4000-8000-000000000002}'"], keys: numbers(1, 25).map(uuid), isOrdered: true, isKey: true }),
  mood: define('mood', ["'glad'", "'so, so'", "'sad \"quoted\"'"], { isKey: true }),
  bytea: define('bytea', ["'\\x00'", "'\\x00ff5c22'", "''"], { constants: ["'\\000'", "'\\xFF'"], isOrdered: true, isKey: true }),
  'double precision': define('double', ['1', '2.5', "'1e20'", '0', "'1e-7'", "'1e300'", "'-2.5e-300'"], { constants: ["'2.50'", '0.1'], isOrdered: true, isSubject: false }),
  real: define('real', ['1', '2.5', '0.1', "'1e10'", "'3.4028235e38'"], { isSubject: false }),
  jsonb: define('jsonb', [
    '\'{"a": 1.50, "b": "bo"}\'', '\'{"a": "ana", "b": null}\'', '\'[1, "ana"]\'', '\'"a"\'', "'null'", '\'{"a": true, "b": {"c": "cy"}}\'',
    '\'{"b": [1, 2], "a": {"é": "\\""}}\'', "'12345678901234567890123'",
  ], { isSubject: false }),
  json: unseen(['\'{"a": 1.0, "b" : [1e2, "\\u00e9\\n"], "a": 2}\'', "'[]'", "'\" x \"'", "'null'"]),
  'integer[]': define('array', ["'{}'", "'{1}'", "'{1,2,NULL}'", "'{{1,2},{3,4}}'", "'{3,3}'", "'[0:1]={2,-1}'"], { element: 'integer', isSubject: false }),
  'text[]': define('array', ["'{}'", "'{ana}'", "'{ana,bo,NULL}'", "'{\"a/b\",\"NULL\",\"\\\"\"}'", "'{cy,..}'"], { element: 'text', isSubject: false }),
  'uuid[]': define('array', [`ARRAY[${uuid(1)},${uuid(2)}]::uuid[]`, "'{}'"], { element: 'uuid', isSubject: false }),
  'numeric[]': unseen(["'{1.10,2e3}'", "'{}'"]),
  'mood[]': unseen(["'{glad,\"so, so\"}'", "'{}'"]),
  point3: unseen(['\'(1,2.50,"a ""b"" , c")\'', "'(,,)'"]),
  int4range: unseen(["'[1,5)'", "'empty'", "'(,3]'"]),
  interval: unseen(["'1 year 2 mons -3 days 04:05:06.7'", "'-00:00:01'"]),
  inet: unseen(["'10.0.0.1/8'", "'::1'"]),
  'bit varying(12)': unseen(["'101'", "''"]),
  tsvector: unseen(["'a b'", "'x:1 y:2'"]),
}

const OTHER = define('other', ['NULL'], { isSubject: false })
export const typeOf = (name) => TYPES[name] ?? OTHER

const DOMAINS = new Set(['positive', 'label', 'body'])

/** Whether a constant may be cast to the type in a rule. */
export const isCastable = (typeName) => !DOMAINS.has(typeName) && !typeName.includes('(')

export const isComparable = (type) => !['jsonb', 'array', 'other'].includes(type.family)

/** Whether Weir compares the two, and not only Postgres. */
export function familiesMeet(a, b) {
  if (a.type.family === b.type.family) return true
  const pair = [a.typeName, b.typeName].sort()
  return pair[0] === 'character(3)' && pair[1] === 'text'
}
