#include "catalog.h"

#include "catalog_bytes.h"

#include "weir/base/check.h"
#include "weir/base/log.h"

#include <stdio.h>
#include <stdlib.h>

/* Of schema weir, what people write is followed. */
static const char tables_sql[] =
    "SELECT c.oid, n.nspname, c.relname, c.relkind, pt.rowfilter,"
    "       greatest(c.reltuples, 0), pr.prattrs IS NOT NULL,"
    "       (SELECT array_to_string(i.indkey::int2[], ' ') FROM pg_index i"
    "         WHERE i.indrelid = c.oid AND i.indisprimary),"
    "       nameless.schema, nameless.name, nameless.identity,"
    "       (SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum)"
    "          FROM pg_attribute a, pg_index i"
    "         WHERE i.indrelid = c.oid AND i.indisprimary AND a.attrelid = c.oid"
    "           AND a.attnum = ANY (pr.prattrs::int2[] || i.indkey::int2[])"
    "           AND NOT i.indkey::int2[] <@ pr.prattrs::int2[]),"
    "       p.puballtables OR EXISTS (SELECT 1 FROM pg_publication_namespace pn"
    "         WHERE pn.pnpubid = p.oid AND pn.pnnspid = n.oid)"
    "  FROM pg_publication_tables pt"
    "  JOIN pg_publication p ON p.pubname = pt.pubname"
    "  JOIN pg_namespace n ON n.nspname = pt.schemaname"
    "  JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = pt.tablename"
    "  LEFT JOIN pg_publication_rel pr ON pr.prpubid = p.oid AND pr.prrelid = c.oid"
    /* The table, or a partition, whose updates and deletes do not say which row they are of. */
    "  LEFT JOIN LATERAL (SELECT s.nspname, l.relname, l.relreplident"
    "       FROM (SELECT c.oid WHERE c.relkind = 'r' UNION ALL"
    "             SELECT t.relid FROM pg_partition_tree(c.oid) t"
    "              WHERE c.relkind = 'p' AND t.isleaf) rows_in(oid)"
    "       JOIN pg_class l ON l.oid = rows_in.oid JOIN pg_namespace s ON s.oid = l.relnamespace"
    "      WHERE l.relkind = 'r' AND l.relreplident <> 'f' AND NOT EXISTS (SELECT FROM pg_index i"
    "              WHERE i.indrelid = l.oid AND CASE l.relreplident"
    "                    WHEN 'd' THEN i.indisprimary AND i.indimmediate"
    "                    WHEN 'i' THEN i.indisreplident AND (l.oid = c.oid OR EXISTS ("
    "                        SELECT FROM pg_partition_ancestors(i.indexrelid) a"
    "                          JOIN pg_index r ON r.indexrelid = a.relid AND r.indrelid = c.oid))"
    "                    ELSE false END)"
    "      ORDER BY 1, 2 LIMIT 1) nameless(schema, name, identity) ON true"
    " WHERE pt.pubname = $1 AND NOT (n.nspname = 'weir' AND c.relname NOT IN ('rules', 'revoked'))"
    " ORDER BY n.nspname, c.relname";

static const char columns_sql[] =
    "SELECT a.attrelid, a.attnum, a.attname, a.atttypid, a.attnotnull,"
    "       coalesce(nullif(co.collname, 'default'), ''), coalesce(co.collisdeterministic, true),"
    "       CASE WHEN co.collname = 'default' THEN $3::bool"
    "            ELSE coalesce(co.collprovider = 'b' OR co.collprovider = 'c'"
    "                          AND co.collcollate IN ('C', 'POSIX'), false) END"
    "  FROM pg_publication p"
    "  JOIN pg_attribute a ON a.attrelid = ANY ($2::oid[])"
    "  LEFT JOIN pg_publication_rel pr ON pr.prpubid = p.oid AND pr.prrelid = a.attrelid"
    "  LEFT JOIN pg_collation co ON co.oid = a.attcollation"
    " WHERE p.pubname = $1 AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated <> 'v'"
    "   AND (pr.prattrs IS NULL OR a.attnum = ANY (pr.prattrs::int2[]))"
    " ORDER BY a.attrelid, a.attnum";

/* Where the rows of partitioned tables are. */
static const char leaves_sql[] =
    "SELECT root.oid, n.nspname, c.relname"
    "  FROM unnest($1::oid[]) root(oid), pg_partition_tree(root.oid) t"
    "  JOIN pg_class c ON c.oid = t.relid JOIN pg_namespace n ON n.oid = c.relnamespace"
    " WHERE t.isleaf AND c.relkind = 'r' ORDER BY root.oid, n.nspname, c.relname";

/* The columns' types with all they are made of: base types, elements, fields. */
static const char types_sql[] =
    "WITH RECURSIVE needed(oid) AS ("
    "  SELECT DISTINCT unnest($1::oid[])"
    "  UNION"
    "  SELECT part.oid FROM needed JOIN pg_type t ON t.oid = needed.oid,"
    "  LATERAL (SELECT t.typbasetype WHERE t.typtype = 'd'"
    "           UNION ALL SELECT t.typelem WHERE t.typelem <> 0 AND t.typlen = -1"
    "             AND t.typcategory = 'A'"
    "           UNION ALL SELECT a.atttypid FROM pg_attribute a WHERE t.typtype = 'c'"
    "             AND a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped) part(oid))"
    "SELECT t.oid, t.typtype, t.typbasetype,"
    "       CASE WHEN t.typlen = -1 AND t.typcategory = 'A' AND t.oid NOT IN (22, 30)"
    "            THEN t.typelem ELSE 0 END,"
    "       t.typdelim, format_type(t.oid, NULL),"
    /* As to_json() looks for it: not for types of Postgres's own. */
    "       t.oid >= 16384 AND EXISTS (SELECT FROM pg_cast c WHERE c.castsource = t.oid"
    "         AND c.casttarget = 'json'::regtype AND c.castmethod = 'f')"
    "  FROM needed JOIN pg_type t ON t.oid = needed.oid ORDER BY t.oid";

static const char labels_sql[] =
    "SELECT enumtypid, enumlabel FROM pg_enum WHERE enumtypid = ANY ($1::oid[])"
    " ORDER BY enumtypid, enumsortorder";

static const char fields_sql[] =
    "SELECT t.oid, a.attname, a.atttypid FROM pg_type t"
    "  JOIN pg_attribute a ON a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped"
    " WHERE t.typtype = 'c' AND t.oid = ANY ($1::oid[]) ORDER BY t.oid, a.attnum";

struct loading {
    struct catalog *catalog;
    struct pg_connection *connection;
    const char *publication;
    enum catalog_strictness strictness;
    struct arena *arena;
    uint8_t published;
    const char **keys; /* pg_index.indkey of each relation */
    struct value_type *types;
    size_t type_count;
};

static uint32_t oid_at(const struct pg_rows *rows, size_t row, size_t column)
{
    return (uint32_t)strtoul(pg_rows_str(rows, row, column), NULL, 10);
}

static bool bool_at(const struct pg_rows *rows, size_t row, size_t column)
{
    return pg_rows_str(rows, row, column)[0] == 't';
}

static struct slice copy_at(struct arena *arena, const struct pg_rows *rows, size_t row,
                            size_t column)
{
    return arena_copy(arena, pg_rows_slice(rows, row, column));
}

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
    TABLE_IS_IMPLICIT, /* by FOR ALL TABLES or FOR TABLES IN SCHEMA */
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
        err_set(err, "the index of table %s's REPLICA IDENTITY is gone, or unique in this partition "
                     "only, so updates do not say which row they are of",
                name);
        break;
    default:
        err_set(err, "table %s has REPLICA IDENTITY NOTHING, so updates do not say which row they "
                     "are of",
                name);
    }
    return err_hint(err, "ALTER TABLE %s REPLICA IDENTITY DEFAULT;", name);
}

/* One reason at a time: each names the table and the SQL that mends it, which can be run as it is. */
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
    if (!check_identity(loading, rows, row, err))
        return false;
    if (!pg_rows_is_null(rows, row, TABLE_WHOLE_KEY_LIST)) {
        err_set(err, "the column list of table %s in publication %s leaves out a primary key column",
                name, publication);
        return err_hint(err,
                        "ALTER PUBLICATION %s DROP TABLE %s; ALTER PUBLICATION %s ADD TABLE %s (%s);",
                        publication, name, publication, name,
                        pg_rows_str(rows, row, TABLE_WHOLE_KEY_LIST));
    }
    if (is_own_table(rows, row) && !pg_rows_is_null(rows, row, TABLE_ROW_FILTER)) {
        err_set(err, "table %s has a row filter in publication %s", name, publication);
        return err_hint(err, "ALTER PUBLICATION %s DROP TABLE %s; ALTER PUBLICATION %s ADD TABLE %s;",
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

/* One that is left out shows nothing to anybody, and the others go on. Nobody has asked for a single
 * one of those that are published with all others. */
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

static bool load_tables(struct loading *loading, struct err *err)
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

static const char *oid_array(struct arena *arena, const uint32_t *oids, size_t count)
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

static enum value_kind kind_of(uint32_t base_oid, char type_kind)
{
    switch (base_oid) {
    case 16:
        return VALUE_BOOL;
    case 20:
    case 21:
    case 23:
        return VALUE_INTEGER;
    case 1700:
        return VALUE_NUMERIC;
    case 700:
    case 701:
        return VALUE_FLOAT;
    case 19:
    case 25:
    case 1043:
        return VALUE_TEXT;
    case 1042:
        return VALUE_CHAR;
    case 2950:
        return VALUE_UUID;
    case 1082:
        return VALUE_DATE;
    case 1114:
        return VALUE_TIMESTAMP;
    case 1184:
        return VALUE_TIMESTAMPTZ;
    case 17:
        return VALUE_BYTEA;
    case 114:
    case 3802:
        return VALUE_JSON;
    default:
        break;
    }
    if (type_kind == 'e')
        return VALUE_ENUM;
    return type_kind == 'c' ? VALUE_COMPOSITE : VALUE_OTHER;
}

static struct value_type *find_type(const struct loading *loading, uint32_t oid)
{
    for (size_t i = 0; i < loading->type_count; i++) {
        if (loading->types[i].oid == oid)
            return &loading->types[i];
    }
    return NULL;
}

/* Domains take over everything from the type under them. */
static void resolve_domains(struct loading *loading, const struct pg_rows *rows)
{
    for (size_t i = 0; i < loading->type_count; i++) {
        struct value_type *type = &loading->types[i];
        uint32_t base = oid_at(rows, i, 2);
        const struct value_type *under = base ? find_type(loading, base) : NULL;
        while (under && under->is_domain)
            under = find_type(loading, oid_at(rows, (size_t)(under - loading->types), 2));
        if (!under)
            continue;
        type->base_oid = under->oid;
        type->kind = under->kind;
        type->element = under->element;
        type->fields = under->fields;
        type->field_count = under->field_count;
        type->labels = under->labels;
        type->label_count = under->label_count;
    }
}

static bool load_fields(struct loading *loading, const char *oids, struct err *err)
{
    struct pg_rows *rows = pg_query(loading->connection, err, fields_sql, 1, &oids);
    if (!rows)
        return false;
    for (size_t i = 0; i < pg_rows_count(rows);) {
        struct value_type *type = find_type(loading, oid_at(rows, i, 0));
        size_t start = i;
        while (i < pg_rows_count(rows) && oid_at(rows, i, 0) == type->oid)
            i++;
        struct value_field *fields =
            arena_calloc(loading->arena, i - start, sizeof *fields);
        for (size_t j = start; j < i; j++) {
            fields[j - start].json_name =
                json_name_of(loading->arena, pg_rows_slice(rows, j, 1));
            fields[j - start].type = find_type(loading, oid_at(rows, j, 2));
            check(fields[j - start].type != NULL);
        }
        type->fields = fields;
        type->field_count = i - start;
    }
    pg_rows_free(rows);
    return true;
}

static bool load_labels(struct loading *loading, const char *oids, struct err *err)
{
    struct pg_rows *rows = pg_query(loading->connection, err, labels_sql, 1, &oids);
    if (!rows)
        return false;
    struct slice *labels =
        arena_calloc(loading->arena, pg_rows_count(rows) + 1, sizeof *labels);
    for (size_t i = 0; i < pg_rows_count(rows); i++) {
        struct value_type *type = find_type(loading, oid_at(rows, i, 0));
        labels[i] = copy_at(loading->arena, rows, i, 1);
        if (!type->label_count++)
            type->labels = &labels[i];
    }
    pg_rows_free(rows);
    return true;
}

static bool load_types(struct loading *loading, const struct pg_rows *columns, struct err *err)
{
    size_t count = pg_rows_count(columns);
    uint32_t *oids = arena_calloc(loading->arena, count + 1, sizeof *oids);
    for (size_t i = 0; i < count; i++)
        oids[i] = oid_at(columns, i, 3);
    const char *parameter = oid_array(loading->arena, oids, count);
    struct pg_rows *rows = pg_query(loading->connection, err, types_sql, 1, &parameter);
    if (!rows)
        return false;
    count = pg_rows_count(rows);
    loading->types = arena_calloc(loading->arena, count + 1, sizeof *loading->types);
    loading->type_count = count;
    oids = arena_calloc(loading->arena, count + 1, sizeof *oids);
    for (size_t i = 0; i < count; i++) {
        struct value_type *type = &loading->types[i];
        char type_kind = pg_rows_str(rows, i, 1)[0];
        type->oid = type->base_oid = oids[i] = oid_at(rows, i, 0);
        type->is_domain = type_kind == 'd';
        type->kind = kind_of(type->oid, type_kind);
        type->delimiter = pg_rows_str(rows, i, 4)[0];
        type->name = arena_strdup(loading->arena, pg_rows_str(rows, i, 5));
        if (bool_at(rows, i, 6) && type->kind != VALUE_COMPOSITE)
            type->kind = VALUE_JSON_CAST;
    }
    for (size_t i = 0; i < count; i++) {
        uint32_t element = oid_at(rows, i, 3);
        if (!element || loading->types[i].kind != VALUE_OTHER)
            continue;
        loading->types[i].kind = VALUE_ARRAY;
        loading->types[i].element = find_type(loading, element);
        check(loading->types[i].element != NULL);
    }
    parameter = oid_array(loading->arena, oids, count);
    bool ok = load_fields(loading, parameter, err) && load_labels(loading, parameter, err);
    if (ok)
        resolve_domains(loading, rows);
    pg_rows_free(rows);
    return ok;
}

/* The columns of a pg_index.indkey, in its order. A column list that leaves out a part of the key has
 * been refused by now, unless it came meanwhile. */
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
    }
    relation->columns = all;
    return set_key(loading, relation, attnums, loading->keys[at], err);
}

static bool load_columns(struct loading *loading, struct err *err)
{
    struct relation_set *relations = &loading->catalog->relations;
    uint32_t *oids = arena_calloc(loading->arena, relations->count + 1, sizeof *oids);
    for (size_t i = 0; i < relations->count; i++)
        oids[i] = relations->relations[i]->oid;
    const char *parameters[] = {loading->publication,
                                oid_array(loading->arena, oids, relations->count),
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
        struct table_name *leaves = arena_calloc(loading->arena, end - first + 1, sizeof *leaves);
        relation->leaves = leaves;
        for (size_t j = first; j < end; j++)
            leaves[relation->leaf_count++] = (struct table_name){
                copy_at(loading->arena, rows, j, 1), copy_at(loading->arena, rows, j, 2)};
    }
    pg_rows_free(rows);
    return true;
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
    return err_hint(err, "CREATE PUBLICATION %s FOR TABLE weir.rules, weir.revoked; -- after weir install",
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
              check_rules(&loading, err) && load_leaves(&loading, err);
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
