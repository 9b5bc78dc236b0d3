/* The first load: a slot with an exported snapshot, and every published table by COPY in exactly
 * that snapshot, so that the slot continues where the rows end. */
#include "bridge_internal.h"

#include "progress_line.h"

#include "weir/base/check.h"
#include "weir/base/clock.h"
#include "weir/base/log.h"
#include "weir/events/convert.h"

#include <stdlib.h>

enum { LOCK_TIMEOUT_MS = 30000, COMMIT_ROWS = 200000 };

struct load {
    struct bridge *bridge;
    struct pg_connection *connection;
    struct catalog *catalog;
    struct progress_line line;
    struct buffer values, record, key;
    struct slice *columns;
    size_t *offsets;
    struct arena arena;
    uint64_t rows;
};

static bool build_record(struct load *load, const struct relation *relation,
                         const struct slice *fields, struct err *err)
{
    buffer_clear(&load->values);
    for (size_t i = 0; i < relation->column_count; i++) {
        load->offsets[i] = load->values.len;
        if (!convert_text(&load->values, relation->columns[i].type, fields[i], err))
            return err_prefix(err, "column %.*s of %.*s.%.*s",
                              SLICE_ARG(relation->columns[i].name), SLICE_ARG(relation->schema),
                              SLICE_ARG(relation->name));
    }
    for (size_t i = 0; i < relation->column_count; i++) {
        size_t end = i + 1 < relation->column_count ? load->offsets[i + 1] : load->values.len;
        load->columns[i] = slice_of(load->values.data + load->offsets[i], end - load->offsets[i]);
    }
    buffer_clear(&load->record);
    row_build(&load->record, relation, load->columns);
    return true;
}

static bool store_row(struct load *load, const struct relation *relation,
                      const struct slice *fields, struct err *err)
{
    struct replica *replica = load->bridge->replica;
    if (!build_record(load, relation, fields, err))
        return false;
    struct row row = {buffer_slice(&load->record)};
    buffer_clear(&load->key);
    arena_clear(&load->arena);
    key_of_row(&load->key, replica_hash_key(replica), relation, row, &load->arena);
    if (!replica_put(replica, relation, buffer_slice(&load->key), ROW_NONE, row, err))
        return false;
    load->rows++;
    /* The phase says that the load is not complete, so what is committed early does no harm; it
     * keeps the transaction's list of changed pages short. */
    if (load->rows % COMMIT_ROWS == 0 && !replica_commit(replica, err))
        return false;
    progress_line_show(&load->line, load->rows);
    return true;
}

static const char *copy_sql(struct load *load, const struct relation *relation)
{
    struct buffer sql = BUFFER_INIT;
    buffer_add_str(&sql, "COPY (SELECT ");
    for (size_t i = 0; i < relation->column_count; i++) {
        buffer_add_str(&sql, i ? ", " : "");
        buffer_add_str(&sql, pg_quote_identifier(&load->arena, relation->columns[i].name.data));
    }
    buffer_printf(&sql, " FROM ONLY %s.", pg_quote_identifier(&load->arena, relation->schema.data));
    buffer_printf(&sql, "%s) TO STDOUT", pg_quote_identifier(&load->arena, relation->name.data));
    const char *copy = arena_copy(&load->catalog->arena, buffer_slice(&sql)).data;
    buffer_release(&sql);
    return copy;
}

static enum bridge_end load_table(struct load *load, const struct relation *relation,
                                  struct err *err)
{
    const struct slice *fields;
    size_t count;
    if (!pg_copy_begin(load->connection, err, copy_sql(load, relation)))
        return pg_is_broken(load->connection) ? BRIDGE_RETRY : BRIDGE_FAILED;
    for (;;) {
        switch (pg_copy_next(load->connection, &fields, &count, err)) {
        case PG_COPY_ROW:
            check(count == relation->column_count);
            if (!store_row(load, relation, fields, err))
                return BRIDGE_FAILED;
            break;
        case PG_COPY_END:
            return BRIDGE_DONE;
        case PG_COPY_FAILED:
            return pg_is_broken(load->connection) ? BRIDGE_RETRY : BRIDGE_FAILED;
        }
        if (*load->bridge->stop)
            return BRIDGE_STOPPED;
    }
}

static bool enter_snapshot(struct load *load, const char *snapshot, struct err *err)
{
    struct buffer sql = BUFFER_INIT;
    buffer_printf(&sql, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;"
                        " SET TRANSACTION SNAPSHOT %s",
                  pg_quote_literal(&load->arena, snapshot));
    bool ok = pg_execute(load->connection, err, buffer_str(&sql));
    buffer_release(&sql);
    return ok;
}

/* The slot of a load that did not finish is of no use: its snapshot is gone. */
static enum bridge_end drop_own_slot(struct load *load, struct err *err)
{
    const char *parameters[] = {load->bridge->settings->slot};
    struct pg_rows *rows =
        pg_query(load->connection, err,
                 "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots"
                 " WHERE slot_name = $1",
                 1, parameters);
    pg_rows_free(rows);
    /* A walsender that a killed bridge has left behind ends soon. */
    return rows ? BRIDGE_DONE : BRIDGE_RETRY;
}

static enum bridge_end check_no_slot(struct load *load, struct err *err)
{
    const char *slot = load->bridge->settings->slot;
    struct pg_rows *rows = pg_query(load->connection, err,
                                    "SELECT 1 FROM pg_replication_slots WHERE slot_name = $1", 1,
                                    &slot);
    if (!rows)
        return BRIDGE_RETRY;
    bool exists = pg_rows_count(rows) > 0;
    pg_rows_free(rows);
    if (!exists)
        return BRIDGE_DONE;
    err_set(err, "replication slot %s exists, but the state folder %s does not belong to it", slot,
            load->bridge->settings->state);
    err_hint(err, "use the --state folder that this slot was made with, or another --slot; to start "
                  "over: SELECT pg_drop_replication_slot('%s')", slot);
    return BRIDGE_FAILED;
}

static enum bridge_end prepare(struct load *load, struct err *err)
{
    struct bridge *bridge = load->bridge;
    bool was_loading = meta_phase(bridge->replica) == PHASE_LOADING;
    enum bridge_end end = was_loading ? drop_own_slot(load, err) : check_no_slot(load, err);
    if (end != BRIDGE_DONE)
        return end;
    /* The catalog as it is now, to refuse what cannot be followed before a slot is made. */
    struct catalog *catalog = catalog_load(load->connection, bridge->settings->publication, err);
    if (!catalog)
        return pg_is_broken(load->connection) ? BRIDGE_RETRY : BRIDGE_FAILED;
    catalog_free(catalog);
    if (!replica_wipe(bridge->replica, err) ||
        !meta_set_phase(bridge->replica, PHASE_LOADING, err) ||
        !replica_commit(bridge->replica, err))
        return BRIDGE_FAILED;
    return BRIDGE_DONE;
}

static enum bridge_end create_slot(struct load *load, struct replication_slot *slot,
                                   struct err *err)
{
    struct bridge *bridge = load->bridge;
    log_event(LOG_INFO, "creating the replication slot", LOG_STR("slot", bridge->settings->slot));
    if (replication_create_slot(bridge->replication, bridge->settings->slot, LOCK_TIMEOUT_MS, slot,
                                err))
        return BRIDGE_DONE;
    return slot->is_blocked ? BRIDGE_RETRY : BRIDGE_FAILED;
}

static enum bridge_end load_tables(struct load *load, struct err *err)
{
    struct relation_set *relations = &load->catalog->relations;
    double estimate = 0;
    for (size_t i = 0; i < relations->count; i++)
        estimate += load->catalog->row_estimates[i];
    progress_line_begin(&load->line, "loading", (uint64_t)estimate);
    for (size_t i = 0; i < relations->count; i++) {
        enum bridge_end end = load_table(load, relations->relations[i], err);
        if (end != BRIDGE_DONE)
            return end;
    }
    progress_line_end(&load->line, load->rows);
    return BRIDGE_DONE;
}

static bool finish(struct load *load, uint64_t lsn, struct err *err)
{
    struct bridge *bridge = load->bridge;
    struct buffer description = BUFFER_INIT;
    struct pg_rows *now = pg_query(load->connection, err, "SELECT now()::text", 0, NULL);
    catalog_describe(load->catalog, &description);
    bool ok = now &&
              replica_set_meta(bridge->replica, "catalog", buffer_slice(&description), err) &&
              replica_set_meta(bridge->replica, "loaded at", pg_rows_slice(now, 0, 0), err) &&
              meta_set_lsn(bridge->replica, lsn, err) &&
              meta_set_phase(bridge->replica, PHASE_PUBLISHING, err) &&
              replica_commit(bridge->replica, err);
    pg_rows_free(now);
    buffer_release(&description);
    bridge->replica_lsn = bridge->applied_lsn = lsn;
    return ok;
}

static enum bridge_end run(struct load *load, struct err *err)
{
    struct replication_slot slot;
    enum bridge_end end = prepare(load, err);
    if (end == BRIDGE_DONE)
        end = create_slot(load, &slot, err);
    if (end != BRIDGE_DONE)
        return end;
    if (!enter_snapshot(load, slot.snapshot, err))
        return BRIDGE_RETRY;
    load->catalog = catalog_load(load->connection, load->bridge->settings->publication, err);
    if (!load->catalog)
        return pg_is_broken(load->connection) ? BRIDGE_RETRY : BRIDGE_FAILED;
    end = load_tables(load, err);
    if (end == BRIDGE_DONE && !finish(load, slot.consistent_lsn, err))
        end = BRIDGE_FAILED;
    return end;
}

enum bridge_end bridge_load(struct bridge *bridge, struct err *err)
{
    struct load load = {.bridge = bridge};
    load.columns = calloc(RELATION_COLUMNS_MAX, sizeof *load.columns);
    load.offsets = calloc(RELATION_COLUMNS_MAX, sizeof *load.offsets);
    check(load.columns && load.offsets);
    enum bridge_end end = BRIDGE_FAILED;
    switch (pg_try_connect(bridge->settings->db, &load.connection, err)) {
    case PG_CONNECTED:
        switch (replication_try_connect(bridge->settings->db, &bridge->replication, err)) {
        case PG_CONNECTED:
            end = run(&load, err);
            break;
        case PG_UNREACHABLE:
            end = BRIDGE_RETRY;
            break;
        case PG_REFUSED:
            break;
        }
        break;
    case PG_UNREACHABLE:
        end = BRIDGE_RETRY;
        break;
    case PG_REFUSED:
        break;
    }
    replication_close(bridge->replication);
    bridge->replication = NULL;
    pg_close(load.connection);
    catalog_free(load.catalog);
    buffer_release(&load.values);
    buffer_release(&load.record);
    buffer_release(&load.key);
    arena_release(&load.arena);
    free(load.columns);
    free(load.offsets);
    return end;
}
