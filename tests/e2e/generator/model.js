// What the database holds, as its catalog says: read anew after whatever may have changed it, so that
// no book has to be kept of what ALTER TABLE, CASCADE and ROLLBACK have done.

import { LEFT } from './operations.js'
import { name as quoted, table as tableName } from './sql.js'
import { typeOf } from './types.js'

const TABLES_SQL = `
  SELECT c.oid, n.nspname AS schema, c.relname AS name, c.relkind = 'p' AS "isPartitioned", c.relispartition AS "isPartition",
         c.relreplident AS identity, p.oid IS NOT NULL AS "isPublished", p.rowfilter AS filter, pg_partition_root(c.oid)::oid AS root,
         (SELECT array_agg(a.attname::text) FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
            AND a.attnum = ANY (pr.prattrs::int2[])) AS "columnList",
         (SELECT json_agg(json_build_object('name', a.attname, 'typeName', format_type(a.atttypid, a.atttypmod), 'isNotNull', a.attnotnull,
                   'isGenerated', a.attgenerated <> '', 'hasDefault', a.atthasdef) ORDER BY a.attnum)
            FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped) AS columns,
         (SELECT json_agg(a.attname ORDER BY k.position) FROM pg_index i, unnest(i.indkey::int2[]) WITH ORDINALITY k(attnum, position)
            JOIN pg_attribute a ON a.attnum = k.attnum AND a.attrelid = c.oid WHERE i.indrelid = c.oid AND i.indisprimary) AS key,
         (SELECT f.conname FROM pg_constraint f WHERE f.conrelid = c.oid AND f.contype = 'p') AS "keyName",
         (SELECT json_agg(json_build_object('target', f.confrelid::bigint, 'column', a.attname, 'targetColumn', b.attname))
            FROM pg_constraint f JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = f.conkey[1]
            JOIN pg_attribute b ON b.attrelid = f.confrelid AND b.attnum = f.confkey[1]
           WHERE f.conrelid = c.oid AND f.contype = 'f' AND f.conparentid = 0) AS "foreignKeys",
         (SELECT json_agg(a.attname) FROM pg_partitioned_table t JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = ANY (t.partattrs::int2[])
           WHERE t.partrelid = c.oid) AS "partitionKey"
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    LEFT JOIN (SELECT DISTINCT to_regclass(format('%I.%I', schemaname, tablename))::oid AS oid, rowfilter FROM pg_publication_tables WHERE pubname = 'weir') p ON p.oid = c.oid
    LEFT JOIN pg_publication_rel pr ON pr.prrelid = c.oid AND pr.prpubid = (SELECT oid FROM pg_publication WHERE pubname = 'weir')
   WHERE c.relkind IN ('r', 'p') AND n.nspname !~ '^(pg_|information_schema|weir)' AND c.relname <> 'test_marker'
   ORDER BY n.nspname, c.relname`

export async function loadModel(db) {
  const { rows } = await db.query(TABLES_SQL)
  const publication = (await db.query(`SELECT puballtables AS "isAllTables", pubviaroot AS "isViaRoot", to_regnamespace('${LEFT}') IS NOT NULL AS "isLeft",
      concat_ws(', ', CASE WHEN pubinsert THEN 'insert' END, CASE WHEN pubupdate THEN 'update' END,
                CASE WHEN pubdelete THEN 'delete' END, CASE WHEN pubtruncate THEN 'truncate' END) AS publish,
      EXISTS (SELECT 1 FROM pg_publication_namespace s WHERE s.pnpubid = p.oid) AS "isBySchema" FROM pg_publication p WHERE pubname = 'weir'`)).rows[0]
  const tables = rows.map((row) => ({ ...row, key: row.key ?? [], foreignKeys: row.foreignKeys ?? [], root: row.root ?? row.oid }))
  for (const table of tables) {
    for (const column of table.columns) column.type = typeOf(column.typeName)
    table.published = table.columns.filter(({ name }) => table.columnList === null || table.columnList.includes(name))
    // What Weir follows; the rest it leaves out and says so.
    table.isFollowed = table.isPublished && table.key.length > 0 && table.identity !== 'n' &&
      table.key.every((key) => table.published.some(({ name }) => name === key))
  }
  return new Model(tables, publication)
}

class Model {
  constructor(tables, publication) {
    this.tables = tables
    this.publication = publication
    this.byOid = new Map(tables.map((table) => [table.oid, table]))
  }

  /** Those that rules may name. */
  get followed() {
    return this.tables.filter((table) => table.isFollowed)
  }

  /** Those that statements write to. */
  get written() {
    return this.tables.filter((table) => table.key.length > 0 || !table.isPublished)
  }

  get roots() {
    return this.tables.filter((table) => !table.isPartition)
  }

  /** SQL of the rows that the publication has of a table. */
  rowsOf(table) {
    if (this.publication.isLeft) return `(SELECT * FROM ${LEFT}.${quoted(table.name)})`
    return table.filter ? `(SELECT * FROM ${tableName(table)} WHERE ${table.filter})` : tableName(table)
  }

  /** Those rows in the place of the tables, for SQL that calls these by their bare names. */
  get rowsInPlace() {
    const tables = this.followed.filter((table) => table.filter || this.publication.isLeft)
    const parts = tables.map((table) => `${quoted(table.name)} AS NOT MATERIALIZED ${this.rowsOf(table)}`)
    return parts.length > 0 ? `WITH ${parts.join(', ')} ` : ''
  }

  leavesOf(table) {
    return this.tables.filter((leaf) => leaf.isPartition && !leaf.isPartitioned && leaf.root === table.oid)
  }

  /** The tables, as roots, whose rows change when rows of this one do. */
  reached(table) {
    const reached = new Set([table.root])
    for (let size = 0; size < reached.size;) {
      size = reached.size
      for (const other of this.tables) {
        if (other.foreignKeys.some(({ target }) => reached.has(this.byOid.get(target)?.root))) reached.add(other.root)
      }
    }
    return reached
  }

  isPartitionedReached(table) {
    return [...this.reached(table)].some((oid) => this.byOid.get(oid)?.isPartitioned)
  }
}
