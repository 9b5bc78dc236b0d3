/* Bringing the replica up to a snapshot by difference: after a table was added, dropped or altered,
 * or turned out not to be what the replica holds of it; or after the slot was lost, when all are.
 *
 * A temporary slot gives a snapshot and its exact position S. The tables that are as they were are
 * brought to S by the slot's own changes; the others are read from the snapshot, and so are
 * partitions that have come. All of it is one
 * change set, spilled at once as it may be everything there is, so that what is delivered is the
 * difference of two committed states like any other, and nothing in between is ever shown.
 *
 * The snapshot is gone after a crash, so what is to be published must be kept before it is
 * published: src/bridge/outgoing.c. A crash before that commit starts the whole again from the old
 * state; one behind it sends it again, and the server knows how much of it it had. */
#include "bridge_internal.h"

#include "weir/base/clock.h"
#include "weir/base/fault.h"
#include "weir/base/log.h"

#include <stdio.h>

enum { LOCK_TIMEOUT_MS = 3000, SLOT_NAME_SIZE = 64, ASK_INTERVAL_MS = 200, PAUSE_MS = 15000 };

struct resync {
    struct bridge *bridge;
    struct pg_connection *connection; /* in the snapshot */
    struct replication *snapshot_holder;
    struct catalog *catalog; /* as of the snapshot */
    struct ruleset *rules;
    struct answers *older_answers; /* once the rules are compiled for the new catalog */
    uint64_t lsn;
    struct table_reader *reader;
    uint64_t rows;
    bool is_blocked; /* transactions that still run are in the way of the snapshot */
};

/* The bridge's own slot, anew. That it is being made is noted first, as a slot whose snapshot was
 * lost in a crash has to be told from one that can be followed. */
static enum bridge_end replace_slot(struct resync *resync, struct replication_slot *slot,
                                    struct err *err)
{
    struct bridge *bridge = resync->bridge;
    const char *name = bridge->settings->slot;
    if (!replica_set_meta(bridge->replica, "making slot", slice_from_str(name), err) ||
        !replica_commit(bridge->replica, err))
        return BRIDGE_FAILED;
    fault_step(FAULT_RESYNC_NOTE_SLOT);
    struct pg_connection *connection = rule_table_connection(&bridge->rule_table, err);
    enum bridge_end end = connection ? bridge_drop_slot(bridge, connection, err) : BRIDGE_RETRY;
    if (end == BRIDGE_DONE &&
        !replication_create_slot(resync->snapshot_holder, name, LOCK_TIMEOUT_MS, slot, err))
        end = BRIDGE_RETRY;
    return end;
}

static enum bridge_end make_slot(struct resync *resync, struct replication_slot *slot,
                                 struct err *err)
{
    char name[SLOT_NAME_SIZE];
    if (resync->bridge->needs_slot) {
        enum bridge_end end = replace_slot(resync, slot, err);
        fault_step(FAULT_RESYNC_SLOT_MADE);
        return end;
    }
    snprintf(name, sizeof name, "%.50s_resync", resync->bridge->settings->slot);
    return replication_create_temporary_slot(resync->snapshot_holder, name, LOCK_TIMEOUT_MS, slot,
                                             err)
               ? BRIDGE_DONE
               : BRIDGE_RETRY;
}

static enum bridge_end take_snapshot(struct resync *resync, struct err *err)
{
    struct bridge *bridge = resync->bridge;
    struct replication_slot slot = {.is_blocked = false};
    struct pg_origin origin;
    enum pg_reach reach =
        replication_try_connect(bridge->settings->db, &resync->snapshot_holder, err);
    if (reach == PG_CONNECTED)
        reach = pg_try_connect(bridge->settings->db, &resync->connection, err);
    if (reach != PG_CONNECTED)
        return reach == PG_UNREACHABLE ? BRIDGE_RETRY : BRIDGE_FAILED;
    /* What cannot be followed is for people to mend, and then it goes on. */
    const char *publication = bridge->settings->publication;
    if (!replication_find_origin(resync->snapshot_holder, &origin, err) ||
        !bridge_is_same_origin(bridge, &origin, err))
        return BRIDGE_RETRY;
    enum bridge_end end = make_slot(resync, &slot, err);
    resync->is_blocked = slot.is_blocked;
    if (end != BRIDGE_DONE)
        return end;
    if (!snapshot_enter(resync->connection, bridge->settings->db, slot.snapshot, publication,
                        &resync->catalog, err))
        return BRIDGE_RETRY;
    fault_step(FAULT_RESYNC_SNAPSHOT);
    resync->lsn = slot.consistent_lsn;
    return BRIDGE_DONE;
}

/* Gathers what the slot has up to the snapshot for the tables that stay as they are. Sets done when
 * the first thing behind it has been seen. */
static enum bridge_end gather_message(struct resync *resync, struct slice message, bool *done,
                                      struct err *err)
{
    struct bridge *bridge = resync->bridge;
    struct change change;
    if (bridge_take_message(bridge, message))
        return BRIDGE_DONE;
    if (!change_decode(bridge->decoder, message, &change, err))
        return BRIDGE_FAILED;
    switch (change.kind) {
    case CHANGE_BEGIN:
        *done = change.lsn >= resync->lsn;
        bridge->skips_transaction = change.next_lsn <= bridge->applied_lsn;
        return BRIDGE_DONE;
    case CHANGE_COMMIT:
        if (transaction_is_whole(&bridge->transaction, err))
            return BRIDGE_DONE;
        break;
    default:
        bridge->rule_table.lost_connection = false;
        bridge->casts.delivered_by = NULL;
        if (bridge->skips_transaction || transaction_add(&bridge->transaction, &change, err))
            return BRIDGE_DONE;
        if (bridge->rule_table.lost_connection)
            return BRIDGE_RETRY;
        break;
    }
    if (!bridge->transaction.misfit)
        return BRIDGE_FAILED;
    catalog_mark_misfit(bridge->catalog, bridge->transaction.misfit);
    bridge->is_held_up = true;
    return BRIDGE_RESYNC;
}

static enum bridge_end gather(struct resync *resync, struct err *err)
{
    struct bridge *bridge = resync->bridge;
    enum bridge_end end = bridge_start_replication(bridge, err);
    bool done = false;
    while (end == BRIDGE_DONE && !done) {
        struct replication_input input;
        switch (replication_receive(bridge->replication, -1, ASK_INTERVAL_MS, &input, err)) {
        case REPLICATION_MESSAGE:
            end = gather_message(resync, input.message, &done, err);
            break;
        case REPLICATION_KEEPALIVE:
            done = input.server_lsn >= resync->lsn;
            break;
        case REPLICATION_IDLE:
            if (*bridge->stop)
                end = BRIDGE_STOPPED;
            else if (!replication_confirm(bridge->replication, bridge->replica_lsn, true, err))
                end = BRIDGE_RETRY;
            break;
        case REPLICATION_ENDED:
        case REPLICATION_FAILED:
            end = BRIDGE_RETRY;
            break;
        }
    }
    replication_close(bridge->replication);
    bridge->replication = NULL;
    return end;
}

static bool put_row(void *context, const struct relation *relation, struct slice key,
                    struct row row, struct err *err)
{
    struct resync *resync = context;
    struct change_set *changes = &resync->bridge->transaction.changes;
    resync->rows++;
    return change_set_put(
        changes, change_set_touch(changes, resync->bridge->replica, relation, key), row, err);
}

/* Which tables are brought up from the snapshot and not by the slot. Of one that only got
 * partitions, these are. */
static void choose_tables(struct resync *resync)
{
    const struct bridge *bridge = resync->bridge;
    const struct relation_set *old = &bridge->catalog->relations,
                              *new = &resync->catalog->relations;
    for (size_t i = 0; i < new->count; i++)
        new->relations[i]->is_read_again = true;
    for (size_t i = 0; i < old->count; i++) {
        struct relation *relation = old->relations[i];
        relation->is_read_again = bridge->needs_slot || relation->is_misfit ||
                                  catalog_table_change(resync->catalog, relation) == TABLE_OTHER;
    }
}

static enum bridge_end read_table(struct resync *resync, const struct relation *relation,
                                  const struct leaf *leaf, struct err *err)
{
    log_event(LOG_INFO, leaf ? "reading a partition" : "reading a table",
              LOG_SLICE("schema", leaf ? leaf->schema : relation->schema),
              LOG_SLICE("table", leaf ? leaf->name : relation->name));
    return table_read(resync->reader, resync->connection, relation, leaf, put_row, resync, err);
}

static enum bridge_end read_new_leaves(struct resync *resync, const struct relation *relation,
                                       struct err *err)
{
    const struct relation *renewed = relation->renewed;
    enum bridge_end end = BRIDGE_DONE;
    for (size_t i = 0; end == BRIDGE_DONE && i < renewed->leaf_count; i++) {
        if (!relation_has_leaf(relation, &renewed->leaves[i]))
            end = read_table(resync, relation, &renewed->leaves[i], err);
    }
    return end;
}

static enum bridge_end read_tables(struct resync *resync, struct err *err)
{
    struct bridge *bridge = resync->bridge;
    const struct relation_set *old = &bridge->catalog->relations;
    const struct relation_set *new = &resync->catalog->relations;
    /* What the replica has of these tables leaves, unless it comes again from the snapshot. */
    for (size_t i = 0; i < old->count; i++) {
        if (old->relations[i]->is_read_again &&
            !transaction_remove_all(&bridge->transaction, old->relations[i], err))
            return BRIDGE_FAILED;
    }
    for (size_t i = 0; i < new->count; i++) {
        const struct relation *relation = new->relations[i];
        enum bridge_end end = relation->is_read_again ? read_table(resync, relation, NULL, err)
                                                      : read_new_leaves(resync, relation, err);
        if (end != BRIDGE_DONE)
            return end;
    }
    return BRIDGE_DONE;
}

static bool compile_rules(struct resync *resync, struct err *err)
{
    struct bridge *bridge = resync->bridge;
    struct state after = state_after(bridge->replica, &bridge->transaction.changes);
    bridge->rule_table.catalog = resync->catalog;
    resync->older_answers = bridge->rule_table.answers;
    bridge->rule_table.answers = answers_new(replica_hash_key(bridge->replica), SLICE_NONE);
    return rule_table_compile(&bridge->rule_table, &after, &resync->rules, err);
}

/* Rows, catalog and what tells of them, in one commit. */
static bool commit(struct resync *resync, struct err *err)
{
    struct bridge *bridge = resync->bridge;
    struct buffer catalog = BUFFER_INIT;
    catalog_save(resync->catalog, &catalog);
    bool ok = change_set_apply(&bridge->transaction.changes, bridge->replica, err) &&
              replica_forget_indexes_except(bridge->replica, &resync->catalog->relations, err) &&
              replica_set_meta(bridge->replica, "catalog", buffer_slice(&catalog), err) &&
              replica_set_meta(bridge->replica, "making slot", SLICE(""), err) &&
              (!bridge->needs_slot || bridge_begin_history(bridge, true, err)) &&
              bridge_commit_outgoing(bridge, resync->lsn, err);
    buffer_release(&catalog);
    return ok;
}

/* From here on the bridge lives in the new catalog. */
static void adopt(struct resync *resync)
{
    struct bridge *bridge = resync->bridge;
    bridge_drop_changes(bridge);
    catalog_renew(resync->catalog);
    catalog_settle(resync->catalog);
    bridge->catalog = resync->catalog;
    watch_forget(&bridge->watch);
    bridge->transaction.catalog = resync->catalog;
    resync->catalog = NULL;
    ruleset_free(bridge->rules);
    bridge->rules = resync->rules;
    resync->rules = NULL;
    answers_free(resync->older_answers);
    resync->older_answers = NULL;
    if (bridge->needs_slot)
        bridge->server_lsn = 0; /* of the history that was left */
    bridge->wants_resync = bridge->is_held_up = bridge->needs_slot = false;
    rule_table_report(&bridge->rule_table, bridge->rules);
}

/* Whoever wants to alter a table waits for the snapshot's locks, and everybody else behind them. */
static void leave_snapshot(struct resync *resync)
{
    pg_close(resync->connection);
    replication_close(resync->snapshot_holder);
    resync->connection = NULL;
    resync->snapshot_holder = NULL;
}

static enum bridge_end bring_up(struct resync *resync, struct err *err)
{
    struct bridge *bridge = resync->bridge;
    struct pg_rows *now = pg_query(resync->connection, err, "SELECT now()::text", 0, NULL);
    if (!now)
        return BRIDGE_RETRY;
    event_headers_set(&bridge->headers, 0, pg_rows_slice(now, 0, 0));
    pg_rows_free(now);
    leave_snapshot(resync);
    if (!compile_rules(resync, err))
        return bridge->rule_table.lost_connection ? BRIDGE_RETRY : BRIDGE_FAILED;
    bridge->parking.lsn = resync->lsn;
    outbox_spool(&bridge->outbox); /* however little it is, as it could not be taken again */
    difference_run(bridge->difference, bridge->replica, &bridge->transaction.changes, bridge->rules,
                   resync->rules, &bridge->headers);
    fault_step(FAULT_RESYNC_DIFFERENCE);
    enum bridge_end end = bridge_write_parked(bridge, err);
    if (end != BRIDGE_DONE)
        return end;
    if (!commit(resync, err))
        return BRIDGE_FAILED;
    log_event(LOG_INFO, "resynced", LOG_U("rows_read", resync->rows), LOG_LSN("lsn", resync->lsn));
    adopt(resync);
    return bridge_send_outgoing(bridge, err);
}

/* A table that was added or altered can wait until transactions that are in its way have ended; the
 * others go on meanwhile. One whose changes are at hand can not, one that is not to be shown as it
 * was can not, and a slot that is gone can not. */
static bool can_wait(const struct resync *resync)
{
    const struct bridge *bridge = resync->bridge;
    return resync->is_blocked && !bridge->is_held_up && !bridge->needs_slot &&
           !bridge->watch.shows_other_rows;
}

static enum bridge_end put_off(struct bridge *bridge, struct err *err)
{
    log_err(LOG_WARN, "a change of the published tables waits, and the others go on", err);
    bridge->wants_resync = false;
    bridge->resyncs = 0;
    bridge->catalog_pause_ms = clock_monotonic_ms() + PAUSE_MS;
    return BRIDGE_DONE;
}

/* A bridge that was paused may have lost its place to another, and what looks like a slot that was
 * lost is that one's. */
static enum bridge_end check_is_ours(struct bridge *bridge, struct err *err)
{
    struct progress ignored;
    if (!bridge->needs_slot)
        return BRIDGE_DONE;
    return bridge_end_of(publisher_look(bridge->publisher,
                                        (struct progress){bridge->replica_lsn, 0}, &ignored, err));
}

static enum bridge_end run(struct resync *resync, struct err *err)
{
    struct bridge *bridge = resync->bridge;
    enum bridge_end end = bridge_claim(bridge, err);
    if (end == BRIDGE_DONE)
        end = bridge_send_outgoing(bridge, err);
    if (end == BRIDGE_DONE)
        end = bridge_checkpoint(bridge, bridge->applied_lsn, err);
    if (end == BRIDGE_DONE)
        end = check_is_ours(bridge, err);
    if (end == BRIDGE_DONE)
        end = take_snapshot(resync, err);
    if (end == BRIDGE_RETRY && can_wait(resync))
        return put_off(bridge, err);
    if (end != BRIDGE_DONE)
        return end;
    if (catalog_equals(resync->catalog, bridge->catalog) && !bridge->is_held_up &&
        !bridge->needs_slot) {
        bridge->wants_resync = false;
        return BRIDGE_DONE;
    }
    catalog_succeed(resync->catalog, bridge->catalog);
    choose_tables(resync);
    if (!change_set_spill(&bridge->transaction.changes, bridge->replica, err))
        return BRIDGE_FAILED;
    if (!bridge->needs_slot)
        end = gather(resync, err);
    fault_step(FAULT_RESYNC_GATHERED);
    if (end == BRIDGE_DONE)
        end = read_tables(resync, err);
    return end == BRIDGE_DONE ? bring_up(resync, err) : end;
}

enum bridge_end bridge_resync(struct bridge *bridge, struct err *err)
{
    struct resync resync = {.bridge = bridge, .reader = table_reader_new(bridge->replica)};
    enum bridge_end end = run(&resync, err);
    bridge_drop_changes(bridge);
    bridge->rule_table.catalog = bridge->catalog; /* the new one only once it is adopted */
    if (resync.older_answers) {
        answers_free(bridge->rule_table.answers);
        bridge->rule_table.answers = resync.older_answers;
    }
    if (resync.catalog) {
        catalog_settle(bridge->catalog);
        resync.catalog->older = NULL; /* which the bridge goes on with */
        catalog_free(resync.catalog);
    }
    ruleset_free(resync.rules);
    table_reader_free(resync.reader);
    leave_snapshot(&resync);
    return end;
}
