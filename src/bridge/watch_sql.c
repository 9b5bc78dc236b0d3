/* Which rows of the catalog the meaning of published rows, and of rules, hangs on. */
#include "watch.h"

#include "catalog_loading.h"

/* What the question is about: the tables $1, and those that the publication $2 names and that
 * cannot be followed as they are. Types of Postgres's own do not change, and neither do its
 * operators; in an application's own schema, a table that comes may hide one that rules name. */
static const char lists_sql[] =
    "WITH RECURSIVE named AS (SELECT c.oid, c.relname, c.relnamespace, n.nspname FROM pg_class c"
    "   JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = ANY ($1::oid[])),"
    " roots AS (SELECT oid FROM named UNION SELECT r.prrelid FROM pg_publication_rel r"
    "   JOIN pg_publication p ON p.oid = r.prpubid WHERE p.pubname = $2),"
    " tables(oid) AS (SELECT DISTINCT t.relid FROM roots JOIN pg_class c ON c.oid = roots.oid,"
    "   LATERAL " PARTITION_TREE("c") " t),"
    " types(oid) AS (SELECT a.atttypid FROM pg_attribute a"
    "    WHERE a.attrelid IN (SELECT oid FROM named) AND a.attnum > 0"
    "   UNION SELECT part.oid FROM types JOIN pg_type t ON t.oid = types.oid,"
    "   LATERAL (SELECT t.typbasetype UNION ALL SELECT t.typelem UNION ALL"
    "     SELECT a.atttypid FROM pg_attribute a WHERE t.typtype = 'c'"
    "        AND a.attrelid = t.typrelid AND a.attnum > 0) part(oid)),"
    " own AS (SELECT t.oid, t.typrelid FROM pg_type t"
    "   WHERE t.oid IN (SELECT oid FROM types) AND t.oid >= 16384)"
    " SELECT (SELECT array_agg(oid ORDER BY oid) FROM tables),"
    "   (SELECT array_agg(oid ORDER BY oid) FROM (SELECT oid FROM named"
    "      UNION SELECT typrelid FROM own WHERE typrelid <> 0) a),"
    "   (SELECT array_agg(oid ORDER BY oid) FROM own),"
    "   (SELECT array_agg(oid ORDER BY oid) FROM (SELECT relnamespace AS oid FROM named"
    "      UNION SELECT c.relnamespace FROM pg_class c JOIN tables t ON t.oid = c.oid"
    "      UNION SELECT oprnamespace FROM pg_operator WHERE oid >= 16384) n),"
    "   (SELECT array_agg(DISTINCT relnamespace ORDER BY relnamespace) FROM named"
    "     WHERE nspname NOT IN ('public', 'weir')),"
    "   (SELECT array_agg(relname ORDER BY relname) FROM named WHERE nspname = 'public'),"
    "   (SELECT array_agg(c.oid ORDER BY c.oid) FROM pg_class c JOIN tables t ON t.oid = c.oid"
    "     WHERE c.relkind = 'p'),"
    "   (SELECT oid FROM pg_publication WHERE pubname = $2)";

enum list {
    TABLES,
    COLUMNS_OF,
    TYPES,
    SCHEMAS,
    HIDING_SCHEMAS,
    HIDDEN_NAMES,
    PARENTS,
    PUBLICATION, /* one */
};

/* Which transactions wrote these rows, in whatever order they are found. */
static void add_part(struct buffer *out, const char *from, const char *seed, const char *where)
{
    buffer_printf(out,
                  "%s(SELECT bit_xor(hashtextextended(t.xmin::text COLLATE \"C\", %s))"
                  " FROM %s t WHERE %s)",
                  out->len ? ", " : "", seed, from, where);
}

/* column: in the list; more: what else is asked of the rows. */
static void add_listed(struct buffer *out, const struct pg_rows *lists, enum list list,
                       const char *from, const char *seed, const char *column, const char *more)
{
    if (pg_rows_is_null(lists, 0, list))
        return;
    struct arena arena = ARENA_INIT;
    add_part(out, from, seed,
             arena_printf(&arena, "%s = ANY (%s::%s)%s", column,
                          pg_quote_literal(&arena, pg_rows_str(lists, 0, list)),
                          list == HIDDEN_NAMES ? "name[]" : "oid[]", more));
    arena_release(&arena);
}

/* A publication that was made anew has another oid. */
static void add_published(struct buffer *out, struct arena *arena, const struct pg_rows *lists)
{
    const char *oid = pg_rows_str(lists, 0, PUBLICATION);
    add_part(out, "pg_publication", "oid::bigint", arena_printf(arena, "oid = %s", oid));
    add_part(out, "pg_publication_rel", "oid::bigint", arena_printf(arena, "prpubid = %s", oid));
    add_part(out, "pg_publication_namespace", "oid::bigint",
             arena_printf(arena, "pnpubid = %s", oid));
}

static void add_hiding(struct buffer *out, struct arena *arena, const struct pg_rows *lists)
{
    if (pg_rows_is_null(lists, 0, HIDING_SCHEMAS))
        return;
    const char *schemas = pg_quote_literal(arena, pg_rows_str(lists, 0, HIDING_SCHEMAS));
    add_listed(out, lists, HIDDEN_NAMES, "pg_class", "oid::bigint", "relname",
               arena_printf(arena, " AND relnamespace = ANY (%s::oid[])", schemas));
}

static void add_parts(struct buffer *out, struct arena *arena, const struct pg_rows *lists)
{
    add_published(out, arena, lists);
    add_listed(out, lists, SCHEMAS, "pg_namespace", "oid::bigint", "oid", "");
    add_listed(out, lists, TABLES, "pg_class", "oid::bigint", "oid", "");
    add_listed(out, lists, TABLES, "pg_index", "indexrelid::bigint", "indrelid",
               " AND (indisprimary OR indisreplident)");
    add_listed(out, lists, PARENTS, "pg_inherits", "inhrelid::bigint", "inhparent", "");
    add_listed(out, lists, COLUMNS_OF, "pg_attribute", "attrelid::bigint * 2048 + attnum",
               "attrelid", " AND attnum > 0");
    add_listed(out, lists, TYPES, "pg_type", "oid::bigint", "oid", "");
    add_listed(out, lists, TYPES, "pg_enum", "oid::bigint", "enumtypid", "");
    add_part(out, "pg_operator", "oid::bigint", "oid >= 16384");
    add_part(out, "pg_cast", "oid::bigint", "oid >= 16384");
    add_hiding(out, arena, lists);
}

bool watch_write_question(struct buffer *out, const struct catalog *catalog,
                          const char *publication, struct pg_connection *connection,
                          struct err *err)
{
    struct arena arena = ARENA_INIT;
    const struct relation_set *relations = &catalog->relations;
    uint32_t *oids = arena_calloc(&arena, relations->count + 1, sizeof *oids);
    for (size_t i = 0; i < relations->count; i++)
        oids[i] = relations->relations[i]->oid;
    const char *parameters[] = {oid_array(&arena, oids, relations->count), publication};
    struct pg_rows *lists = pg_query(connection, err, lists_sql, 2, parameters);
    if (lists) {
        struct buffer parts = BUFFER_INIT;
        add_parts(&parts, &arena, lists);
        buffer_clear(out);
        buffer_printf(out, "SELECT pg_current_snapshot()::text, concat_ws(' ', %s)",
                      buffer_str(&parts));
        buffer_release(&parts);
    }
    pg_rows_free(lists);
    arena_release(&arena);
    return lists != NULL;
}
