#include "bridge_internal.h"

#include "weir/base/check.h"
#include "weir/base/fault.h"
#include "weir/events/convert.h"

#include <stdlib.h>

struct table_reader {
    const struct hash_key *hash;
    struct buffer values, record, key;
    struct slice *columns;
    size_t *offsets;
    struct arena arena;
};

struct table_reader *table_reader_new(struct replica *replica)
{
    struct table_reader *reader = calloc(1, sizeof *reader);
    check(reader != NULL);
    reader->hash = replica_hash_key(replica);
    reader->columns = calloc(RELATION_COLUMNS_MAX, sizeof *reader->columns);
    reader->offsets = calloc(RELATION_COLUMNS_MAX, sizeof *reader->offsets);
    check(reader->columns && reader->offsets);
    return reader;
}

void table_reader_free(struct table_reader *reader)
{
    if (!reader)
        return;
    buffer_release(&reader->values);
    buffer_release(&reader->record);
    buffer_release(&reader->key);
    arena_release(&reader->arena);
    free(reader->columns);
    free(reader->offsets);
    free(reader);
}

static bool build_record(struct table_reader *reader, const struct relation *relation,
                         const struct slice *fields, struct err *err)
{
    buffer_clear(&reader->values);
    for (size_t i = 0; i < relation->column_count; i++) {
        reader->offsets[i] = reader->values.len;
        const struct value_type *type = relation->columns[i].type;
        if (convert_asks(type) && fields[i].data)
            convert_to_json(&reader->values, fields[i]);
        else if (!convert_text(&reader->values, type, fields[i], NULL, err))
            return err_prefix(err, "column %.*s of %.*s.%.*s", SLICE_ARG(relation->columns[i].name),
                              SLICE_ARG(relation->schema), SLICE_ARG(relation->name));
    }
    for (size_t i = 0; i < relation->column_count; i++) {
        size_t end = i + 1 < relation->column_count ? reader->offsets[i + 1] : reader->values.len;
        reader->columns[i] =
            slice_of(reader->values.data + reader->offsets[i], end - reader->offsets[i]);
    }
    buffer_clear(&reader->record);
    row_build(&reader->record, relation, reader->columns);
    return true;
}

static bool hand_over(struct table_reader *reader, const struct relation *relation,
                      const struct slice *fields, table_row_fn *fn, void *context, struct err *err)
{
    if (!build_record(reader, relation, fields, err))
        return false;
    struct row row = {buffer_slice(&reader->record)};
    buffer_clear(&reader->key);
    arena_clear(&reader->arena);
    key_of_row(&reader->key, reader->hash, relation, row, &reader->arena);
    return fn(context, relation, buffer_slice(&reader->key), row, err);
}

/* A partition that may not be read by itself, as nobody granted that, is looked for among its
 * table's rows. */
static void write_from(struct table_reader *reader, const struct relation *relation,
                       const struct leaf *leaf, struct buffer *sql)
{
    bool is_alone = leaf && leaf->is_readable;
    struct slice schema = is_alone ? leaf->schema : relation->schema;
    struct slice name = is_alone ? leaf->name : relation->name;
    /* Rows of tables that inherit are those tables' own; partitions are the table. */
    buffer_printf(sql, " FROM %s%s.", is_alone || !relation->is_partitioned ? "ONLY " : "",
                  pg_quote_identifier(&reader->arena, schema.data));
    buffer_add_str(sql, pg_quote_identifier(&reader->arena, name.data));
    if (leaf && !is_alone)
        buffer_printf(sql, " WHERE tableoid = %u", leaf->oid);
}

static void write_copy_sql(struct table_reader *reader, const struct relation *relation,
                           const struct leaf *leaf, struct buffer *sql)
{
    buffer_add_str(sql, "COPY (SELECT ");
    for (size_t i = 0; i < relation->column_count; i++) {
        const char *name = pg_quote_identifier(&reader->arena, relation->columns[i].name.data);
        bool asks = convert_asks(relation->columns[i].type);
        buffer_printf(sql, asks ? "%sto_json(%s)" : "%s%s", i ? ", " : "", name);
    }
    write_from(reader, relation, leaf, sql);
    buffer_add_str(sql, ") TO STDOUT");
}

enum bridge_end table_read(struct table_reader *reader, struct pg_connection *connection,
                           const struct relation *relation, const struct leaf *leaf,
                           table_row_fn *fn, void *context, struct err *err)
{
    const struct slice *fields;
    size_t count;
    struct buffer sql = BUFFER_INIT;
    write_copy_sql(reader, relation, leaf, &sql);
    bool ok = pg_copy_begin(connection, err, buffer_str(&sql));
    buffer_release(&sql);
    while (ok) {
        switch (pg_copy_next(connection, &fields, &count, err)) {
        case PG_COPY_ROW:
            check(count == relation->column_count);
            if (!hand_over(reader, relation, fields, fn, context, err))
                return BRIDGE_FAILED;
            break;
        case PG_COPY_END:
            return BRIDGE_DONE;
        case PG_COPY_FAILED:
            ok = false;
        }
    }
    if (pg_is_broken(connection))
        return BRIDGE_RETRY;
    if (strcmp(pg_sqlstate(connection), "42501") == 0)
        err_hint(err,
                 "the bridge's role needs SELECT on %.*s.%.*s, and BYPASSRLS where the table has "
                 "row level security",
                 SLICE_ARG(relation->schema), SLICE_ARG(relation->name));
    return BRIDGE_FAILED;
}

/* The wait is shorter than deadlock_timeout, so that in a deadlock it is never somebody else who
 * ends. */
#define LOCK_TIMEOUT "lock_timeout = '500ms'"

/* As the names are the snapshot's, and the locks are on what has them now: who calls compares. */
static bool lock_tables(struct pg_connection *connection, const struct relation_set *relations,
                        struct err *err)
{
    struct arena arena = ARENA_INIT;
    struct buffer sql = BUFFER_INIT;
    buffer_add_str(&sql, "SET LOCAL " LOCK_TIMEOUT "; LOCK TABLE");
    for (size_t i = 0; i < relations->count; i++) {
        const struct relation *relation = relations->relations[i];
        buffer_printf(&sql, "%s %s%s.", i ? "," : "", relation->is_partitioned ? "" : "ONLY ",
                      pg_quote_identifier(&arena, relation->schema.data));
        buffer_add_str(&sql, pg_quote_identifier(&arena, relation->name.data));
    }
    buffer_add_str(&sql, " IN ACCESS SHARE MODE; SET LOCAL lock_timeout = 0");
    bool ok = pg_execute(connection, err, buffer_str(&sql));
    buffer_release(&sql);
    arena_release(&arena);
    return ok;
}

/* Whether the tables still have the files that the snapshot knows of: TRUNCATE and what rewrites a
 * table give it another one, in which the snapshot sees nothing. */
static bool check_files(struct pg_connection *connection, const struct relation_set *relations,
                        struct err *err)
{
    static const char sql[] =
        "WITH named AS (SELECT unnest($1::oid[]) AS oid), tables AS (SELECT oid FROM named UNION"
        " SELECT t.relid FROM named, pg_partition_tree(named.oid) t)"
        " SELECT format('%I.%I', c.relnamespace::regnamespace, c.relname) FROM pg_class c"
        "  WHERE c.oid IN (SELECT oid FROM tables) AND c.relfilenode <> 0"
        "    AND pg_relation_filenode(c.oid) IS DISTINCT FROM c.relfilenode LIMIT 1";
    struct buffer oids = BUFFER_INIT;
    for (size_t i = 0; i < relations->count; i++)
        buffer_printf(&oids, "%c%u", i ? ',' : '{', relations->relations[i]->oid);
    buffer_add_char(&oids, '}');
    const char *parameters[] = {buffer_str(&oids)};
    struct pg_rows *rewritten = pg_query(connection, err, sql, 1, parameters);
    bool ok = rewritten && (pg_rows_count(rewritten) == 0 ||
                            err_set(err, "table %s was rewritten while a snapshot was taken",
                                    pg_rows_str(rewritten, 0, 0)));
    pg_rows_free(rewritten);
    buffer_release(&oids);
    return ok;
}

/* Whether the catalog outside of the snapshot is the same. A row filter is read under a lock on its
 * table, and an ALTER TABLE that waits for the snapshot's lock is in front of that: each would wait
 * for the other, and Postgres, which sees two sessions of ours, finds no deadlock in it. */
static bool check_catalog(const char *db, const char *publication, const struct catalog *catalog,
                          struct err *err)
{
    struct pg_connection *connection = NULL;
    if (pg_try_connect(db, &connection, err) != PG_CONNECTED)
        return false;
    struct catalog *now = pg_execute(connection, err, "SET " LOCK_TIMEOUT)
                              ? catalog_load(connection, publication, CATALOG_LENIENT, err)
                              : NULL;
    pg_close(connection);
    bool ok = now && (catalog_equals(now, catalog) ||
                      err_set(err, "the published tables changed while a snapshot was taken"));
    catalog_free(now);
    return ok;
}

bool snapshot_enter(struct pg_connection *connection, const char *db, const char *snapshot,
                    const char *publication, struct catalog **catalog, struct err *err)
{
    struct arena arena = ARENA_INIT;
    const char *sql = arena_printf(&arena,
                                   "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;"
                                   " SET TRANSACTION SNAPSHOT %s",
                                   pg_quote_literal(&arena, snapshot));
    bool ok = pg_execute(connection, err, sql);
    arena_release(&arena);
    *catalog = ok ? catalog_load(connection, publication, CATALOG_LENIENT, err) : NULL;
    ok = *catalog && lock_tables(connection, &(*catalog)->relations, err);
    fault_step(FAULT_RESYNC_LOCKED);
    return ok && check_catalog(db, publication, *catalog, err) &&
           check_files(connection, &(*catalog)->relations, err);
}
