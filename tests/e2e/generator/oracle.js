// The oracle of lib/oracle.js, kept up to date: after a transaction only those rules are asked again
// that read a table it wrote to, and what comes out is the difference to the state before.

import { canonical, members } from '../lib/json.js'
import { segment } from '../lib/raw_http.js'
import { name } from './sql.js'

const LONG = process.env.WEIR_LONG === '1'
const SEPARATOR = '\u0000'
const RULES_SQL = `SELECT name, relation_oid AS target, audience, columns::text[] AS columns, type, stream FROM weir.rules
   WHERE name <> 'test marker' ORDER BY name`

export class LiveOracle {
  #rules = []
  #rows = new Map() // table oid → Map of key to Map of column to canonical value
  #channels = new Map() // type and stream → Map of path to Map of id to value
  #values = new Map() // a row's text → its columns
  #statements = new Map() // text → name of a prepared statement
  #statementCount = 0
  #searchPath
  contradictions = new Set() // audiences

  /** db: a connection of the oracle's own. readsOf(rule): the oids of the tables that a rule looks
   * at, undefined where that is not known. */
  constructor(db, readsOf) {
    this.db = db
    this.readsOf = readsOf
  }

  get rules() {
    return this.#rules
  }

  /** The whole state: Map of path to Map of id to value. */
  state() {
    const state = new Map()
    for (const channel of this.#channels.values()) {
      for (const [path, rows] of channel) {
        if (!state.has(path)) state.set(path, new Map())
        for (const [id, value] of rows) state.get(path).set(id, value)
      }
    }
    return state
  }

  /** After anything at all: reads rules and tables anew. refused: names of rules that show nothing. */
  async reload(model, refused = new Set()) {
    this.model = model
    this.#rows.clear()
    await this.db.query('DEALLOCATE ALL')
    this.#statements.clear()
    return this.#advance(await this.#readRules(refused), () => true)
  }

  /** After a transaction that wrote to the tables with these oids, and to weir.rules or not. */
  async advance(touched, withRules) {
    const rules = withRules ? await this.#readRules() : this.#rules
    return this.#advance(rules, (oid) => touched.has(oid))
  }

  /** A rule that was refused stays so until it is written anew. refused: names, where they are known. */
  async #readRules(refused) {
    const { rows } = await this.db.query(RULES_SQL)
    const before = new Map(this.#rules.map((rule) => [rule.name, rule]))
    for (const rule of rows) {
      const old = before.get(rule.name)
      rule.table = this.model.byOid.get(rule.target)
      rule.type ??= rule.table?.name
      const wasRefused = refused ? refused.has(rule.name) : old?.isRefused && isSameRule(old, rule)
      rule.isRefused = wasRefused || !rule.table?.isFollowed
    }
    return rows
  }

  async #advance(rules, isTouched) {
    const before = new Map(this.#rules.map((rule) => [rule.name, rule]))
    const changed = new Set()
    for (const rule of rules) {
      const old = before.get(rule.name)
      const isSame = old && old.isRefused === rule.isRefused && isSameRule(old, rule)
      before.delete(rule.name)
      rule.channel = rule.type + SEPARATOR + rule.stream
      rule.pairs = isSame ? old.pairs : undefined
      if (!isSame && old) changed.add(old.channel)
      if (!isSame) changed.add(rule.channel)
    }
    for (const rule of before.values()) changed.add(rule.channel)
    for (const rule of rules) {
      if (rule.table && isTouched(rule.table.root)) changed.add(rule.channel)
      if (rule.isRefused) rule.pairs = []
      else if (!rule.pairs || this.#isAskedAgain(rule, isTouched)) {
        rule.pairs = await this.#pairsOf(rule)
        changed.add(rule.channel)
      }
    }
    this.#rules = rules
    const targets = new Set(rules.filter((rule) => !rule.isRefused).map((rule) => rule.target))
    for (const oid of this.#rows.keys()) if (!targets.has(oid)) this.#rows.delete(oid) // nobody keeps them up to date
    for (const oid of targets) {
      if (!this.#rows.has(oid) || isTouched(this.model.byOid.get(oid).root)) this.#rows.set(oid, await this.#rowsOf(this.model.byOid.get(oid)))
    }
    const streams = new Map()
    for (const channel of changed) this.#advanceChannel(channel, streams)
    return streams
  }

  #isAskedAgain(rule, isTouched) {
    const reads = this.readsOf(rule)
    return !reads || [...reads].some((oid) => isTouched(this.model.byOid.get(oid)?.root ?? oid))
  }

  async #prepared(text, schema, values) {
    if (this.#searchPath !== schema) await this.db.query(`SET search_path = ${name(schema)}, public`)
    this.#searchPath = schema
    if (!this.#statements.has(text)) this.#statements.set(text, `s${++this.#statementCount}`)
    return (await this.db.query({ name: this.#statements.get(text), text, values, rowMode: 'array' })).rows
  }

  #keyOf(table) {
    const columns = table.key.map((column) => `${name(table.name)}.${name(column)}::text`)
    return columns.length > 1 ? `to_json(ARRAY[${columns.join(', ')}])::text` : columns[0]
  }

  #idOf(rule, key) {
    return rule.type + SEPARATOR + (rule.table.key.length > 1 ? JSON.stringify(JSON.parse(key)) : key)
  }

  async #pairsOf(rule) {
    const { table } = rule
    const text = `${this.model.rowsInPlace}SELECT DISTINCT s.subject::text, ${this.#keyOf(table)} FROM ${this.model.rowsOf(table)} AS ${name(table.name)}, LATERAL (${rule.audience}) AS s(subject) WHERE s.subject IS NOT NULL`
    try {
      if (!isAskedByRow(rule.audience)) return await this.#prepared(text, table.schema)
      const keys = await this.#prepared(`SELECT ${this.#keyOf(table)} FROM ${this.model.rowsOf(table)} AS ${name(table.name)}`, table.schema)
      const pairs = []
      for (const key of keys) pairs.push(...await this.#prepared(`${text} AND ${this.#keyOf(table)} = $1`, table.schema, key))
      if (LONG && !isSamePairs(pairs, await this.#prepared(text, table.schema))) this.#contradicted(rule)
      return pairs
    } catch (error) {
      if (!/^(42|22)/.test(error.code ?? '')) throw error
      rule.isRefused = true // it was written for tables that have changed
      return []
    }
  }

  async #rowsOf(table) {
    const columns = table.published.map((column) => `${name(table.name)}.${name(column.name)}`).join(', ')
    const text = `SELECT ${this.#keyOf(table)}, to_jsonb(x)::text FROM ${this.model.rowsOf(table)} AS ${name(table.name)}, LATERAL (SELECT ${columns}) x`
    const rows = await this.#prepared(text, table.schema)
    return new Map(rows.map(([key, value]) => [key, this.#columnsOf(value)]))
  }

  /** Postgres says otherwise for a row alone than for all of them. */
  #contradicted(rule) {
    if (this.contradictions.has(rule.audience)) return
    this.contradictions.add(rule.audience)
    console.log(`Postgres contradicts itself: ${rule.audience}`)
  }

  #columnsOf(text) {
    let columns = this.#values.get(text)
    if (!columns) {
      columns = new Map([...members(text)].map(([column, value]) => [column, canonical(value)]))
      if (this.#values.size > 20_000) this.#values.clear()
      this.#values.set(text, columns)
    }
    return columns
  }

  #advanceChannel(channel, streams) {
    const now = this.#channelNow(channel)
    const before = this.#channels.get(channel) ?? new Map()
    this.#channels.set(channel, now)
    for (const path of new Set([...before.keys(), ...now.keys()])) {
      const [old, rows] = [before.get(path) ?? new Map(), now.get(path) ?? new Map()]
      const note = (id, event) => {
        if (!streams.has(path)) streams.set(path, new Map())
        streams.get(path).set(id, event)
      }
      for (const [id, value] of rows) {
        if (!old.has(id)) note(id, { operation: 'insert', value })
        else if (old.get(id) !== value) note(id, { operation: 'update', value })
      }
      for (const id of old.keys()) if (!rows.has(id)) note(id, { operation: 'delete' })
    }
  }

  #channelNow(channel) {
    const shown = new Map() // path → Map of id to {row, columns}; columns null: all
    for (const rule of this.#rules) {
      if (rule.channel !== channel || rule.isRefused) continue
      const rows = this.#rows.get(rule.target)
      for (const [subject, key] of rule.pairs) {
        const path = pathOf(rule.stream, subject)
        if (path === undefined) continue
        if (!shown.has(path)) shown.set(path, new Map())
        const id = this.#idOf(rule, key)
        const other = shown.get(path).get(id)
        const columns = !rule.columns || other?.columns === null ? null : new Set([...(other?.columns ?? []), ...rule.columns])
        shown.get(path).set(id, { row: rows.get(key), columns })
      }
    }
    for (const rows of shown.values()) for (const [id, { row, columns }] of rows) rows.set(id, valueOf(row, columns))
    return shown
  }
}

/** Whether Postgres may answer wrongly for several rows in one statement, as it keeps a sub-select's hash table:
 * tests/rules/oracle.c. */
function isAskedByRow(audience) {
  return /\bUNION\b|\bDISTINCT\b|\bEXISTS\b/.test(audience) && /\b(IN|ANY|EXISTS) \(SELECT/.test(audience)
}

function isSamePairs(a, b) {
  const texts = new Set(a.map((pair) => pair.join(SEPARATOR)))
  return texts.size === b.length && b.every((pair) => texts.has(pair.join(SEPARATOR)))
}

function isSameRule(a, b) {
  return ['audience', 'target', 'stream', 'type'].every((each) => a[each] === b[each]) && `${a.columns}` === `${b.columns}`
}

/** undefined: no path can carry the subject; Weir leaves it out and says so. */
function pathOf(stream, subject) {
  const segments = stream.split('/').map((part) => part.replaceAll('{subject}', () => subject))
  if (segments.some((text) => text === '' || /[\u0000-\u001f\u007f]/.test(text))) return undefined
  return segments.map(segment).join('/')
}

function valueOf(row, columns) {
  const names = [...row.keys()].filter((column) => columns === null || columns.has(column)).sort()
  return `{${names.map((column) => `${JSON.stringify(column)}:${row.get(column)}`).join(',')}}`
}
