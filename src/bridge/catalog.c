#include "catalog_bytes.h"
#include "catalog_loading.h"
#include "own_meaning.h"

#include "weir/base/check.h"

#include <stdlib.h>

static const char columns_sql[] =
    "SELECT a.attrelid, a.attnum, a.attname, a.atttypid, a.attnotnull,"
    "       coalesce(nullif(co.collname, 'default'), ''), coalesce(co.collisdeterministic, true),"
    "       CASE WHEN co.collname = 'default' THEN $3::bool"
    "            ELSE coalesce(co.collprovider = 'b' OR co.collprovider = 'c'"
    "                          AND co.collcollate IN ('C', 'POSIX'), false) END,"
    "       a.xmin"
    "  FROM pg_publication p"
    "  JOIN pg_attribute a ON a.attrelid = ANY ($2::oid[])"
    "  LEFT JOIN pg_publication_rel pr ON pr.prpubid = p.oid AND pr.prrelid = a.attrelid"
    "  LEFT JOIN pg_collation co ON co.oid = a.attcollation"
    " WHERE p.pubname = $1 AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated <> 'v'"
    "   AND (pr.prattrs IS NULL OR a.attnum = ANY (pr.prattrs::int2[]))"
    " ORDER BY a.attrelid, a.attnum";

/* Where the rows of partitioned tables are. What was detached and attached again may have become
 * another's in between: the links from the partition up to the table tell. Of names and schemas see
 * tables_sql. */
static const char leaves_sql[] =
    "SELECT root.oid, n.nspname, c.relname,"
    "       concat_ws(' ', c.oid, (SELECT y.xmin FROM pg_type y WHERE y.oid = c.reltype),"
    "         CASE WHEN n.nspacl IS NULL THEN n.xmin END,"
    "         (SELECT string_agg(h.xmin::text, ' ' ORDER BY h.inhrelid) FROM pg_inherits h"
    "           WHERE h.inhrelid IN (SELECT relid FROM pg_partition_ancestors(c.oid)))),"
    "       c.oid, has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT')"
    "         AND NOT row_security_active(c.oid)"
    "  FROM pg_class root, LATERAL " PARTITION_TREE("root") " t"
    "  JOIN pg_class c ON c.oid = t.relid JOIN pg_namespace n ON n.oid = c.relnamespace"
    " WHERE root.oid = ANY ($1::oid[]) AND c.relkind = 'r'"
    " ORDER BY root.oid, n.nspname, c.relname";

const char *oid_array(struct arena *arena, const uint32_t *oids, size_t count)
{
    struct buffer text = BUFFER_INIT;
    buffer_add_char(&text, '{');
    for (size_t i = 0; i < count; i++) {
        if (i)
            buffer_add_char(&text, ',');
        buffer_add_uint(&text, oids[i]);
    }
    buffer_add_char(&text, '}');
    const char *copy = arena_copy(arena, buffer_slice(&text)).data;
    buffer_release(&text);
    return copy;
}

/* The columns of a pg_index.indkey, in its order. A column list that leaves out a part of the key
 * has been refused by now, unless it came meanwhile. */
static bool set_key(struct loading *loading, struct relation *relation, const int *attnums,
                    const char *indkey, struct err *err)
{
    uint16_t *columns = arena_calloc(loading->arena, relation->column_count + 1, sizeof *columns);
    relation->key = columns;
    while (*indkey) {
        char *end;
        long attnum = strtol(indkey, &end, 10);
        size_t column = 0;
        while (column < relation->column_count && attnums[column] != attnum)
            column++;
        if (column == relation->column_count)
            return err_set(err, "table %.*s.%.*s has changed while it was looked at",
                           SLICE_ARG(relation->schema), SLICE_ARG(relation->name));
        check(relation->key_count < relation->column_count);
        columns[relation->key_count++] = (uint16_t)column;
        indkey = *end ? end + 1 : end;
    }
    return true;
}

/* Where the rows of the oid begin and end, among rows in order of the oid in their first column. */
static size_t rows_of(const struct pg_rows *rows, uint32_t oid, size_t *end)
{
    size_t low = 0, high = pg_rows_count(rows);
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (oid_at(rows, middle, 0) < oid)
            low = middle + 1;
        else
            high = middle;
    }
    for (*end = low; *end < pg_rows_count(rows) && oid_at(rows, *end, 0) == oid;)
        ++*end;
    return low;
}

static bool set_columns(struct loading *loading, size_t at, const struct pg_rows *columns,
                        struct err *err)
{
    struct relation *relation = loading->catalog->relations.relations[at];
    size_t end, first = rows_of(columns, relation->oid, &end);
    struct column *all = arena_calloc(loading->arena, end - first + 1, sizeof *all);
    int *attnums = arena_calloc(loading->arena, end - first + 1, sizeof *attnums);
    struct buffer shaped_by = BUFFER_INIT;
    for (size_t i = first; i < end; i++) {
        struct column *column = &all[relation->column_count];
        attnums[relation->column_count++] = atoi(pg_rows_str(columns, i, 1));
        column->name = copy_at(loading->arena, columns, i, 2);
        column->json_name = json_name_of(loading->arena, column->name);
        column->type = find_type(loading, oid_at(columns, i, 3));
        check(column->type != NULL);
        column->is_not_null = bool_at(columns, i, 4);
        column->collation.name = copy_at(loading->arena, columns, i, 5);
        column->collation.is_deterministic = bool_at(columns, i, 6);
        column->collation.is_bytewise = bool_at(columns, i, 7);
        buffer_printf(&shaped_by, " %s", pg_rows_str(columns, i, 8));
        add_label_writers(&shaped_by, loading, column->type);
    }
    relation->columns = all;
    relation->shaped_by = arena_copy(loading->arena, buffer_slice(&shaped_by));
    buffer_release(&shaped_by);
    return set_key(loading, relation, attnums, loading->keys[at], err);
}

static const char *relation_oids(struct loading *loading)
{
    const struct relation_set *relations = &loading->catalog->relations;
    uint32_t *oids = arena_calloc(loading->arena, relations->count + 1, sizeof *oids);
    for (size_t i = 0; i < relations->count; i++)
        oids[i] = relations->relations[i]->oid;
    return oid_array(loading->arena, oids, relations->count);
}

static bool load_columns(struct loading *loading, struct err *err)
{
    struct relation_set *relations = &loading->catalog->relations;
    const char *parameters[] = {loading->publication, relation_oids(loading),
                                relations->is_bytewise ? "t" : "f"};
    struct pg_rows *columns = pg_query(loading->connection, err, columns_sql, 3, parameters);
    bool ok = columns && load_types(loading, columns, err);
    for (size_t i = 0; ok && i < relations->count; i++)
        ok = set_columns(loading, i, columns, err);
    pg_rows_free(columns);
    return ok;
}

static bool load_leaves(struct loading *loading, struct err *err)
{
    struct relation_set *relations = &loading->catalog->relations;
    uint32_t *oids = arena_calloc(loading->arena, relations->count + 1, sizeof *oids);
    size_t count = 0;
    for (size_t i = 0; i < relations->count; i++) {
        if (relations->relations[i]->is_partitioned)
            oids[count++] = relations->relations[i]->oid;
    }
    if (!count)
        return true;
    const char *parameter = oid_array(loading->arena, oids, count);
    struct pg_rows *rows = pg_query(loading->connection, err, leaves_sql, 1, &parameter);
    if (!rows)
        return false;
    for (size_t i = 0; i < relations->count; i++) {
        struct relation *relation = relations->relations[i];
        size_t end, first = rows_of(rows, relation->oid, &end);
        struct leaf *leaves = arena_calloc(loading->arena, end - first + 1, sizeof *leaves);
        relation->leaves = leaves;
        for (size_t j = first; j < end; j++)
            leaves[relation->leaf_count++] =
                (struct leaf){.schema = copy_at(loading->arena, rows, j, 1),
                              .name = copy_at(loading->arena, rows, j, 2),
                              .named_by = copy_at(loading->arena, rows, j, 3),
                              .oid = oid_at(rows, j, 4),
                              .is_readable = bool_at(rows, j, 5)};
    }
    pg_rows_free(rows);
    return true;
}

/* Where the bridge may not look into a schema, a question about a rule has no answer, which has to
 * be asked again as soon as it may. */
static bool load_hiding(struct loading *loading, struct err *err)
{
    static const char sql[] =
        "WITH named AS (SELECT c.oid, c.relname, c.relnamespace FROM pg_class c"
        "                WHERE c.oid = ANY ($1::oid[]))"
        "SELECT concat_ws(' ',"
        "  (SELECT string_agg(format('\"%s\".\"%s\"', replace(n.nspname, '\"', '\"\"'),"
        "                            replace(c.relname, '\"', '\"\"')),"
        "                     ' ' ORDER BY n.nspname, c.relname)"
        "     FROM named own JOIN pg_namespace p ON p.oid = own.relnamespace AND p.nspname = 'public'"
        "     JOIN pg_class c ON c.relname = own.relname AND c.oid <> ALL ($1::oid[])"
        "     JOIN pg_namespace n ON n.oid = c.relnamespace"
        "    WHERE n.oid IN (SELECT relnamespace FROM named)),"
        "  (SELECT string_agg(format('closed %I', n.nspname), ' ' ORDER BY n.nspname)"
        "     FROM pg_namespace n WHERE NOT has_schema_privilege(n.oid, 'USAGE')"
        "      AND n.oid IN (SELECT relnamespace FROM named"
        "              UNION SELECT t.typnamespace FROM pg_attribute a JOIN pg_type t"
        "                        ON t.oid = a.atttypid WHERE a.attrelid = ANY ($1::oid[]))))";
    const char *oids = relation_oids(loading);
    struct pg_rows *rows = pg_query(loading->connection, err, sql, 1, &oids);
    if (rows)
        loading->catalog->hiding = copy_at(loading->arena, rows, 0, 0);
    pg_rows_free(rows);
    return rows != NULL;
}

static bool load_own_meanings(struct loading *loading, struct err *err)
{
    struct pg_rows *rows = pg_query(loading->connection, err, own_meaning_list_sql, 0, NULL);
    if (rows)
        loading->catalog->own_meanings = copy_at(loading->arena, rows, 0, 0);
    pg_rows_free(rows);
    return rows != NULL;
}

static bool load_publication(struct loading *loading, struct err *err)
{
    /* And the database's collation: "C", and the builtin ones of Postgres 17, go by the bytes. */
    const char *sql = "SELECT pubinsert::int + 2 * pubupdate::int + 4 * pubdelete::int"
                      "       + 8 * pubtruncate::int,"
                      "       d.datlocprovider = 'b' OR d.datlocprovider = 'c'"
                      "         AND d.datcollate IN ('C', 'POSIX')"
                      "  FROM pg_publication, pg_database d"
                      " WHERE pubname = $1 AND d.datname = current_database()";
    struct pg_rows *rows = pg_query(loading->connection, err, sql, 1, &loading->publication);
    if (!rows)
        return false;
    bool exists = pg_rows_count(rows) == 1;
    if (exists)
        loading->published = (uint8_t)atoi(pg_rows_str(rows, 0, 0));
    if (exists)
        loading->catalog->relations.is_bytewise = bool_at(rows, 0, 1);
    pg_rows_free(rows);
    if (exists)
        return true;
    err_set(err, "publication %s does not exist", loading->publication);
    return err_hint(err,
                    "CREATE PUBLICATION %s FOR TABLE weir.rules, weir.revoked; "
                    "-- after weir install",
                    pg_quote_identifier(loading->arena, loading->publication));
}

static bool find_rules(struct loading *loading, struct err *err)
{
    struct catalog *catalog = loading->catalog;
    catalog->rules = relation_set_find(&catalog->relations, SLICE("weir"), SLICE("rules"));
    if (catalog->rules)
        return true;
    err_set(err, "publication %s does not hold the rule table weir.rules", loading->publication);
    return err_hint(err, "ALTER PUBLICATION %s ADD TABLE weir.rules;",
                    pg_quote_identifier(loading->arena, loading->publication));
}

static bool check_rules(struct loading *loading, struct err *err)
{
    if (relation_find_column(loading->catalog->rules, SLICE("relation_oid")) >= 0)
        return true;
    struct buffer address = BUFFER_INIT;
    pg_add_address(loading->connection, &address);
    err_set(err, "weir.rules has no column relation_oid: it is of another version of weir");
    err_hint(err, "weir install --db \"%s\" # as the owner of the database", buffer_str(&address));
    buffer_release(&address);
    return false;
}

/* A quote within a name is doubled, so that what is quoted begins nowhere inside another. */
bool catalog_hides(const struct catalog *catalog, struct slice name)
{
    struct slice rest = catalog->hiding;
    while (rest.len >= name.len) {
        const char *at = memmem(rest.data, rest.len, name.data, name.len);
        if (!at)
            return false;
        const char *end = at + name.len, *end_of_all = rest.data + rest.len;
        if ((at == catalog->hiding.data || at[-1] == ' ') && (end == end_of_all || *end == ' '))
            return true;
        rest = slice_of(end, (size_t)(end_of_all - end));
    }
    return false;
}

struct catalog *catalog_load(struct pg_connection *connection, const char *publication,
                             enum catalog_strictness strictness, struct err *err)
{
    struct catalog *catalog = calloc(1, sizeof *catalog);
    check(catalog != NULL);
    struct loading loading = {.catalog = catalog,
                              .connection = connection,
                              .publication = publication,
                              .strictness = strictness,
                              .arena = &catalog->arena};
    bool ok = load_publication(&loading, err) && load_tables(&loading, err) &&
              find_rules(&loading, err) && load_columns(&loading, err) &&
              check_rules(&loading, err) && load_leaves(&loading, err) &&
              load_hiding(&loading, err) && load_own_meanings(&loading, err);
    for (size_t i = 0; ok && i < catalog->relations.count; i++)
        relation_identify(catalog->relations.relations[i]);
    if (ok)
        return catalog;
    catalog_free(catalog);
    return NULL;
}

void catalog_free(struct catalog *catalog)
{
    while (catalog) {
        struct catalog *older = catalog->older;
        arena_release(&catalog->arena);
        free(catalog);
        catalog = older;
    }
}
