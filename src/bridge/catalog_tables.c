/* Which tables the publication holds, and whether Weir can follow them. */
#include "catalog_loading.h"

#include "weir/base/check.h"

/* Of schema weir, what people write is followed. */
static const char tables_sql[] =
    "SELECT c.oid, n.nspname, c.relname, c.relkind, pt.rowfilter,"
    "       greatest(c.reltuples, 0), pr.prattrs IS NOT NULL,"
    /* Without what an index INCLUDEs; the vector is counted from 0. */
    "       array_to_string(pk.columns, ' '),"
    "       nameless.schema, nameless.name, nameless.identity,"
    "       (SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum)"
    "          FROM pg_attribute a WHERE a.attrelid = c.oid"
    "           AND a.attnum = ANY (pr.prattrs::int2[] || pk.columns)"
    "           AND NOT pk.columns <@ pr.prattrs::int2[]),"
    "       p.puballtables OR EXISTS (SELECT 1 FROM pg_publication_namespace pn"
    "         WHERE pn.pnpubid = p.oid AND pn.pnnspid = n.oid),"
    /* A domain has the category of what is under it. */
    "       (SELECT quote_ident(o.conname) FROM pg_constraint o, pg_attribute a, pg_type t"
    "         WHERE o.conrelid = c.oid AND o.contype = 'p' AND a.attrelid = c.oid"
    "           AND a.attnum = ANY (o.conkey) AND t.oid = a.atttypid"
    "           AND t.typcategory IN ('A', 'C') LIMIT 1),"
    "       c.relkind = 'r' AND EXISTS (SELECT FROM pg_inherits h WHERE h.inhparent = c.oid),"
    "       silent.schema, silent.name,"
    /* A new name, or schema, is one of the row type as well, and of that there is little else to
     * change. Rights on a schema are granted again and again: one that has some says nothing of its
     * name. */
    "       concat_ws(' ', (SELECT y.xmin FROM pg_type y WHERE y.oid = c.reltype),"
    "         CASE WHEN n.nspacl IS NULL THEN n.xmin END),"
    /* As the bridge reads it: rows that policies would hide from it are missing, without a word. */
    "       CASE WHEN NOT has_schema_privilege(n.oid, 'USAGE') THEN 'schema'"
    "            WHEN NOT has_table_privilege(c.oid, 'SELECT') THEN 'table'"
    "            WHEN row_security_active(c.oid) THEN 'policies' END,"
    "       quote_ident(current_user),"
    "       EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary"
    "                 AND NOT i.indimmediate)"
    "  FROM pg_publication_tables pt"
    "  JOIN pg_publication p ON p.pubname = pt.pubname"
    "  JOIN pg_namespace n ON n.nspname = pt.schemaname"
    "  JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = pt.tablename"
    "  LEFT JOIN LATERAL (SELECT (i.indkey::int2[])[0:i.indnkeyatts - 1] FROM pg_index i"
    "      WHERE i.indrelid = c.oid AND i.indisprimary) pk(columns) ON true"
    "  LEFT JOIN pg_publication_rel pr ON pr.prpubid = p.oid AND pr.prrelid = c.oid"
    /* The table, or a partition, whose updates and deletes do not say which row they are of. */
    "  LEFT JOIN LATERAL (SELECT s.nspname, l.relname, l.relreplident"
    "       FROM " PARTITION_TREE("c") " t JOIN pg_class l ON l.oid = t.relid"
    "       JOIN pg_namespace s ON s.oid = l.relnamespace"
    "      WHERE l.relkind = 'r' AND l.relreplident <> 'f' AND NOT EXISTS (SELECT FROM pg_index i"
    "              WHERE i.indrelid = l.oid AND CASE l.relreplident"
    "                    WHEN 'd' THEN i.indisprimary AND i.indimmediate"
    "                    WHEN 'i' THEN i.indisreplident AND (l.oid = c.oid OR EXISTS ("
    "                        SELECT FROM pg_partition_ancestors(i.indexrelid) a"
    "                          JOIN pg_index r ON r.indexrelid = a.relid AND r.indrelid = c.oid))"
    "                    ELSE false END)"
    "      ORDER BY 1, 2 LIMIT 1) nameless(schema, name, identity) ON true"
    /* A partition whose changes are in no log. With a foreign one there is no primary key. */
    "  LEFT JOIN LATERAL (SELECT s.nspname, l.relname"
    "       FROM " PARTITION_TREE("c") " t JOIN pg_class l ON l.oid = t.relid"
    "       JOIN pg_namespace s ON s.oid = l.relnamespace"
    "      WHERE c.relkind = 'p' AND l.relkind = 'r' AND l.relpersistence <> 'p'"
    "      ORDER BY 1, 2 LIMIT 1) silent(schema, name) ON true"
    " WHERE pt.pubname = $1 AND NOT (n.nspname = 'weir' AND c.relname NOT IN ('rules', 'revoked'))"
    " ORDER BY n.nspname, c.relname";

static const char *quoted_name(struct arena *arena, const char *schema, const char *table)
{
    return arena_printf(arena, "%s.%s", pg_quote_identifier(arena, schema),
                        pg_quote_identifier(arena, table));
}

/* Its own columns, in tables_sql. */
enum table_column {
    TABLE_OID,
    TABLE_SCHEMA,
    TABLE_NAME,
    TABLE_KIND,
    TABLE_ROW_FILTER,
    TABLE_ROW_ESTIMATE,
    TABLE_HAS_COLUMN_LIST,
    TABLE_KEY,
    TABLE_NAMELESS_SCHEMA, /* of itself or a partition that has no replica identity */
    TABLE_NAMELESS_NAME,
    TABLE_NAMELESS_IDENTITY, /* pg_class.relreplident */
    TABLE_WHOLE_KEY_LIST,    /* the column list with the key, where it leaves out a part of it */
    TABLE_IS_IMPLICIT,       /* by FOR ALL TABLES or FOR TABLES IN SCHEMA */
    TABLE_AMBIGUOUS_KEY, /* the key's constraint, where it has an array or a composite type in it */
    TABLE_HAS_HEIRS,
    TABLE_SILENT_SCHEMA, /* of a partition that is not logged */
    TABLE_SILENT_NAME,
    TABLE_NAMED_BY,
    TABLE_CLOSED_BY, /* what keeps the bridge's role from reading all of it */
    TABLE_ROLE,
    TABLE_IS_KEY_DEFERRABLE,
};

static bool is_own_table(const struct pg_rows *rows, size_t row)
{
    return strcmp(pg_rows_str(rows, row, TABLE_SCHEMA), "weir") == 0;
}

/* Updates and deletes have to say which row they are of. */
static bool check_identity(struct loading *loading, const struct pg_rows *rows, size_t row,
                           struct err *err)
{
    bool is_needed =
        is_own_table(rows, row) || loading->published & (PUBLISH_UPDATE | PUBLISH_DELETE);
    if (!is_needed || pg_rows_is_null(rows, row, TABLE_NAMELESS_IDENTITY))
        return true;
    const char *name = quoted_name(loading->arena, pg_rows_str(rows, row, TABLE_NAMELESS_SCHEMA),
                                   pg_rows_str(rows, row, TABLE_NAMELESS_NAME));
    switch (pg_rows_str(rows, row, TABLE_NAMELESS_IDENTITY)[0]) {
    case 'd':
        err_set(err, "the primary key of table %s is deferrable, so updates carry no identity",
                name);
        return err_hint(err, "ALTER TABLE %s REPLICA IDENTITY FULL;", name);
    case 'i':
        err_set(err,
                "the index of table %s's REPLICA IDENTITY is gone, or unique in this partition "
                "only, so updates do not say which row they are of",
                name);
        break;
    default:
        err_set(err,
                "table %s has REPLICA IDENTITY NOTHING, so updates do not say which row they "
                "are of",
                name);
    }
    return err_hint(err, "ALTER TABLE %s REPLICA IDENTITY DEFAULT;", name);
}

/* Two rows may have a deferrable key for a while. Where operations are left out, a row that comes
 * with the key of another replaces that, as its delete may not have been published. */
static bool check_deferrable(struct loading *loading, const struct pg_rows *rows, size_t row,
                             struct err *err)
{
    if (is_own_table(rows, row) || loading->published == PUBLISH_ALL ||
        !bool_at(rows, row, TABLE_IS_KEY_DEFERRABLE))
        return true;
    err_set(err,
            "the primary key of table %s is deferrable, and publication %s leaves out operations, "
            "so a row with the key of another may be one more or in its place",
            quoted_name(loading->arena, pg_rows_str(rows, row, TABLE_SCHEMA),
                        pg_rows_str(rows, row, TABLE_NAME)),
            pg_quote_identifier(loading->arena, loading->publication));
    return err_hint(err, "ALTER PUBLICATION %s SET (publish = 'insert, update, delete, truncate');",
                    pg_quote_identifier(loading->arena, loading->publication));
}

static bool check_partitions(struct loading *loading, const struct pg_rows *rows, size_t row,
                             struct err *err)
{
    if (pg_rows_is_null(rows, row, TABLE_SILENT_NAME))
        return true;
    const char *partition = quoted_name(loading->arena, pg_rows_str(rows, row, TABLE_SILENT_SCHEMA),
                                        pg_rows_str(rows, row, TABLE_SILENT_NAME));
    const char *name = quoted_name(loading->arena, pg_rows_str(rows, row, TABLE_SCHEMA),
                                   pg_rows_str(rows, row, TABLE_NAME));
    err_set(err, "partition %s of table %s is unlogged, so its changes cannot be followed",
            partition, name);
    return err_hint(err, "ALTER TABLE %s SET LOGGED;", partition);
}

/* Whether the bridge may read all of its rows. */
static bool check_rights(struct loading *loading, const struct pg_rows *rows, size_t row,
                         struct err *err)
{
    if (pg_rows_is_null(rows, row, TABLE_CLOSED_BY))
        return true;
    const char *schema = pg_quote_identifier(loading->arena, pg_rows_str(rows, row, TABLE_SCHEMA));
    const char *name = quoted_name(loading->arena, pg_rows_str(rows, row, TABLE_SCHEMA),
                                   pg_rows_str(rows, row, TABLE_NAME));
    const char *role = pg_rows_str(rows, row, TABLE_ROLE);
    switch (pg_rows_str(rows, row, TABLE_CLOSED_BY)[0]) {
    case 's':
        err_set(err, "role %s may not use schema %s, and so not read table %s", role, schema, name);
        return err_hint(err, "GRANT USAGE ON SCHEMA %s TO %s;", schema, role);
    case 't':
        err_set(err, "role %s may not read table %s", role, name);
        return err_hint(err, "GRANT SELECT ON %s TO %s;", name, role);
    default:
        err_set(err, "role %s sees of table %s only the rows that its policies show it", role,
                name);
        return err_hint(err, "ALTER ROLE %s BYPASSRLS;", role);
    }
}

/* One reason at a time: each names the table and the SQL that mends it, to be run as it is. */
static bool check_table(struct loading *loading, const struct pg_rows *rows, size_t row,
                        struct err *err)
{
    const char *name = quoted_name(loading->arena, pg_rows_str(rows, row, TABLE_SCHEMA),
                                   pg_rows_str(rows, row, TABLE_NAME));
    const char *publication = pg_quote_identifier(loading->arena, loading->publication);
    if (pg_rows_is_null(rows, row, TABLE_KEY)) {
        err_set(err, "table %s has no primary key, so its rows cannot be followed", name);
        if (bool_at(rows, row, TABLE_IS_IMPLICIT))
            return err_hint(err,
                            "ALTER TABLE %s ADD COLUMN weir_id bigint GENERATED ALWAYS AS IDENTITY "
                            "PRIMARY KEY; -- or a key of columns that it has",
                            name);
        return err_hint(err,
                        "ALTER PUBLICATION %s DROP TABLE %s; -- or ALTER TABLE %s ADD PRIMARY KEY "
                        "(...);",
                        publication, name, name);
    }
    /* As JSON, in which they are kept, different ones may look alike: with other bounds, or with a
     * JSON null where there is a NULL. One row would be taken for another. */
    if (!pg_rows_is_null(rows, row, TABLE_AMBIGUOUS_KEY)) {
        err_set(err,
                "the primary key of table %s has an array or a composite type in it, so its rows "
                "cannot be told apart",
                name);
        return err_hint(
            err,
            "ALTER TABLE %s DROP CONSTRAINT %s, ADD COLUMN weir_id bigint GENERATED ALWAYS "
            "AS IDENTITY PRIMARY KEY; -- or a key of columns of other types",
            name, pg_rows_str(rows, row, TABLE_AMBIGUOUS_KEY));
    }
    if (!check_identity(loading, rows, row, err) || !check_deferrable(loading, rows, row, err) ||
        !check_partitions(loading, rows, row, err) || !check_rights(loading, rows, row, err))
        return false;
    if (!pg_rows_is_null(rows, row, TABLE_WHOLE_KEY_LIST)) {
        err_set(err,
                "the column list of table %s in publication %s leaves out a primary key column",
                name, publication);
        return err_hint(
            err, "ALTER PUBLICATION %s DROP TABLE %s; ALTER PUBLICATION %s ADD TABLE %s (%s);",
            publication, name, publication, name, pg_rows_str(rows, row, TABLE_WHOLE_KEY_LIST));
    }
    if (is_own_table(rows, row) && !pg_rows_is_null(rows, row, TABLE_ROW_FILTER)) {
        err_set(err, "table %s has a row filter in publication %s", name, publication);
        return err_hint(err,
                        "ALTER PUBLICATION %s DROP TABLE %s; ALTER PUBLICATION %s ADD TABLE %s;",
                        publication, name, publication, name);
    }
    return true;
}

static void add_table(struct loading *loading, const struct pg_rows *rows, size_t row)
{
    struct catalog *catalog = loading->catalog;
    size_t at = catalog->relations.count++;
    struct relation *relation = arena_calloc(loading->arena, 1, sizeof *relation);
    relation->oid = oid_at(rows, row, TABLE_OID);
    relation->schema = copy_at(loading->arena, rows, row, TABLE_SCHEMA);
    relation->name = copy_at(loading->arena, rows, row, TABLE_NAME);
    relation->is_partitioned = pg_rows_str(rows, row, TABLE_KIND)[0] == 'p';
    relation->has_heirs = bool_at(rows, row, TABLE_HAS_HEIRS);
    relation->named_by = copy_at(loading->arena, rows, row, TABLE_NAMED_BY);
    catalog->row_estimates[at] = strtod(pg_rows_str(rows, row, TABLE_ROW_ESTIMATE), NULL);
    relation->has_column_list = bool_at(rows, row, TABLE_HAS_COLUMN_LIST);
    /* A right that is taken by deleting its rule is taken, and a revocation lifted, whatever is
     * published of other tables. */
    relation->published = is_own_table(rows, row) ? PUBLISH_ALL : loading->published;
    if (!pg_rows_is_null(rows, row, TABLE_ROW_FILTER))
        relation->row_filter = copy_at(loading->arena, rows, row, TABLE_ROW_FILTER);
    catalog->relations.relations[at] = relation;
    loading->keys[at] = arena_strdup(loading->arena, pg_rows_str(rows, row, TABLE_KEY));
}

/* One that is left out shows nothing to anybody, and the others go on. Nobody has asked for a
 * single one of those that are published with all others. */
static bool leave_out(struct loading *loading, bool is_implicit, const struct err *err)
{
    struct catalog *catalog = loading->catalog;
    if (loading->strictness == CATALOG_STRICT && !is_implicit)
        return false;
    catalog->complaints[catalog->complaint_count++] =
        (struct catalog_complaint){arena_strdup(loading->arena, err->message),
                                   arena_strdup(loading->arena, err->hint), is_implicit};
    return true;
}

bool load_tables(struct loading *loading, struct err *err)
{
    const char *parameters[] = {loading->publication};
    struct pg_rows *rows = pg_query(loading->connection, err, tables_sql, 1, parameters);
    if (!rows)
        return err_prefix(err, "cannot read publication %s", loading->publication);
    struct catalog *catalog = loading->catalog;
    size_t count = pg_rows_count(rows);
    catalog->relations.relations = arena_calloc(loading->arena, count + 1, sizeof(void *));
    catalog->row_estimates = arena_calloc(loading->arena, count + 1, sizeof(double));
    catalog->complaints = arena_calloc(loading->arena, count + 1, sizeof *catalog->complaints);
    loading->keys = arena_calloc(loading->arena, count + 1, sizeof *loading->keys);
    bool ok = true;
    for (size_t i = 0; ok && i < count; i++) {
        if (check_table(loading, rows, i, err))
            add_table(loading, rows, i);
        else
            ok = !is_own_table(rows, i) &&
                 leave_out(loading, bool_at(rows, i, TABLE_IS_IMPLICIT), err);
    }
    pg_rows_free(rows);
    return ok;
}
