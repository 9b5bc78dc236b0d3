// What is left of the tables where a publication leaves out operations: triggers write it down, each
// operation that is published and no other, beside the tables. An insert of a key that has stayed
// because its delete was not published takes the old row's place.

import { list, literal, name, table as tableName } from './sql.js'

export const LEFT = 'weir_left' // the schema

const FOLLOW_SQL = `
  CREATE FUNCTION ${LEFT}.follow() RETURNS trigger LANGUAGE plpgsql AS $$
  DECLARE
    published text := TG_ARGV[0];
    key text := TG_ARGV[1];
    rows text := TG_ARGV[2];
    found int;
  BEGIN
    IF strpos(published, lower(TG_OP)) = 0 THEN RETURN NULL; END IF;
    IF TG_OP = 'TRUNCATE' THEN EXECUTE 'DELETE FROM ' || rows; RETURN NULL; END IF;
    IF TG_OP <> 'INSERT' THEN
      EXECUTE format('DELETE FROM %s s WHERE %s', rows, key) USING OLD;
      GET DIAGNOSTICS found = ROW_COUNT;
      IF TG_OP = 'DELETE' OR found = 0 THEN RETURN NULL; END IF;
    END IF;
    EXECUTE format('DELETE FROM %s s WHERE %s', rows, key) USING NEW;
    EXECUTE format('INSERT INTO %s SELECT ($1).*', rows) USING NEW;
    RETURN NULL;
  END $$`

function followSql(table, published) {
  const rows = `${LEFT}.${name(table.name)}`
  const key = table.key.map((column) => `s.${name(column)} = ($1).${name(column)}`).join(' AND ')
  const call = `EXECUTE FUNCTION ${LEFT}.follow(${[published, key, rows].map(literal).join(', ')})`
  return `CREATE TABLE ${rows} AS SELECT * FROM ${tableName(table)};
    CREATE INDEX ON ${rows} (${list(table.key)});
    CREATE TRIGGER weir_left AFTER INSERT OR UPDATE OR DELETE ON ${tableName(table)} FOR EACH ROW ${call};
    CREATE TRIGGER weir_left_truncate AFTER TRUNCATE ON ${tableName(table)} FOR EACH STATEMENT ${call}`
}

/** From now on. The publication does not change after this. */
export async function followOperations(db, model) {
  const statements = model.roots.filter((table) => table.key.length > 0).map((table) => followSql(table, model.publication.publish))
  await db.query([`CREATE SCHEMA ${LEFT}`, FOLLOW_SQL, ...statements].join(';\n'))
}
