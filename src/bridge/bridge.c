/* Starting, recovering and retrying. */
#include "bridge_internal.h"

#include "weir/base/check.h"
#include "weir/base/clock.h"
#include "weir/base/fault.h"
#include "weir/base/file.h"
#include "weir/base/log.h"
#include "weir/base/lsn.h"

#include <errno.h>

enum {
    RETRY_FIRST_MS = 500,
    RETRY_MAX_MS = 5000,
    FULL_DISK_RETRY_MS = 5000,
    QUEUED_BATCHES = 3,
    RESYNCS_MAX = 5,
    LOST_TRACKS_MAX = 3,
};

enum bridge_end bridge_end_of(enum publisher_claim result)
{
    switch (result) {
    case PUBLISHER_CLAIMED:
        return BRIDGE_DONE;
    case PUBLISHER_UNREACHABLE:
        return BRIDGE_RETRY;
    case PUBLISHER_REFUSED:
        break;
    }
    return BRIDGE_FAILED;
}

static void init_outbox(struct bridge *bridge)
{
    outbox_init(&bridge->outbox, bridge->publisher, bridge->settings->batch_size, bridge->published,
                &bridge->parking);
    bridge_allow_spool(bridge);
}

/* Tells a stream server that has not been told yet. A replica of an older version has no source. */
static enum bridge_end name_source(struct bridge *bridge, struct err *err)
{
    struct buffer source = BUFFER_INIT;
    if (!publisher_keeps_progress(bridge->publisher) || publisher_source(bridge->publisher)[0] ||
        replica_meta(bridge->replica, "source before").len)
        return BRIDGE_DONE;
    if (!replica_meta(bridge->replica, "source").len &&
        (!bridge_begin_history(bridge, false, err) || !replica_commit(bridge->replica, err)))
        return BRIDGE_FAILED;
    buffer_add_slice(&source, replica_meta(bridge->replica, "source"));
    enum bridge_end end = bridge_end_of(publisher_set_source(bridge->publisher, buffer_str(&source),
                                                             false, &bridge->published, err));
    buffer_release(&source);
    return end;
}

/* Where this bridge begins to send, for a server that keeps no progress: behind what its replica
 * has (of what is outgoing, nothing). What Postgres has written by now is all that an earlier one
 * can have sent, if that has not noted less. */
static enum bridge_end find_start(struct bridge *bridge, struct publisher_start *start,
                                  struct err *err)
{
    bool has_outgoing = replica_meta(bridge->replica, "outgoing").len > 0;
    *start = (struct publisher_start){.own.lsn = bridge->replica_lsn - has_outgoing};
    if (publisher_keeps_progress(bridge->publisher))
        return BRIDGE_DONE;
    struct pg_connection *connection = rule_table_connection(&bridge->rule_table, err);
    struct pg_rows *rows =
        connection ? pg_query(connection, err, "SELECT pg_current_wal_flush_lsn()", 0, NULL) : NULL;
    if (!rows)
        return BRIDGE_RETRY;
    bool ok = lsn_parse(pg_rows_slice(rows, 0, 0), &start->replayed_to);
    pg_rows_free(rows);
    check(ok);
    uint64_t noted = sent_note_read(bridge->settings->state);
    bridge->replayed_to = noted < start->replayed_to ? noted : start->replayed_to;
    return bridge_note_sent(bridge, bridge->replayed_to, err) ? BRIDGE_DONE : BRIDGE_RETRY;
}

bool bridge_note_sent(struct bridge *bridge, uint64_t lsn, struct err *err)
{
    return publisher_keeps_progress(bridge->publisher) ||
           sent_note_write(&bridge->sent, bridge->settings->state, lsn, err);
}

enum bridge_end bridge_claim(struct bridge *bridge, struct err *err)
{
    struct publisher_start start;
    if (bridge->is_claimed)
        return BRIDGE_DONE;
    /* Who holds the slot is the one that publishes. */
    enum bridge_end end = bridge->replication ? BRIDGE_DONE : bridge_wait_for_slot(bridge, err);
    if (end == BRIDGE_DONE)
        end = find_start(bridge, &start, err);
    if (end == BRIDGE_DONE)
        end = bridge_end_of(publisher_claim(bridge->publisher, &start, &bridge->published, err));
    if (end == BRIDGE_DONE)
        end = name_source(bridge, err);
    if (end != BRIDGE_DONE)
        return end;
    bridge->is_claimed = true;
    init_outbox(bridge);
    return BRIDGE_DONE;
}

enum bridge_end bridge_restart_progress(struct bridge *bridge, struct err *err)
{
    struct buffer source = BUFFER_INIT;
    buffer_add_slice(&source, replica_meta(bridge->replica, "source"));
    enum bridge_end end = BRIDGE_DONE;
    if (replica_meta(bridge->replica, "source before").len &&
        !slice_eq_str(buffer_slice(&source), publisher_source(bridge->publisher))) {
        outbox_release(&bridge->outbox);
        if (fault_fails(FAULT_RESYNC_RESTART)) {
            err_set_errno(err, errno, "a new source cannot be told");
            end = BRIDGE_RETRY;
        } else {
            end = bridge_end_of(publisher_set_source(bridge->publisher, buffer_str(&source), true,
                                                     &bridge->published, err));
            fault_step(FAULT_RESYNC_RESTARTED);
        }
        init_outbox(bridge);
    }
    buffer_release(&source);
    return end;
}

void bridge_allow_spool(struct bridge *bridge)
{
    outbox_spool_past(&bridge->outbox, replica_scratch(bridge->replica),
                      bridge->settings->transaction_memory);
}

/* The catalog and the compiled rules, for the rows that the replica has. */
static enum bridge_end prepare(struct bridge *bridge, struct err *err)
{
    if (bridge->rules)
        return BRIDGE_DONE;
    if (!bridge->catalog)
        bridge->catalog = catalog_restore(replica_meta(bridge->replica, "catalog"), err);
    if (!bridge->catalog)
        return BRIDGE_FAILED;
    rule_table_release(&bridge->rule_table);
    bridge->rule_table =
        (struct rule_table){.catalog = bridge->catalog,
                            .replica = bridge->replica,
                            .conninfo = bridge->settings->db,
                            .answers = answers_new(replica_hash_key(bridge->replica),
                                                   replica_meta(bridge->replica, "answers"))};
    struct state state = {.replica = bridge->replica};
    if (!rule_table_compile(&bridge->rule_table, &state, &bridge->rules, err))
        return bridge->rule_table.lost_connection ? BRIDGE_RETRY : BRIDGE_FAILED;
    if (rule_table_has_news(&bridge->rule_table) &&
        (!rule_table_save(&bridge->rule_table, err) || !replica_commit(bridge->replica, err)))
        return BRIDGE_FAILED;
    rule_table_report(&bridge->rule_table, bridge->rules);
    transaction_init(&bridge->transaction, bridge->catalog, bridge->replica,
                     bridge->settings->transaction_memory);
    casts_init(&bridge->casts, &bridge->rule_table);
    bridge->transaction.casts = &bridge->casts;
    return BRIDGE_DONE;
}

static enum bridge_end load(struct bridge *bridge, struct err *err)
{
    /* What this process has in hand is of the replica that goes. */
    if (bridge->is_claimed || bridge->catalog)
        return BRIDGE_REOPEN;
    bridge_show(bridge, "loading");
    enum bridge_end end = bridge_load(bridge, err);
    if (end == BRIDGE_DONE)
        bridge->wants_compare = bridge->cannot_replay = false;
    return end;
}

/* One way from wherever the replica stands towards following. */
static enum bridge_end advance(struct bridge *bridge, struct err *err)
{
    enum bridge_way way;
    enum bridge_end end = bridge_decide(bridge, &way, err);
    if (end == BRIDGE_DONE && way == WAY_LOAD)
        return load(bridge, err);
    if (end == BRIDGE_DONE)
        end = prepare(bridge, err);
    if (end != BRIDGE_DONE)
        return end;
    switch (way) {
    case WAY_PUBLISH:
        bridge_show(bridge, "publishing");
        return bridge_publish_first(bridge, err);
    case WAY_COMPARE:
        bridge_show(bridge, "resyncing");
        bridge->figures.resyncs++;
        return bridge_compare(bridge, err);
    case WAY_RESYNC:
        bridge_show(bridge, "resyncing");
        bridge->figures.resyncs++;
        return bridge_resync(bridge, err);
    case WAY_LOAD:
    case WAY_FOLLOW:
        break;
    }
    return bridge_follow(bridge, err);
}

/* A change that does not fit, or another catalog. A table that never fits would be read for ever;
 * a catalog may well change again and again while nothing else happens. */
static enum bridge_end want_resync(struct bridge *bridge, struct err *err)
{
    if (bridge->resyncs > RESYNCS_MAX)
        return BRIDGE_FAILED;
    log_err(LOG_INFO, "resyncing by difference", err);
    bridge->wants_resync = true;
    return BRIDGE_DONE;
}

static enum bridge_end run(struct bridge *bridge, struct err *err)
{
    uint64_t delay_ms = RETRY_FIRST_MS;
    for (;;) {
        uint64_t started = clock_monotonic_ms();
        enum bridge_end end = advance(bridge, err);
        if (end == BRIDGE_RESYNC)
            end = want_resync(bridge, err);
        replication_close(bridge->replication);
        bridge->replication = NULL;
        bridge_drop_changes(bridge);
        if (end == BRIDGE_FAILED || end == BRIDGE_STOPPED || *bridge->stop)
            return end == BRIDGE_FAILED ? end : BRIDGE_STOPPED;
        if (end == BRIDGE_REOPEN)
            return end;
        if (end == BRIDGE_DONE || clock_monotonic_ms() - started > RETRY_MAX_MS)
            delay_ms = RETRY_FIRST_MS;
        if (end == BRIDGE_RETRY) {
            log_err(LOG_WARN, "waiting", err);
            bridge_show_waiting(bridge, err);
            bridge_wait(bridge, delay_ms);
            delay_ms = delay_ms * 2 < RETRY_MAX_MS ? delay_ms * 2 : RETRY_MAX_MS;
        }
    }
}

bool bridge_open_publisher(struct bridge *bridge, bool has_reporter, struct err *err)
{
    const struct bridge_settings *settings = bridge->settings;
    struct buffer secrets = BUFFER_INIT;
    struct slice rest, token;
    char text[SECRET_MAX + 1] = "";
    if (settings->token_file && !secret_file_read(settings->token_file, &secrets, err))
        return false;
    rest = buffer_slice(&secrets);
    bool has_token = secret_next(&rest, &token);
    if (has_token)
        memcpy(text, token.data, token.len);
    struct publisher_settings publisher = {.dialect = settings->dialect,
                                           .connections = settings->connections,
                                           .streams_url = settings->streams,
                                           .producer = settings->slot,
                                           .token = has_token ? text : NULL,
                                           .ca_file = settings->ca_file,
                                           .queue_limit = QUEUED_BATCHES};
    bridge->publisher = publisher_open(&publisher, bridge->wake_fd, err);
    if (bridge->publisher && has_reporter)
        bridge->reporter = reporter_start(settings, &publisher);
    explicit_bzero(text, sizeof text);
    buffer_release(&secrets);
    return bridge->publisher != NULL;
}

static bool open_bridge(struct bridge *bridge, uint64_t size_least, struct err *err)
{
    const struct bridge_settings *settings = bridge->settings;
    struct replica_settings replica = {settings->state, settings->replica_limit, size_least};
    bridge->replica = replica_open(&replica, err);
    if (!bridge->replica)
        return false;
    bridge->replica_lsn = bridge->applied_lsn = meta_lsn(bridge->replica);
    if (!bridge_open_publisher(bridge, true, err))
        return false;
    bridge->sink = outbox_sink(&bridge->outbox);
    bridge->difference =
        difference_new(&bridge->sink, settings->transaction_memory, settings->event_max);
    bridge->decoder = change_decoder_new();
    return true;
}

static void close_bridge(struct bridge *bridge)
{
    reporter_stop(bridge->reporter);
    replication_close(bridge->replication);
    difference_free(bridge->difference);
    change_decoder_free(bridge->decoder);
    if (bridge->transaction.catalog)
        transaction_release(&bridge->transaction);
    casts_release(&bridge->casts);
    watch_release(&bridge->watch);
    ruleset_free(bridge->rules);
    rule_table_release(&bridge->rule_table);
    catalog_free(bridge->catalog);
    outbox_release(&bridge->outbox);
    parking_release(&bridge->parking);
    publisher_close(bridge->publisher);
    sent_note_close(&bridge->sent);
    replica_close(bridge->replica);
}

/* What it did not get to disk the slot sends again: the same way as after a crash. */
static void wait_for_disk(struct bridge *bridge, const struct err *err)
{
    log_err(LOG_ERROR, "waiting for room on the disk", err);
    bridge_wait(bridge, FULL_DISK_RETRY_MS);
}

/* A replica that turned out too small for what came between two checkpoints is opened again with
 * more room: the same way as after a crash. So is everything where this process's idea of the
 * streams or the replica turned out to be wrong. */
bool bridge_run(const struct bridge_settings *settings, int stop_fd,
                const volatile sig_atomic_t *stop, struct err *err)
{
    uint64_t size_least = 0;
    bool wants_compare = settings->resync, cannot_replay = false;
    for (unsigned lost_tracks = 0;;) {
        struct bridge bridge = {.settings = settings,
                                .stop = stop,
                                .wake_fd = stop_fd,
                                .wants_compare = wants_compare,
                                .cannot_replay = cannot_replay};
        bool is_open = open_bridge(&bridge, size_least, err);
        enum bridge_end end = is_open ? run(&bridge, err) : BRIDGE_FAILED;
        bool has_failed = is_open && end == BRIDGE_FAILED;
        bool needs_room = has_failed && replica_is_full(bridge.replica);
        bool needs_disk = has_failed && replica_has_no_space(bridge.replica);
        if (needs_room)
            size_least = replica_size(bridge.replica) * 2;
        if (has_failed && publisher_has_lost_track(bridge.publisher) &&
            lost_tracks++ < LOST_TRACKS_MAX) {
            log_err(LOG_WARN, "the stream server has lost what it had", err);
            end = BRIDGE_REOPEN;
        }
        if (needs_disk)
            bridge_show_waiting(&bridge, err);
        wants_compare = bridge.wants_compare;
        cannot_replay = bridge.cannot_replay;
        close_bridge(&bridge);
        if (needs_disk)
            wait_for_disk(&bridge, err);
        else if (needs_room)
            log_event(LOG_INFO, "replica grows", LOG_U("bytes", size_least));
        else if (end != BRIDGE_REOPEN)
            return end == BRIDGE_STOPPED;
    }
}
