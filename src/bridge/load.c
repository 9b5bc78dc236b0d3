/* The first load: a slot with an exported snapshot, and every published table by COPY in exactly
 * that snapshot, so that the slot continues where the rows end. */
#include "bridge_internal.h"

#include "progress_line.h"

#include "weir/base/fault.h"
#include "weir/base/log.h"

#include <errno.h>

enum { LOCK_TIMEOUT_MS = 30000, COMMIT_ROWS = 200000 };

struct load {
    struct bridge *bridge;
    struct pg_connection *connection;
    struct catalog *catalog;
    struct table_reader *reader;
    struct progress_line line;
    uint64_t rows;
    bool has_slot;
};

static bool store_row(void *context, const struct relation *relation, struct slice key,
                      struct row row, struct err *err)
{
    struct load *load = context;
    struct replica *replica = load->bridge->replica;
    if (!replica_put(replica, relation, key, ROW_NONE, row, err))
        return false;
    load->rows++;
    /* The phase says that the load is not complete, so what is committed early does no harm; it
     * keeps the transaction's list of changed pages short. */
    if (load->rows % COMMIT_ROWS == 0 && !replica_commit(replica, err))
        return false;
    progress_line_show(&load->line, load->rows);
    return true;
}

static enum bridge_end load_table(struct load *load, const struct relation *relation,
                                  struct err *err)
{
    enum bridge_end end =
        table_read(load->reader, load->connection, relation, NULL, store_row, load, err);
    fault_step(FAULT_LOAD_TABLE);
    return end == BRIDGE_DONE && *load->bridge->stop ? BRIDGE_STOPPED : end;
}

/* Leaves a transaction in which something has failed. */
static enum bridge_end drop_own_slot(struct load *load, struct err *err)
{
    if (!pg_execute(load->connection, err, "ROLLBACK"))
        return BRIDGE_RETRY;
    return bridge_drop_slot(load->bridge, load->connection, err);
}

static enum bridge_end prepare(struct load *load, struct err *err)
{
    struct bridge *bridge = load->bridge;
    /* One that is there, of an earlier load or replica, does not begin at this one's snapshot. */
    enum bridge_end end = bridge_drop_slot(bridge, load->connection, err);
    if (end != BRIDGE_DONE)
        return end;
    /* Refuses what cannot be followed, before a slot is made. */
    struct catalog *catalog =
        catalog_load(load->connection, bridge->settings->publication, CATALOG_STRICT, err);
    if (!catalog)
        return pg_is_broken(load->connection) ? BRIDGE_RETRY : BRIDGE_FAILED;
    catalog_free(catalog);
    if (!replica_wipe(bridge->replica, err) ||
        !meta_set_phase(bridge->replica, PHASE_LOADING, err) ||
        !replica_commit(bridge->replica, err))
        return BRIDGE_FAILED;
    scratch_clear(replica_scratch(bridge->replica));
    return BRIDGE_DONE;
}

static enum bridge_end create_slot(struct load *load, struct replication_slot *slot,
                                   struct err *err)
{
    struct bridge *bridge = load->bridge;
    log_event(LOG_INFO, "creating the replication slot", LOG_STR("slot", bridge->settings->slot));
    if (fault_fails(FAULT_LOAD_SLOT)) {
        err_set_errno(err, errno, "cannot create the replication slot");
        return BRIDGE_RETRY;
    }
    if (replication_create_slot(bridge->replication, bridge->settings->slot, LOCK_TIMEOUT_MS, slot,
                                err)) {
        fault_step(FAULT_LOAD_SLOT_MADE);
        load->has_slot = true;
        return BRIDGE_DONE;
    }
    bool can_retry = slot->is_blocked || replication_is_broken(bridge->replication);
    return can_retry ? BRIDGE_RETRY : BRIDGE_FAILED;
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
    struct buffer saved = BUFFER_INIT;
    bool are_streams_empty = !publisher_source(bridge->publisher)[0] && bridge->published.lsn == 0;
    struct pg_rows *now = pg_query(load->connection, err, "SELECT now()::text", 0, NULL);
    catalog_save(load->catalog, &saved);
    fault_step(FAULT_LOAD_COMMIT);
    bool ok = now && bridge_begin_history(bridge, false, err) &&
              replica_set_meta(bridge->replica, "catalog", buffer_slice(&saved), err) &&
              replica_set_meta(bridge->replica, "loaded at", pg_rows_slice(now, 0, 0), err) &&
              meta_set_lsn(bridge->replica, lsn, err) &&
              replica_set_meta(bridge->replica, "compares with",
                               slice_from_str(publisher_source(bridge->publisher)), err) &&
              meta_set_phase(bridge->replica,
                             are_streams_empty ? PHASE_PUBLISHING : PHASE_COMPARING, err) &&
              meta_set_rule_language(bridge->replica, err) && replica_commit(bridge->replica, err);
    fault_step(FAULT_LOAD_COMMITTED);
    pg_rows_free(now);
    buffer_release(&saved);
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
    const struct bridge_settings *settings = load->bridge->settings;
    if (!snapshot_enter(load->connection, settings->db, slot.snapshot, settings->publication,
                        &load->catalog, err))
        return BRIDGE_RETRY;
    end = load_tables(load, err);
    if (end == BRIDGE_DONE && !finish(load, slot.consistent_lsn, err))
        end = pg_is_broken(load->connection) ? BRIDGE_RETRY : BRIDGE_FAILED;
    return end;
}

enum bridge_end bridge_load(struct bridge *bridge, struct err *err)
{
    struct load load = {.bridge = bridge, .reader = table_reader_new(bridge->replica)};
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
    /* A slot that nobody follows holds back WAL. */
    struct err ignored;
    if (end == BRIDGE_FAILED && load.has_slot && !pg_is_broken(load.connection) &&
        drop_own_slot(&load, &ignored) != BRIDGE_DONE)
        log_err(LOG_WARN, "the replication slot stays behind", &ignored);
    pg_close(load.connection);
    catalog_free(load.catalog);
    table_reader_free(load.reader);
    return end;
}
