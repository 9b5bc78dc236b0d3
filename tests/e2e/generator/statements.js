// Random statements that write rows, over whatever tables a model has. Few keys and few values, so
// that statements meet the same rows again and again.

import { list, literal, name, table as tableName } from './sql.js'

const FULL_TABLE = 45

// Values that Postgres stores out of line; none of them may be a subject, as a path is short.
const OUT_OF_LINE = { body: literal, jsonb: (noise) => `'{"a": "${noise}"}'`, 'text[]': (noise) => `'{${noise}}'` }

export class Statements {
  constructor(random) {
    this.random = random
  }

  /** {sql, table} */
  any(model) {
    const { random } = this
    const tables = model.written
    let table = random.pick(tables)
    // Partitions are written through their root, most of the time.
    if (table.isPartition && random.chance(0.8)) table = model.byOid.get(table.root) ?? table
    this.model = model
    const make = random.weighted([
      [10, this.insert], [3, this.insertMany], [10, this.update], [3, this.updateKey], [5, this.remove], [1, this.removeMany],
      [2, this.touch], [2, this.replace], [2, this.comeAndGo], [1, this.swapKeys], [1, this.truncate], [1, this.elsewhere], [4, this.thinOut],
    ])
    return { sql: make.call(this, table), table, isTruncate: make === this.truncate }
  }

  #value(column, isKey = false) {
    const { random } = this
    if (!column.isNotNull && random.chance(isKey ? 0 : 0.15)) return 'NULL'
    const long = !isKey && random.chance(0.3) ? OUT_OF_LINE[column.typeName] : undefined
    if (long) return long(random.noise(random.between(2100, 6000)))
    return random.pick(isKey ? column.type.keys : column.type.values)
  }

  #foreignKey(table, column) {
    return table.foreignKeys.find((key) => key.column === column.name && this.model.byOid.has(key.target))
  }

  /** A new value for a column: of a row that is there, where it refers to one. */
  #valueFor(table, column) {
    const key = this.#foreignKey(table, column)
    const isKey = table.key.includes(column.name)
    if (key && !this.random.chance(0.1)) {
      const target = this.model.byOid.get(key.target)
      return `(SELECT ${name(key.targetColumn)} FROM ${tableName(target)} ORDER BY 1 OFFSET ${this.#place(target, 25)} LIMIT 1)`
    }
    return this.#value(column, isKey)
  }

  #columns(table) {
    return table.columns.filter((column) => !column.isGenerated)
  }

  #row(table, columns) {
    return `(${columns.map((column) => (column.hasDefault && this.random.chance(0.3) ? 'DEFAULT' : this.#valueFor(table, column))).join(', ')})`
  }

  /** How many rows to skip. It is for Postgres to say how many there are: the text may not depend on what
   * others, or a fault, did to the table. */
  #place(table, most) {
    return `(SELECT ${this.random.below(most * 24)} % greatest(1, least(count(*), ${most})) FROM ${tableName(table)})`
  }

  /** The key of one row that is there, or a few. */
  #some(table, count) {
    const keys = table.key.length > 0 ? table.key : [table.columns[0].name]
    return `(${list(keys)}) IN (SELECT ${list(keys)} FROM ${tableName(table)} ORDER BY ${keys.map((_, i) => i + 1).join(', ')} OFFSET ${this.#place(table, 40)} LIMIT ${count})`
  }

  #count() {
    return this.random.weighted([[6, 1], [2, 2], [1, 5]])
  }

  insert(table) {
    // Some columns are left to their defaults.
    const columns = this.#columns(table).filter((column) => table.key.includes(column.name) || column.isNotNull || this.random.chance(0.85))
    const count = this.#count()
    const rows = Array.from({ length: count }, () => this.#row(table, columns))
    return `INSERT INTO ${tableName(table)} (${columns.map((column) => name(column.name)).join(', ')}) VALUES ${rows.join(', ')}${this.#onConflict(table, columns, count)}`
  }

  #onConflict(table, columns, count) {
    if (table.key.length === 0) return ''
    const others = columns.filter((column) => !table.key.includes(column.name))
    // One statement may not update a row twice.
    if (count > 1 || others.length === 0 || this.random.chance(0.4)) return ' ON CONFLICT DO NOTHING'
    const set = others.filter(() => this.random.chance(0.5)).map((column) => `${name(column.name)} = excluded.${name(column.name)}`)
    return set.length > 0 ? ` ON CONFLICT (${list(table.key)}) DO UPDATE SET ${set.join(', ')}` : ' ON CONFLICT DO NOTHING'
  }

  insertMany(table) {
    const columns = this.#columns(table)
    const number = table.columns.find((column) => table.key.includes(column.name) && column.type.family === 'number')
    if (!number || this.#foreignKey(table, number)) return this.insert(table)
    const start = this.random.between(1, 25)
    const values = columns.map((column) => (column === number ? 'i' : this.#valueFor(table, column)))
    return `INSERT INTO ${tableName(table)} (${columns.map((column) => name(column.name)).join(', ')}) SELECT ${values.join(', ')} FROM generate_series(${start}, ${start + this.random.below(8)}) i ON CONFLICT DO NOTHING`
  }

  #settable(table) {
    return this.#columns(table).filter((column) => !table.key.includes(column.name))
  }

  #set(table, columns) {
    const chosen = new Set(Array.from({ length: this.#count() }, () => this.random.pick(columns)))
    return [...chosen].map((column) => `${name(column.name)} = ${this.#valueFor(table, column)}`).join(', ')
  }

  update(table) {
    const columns = this.#settable(table)
    if (columns.length === 0) return this.updateKey(table)
    return `UPDATE ${tableName(table)} SET ${this.#set(table, columns)} WHERE ${this.#some(table, this.#count())}`
  }

  updateKey(table) {
    const key = table.columns.find((column) => column.name === this.random.pick(table.key) && !column.isGenerated)
    if (!key) return this.insert(table)
    const others = this.#settable(table)
    const more = others.length > 0 && this.random.chance(0.4) ? `, ${this.#set(table, others)}` : ''
    return `UPDATE ${tableName(table)} SET ${name(key.name)} = ${this.#valueFor(table, key)}${more} WHERE ${this.#some(table, 1)}`
  }

  /** An update that changes nothing; REPLICA IDENTITY FULL sends it all the same. */
  touch(table) {
    const column = this.random.pick(this.#columns(table))
    return `UPDATE ${tableName(table)} SET ${name(column.name)} = ${name(column.name)} WHERE ${this.#some(table, 5)}`
  }

  remove(table) {
    return `DELETE FROM ${tableName(table)} WHERE ${this.#some(table, this.#count())}`
  }

  removeMany(table) {
    return `DELETE FROM ${tableName(table)} t WHERE hashtext(t::text) % 3 = ${this.random.below(3)}`
  }

  /** Where there are many. */
  thinOut(table) {
    return `DELETE FROM ${tableName(table)} t WHERE (SELECT count(*) > ${FULL_TABLE} FROM ${tableName(table)}) AND abs(hashtext(t::text)) % 4 <> ${this.random.below(4)}`
  }

  /** Another row with the key of one that goes. */
  replace(table) {
    if (table.key.length !== 1) return this.insert(table)
    const key = table.columns.find((column) => column.name === table.key[0])
    if (key.isGenerated) return this.insert(table)
    const columns = this.#columns(table).filter((column) => column !== key)
    const value = this.#value(key, true)
    return `DELETE FROM ${tableName(table)} WHERE ${name(key.name)} = ${value};
      INSERT INTO ${tableName(table)} (${[key, ...columns].map((column) => name(column.name)).join(', ')}) VALUES (${[value, ...columns.map((column) => this.#valueFor(table, column))].join(', ')})`
  }

  /** A row that exists inside the transaction only: nobody may ever see it. */
  comeAndGo(table) {
    if (table.key.length !== 1) return this.remove(table)
    const key = table.columns.find((column) => column.name === table.key[0])
    const ghost = { number: '29999', text: "'ghost'", uuid: "'00000000-0000-4000-8000-00000000dead'", date: "'1000-01-01'", bytea: "'\\xdead'" }[key.type.family]
    if (!ghost || key.isGenerated || this.#foreignKey(table, key)) return this.remove(table)
    const columns = this.#columns(table).filter((column) => column !== key)
    return `INSERT INTO ${tableName(table)} (${[key, ...columns].map((column) => name(column.name)).join(', ')}) VALUES (${[ghost, ...columns.map((column) => this.#valueFor(table, column))].join(', ')});
      ${columns.length > 0 ? `UPDATE ${tableName(table)} SET ${this.#set(table, columns)} WHERE ${name(key.name)} = ${ghost};` : ''}
      DELETE FROM ${tableName(table)} WHERE ${name(key.name)} = ${ghost}`
  }

  /** Two rows change keys through a third. */
  swapKeys(table) {
    const key = table.columns.find((column) => column.name === table.key[0])
    if (table.key.length !== 1 || key.type.family !== 'number' || key.isGenerated || key.typeName === 'positive') return this.update(table)
    const [a, b] = [this.random.pick(key.type.keys), this.random.pick(key.type.keys)]
    const move = (from, to) => `UPDATE ${tableName(table)} SET ${name(key.name)} = ${to} WHERE ${name(key.name)} = ${from}`
    return `${move(a, '-1')}; ${move(b, a)}; ${move('-1', b)}`
  }

  truncate(table) {
    return `TRUNCATE ${tableName(table)} CASCADE`
  }

  elsewhere() {
    return `SELECT pg_logical_emit_message(true, 'app', 'a message')`
  }
}
