#include "names.h"

#include "weir/base/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static unsigned versions; /* a connection may have statements of an earlier struct names */

void names_forget(struct names *names)
{
    buffer_clear(&names->prepare);
    names->first_unknown = 0;
}

void names_release(struct names *names)
{
    buffer_release(&names->prepare);
    free(names->running);
    free(names->is_other);
    *names = (struct names){0};
}

/* Whether a comes before b; both are 32 bits that go round. */
static bool is_before(uint32_t a, uint64_t b)
{
    return (int32_t)(a - (uint32_t)b) < 0;
}

bool names_cover(const struct names *names, uint32_t xid)
{
    if (!names->first_unknown || !is_before(xid, names->first_to_come))
        return false;
    for (size_t i = 0; i < names->running_count; i++) {
        if ((uint32_t)names->running[i] == xid)
            return false;
    }
    return true;
}

static void add_name(struct buffer *out, bool is_first, size_t at, uint32_t oid, struct slice schema,
                     struct slice name)
{
    struct arena arena = ARENA_INIT;
    buffer_printf(out, "%s(%zu, %u::oid, %s::name, %s::name)", is_first ? "" : ", ", at, oid,
                  pg_quote_literal(&arena, arena_copy(&arena, schema).data),
                  pg_quote_literal(&arena, arena_copy(&arena, name).data));
    arena_release(&arena);
}

static void add_names(struct buffer *out, const struct catalog *catalog)
{
    bool is_first = true;
    for (size_t i = 0; i < catalog->relations.count; i++) {
        const struct relation *relation = catalog->relations.relations[i];
        if (!relation->is_partitioned) {
            add_name(out, is_first, i, relation->oid, relation->schema, relation->name);
            is_first = false;
        }
        for (size_t j = 0; j < relation->leaf_count; j++) {
            add_name(out, is_first, i, relation->oid, relation->leaves[j].schema,
                     relation->leaves[j].name);
            is_first = false;
        }
    }
}

/* The snapshot is that of the statement, so that what it shows of pg_class is how it was then. A partition
 * goes by its own name, and its table is any of those above it. */
static void make_statement(struct names *names, const struct catalog *catalog, const char *publication)
{
    struct arena arena = ARENA_INIT;
    struct buffer *out = &names->prepare;
    names->version = ++versions;
    buffer_printf(out, "DEALLOCATE ALL; PREPARE weir_names_%u AS WITH known (at, oid, schema, name) AS (VALUES ",
                  names->version);
    add_names(out, catalog);
    buffer_printf(
        out,
        "), found AS (SELECT k.at FROM known k"
        "   LEFT JOIN pg_namespace n ON n.nspname = k.schema"
        "   LEFT JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = k.name"
        "   LEFT JOIN pg_publication p ON p.pubname = %s"
        "   LEFT JOIN pg_publication_rel r ON r.prpubid = p.oid AND r.prrelid = k.oid"
        "  WHERE NOT coalesce((c.oid = k.oid"
        "            OR k.oid IN (SELECT pg_partition_ancestors(c.oid)))"
        "        AND (p.puballtables OR r.oid IS NOT NULL"
        "            OR EXISTS (SELECT FROM pg_publication_namespace s"
        "                        WHERE s.pnpubid = p.oid AND s.pnnspid = n.oid)"
        "            OR EXISTS (SELECT FROM pg_partition_ancestors(c.oid) a (oid)"
        "                         LEFT JOIN pg_publication_rel ar"
        "                           ON ar.prpubid = p.oid AND ar.prrelid = a.oid"
        "                         LEFT JOIN pg_publication_namespace s ON s.pnpubid = p.oid"
        "                          AND s.pnnspid = (SELECT relnamespace FROM pg_class WHERE oid = a.oid)"
        "                        WHERE ar.oid IS NOT NULL OR s.oid IS NOT NULL)), false))"
        " SELECT pg_current_snapshot()::text, (SELECT string_agg(DISTINCT at::text, ' ') FROM found)",
        pg_quote_literal(&arena, publication));
    arena_release(&arena);
}

static struct pg_rows *execute(struct names *names, struct pg_connection *connection,
                               struct err *err)
{
    char sql[64];
    snprintf(sql, sizeof sql, "EXECUTE weir_names_%u", names->version);
    struct pg_rows *rows = pg_query(connection, err, sql, 0, NULL);
    if (rows || strcmp(pg_sqlstate(connection), "26000") != 0)
        return rows;
    /* Another connection than before: it does not know the statement. */
    return pg_execute(connection, err, buffer_str(&names->prepare))
               ? pg_query(connection, err, sql, 0, NULL)
               : NULL;
}

/* first_unknown:first_to_come:running,running */
static void read_snapshot(struct names *names, const char *text)
{
    char *end;
    names->first_unknown = strtoull(text, &end, 10);
    names->first_to_come = strtoull(end + 1, &end, 10);
    names->running_count = 0;
    for (const char *at = end; *at; at = end) {
        if (!end[1])
            break;
        names->running = realloc(names->running, (names->running_count + 1) * sizeof *names->running);
        check(names->running);
        names->running[names->running_count++] = strtoull(at + 1, &end, 10);
    }
}

static void read_others(struct names *names, const char *text, size_t count)
{
    names->is_other = realloc(names->is_other, count * sizeof *names->is_other);
    check(names->is_other);
    memset(names->is_other, 0, count * sizeof *names->is_other);
    for (char *end; *text; text = *end ? end + 1 : end) {
        size_t at = strtoull(text, &end, 10);
        check(at < count);
        names->is_other[at] = true;
    }
}

bool names_ask(struct names *names, const struct catalog *catalog, const char *publication,
               struct pg_connection *connection, struct err *err)
{
    if (!names->prepare.len)
        make_statement(names, catalog, publication);
    struct pg_rows *rows = execute(names, connection, err);
    if (!rows)
        return false;
    read_snapshot(names, pg_rows_str(rows, 0, 0));
    read_others(names, pg_rows_str(rows, 0, 1), catalog->relations.count);
    pg_rows_free(rows);
    return true;
}
