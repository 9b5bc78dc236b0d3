/* Following the slot: messages to transactions, transactions to differences, differences to
 * batches; and when to make it durable. */
#include "bridge_internal.h"

#include "weir/base/check.h"
#include "weir/base/clock.h"
#include "weir/base/fault.h"
#include "weir/base/json.h"
#include "weir/base/log.h"
#include "weir/bridge/examine.h"

#include <string.h>

enum {
    TICK_MS = 250,
    IDLE_CHECKPOINT_MS = 1000, /* nothing came for so long: a good moment for a checkpoint */
    FLUSH_AHEAD_PERCENT = 80,  /* of the way to a checkpoint */
    FLUSH_AHEAD_MS = 1000,     /* and then so often */
};

static const uint64_t checkpoint_wal_bytes = 512u << 20;

/* Whether the streams' server has had the transaction at hand from a bridge before this one. */
static bool is_published(const struct bridge *bridge)
{
    return progress_cmp((struct progress){bridge->end_lsn, 0}, bridge->published) <= 0;
}

/* The same where the server may not know. Such a transaction was looked at when it was sent, and is
 * to be the same again, whatever has become of the catalog. */
static bool may_be_published(const struct bridge *bridge)
{
    return is_published(bridge) || bridge->end_lsn <= bridge->replayed_to;
}

/* Whether the replica is where the streams are, as it must be where a difference is taken. After a
 * crash it is behind, and what leads from the one to the other has been delivered already. */
static bool has_caught_up(const struct bridge *bridge)
{
    uint64_t sent =
        bridge->published.lsn > bridge->replayed_to ? bridge->published.lsn : bridge->replayed_to;
    return bridge->applied_lsn >= sent || bridge->server_lsn >= sent;
}

static void begin_transaction(struct bridge *bridge, const struct change *change)
{
    struct buffer scratch = BUFFER_INIT;
    struct slice timestamp = SLICE_NONE;
    if (change->timestamp.len)
        timestamp = json_text(change->timestamp, &scratch);
    bridge->in_transaction = true;
    bridge->xid = change->xid;
    bridge->end_lsn = change->next_lsn;
    bridge->skips_transaction = change->next_lsn <= bridge->applied_lsn;
    event_headers_set(&bridge->headers, change->xid, timestamp);
    buffer_release(&scratch);
}

/* The rules as they are after the transaction: the same ones unless it touched the rule table. */
static bool rules_after(struct bridge *bridge, struct ruleset **rules, struct err *err)
{
    struct change_set *changes = &bridge->transaction.changes;
    struct state after = state_after(bridge->replica, changes);
    *rules = bridge->rules;
    return !change_set_of(changes, bridge->catalog->rules) ||
           rule_table_compile(&bridge->rule_table, &after, rules, err);
}

/* The rules are the bridge's from when the changes are applied. */
static enum bridge_end carry_out(struct bridge *bridge, struct ruleset *rules, struct err *err)
{
    struct change_set *changes = &bridge->transaction.changes;
    fault_step(FAULT_TRANSACTION_END);
    bridge->figures.transactions++;
    bridge->figures.row_changes += changes->entry_count;
    if (!is_published(bridge)) {
        uint64_t started_us = clock_monotonic_us();
        bridge->parking.lsn = bridge->end_lsn;
        if (rule_table_has_news(&bridge->rule_table))
            outbox_spool(&bridge->outbox); /* what was answered is durable before it is sent */
        difference_run(bridge->difference, bridge->replica, changes, bridge->rules, rules,
                       &bridge->headers);
        bridge->figures.difference_us += clock_monotonic_us() - started_us;
        if (!scratch_is_sound(replica_scratch(bridge->replica), err))
            return BRIDGE_FAILED;
        enum bridge_end end = bridge_write_parked(bridge, err);
        if (end != BRIDGE_DONE)
            return end;
        if (!outbox_is_spooling(&bridge->outbox))
            outbox_end(&bridge->outbox, (struct progress){bridge->end_lsn, 0});
    }
    if (outbox_is_spooling(&bridge->outbox)) {
        /* It is committed below, and what was before it with it. */
        enum bridge_end end = bridge_wait_until_stored(bridge, err);
        if (end != BRIDGE_DONE)
            return end;
    }
    if (!change_set_apply(changes, bridge->replica, err))
        return BRIDGE_FAILED;
    fault_step(FAULT_TRANSACTION_APPLIED);
    if (rules != bridge->rules) {
        ruleset_free(bridge->rules);
        bridge->rules = rules;
        answers_settle(bridge->rule_table.answers);
        rule_table_report(&bridge->rule_table, rules);
    }
    if (!bridge->dirty_since_ms)
        bridge->dirty_since_ms = clock_monotonic_ms();
    if (!outbox_is_spooling(&bridge->outbox))
        return BRIDGE_DONE;
    if (!bridge_commit_outgoing(bridge, bridge->end_lsn, err))
        return BRIDGE_FAILED;
    return bridge_send_outgoing(bridge, err);
}

static enum bridge_end finish_changes(struct bridge *bridge, struct err *err)
{
    struct ruleset *rules;
    if (!may_be_published(bridge)) {
        enum bridge_end end = bridge_check_catalog(bridge, err);
        if (end == BRIDGE_DONE && !bridge_note_sent(bridge, bridge->end_lsn, err))
            end = BRIDGE_RETRY;
        if (end != BRIDGE_DONE)
            return end;
    }
    if (!rules_after(bridge, &rules, err))
        return bridge->rule_table.lost_connection ? BRIDGE_RETRY : BRIDGE_FAILED;
    enum bridge_end end = carry_out(bridge, rules, err);
    if (rules != bridge->rules)
        ruleset_free(rules);
    return end;
}

/* A change does not fit the table that is known. */
static enum bridge_end read_again(struct bridge *bridge, const struct relation *misfit)
{
    if (!misfit || is_published(bridge))
        return BRIDGE_FAILED;
    catalog_mark_misfit(bridge->catalog, misfit);
    bridge->is_held_up = true;
    bridge->resyncs++;
    return BRIDGE_RESYNC;
}

static enum bridge_end finish_transaction(struct bridge *bridge, struct err *err)
{
    bridge->in_transaction = false;
    if (bridge->skips_transaction)
        return BRIDGE_DONE;
    /* Where that has failed, a transaction may look as if it had changed nothing. */
    if (!scratch_is_sound(replica_scratch(bridge->replica), err))
        return BRIDGE_FAILED;
    if (!transaction_is_whole(&bridge->transaction, err))
        return read_again(bridge, bridge->transaction.misfit);
    enum bridge_end end = BRIDGE_DONE;
    if (bridge->transaction.changes.entry_count)
        end = finish_changes(bridge, err);
    bridge_drop_changes(bridge);
    if (end != BRIDGE_DONE)
        return end;
    bridge->applied_lsn = bridge->end_lsn;
    bridge->resyncs = 0;
    return outbox_is_full(&bridge->outbox) ? bridge_submit(bridge, err) : BRIDGE_DONE;
}

/* What is too much for memory goes into the replica at once, and what was there stays to be read.
 * For that it must have been committed, and so published. */
static enum bridge_end spill_changes(struct bridge *bridge, struct err *err)
{
    enum bridge_end end = bridge_checkpoint(bridge, bridge->applied_lsn, err);
    if (end != BRIDGE_DONE)
        return end;
    fault_step(FAULT_SPILL_BEGIN);
    log_event(LOG_INFO, "a large transaction is worked on in the state folder");
    return change_set_spill(&bridge->transaction.changes, bridge->replica, err) ? BRIDGE_DONE
                                                                                : BRIDGE_FAILED;
}

/* A change that has been delivered fits. But a value of it may be one that Postgres is asked about,
 * and the type, or the table, can be another by now. What the streams have of it, only they know;
 * of a server that cannot be asked, nobody, and the bridge ends. */
static enum bridge_end give_up_replay(struct bridge *bridge, const struct err *err)
{
    log_err(LOG_WARN, "a value that has been delivered cannot be asked about again", err);
    bridge->cannot_replay = true;
    return BRIDGE_REOPEN;
}

static enum bridge_end add_change(struct bridge *bridge, const struct change *change,
                                  struct err *err)
{
    struct transaction *transaction = &bridge->transaction;
    bridge->rule_table.lost_connection = false;
    bridge->casts.has_failed = false;
    bridge->casts.delivered_by = may_be_published(bridge) ? bridge->rules : NULL;
    if (!transaction_add(transaction, change, err)) {
        if (bridge->rule_table.lost_connection)
            return BRIDGE_RETRY;
        if (transaction->misfit && may_be_published(bridge) && bridge->casts.has_failed)
            return give_up_replay(bridge, err);
        return read_again(bridge, transaction->misfit);
    }
    if (!transaction_is_large(transaction))
        return BRIDGE_DONE;
    enum bridge_end end = spill_changes(bridge, err);
    return end == BRIDGE_DONE && transaction->is_cut_short ? add_change(bridge, change, err) : end;
}

static enum bridge_end handle_message(struct bridge *bridge, struct slice message, struct err *err)
{
    struct change change;
    if (bridge_take_message(bridge, message))
        return BRIDGE_DONE;
    if (!change_decode(bridge->decoder, message, &change, err))
        return BRIDGE_FAILED;
    switch (change.kind) {
    case CHANGE_BEGIN:
        begin_transaction(bridge, &change);
        return BRIDGE_DONE;
    case CHANGE_COMMIT:
        return finish_transaction(bridge, err);
    default:
        if (bridge->skips_transaction || !bridge->in_transaction)
            return BRIDGE_DONE;
        return add_change(bridge, &change, err);
    }
}

/* Whether what has been applied is so far on its way to a checkpoint. */
static bool has_come(const struct bridge *bridge, uint64_t now, uint64_t percent)
{
    uint64_t idle = now - bridge->last_message_ms;
    uint64_t dirty = now - bridge->dirty_since_ms;
    uint64_t wal = bridge->applied_lsn - bridge->replica_lsn;
    bool is_idle = idle * 100 >= IDLE_CHECKPOINT_MS * percent &&
                   now - bridge->last_checkpoint_ms >= IDLE_CHECKPOINT_MS;
    return is_idle || dirty * 100 >= bridge->settings->checkpoint_interval * percent ||
           wal * 100 >= checkpoint_wal_bytes * percent;
}

/* Has the disk begin with what the checkpoint will wait for. Not earlier: a page that is changed
 * again afterwards is written twice, and until the checkpoint most of them are. */
static void flush_ahead_if_due(struct bridge *bridge, uint64_t now)
{
    if (now - bridge->last_flush_ms < FLUSH_AHEAD_MS || !has_come(bridge, now, FLUSH_AHEAD_PERCENT))
        return;
    replica_flush_ahead(bridge->replica);
    bridge->last_flush_ms = now;
}

/* Makes durable what has been applied; or, where nothing has, lets an idle publication on a busy
 * server go on, so that it does not hold back WAL. */
static enum bridge_end checkpoint_if_due(struct bridge *bridge, struct err *err)
{
    uint64_t now = clock_monotonic_ms();
    if (bridge->in_transaction)
        return BRIDGE_DONE;
    if (bridge->dirty_since_ms) {
        if (has_come(bridge, now, 100))
            return bridge_checkpoint(bridge, bridge->applied_lsn, err);
        flush_ahead_if_due(bridge, now);
        return BRIDGE_DONE;
    }
    uint64_t interval = bridge->settings->checkpoint_interval;
    uint64_t since_last = now - bridge->last_checkpoint_ms;
    uint64_t seen =
        bridge->server_lsn > bridge->applied_lsn ? bridge->server_lsn : bridge->applied_lsn;
    if (seen > bridge->replica_lsn && since_last >= interval)
        return bridge_checkpoint(bridge, seen, err);
    return BRIDGE_DONE;
}

static enum bridge_end step(struct bridge *bridge, struct err *err)
{
    struct replication_input input;
    bool can_submit = outbox_has_batch(&bridge->outbox) && publisher_has_room(bridge->publisher);
    switch (replication_receive(bridge->replication, bridge->wake_fd, can_submit ? 0 : TICK_MS,
                                &input, err)) {
    case REPLICATION_MESSAGE:
        bridge->last_message_ms = clock_monotonic_ms();
        return handle_message(bridge, input.message, err);
    case REPLICATION_KEEPALIVE:
        if (!bridge->in_transaction)
            bridge->server_lsn = input.server_lsn;
        return bridge_feedback(bridge, input.reply_requested, err) ? BRIDGE_DONE : BRIDGE_RETRY;
    case REPLICATION_IDLE:
        break;
    case REPLICATION_ENDED:
        err_set(err, "Postgres ended the replication stream");
        return BRIDGE_RETRY;
    case REPLICATION_FAILED:
        return BRIDGE_RETRY;
    }
    bridge_wait(bridge, 0);
    if (can_submit && !outbox_submit(&bridge->outbox))
        return BRIDGE_DONE;
    return publisher_is_alive(bridge->publisher, err) ? BRIDGE_DONE : BRIDGE_FAILED;
}

/* add-tables wants schema.table with a backslash in front of what its list would take apart. */
static void add_table_name(struct buffer *out, struct slice name)
{
    for (size_t i = 0; i < name.len; i++) {
        if (strchr(" ,.*\\", name.data[i]))
            buffer_add_char(out, '\\');
        buffer_add_char(out, name.data[i]);
    }
}

static void add_table(struct buffer *out, struct slice schema, struct slice name)
{
    if (out->len)
        buffer_add_char(out, ',');
    add_table_name(out, schema);
    buffer_add_char(out, '.');
    add_table_name(out, name);
}

void bridge_slot_options(const char *tables, struct replication_option options[BRIDGE_SLOT_OPTIONS])
{
    const struct replication_option all[BRIDGE_SLOT_OPTIONS] = {
        {"format-version", "2"},
        {"include-types", "0"},
        {"include-xids", "1"},
        {"include-lsn", "1"},
        {"include-timestamp", "1"},
        {"include-transaction", "1"},
        {"add-tables", tables},
        /* Not the application's logical messages: they may hold any bytes, JSON may not. */
        {"add-msg-prefixes", PROBE_PREFIX},
    };
    memcpy(options, all, sizeof all);
}

static bool start_with(struct bridge *bridge, const struct replication_option *options,
                       bool *is_slot_busy, struct err *err)
{
    size_t count = BRIDGE_SLOT_OPTIONS + !bridge->has_plain_numbers;
    return replication_start(bridge->replication, bridge->settings->slot, bridge->replica_lsn,
                             options, count, is_slot_busy, err);
}

static bool start(struct bridge *bridge, bool *is_slot_busy, struct err *err)
{
    struct buffer tables = BUFFER_INIT;
    for (size_t i = 0; i < bridge->catalog->relations.count; i++) {
        const struct relation *relation = bridge->catalog->relations.relations[i];
        if (!relation->is_partitioned)
            add_table(&tables, relation->schema, relation->name);
        for (size_t j = 0; j < relation->leaf_count; j++)
            add_table(&tables, relation->leaves[j].schema, relation->leaves[j].name);
    }
    /* The last one is of wal2json 2.6; without it NaN and the infinities of numbers arrive as null.
     * An option that is not known is an error, and the only way to find out. */
    static const char numbers[] = "numeric-data-types-as-string";
    struct replication_option options[BRIDGE_SLOT_OPTIONS + 1];
    bridge_slot_options(buffer_str(&tables), options);
    options[BRIDGE_SLOT_OPTIONS] = (struct replication_option){numbers, "1"};
    bool ok = start_with(bridge, options, is_slot_busy, err);
    if (!ok && !bridge->has_plain_numbers && strstr(err->message, numbers)) {
        bridge->has_plain_numbers = true;
        ok = start_with(bridge, options, is_slot_busy, err);
    }
    buffer_release(&tables);
    return ok;
}

enum bridge_end bridge_start_replication(struct bridge *bridge, struct err *err)
{
    bool is_slot_busy = false;
    struct pg_origin origin;
    watch_forget(&bridge->watch); /* transactions of another history may have the same numbers */
    enum pg_reach reach = replication_try_connect(bridge->settings->db, &bridge->replication, err);
    if (reach != PG_CONNECTED)
        return reach == PG_UNREACHABLE ? BRIDGE_RETRY : BRIDGE_FAILED;
    if (!replication_find_origin(bridge->replication, &origin, err) ||
        !bridge_is_same_origin(bridge, &origin, err))
        return BRIDGE_RETRY;
    if (!start(bridge, &is_slot_busy, err)) {
        if (is_slot_busy)
            bridge_end_walsender(bridge);
        /* A slot that has been lost since it was looked at is found when it is looked at again. */
        bool can_retry = is_slot_busy || replication_has_no_slot(bridge->replication) ||
                         replication_is_broken(bridge->replication);
        return can_retry ? BRIDGE_RETRY : BRIDGE_FAILED;
    }
    memcpy(bridge->walsender, origin.backend, sizeof bridge->walsender);
    return BRIDGE_DONE;
}

static enum bridge_end follow(struct bridge *bridge, struct err *err)
{
    enum bridge_end end = BRIDGE_DONE;
    while (end == BRIDGE_DONE && !*bridge->stop) {
        end = step(bridge, err);
        if (end == BRIDGE_DONE)
            end = checkpoint_if_due(bridge, err);
        if (end == BRIDGE_DONE && !bridge->in_transaction && has_caught_up(bridge))
            end = bridge_look_if_due(bridge, err);
        bridge_show_if_due(bridge);
    }
    if (end != BRIDGE_DONE)
        return end;
    /* A transaction that has only half arrived is dropped; the slot sends it again. */
    bridge_drop_changes(bridge);
    end = bridge_checkpoint(bridge, bridge->applied_lsn, err);
    return end == BRIDGE_DONE ? BRIDGE_STOPPED : end;
}

enum bridge_end bridge_follow(struct bridge *bridge, struct err *err)
{
    enum bridge_end end = bridge_start_replication(bridge, err);
    /* Holding the slot, this is the bridge that publishes. */
    if (end == BRIDGE_DONE)
        end = bridge_claim(bridge, err);
    if (end == BRIDGE_DONE)
        end = bridge_send_outgoing(bridge, err);
    if (end == BRIDGE_DONE && !bridge_note_walsender(bridge, err))
        end = BRIDGE_FAILED;
    if (end != BRIDGE_DONE)
        return end;
    log_event(LOG_INFO, "following", LOG_STR("slot", bridge->settings->slot),
              LOG_LSN("lsn", bridge->replica_lsn));
    bridge->in_transaction = false;
    bridge->last_message_ms = clock_monotonic_ms();
    bridge->next_catalog_ms = 0;
    bridge_show(bridge, "following");
    return follow(bridge, err);
}
