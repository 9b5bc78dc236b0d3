// Random rules of the supported language (docs/rules.md) over the tables of a model. Every audience
// is one that Postgres plans and Weir follows; what it selects is for Postgres to say.

import { familiesMeet, isCastable, isComparable, typeOf } from './types.js'
import { name } from './sql.js'

const OPERATORS = ['=', '=', '=', '=', '<>', '!=', '<', '<=', '>', '>=']
const JSON_PATHS = ["->> 'a'", "->> 'b'", "-> 'b' ->> 'c'", '->> 0', '->> -1', "-> 'b' ->> 1"]
const TRUTHS = ['', ' IS TRUE', ' IS FALSE', ' IS NOT TRUE', ' IS NOT FALSE', ' IS UNKNOWN', ' IS NOT UNKNOWN', ' IS NULL', ' IS NOT NULL']
const STREAMS = [[6, 'user/{subject}/data'], [1, 'board/{subject}'], [1, 'a b/x-{subject}/50%']]

class Audience {
  #aliases = 0
  #selectsLeft = 3

  constructor(model, target, random, isBare) {
    this.model = model
    this.target = target
    this.random = random
    this.isBare = isBare
    this.scope = [{ table: target, alias: target.name }]
    this.reads = new Set([target.oid])
  }

  text() {
    const isUnion = this.random.chance(0.2)
    if (!isUnion) return this.#outer(false)
    return `${this.#outer(true)} ${this.random.pick(['UNION', 'UNION ALL'])} ${this.#outer(true)}`
  }

  #outer(asText) {
    const mark = this.scope.length
    const from = this.random.chance(0.85) ? this.#from() : ''
    const where = this.random.chance(0.85) ? ` WHERE ${this.#condition(2)}` : ''
    const isDistinct = this.random.chance(0.1) // of numeric only as text
    const text = `SELECT ${isDistinct ? 'DISTINCT ' : ''}${this.#subject(asText || isDistinct)}${from}${where}`
    this.scope.length = mark
    return text
  }

  #subject(asText) {
    const what = this.random.below(12)
    if (what === 0) return "'auditor'::text"
    const json = this.#find((type) => type.family === 'jsonb')
    if (what === 1 && json) return `${this.#reference(json)} ->> 'b'`
    const part = this.#find((type, column) => ['text', 'uuid', 'integer', 'bigint'].includes(column.typeName))
    if (what === 2 && part) return `'u/' || ${this.#reference(part)}${this.random.chance(0.3) ? " || '.'" : ''}`
    // Texts more often: their values are the subjects of all tables.
    const column = (what < 9 && this.#find((type) => type.family === 'text' && type.isSubject)) || this.#find((type) => type.isSubject)
    if (!column) return "'auditor'::text"
    return `${this.#reference(column)}${asText || this.random.chance(0.15) ? '::text' : ''}`
  }

  // FROM

  #push() {
    const table = this.random.pick(this.model.followed)
    const source = { table, alias: `x${this.#aliases++}` }
    this.reads.add(table.oid)
    this.scope.push(source)
    return { source, sql: `${!this.#isFoundBare(table) || (!this.isBare && this.random.chance(0.2)) ? `${name(table.schema)}.` : ''}${name(table.name)} ${source.alias}` }
  }

  /** Bare names are looked up in the schema of the rule's table, then in public. */
  #isFoundBare(table) {
    const found = [this.target.schema, 'public'].find((schema) => this.model.tables.some((other) => other.schema === schema && other.name === table.name))
    return found === table.schema
  }

  #from() {
    const first = this.scope.length
    const { source, sql } = this.#push()
    let text = ` FROM ${sql}`
    const more = this.random.below(10)
    if (more >= 6) return text
    const { source: other, sql: otherSql } = this.#push()
    const shared = source.table.columns.filter((a) => this.#isPublished(source.table, a) &&
      other.table.columns.some((b) => b.name === a.name && this.#isPublished(other.table, b) && isComparable(a.type) && familiesMeet(a, b)))
    if (more < 2 && shared.length > 0) text += ` JOIN ${otherSql} USING (${name(this.random.pick(shared).name)})`
    else if (more < 5) text += ` JOIN ${otherSql} ON ${this.#join(this.scope.slice(first))}`
    else text += `${this.random.pick([', ', ' CROSS JOIN '])}${otherSql}`
    return text
  }

  /** An equality between two sources where there is one to be had. */
  #join(sources) {
    const [a, b] = sources
    for (let i = 0; i < 20; i++) {
      const left = this.#columnOf(a, isComparable)
      const right = left && this.#columnOf(b, (type, column) => isComparable(type) && familiesMeet(left.column, column))
      if (right) return `${this.#reference(left)} = ${this.#reference(right)}`
    }
    return this.#comparison()
  }

  // Columns

  #isPublished(table, column) {
    return table.published.includes(column)
  }

  #columnOf(source, fits) {
    const columns = source.table.published.filter((column) => fits(column.type, column))
    return columns.length > 0 ? { source, column: this.random.pick(columns) } : undefined
  }

  /** Inner sources more often, but the row itself as well: it makes the condition mean something. */
  #find(fits) {
    for (let i = 0; i < 16; i++) {
      const what = this.random.below(10)
      const source = what < 5 ? this.scope.at(-1) : what < 8 ? this.scope[0] : this.random.pick(this.scope)
      const found = this.#columnOf(source, fits)
      if (found) return found
    }
    return undefined
  }

  #reference({ source, column }) {
    return `${name(source.alias)}.${name(column.name)}`
  }

  #partner(of) {
    return this.#find((type, column) => isComparable(type) && familiesMeet(of.column, column))
  }

  // Conditions

  #condition(depth) {
    const what = depth > 0 ? this.random.below(100) : 99
    if (what < 4) return `(${this.#condition(depth - 1)}) IS ${this.random.pick(['TRUE', 'NOT TRUE', 'FALSE', 'NOT FALSE', 'UNKNOWN', 'NOT UNKNOWN', 'NULL', 'NOT NULL'])}`
    if (what < 10) return `NOT (${this.#condition(depth - 1)})`
    if (what < 50) return `(${this.#condition(depth - 1)} ${what < 36 ? 'AND' : 'OR'} ${this.#condition(depth - 1)})`
    return this.#leaf(depth)
  }

  #leaf(depth) {
    const what = this.random.below(100)
    const canSelect = this.#selectsLeft > 0 && this.scope.length < 8
    if (what < 6) return this.#any() ?? this.#comparison()
    if (what < 11) return this.#json() ?? this.#comparison()
    if (what < 16) return this.#distinct()
    if (what < 52 || (what >= 76 && !canSelect)) return this.#comparison()
    if (what < 60) return this.#in()
    if (what < 65) return this.#between() ?? this.#comparison()
    if (what < 71) return this.#truth()
    if (what < 76) return this.#nullTest()
    return what < 89 ? this.#exists(depth - 1) : this.#inQuery(depth - 1)
  }

  #constant(column) {
    const { type } = column
    if (type.family === 'real') return this.random.pick(['1', "'2.5'"])
    const values = this.random.chance(0.3) && type.constants.length > 0 ? type.constants : type.values
    const text = this.random.pick(values)
    const canCast = text.startsWith("'") && isCastable(column.typeName) && type.constants !== values
    return canCast && this.random.chance(0.15) ? `${text}::${column.typeName}` : text
  }

  #comparison() {
    const left = this.#find(isComparable)
    if (!left) return 'true'
    const operator = this.random.pick(OPERATORS.slice(0, left.column.type.isOrdered ? 10 : 6))
    const right = this.random.chance(0.65) ? this.#partner(left) : undefined
    if (right) {
      const isOrder = operator.startsWith('<') && operator !== '<>' || operator.startsWith('>')
      const bothText = !isOrder && left.column.type.isSubject && right.column.type.isSubject && this.random.chance(0.15) ? '::text' : ''
      if (isOrder && !right.column.type.isOrdered) return `${this.#reference(left)} = ${this.#reference(right)}`
      return `${this.#reference(left)}${bothText} ${operator} ${this.#reference(right)}${bothText}`
    }
    const constant = this.#constant(left.column)
    return this.random.chance(0.2) ? `${constant} ${operator} ${this.#reference(left)}` : `${this.#reference(left)} ${operator} ${constant}`
  }

  #in() {
    const column = this.#find(isComparable)
    if (!column) return 'false'
    const items = Array.from({ length: this.random.between(1, 3) }, () => {
      if (this.random.chance(0.08)) return 'NULL'
      return column.column.type.family === 'real' ? this.#constant(column.column) : this.random.pick(column.column.type.values)
    })
    return `${this.#reference(column)} ${this.random.pick(['IN', 'IN', 'NOT IN'])} (${items.join(', ')})`
  }

  #between() {
    const column = this.#find((type) => type.isOrdered && isComparable(type))
    if (!column) return undefined
    return `${this.#reference(column)} ${this.random.pick(['BETWEEN', 'BETWEEN', 'NOT BETWEEN'])} ${this.#constant(column.column)} AND ${this.#constant(column.column)}`
  }

  #truth() {
    const column = this.#find((type) => type.family === 'boolean')
    return column ? this.#reference(column) + this.random.pick(TRUTHS) : this.random.pick(['true', 'false'])
  }

  #nullTest() {
    const column = this.#find((type) => isComparable(type) || type.family === 'array')
    return column ? `${this.#reference(column)} IS ${this.random.pick(['', 'NOT '])}NULL` : 'true'
  }

  #any() {
    const array = this.#find((type) => type.family === 'array')
    if (!array) return undefined
    const element = { typeName: array.column.type.element, type: typeOf(array.column.type.element) }
    const left = this.#find((type) => type.family === element.type.family)
    const text = `${left ? this.#reference(left) : this.random.pick(element.type.values)} = ANY (${this.#reference(array)})`
    return this.random.chance(0.25) ? `NOT (${text})` : text
  }

  #json() {
    const json = this.#find((type) => type.family === 'jsonb')
    if (!json) return undefined
    const text = `(${this.#reference(json)} ${this.random.pick(JSON_PATHS)})`
    const other = this.#find((type, column) => column.typeName === 'text')
    if (other && this.random.chance(0.6)) return `${this.#reference(other)} ${this.random.pick(['=', '=', '<>'])} ${text}`
    return text + this.random.pick([" = 'ana'", " <> '1'", ' IS NULL', ' IS NOT NULL', " IN ('1', 'bo', 'true')", " = '[1, 2]'"])
  }

  #distinct() {
    const left = this.#find(isComparable)
    if (!left) return 'true'
    const right = this.random.chance(0.8) ? this.#partner(left) : undefined
    const operand = right ? this.#reference(right) : left.column.type.family === 'real' ? '1' : this.random.pick(left.column.type.values)
    return `${this.#reference(left)} IS ${this.random.pick(['', 'NOT '])}DISTINCT FROM ${operand}`
  }

  // Subqueries

  #select(depth, valueOf) {
    const mark = this.scope.length
    this.#selectsLeft--
    const from = this.#from()
    // Correlated more often than not: an EXISTS of its own is the same for all rows.
    const join = this.random.chance(0.7) ? this.#join([this.scope.at(-1), this.scope[this.random.below(mark)]]) : undefined
    const where = [join, this.random.chance(0.6) ? this.#condition(depth) : undefined].filter(Boolean).join(' AND ')
    const value = valueOf ? valueOf() : '1'
    this.scope.length = mark
    return `SELECT ${value}${from}${where ? ` WHERE ${where}` : ''}`
  }

  #exists(depth) {
    return `${this.random.pick(['EXISTS', 'NOT EXISTS'])} (${this.#select(depth)}${this.random.chance(0.1) ? ' LIMIT 1' : ''})`
  }

  #inQuery(depth) {
    const column = this.#find(isComparable)
    if (!column) return this.#exists(depth)
    const value = () => {
      const partner = this.#partner(column)
      return partner ? this.#reference(partner) : `NULL::${column.column.typeName}`
    }
    const subquery = this.#select(depth, value)
    const operator = this.random.weighted([[4, 'IN'], [3, 'NOT IN'], [1, '= ANY']])
    return `${this.#reference(column)} ${operator} (${subquery})`
  }
}

/** {relation, audience, columns, type, stream, reads: oids}; undefined where no table is followed.
 * isBare: tables without their schema. */
export function randomRule(model, random, { isBare = false } = {}) {
  const target = random.pick(model.followed)
  const audience = new Audience(model, target, random, isBare)
  const text = audience.text()
  const columns = random.chance(0.3) ? target.published.map((column) => column.name).filter(() => random.chance(0.5)) : []
  return {
    target: target.oid, audience: text, columns: columns.length > 0 ? columns : null, reads: audience.reads,
    type: random.chance(0.2) ? `${target.name} again` : null, stream: random.weighted(STREAMS),
  }
}
