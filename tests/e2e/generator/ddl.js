// Random changes of the schema and of what is published, from the model as it is at the moment.

import { rowFilter } from './schema.js'
import { list, name, table as tableName } from './sql.js'
import { TYPES } from './types.js'

const TYPE_NAMES = Object.keys(TYPES)

export class Ddl {
  #next = 1

  constructor(random, maker, { hasFilters }) {
    this.random = random
    this.maker = maker
    this.hasFilters = hasFilters
  }

  /** SQL of one change. Some fail, as some would in life. */
  any(model) {
    this.model = model
    const { random } = this
    const make = random.weighted([
      [5, this.addColumn], [3, this.dropColumn], [3, this.renameColumn], [4, this.alterType],
      [2, this.rewriteColumn], [2, this.replaceColumn], [1, this.moveColumn], [2, this.renameTable], [1, this.swapNames],
      [1, this.dropTable], [1, this.recreate], [2, this.createTable], [3, this.publication], [2, this.identity], [4, this.partition],
      [2, this.constraint], [1, this.moveKey], [1, this.schemaOf],
    ])
    return make.call(this, random.pick(model.roots)) ?? this.addColumn(random.pick(model.roots))
  }

  #fresh(text) {
    return `${text} ${this.#next++}`
  }

  addColumn(table) {
    const { random } = this
    const typeName = random.pick(TYPE_NAMES)
    const kind = random.below(5)
    const text = table.columns.find((column) => column.typeName === 'text' && !column.isGenerated)
    const column = name(this.#fresh(random.pick(['extra', 'e"x', 'Ünï'])))
    const tail = kind < 2 ? '' : kind < 4 || !text ? ` DEFAULT ${random.pick(TYPES[typeName].values)}${random.chance(0.3) ? ' NOT NULL' : ''}` : undefined
    if (tail === undefined) return `ALTER TABLE ${tableName(table)} ADD COLUMN ${column} text GENERATED ALWAYS AS (lower(${name(text.name)})) STORED`
    return `ALTER TABLE ${tableName(table)} ADD COLUMN ${column} ${typeName}${tail}`
  }

  #anyColumn(table) {
    const columns = table.columns.filter((column) => !table.key.includes(column.name))
    return columns.length > 0 ? this.random.pick(columns) : undefined
  }

  dropColumn(table) {
    const column = this.#anyColumn(table)
    if (!column || table.columns.length < 4) return undefined
    return `ALTER TABLE ${tableName(table)} DROP COLUMN ${name(column.name)} CASCADE`
  }

  renameColumn(table) {
    const column = this.random.chance(0.25) ? this.random.pick(table.columns) : this.#anyColumn(table)
    return column && `ALTER TABLE ${tableName(table)} RENAME COLUMN ${name(column.name)} TO ${name(this.#fresh('renamed'))}`
  }

  alterType(table) {
    const column = this.random.chance(0.2) ? this.random.pick(table.columns) : this.#anyColumn(table)
    if (!column || column.isGenerated || ['body', 'jsonb', 'text[]'].includes(column.typeName)) return undefined // too long for a subject
    const family = column.type.family
    const targets = { number: ['bigint', 'numeric', 'text', 'integer'], text: ['text', 'label', 'text[]', 'jsonb'], date: ['timestamp with time zone', 'text'], boolean: ['text'] }
    const to = this.random.pick(targets[family] ?? ['text'])
    const value = name(column.name)
    const using = { 'text[]': `ARRAY[${value}::text]`, jsonb: `to_jsonb(${value})` }[to] ?? `${value}::${to}`
    const drop = column.hasDefault ? `ALTER TABLE ${tableName(table)} ALTER ${value} DROP DEFAULT; ` : ''
    return `${drop}ALTER TABLE ${tableName(table)} ALTER COLUMN ${value} TYPE ${to} USING ${using}`
  }

  #writable(table) {
    const column = this.#anyColumn(table)
    return column && !column.isGenerated && TYPES[column.typeName] ? column : undefined
  }

  /** Other values of the type that it has. */
  rewriteColumn(table) {
    const column = this.#writable(table)
    if (!column) return undefined
    const [sql, value] = [name(column.name), this.random.pick(column.type.values)]
    return `ALTER TABLE ${tableName(table)} ALTER COLUMN ${sql} TYPE ${column.typeName} USING CASE WHEN abs(hashtext(${sql}::text)) % 2 = 0 THEN ${value}::${column.typeName} ELSE ${sql} END`
  }

  /** Another column of the same name and type. */
  replaceColumn(table) {
    const column = this.#writable(table)
    if (!column) return undefined
    const alter = `ALTER TABLE ${tableName(table)}`
    return `${alter} DROP COLUMN ${name(column.name)} CASCADE; ${alter} ADD COLUMN ${name(column.name)} ${column.typeName} DEFAULT ${this.random.pick(column.type.values)}`
  }

  /** The same column at the end of the row. */
  moveColumn(table) {
    const column = this.#writable(table)
    if (!column) return undefined
    const [alter, copy] = [`ALTER TABLE ${tableName(table)}`, name(this.#fresh('copy'))]
    return `${alter} ADD COLUMN ${copy} ${column.typeName}; UPDATE ${tableName(table)} SET ${copy} = ${name(column.name)};
      ${alter} DROP COLUMN ${name(column.name)} CASCADE; ${alter} RENAME COLUMN ${copy} TO ${name(column.name)}`
  }

  renameTable(table) {
    return `ALTER TABLE ${tableName(table)} RENAME TO ${name(this.#fresh('moved'))}`
  }

  swapNames(a) {
    const b = this.random.pick(this.model.roots)
    if (a === b || a.schema !== b.schema) return undefined
    return `ALTER TABLE ${tableName(a)} RENAME TO swapping; ALTER TABLE ${tableName(b)} RENAME TO ${name(a.name)}; ALTER TABLE ${name(a.schema)}.swapping RENAME TO ${name(b.name)}`
  }

  dropTable(table) {
    return this.model.roots.length > 4 ? `DROP TABLE ${tableName(table)} CASCADE` : undefined
  }

  /** Another table of the same name and shape, with some of the rows. */
  recreate(table) {
    if (table.isPartitioned) return undefined
    const [sql, copy] = [tableName(table), `${name(table.schema)}.${name(this.#fresh('copy'))}`]
    const columns = list(table.columns.filter((column) => !column.isGenerated).map((column) => column.name))
    return `CREATE TABLE ${copy} (LIKE ${sql} INCLUDING ALL);
      INSERT INTO ${copy} (${columns}) SELECT ${columns} FROM ${sql} t WHERE abs(hashtext(t::text)) % 3 > 0;
      DROP TABLE ${sql} CASCADE; ALTER TABLE ${copy} RENAME TO ${name(table.name)};
      ${this.#publish(table)}`
  }

  #publish(table) {
    return this.model.publication.isAllTables || this.model.publication.isBySchema ? '' : `ALTER PUBLICATION weir ADD TABLE ${tableName(table)}`
  }

  createTable() {
    if (this.model.roots.length > 9) return undefined
    const fresh = this.#fresh('made')
    const sql = this.maker.table(fresh)
    const schema = /^CREATE TABLE "((?:[^"]|"")*)"/.exec(sql)[1].replaceAll('""', '"')
    return `${sql}; ${this.#publish({ schema, name: fresh })}`
  }

  publication(table) {
    const { publication } = this.model
    if (publication.isAllTables || this.random.chance(0.1)) {
      return publication.isAllTables ? undefined : `ALTER PUBLICATION weir SET (publish_via_partition_root = ${!publication.isViaRoot})`
    }
    if (publication.isBySchema) return undefined
    const isIn = table.isPublished || this.model.leavesOf(table).some((leaf) => leaf.isPublished)
    const filter = this.hasFilters && this.random.chance(0.7) ? rowFilter(this.random, table) : ''
    if (!isIn) return `ALTER PUBLICATION weir ADD TABLE ${tableName(table)}${filter}`
    if (filter) return `ALTER PUBLICATION weir DROP TABLE ${tableName(table)}; ALTER PUBLICATION weir ADD TABLE ${tableName(table)}${filter}`
    if (this.random.chance(0.5) || table.isPartitioned || table.identity !== 'd') return `ALTER PUBLICATION weir DROP TABLE ${tableName(table)}`
    const columns = table.columns.filter((column) => table.key.includes(column.name) || (!column.isGenerated && this.random.chance(0.7)))
    return `ALTER PUBLICATION weir DROP TABLE ${tableName(table)}; ALTER PUBLICATION weir ADD TABLE ${tableName(table)} (${list(columns.map((column) => column.name))})`
  }

  identity(table) {
    if (table.columnList !== null) return undefined // an identity that the list leaves out refuses updates
    const what = this.random.weighted([[4, 'FULL'], [4, 'DEFAULT'], [1, 'NOTHING']])
    return [table, ...this.model.leavesOf(table)].map((each) => `ALTER TABLE ${tableName(each)} REPLICA IDENTITY ${what}`).join('; ')
  }

  partition() {
    const { random } = this
    const table = random.pick(this.model.roots.filter((each) => each.isPartitioned))
    const leaves = table ? this.model.leavesOf(table) : []
    if (leaves.length === 0) return undefined
    const leaf = random.pick(leaves)
    const number = table.columns.find((column) => table.partitionKey?.includes(column.name) && column.type.family === 'number')
    const what = random.below(5)
    if (what === 0) return `TRUNCATE ${tableName(leaf)}`
    if (what === 1) return `ALTER TABLE ${tableName(table)} DETACH PARTITION ${tableName(leaf)}`
    if (what === 2 && leaves.length > 2) return `DROP TABLE ${tableName(leaf)}`
    if (!number) return undefined
    const fresh = `${name(table.schema)}.${name(this.#fresh('part'))}`
    const from = 15 + random.below(15)
    return `CREATE TABLE ${fresh} (LIKE ${tableName(table)} INCLUDING ALL); ALTER TABLE ${tableName(table)} ATTACH PARTITION ${fresh} FOR VALUES FROM (${from}) TO (${from + 1})`
  }

  constraint(table) {
    const column = this.#anyColumn(table)
    if (!column) return undefined
    const alter = `ALTER TABLE ${tableName(table)} ALTER ${name(column.name)}`
    return this.random.pick([
      `${alter} SET DEFAULT ${this.random.pick(column.type.values)}`, `${alter} DROP DEFAULT`, `${alter} DROP NOT NULL`,
      `CREATE INDEX ON ${tableName(table)} (${name(table.key[0] ?? column.name)})`,
      `COMMENT ON TABLE ${tableName(table)} IS 'altered'`,
    ])
  }

  /** The primary key becomes another one. */
  moveKey(table) {
    if (table.isPartitioned || this.model.tables.some((other) => other.foreignKeys.some(({ target }) => target === table.oid))) return undefined
    const column = this.random.pick(table.columns.filter((each) => each.type.isKey && !table.key.includes(each.name) && table.columnList === null))
    if (!column) return undefined
    const key = this.random.chance(0.5) ? [...table.key, column.name] : [column.name, ...table.key]
    return `DELETE FROM ${tableName(table)} WHERE ${name(column.name)} IS NULL;
      ALTER TABLE ${tableName(table)} DROP CONSTRAINT ${name(table.keyName)};
      ALTER TABLE ${tableName(table)} ADD PRIMARY KEY (${list(key)})`
  }

  schemaOf(table) {
    const other = this.maker.schemas.find((schema) => schema !== table.schema)
    return other && !table.isPartitioned ? `ALTER TABLE ${tableName(table)} SET SCHEMA ${name(other)}` : undefined
  }
}
