// What every stream should hold, worked out by Postgres itself: each rule's audience is run as SQL
// beside the rows that it is about.
//
// A state is a Map of stream path to Map of `type NUL key` to canonical value.

import { canonical, members } from './json.js'
import { segment } from './raw_http.js'

const SEPARATOR = '\u0000' // no text in Postgres holds it

export class Oracle {
  #keys = new Map()

  /** publication: whose row filters hold; a row outside of them is there for no rule. */
  constructor(db, { publication = null } = {}) {
    this.db = db
    this.publication = publication
  }

  /** The state of what is committed. The caller sees to it that nobody commits meanwhile, or runs
   * this in a repeatable read transaction. */
  async state() {
    const state = new Map()
    const rules = await this.#rules()
    if (rules.length === 0) return state
    const parts = []
    const filters = await this.#filters()
    for (const [index, rule] of rules.entries()) parts.push(await this.#partOf(rule, index, filters))
    const tables = filters.map(({ name, rows }) => `"${name}" AS (${rows})`)
    const text = `${tables.length > 0 ? `WITH ${tables.join(', ')} ` : ''}${parts.join(' UNION ALL ')}`
    const answer = await this.db.query({ text, rowMode: 'array' })
    for (const [index, subject, key, value] of answer.rows) {
      const rule = rules[index]
      const path = rule.stream.replaceAll('{subject}', segment(subject))
      if (!state.has(path)) state.set(path, new Map())
      const id = rule.type + SEPARATOR + (rule.isComposite ? JSON.stringify(JSON.parse(key)) : key)
      const rows = state.get(path)
      rows.set(id, rows.has(id) ? union(rows.get(id), value) : canonical(value))
    }
    return state
  }

  /** The tables of which only some rows are published, and those rows. */
  async #filters() {
    if (!this.publication) return []
    const { rows } = await this.db.query(`
      SELECT schemaname AS schema, tablename AS name,
             format('SELECT * FROM %I.%I WHERE %s', schemaname, tablename, rowfilter) AS rows
        FROM pg_publication_tables WHERE pubname = $1 AND rowfilter IS NOT NULL`, [this.publication])
    return rows
  }

  async #rules() {
    const { rows } = await this.db.query(`
      SELECT n.nspname AS schema, c.relname AS relation, r.audience, r.columns::text[] AS columns,
             coalesce(r.type, c.relname::text) AS type, r.stream, c.oid
        FROM weir.rules r JOIN pg_class c ON c.oid = r.relation JOIN pg_namespace n ON n.oid = c.relnamespace
       WHERE c.relname <> 'test_marker' ORDER BY r.name`)
    return rows
  }

  async #keyColumns(oid) {
    if (!this.#keys.has(oid)) {
      const { rows } = await this.db.query(
        `SELECT quote_ident(a.attname) AS name
           FROM pg_index i, unnest(i.indkey::int2[]) WITH ORDINALITY k(attnum, position)
           JOIN pg_attribute a ON a.attnum = k.attnum
          WHERE i.indrelid = $1 AND i.indisprimary AND a.attrelid = $1 AND k.position <= i.indnkeyatts ORDER BY k.position`, [oid])
      this.#keys.set(oid, rows.map((row) => row.name))
    }
    return this.#keys.get(oid)
  }

  async #partOf(rule, index, filters) {
    const filter = filters.find((each) => each.schema === rule.schema && each.name === rule.relation)
    const name = `"${rule.relation}"`
    const columns = (await this.#keyColumns(rule.oid)).map((column) => `${name}.${column}::text`)
    rule.isComposite = columns.length > 1
    const key = rule.isComposite ? `to_json(ARRAY[${columns.join(', ')}])::text` : columns[0]
    const row = rule.columns
      ? `to_jsonb((SELECT x FROM (SELECT ${rule.columns.map((c) => `${name}."${c}"`).join(', ')}) x))`
      : `to_jsonb(${name})`
    return `SELECT ${index}, s.subject::text, ${key}, ${row}::text
              FROM ${filter ? `(${filter.rows})` : `"${rule.schema}".${name}`} AS ${name}, LATERAL (${rule.audience}) AS s(subject)
             WHERE s.subject IS NOT NULL`
  }
}

/** Rules that show different columns of one row in one stream show all of them. */
function union(a, b) {
  const columns = new Map([...members(a), ...members(b)])
  return canonical(`{${[...columns].map(([name, value]) => `${JSON.stringify(name)}:${value}`).join(',')}}`)
}

/** The events that turn state A into state B: Map of stream to Map of id to {operation, value}. */
export function difference(before, after) {
  const streams = new Map()
  const note = (path, id, event) => {
    if (!streams.has(path)) streams.set(path, new Map())
    streams.get(path).set(id, event)
  }
  for (const [path, rows] of after) {
    const old = before.get(path)
    for (const [id, value] of rows) {
      const oldValue = old?.get(id)
      if (oldValue === undefined) note(path, id, { operation: 'insert', value })
      else if (oldValue !== value) note(path, id, { operation: 'update', value })
    }
  }
  for (const [path, rows] of before) {
    const now = after.get(path)
    for (const id of rows.keys()) if (!now?.has(id)) note(path, id, { operation: 'delete' })
  }
  return streams
}

export const idOf = (event) => event.type + SEPARATOR + event.key
export const printableId = (id) => id.split(SEPARATOR).join(' ')

/** A fold's state in the form of one stream of an oracle's state. */
export function flatten(foldState) {
  const rows = new Map()
  for (const [type, byKey] of foldState) for (const [key, value] of byKey) rows.set(type + SEPARATOR + key, value)
  return rows
}

/** '' when equal, else the first few differences. */
export function describeDifference(expected, actual) {
  const lines = []
  for (const [id, value] of expected) {
    const got = actual.get(id)
    if (got === undefined) lines.push(`lost: ${printableId(id)} ${value}`)
    else if (got !== value) lines.push(`differs: ${printableId(id)}\n  expected ${value}\n  got      ${got}`)
  }
  for (const [id, value] of actual) if (!expected.has(id)) lines.push(`leaked: ${printableId(id)} ${value}`)
  const more = lines.length > 8 ? `\n… and ${lines.length - 8} more` : ''
  return lines.slice(0, 8).join('\n') + more
}
