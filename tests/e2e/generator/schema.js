// Random tables to begin with: keys of any kind, foreign keys with cascades, partitions, every type,
// generated columns, all supported replica identities.

import { name, list } from './sql.js'
import { TYPES, TYPE_SQL } from './types.js'

const NAMES = ['todos', 'Members', 'odd name', 'q"uote', 'comments', 'straße', 'a.b,c', 'users', 'select', 'projects', 'x*y', "it's"]
const COLUMN_NAMES = ['owner_id', 'a', 'b', 'c', 'Odd "name', 'user', 'name', 'ü', 'kind', 'd.e']
const TYPE_NAMES = Object.keys(TYPES)
const KEY_TYPES = TYPE_NAMES.filter((typeName) => TYPES[typeName].isKey)
const ACTIONS = ['CASCADE', 'CASCADE', 'CASCADE', 'SET NULL', 'NO ACTION']

export class SchemaMaker {
  #made = [] // {sqlName, key: [{name, typeName}]}

  constructor(random, { tables, schemas }) {
    this.random = random
    this.count = tables
    this.schemas = schemas
  }

  sql() {
    const parts = [TYPE_SQL, ...this.schemas.filter((schema) => schema !== 'public').map((schema) => `CREATE SCHEMA ${name(schema)}`)]
    for (let i = 0; i < this.count; i++) parts.push(this.table(NAMES[i % NAMES.length] + (i < NAMES.length ? '' : i)))
    return parts.join(';\n')
  }

  /** The statements that make one table of the name. */
  table(tableName) {
    const { random } = this
    const sqlName = `${name(random.pick(this.schemas))}.${name(tableName)}`
    const parents = this.#made.filter(({ key }) => key.length === 1)
    const keys = random.weighted([[6, 1], [3, 2], [1, 3]])
    const columns = []
    for (let i = 0; i < keys; i++) columns.push(this.#keyColumn(i === 0 && keys === 1 ? 'id' : `k${i}`, keys > 1 ? parents : []))
    const key = columns.map(({ columnName, typeName }) => ({ name: columnName, typeName }))
    columns.push({ columnName: 'owner_id', typeName: 'text', sql: '' })
    const names = COLUMN_NAMES.slice(1)
    for (let i = random.between(2, 6); i > 0; i--) columns.push(this.#column(names.splice(random.below(names.length), 1)[0], parents))
    const partition = keys > 1 && !columns[0].sql.includes('REFERENCES') && random.chance(0.5) ? this.#partitions(sqlName, columns[0]) : undefined
    const lines = columns.map(({ columnName, typeName, sql }) => `${name(columnName)} ${typeName}${sql}`)
    if (random.chance(0.3)) lines.push(`generated text GENERATED ALWAYS AS (upper(owner_id)) STORED`)
    lines.push(`PRIMARY KEY (${list(key.map((column) => column.name))})`)
    this.#made.push({ sqlName, key })
    return [
      `CREATE TABLE ${sqlName} (${lines.join(', ')})${partition?.by ?? ''}`, ...(partition?.leaves ?? []),
      ...(random.chance(0.3) ? [`ALTER TABLE ${sqlName} REPLICA IDENTITY FULL`, ...(partition?.names ?? []).map((leaf) => `ALTER TABLE ${leaf} REPLICA IDENTITY FULL`)] : []),
      ...(random.chance(0.4) && !partition ? [`ALTER TABLE ${sqlName} ALTER owner_id SET STORAGE EXTERNAL`] : []),
    ].join(';\n')
  }

  #references(parents) {
    const parent = this.random.pick(parents)
    const [key] = parent.key
    return { typeName: key.typeName, sql: ` REFERENCES ${parent.sqlName} ON UPDATE CASCADE ON DELETE ` }
  }

  #keyColumn(columnName, parents) {
    if (parents.length > 0 && this.random.chance(0.5)) {
      const { typeName, sql } = this.#references(parents)
      return { columnName, typeName, sql: `${sql}CASCADE` }
    }
    const typeName = this.random.chance(0.4) ? 'integer' : this.random.pick(KEY_TYPES)
    return { columnName, typeName, sql: '' }
  }

  #column(columnName, parents) {
    const { random } = this
    if (parents.length > 0 && random.chance(0.35)) {
      const { typeName, sql } = this.#references(parents)
      return { columnName, typeName, sql: sql + random.pick(ACTIONS) }
    }
    const typeName = random.chance(0.2) ? 'text' : random.chance(0.1) ? 'body' : random.chance(0.15) ? 'integer' : random.pick(TYPE_NAMES)
    const isNotNull = random.chance(0.15)
    const withDefault = isNotNull || random.chance(0.15) ? ` DEFAULT ${random.pick(TYPES[typeName].values)}` : ''
    return { columnName, typeName, sql: `${withDefault}${isNotNull ? ' NOT NULL' : ''}` }
  }

  #partitions(sqlName, column) {
    const leaf = (part) => sqlName.slice(0, -1) + ` ${part}"`
    const by = (kind) => ` PARTITION BY ${kind} (${name(column.columnName)})`
    const hasRanges = TYPES[column.typeName].family === 'number' && column.typeName !== 'positive' // from 0
    if (hasRanges && this.random.chance(0.7)) {
      const names = [leaf('low'), leaf('high'), leaf('rest')]
      return {
        by: by('RANGE'), names,
        leaves: [`CREATE TABLE ${names[0]} PARTITION OF ${sqlName} FOR VALUES FROM (0) TO (6)`, `CREATE TABLE ${names[1]} PARTITION OF ${sqlName} FOR VALUES FROM (6) TO (14)`, `CREATE TABLE ${names[2]} PARTITION OF ${sqlName} DEFAULT`],
      }
    }
    const names = [leaf('even'), leaf('odd')]
    return { by: by('HASH'), names, leaves: names.map((each, i) => `CREATE TABLE ${each} PARTITION OF ${sqlName} FOR VALUES WITH (MODULUS 2, REMAINDER ${i})`) }
  }
}

// What Postgres takes in a filter; IN lists of varchar it does not, nor types of one's own.
const FILTERED = new Set(['integer', 'bigint', 'smallint', 'text', 'boolean', 'date', 'timestamp without time zone', 'timestamp with time zone', 'uuid', 'bytea'])

/** ` WHERE (…)` of a publication, of columns that the replica identity has; '' where there are none. */
export function rowFilter(random, table) {
  const columns = table.columns.filter((column) => FILTERED.has(column.typeName) && !column.isGenerated && (table.identity === 'f' || table.key.includes(column.name)))
  if (columns.length === 0) return ''
  const one = () => {
    const column = random.pick(columns)
    const value = () => random.pick(column.type.values)
    const operator = random.pick(column.type.isOrdered ? ['=', '<>', '<', '>='] : ['=', '<>'])
    return random.weighted([
      [5, `${name(column.name)} ${operator} ${value()}`], [2, `${name(column.name)} IN (${value()}, ${value()})`],
      [2, `${name(column.name)} IS ${random.pick(['', 'NOT '])}NULL`], [1, `NOT (${name(column.name)} ${operator} ${value()})`],
    ])
  }
  return ` WHERE (${random.chance(0.3) ? `${one()} ${random.pick(['AND', 'OR'])} ${one()}` : one()})`
}

const OPERATIONS = ['insert', 'insert, update', 'update, delete', 'insert, delete', 'insert, delete, truncate', 'insert, update, delete']

/** SQL that publishes tables in one of the ways there are; `SET` may follow at any time. */
export function publicationSql(random, model, schemas, { hasFilters, isPartial }) {
  const root = isPartial || random.chance(0.5)
  const via = `publish_via_partition_root = ${root}${isPartial ? `, publish = '${random.pick(OPERATIONS)}'` : ''}`
  const kind = hasFilters ? 'tables' : random.weighted([[5, 'tables'], [isPartial ? 0 : 2, 'all'], [2, 'schema']])
  if (kind === 'all') return `DROP PUBLICATION weir; CREATE PUBLICATION weir FOR ALL TABLES WITH (${via})`
  if (kind === 'schema') {
    return `ALTER PUBLICATION weir SET TABLES IN SCHEMA ${list(schemas)}, TABLE weir.rules; ALTER PUBLICATION weir SET (${via})`
  }
  const tables = model.roots.map((table) => {
    const others = table.columns.filter((column) => !table.key.includes(column.name) && !column.isGenerated && random.chance(0.8))
    const filter = hasFilters && (root || !table.isPartitioned) && random.chance(0.7) ? rowFilter(random, table) : ''
    if (filter) return `${name(table.schema)}.${name(table.name)}${filter}`
    const hasList = random.chance(0.25) && table.identity === 'd' && (root || !table.isPartitioned)
    return `${name(table.schema)}.${name(table.name)}${hasList ? ` (${list([...table.key, ...others.map((column) => column.name)])})` : ''}`
  })
  // Column lists and filters of partitioned tables need the root to be published first.
  return `ALTER PUBLICATION weir SET (${via}); ALTER PUBLICATION weir ADD TABLE ${tables.join(', ')}`
}

