/* Starting, recovering and retrying. */
#include "bridge_internal.h"

#include "weir/base/check.h"
#include "weir/base/clock.h"
#include "weir/base/file.h"
#include "weir/base/log.h"
#include "weir/base/lsn.h"

enum { RETRY_FIRST_MS = 500, RETRY_MAX_MS = 5000, QUEUED_BATCHES = 3, RESYNCS_MAX = 5 };

static enum bridge_end end_of(enum publisher_claim result)
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

enum bridge_end bridge_claim(struct bridge *bridge, struct err *err)
{
    if (bridge->is_claimed)
        return BRIDGE_DONE;
    enum bridge_end end = end_of(publisher_claim(bridge->publisher, &bridge->published, err));
    if (end != BRIDGE_DONE)
        return end;
    bridge->is_claimed = true;
    outbox_init(&bridge->outbox, bridge->publisher, bridge->settings->batch_size,
                bridge->published);
    return BRIDGE_DONE;
}

/* confirmed <= replica <= published, or something has been lost or restored. */
static bool check_positions(struct bridge *bridge, struct err *err)
{
    struct progress replica = {bridge->replica_lsn, 0};
    char text[2][LSN_TEXT_SIZE];
    if (meta_phase(bridge->replica) != PHASE_FOLLOWING ||
        progress_cmp(replica, bridge->published) <= 0 ||
        replica_meta(bridge->replica, "outgoing").len)
        return true;
    err_set(err, "the stream server has the producer %s at %s, but this bridge had published up to "
                 "%s: the server has lost data or is another one",
            bridge->settings->slot, lsn_format(bridge->published.lsn, text[0]),
            lsn_format(bridge->replica_lsn, text[1]));
    return err_hint(err, "start the stream server with the --data folder it had");
}

static bool check_fresh(struct bridge *bridge, struct err *err)
{
    if (bridge->published.lsn == 0)
        return true;
    err_set(err, "the stream server already holds streams of the producer %s, but the state folder "
                 "%s does not",
            bridge->settings->slot, bridge->settings->state);
    return err_hint(err, "use the --state folder that goes with these streams; to start over, use "
                         "another --slot and an empty stream server");
}

/* A slot that is gone, or that Postgres has given up because it held too much WAL, has left out
 * changes. The replica and a new snapshot still say exactly what the streams lack. */
static bool want_new_slot(struct bridge *bridge, const char *why, struct err *err)
{
    if (bridge->published.lsn > bridge->replica_lsn) {
        err_set(err, "%s, and the streams are ahead of the replica in %s, so what they lack cannot "
                     "be told",
                why, bridge->settings->state);
        return err_hint(err, "start over with an empty --state folder, another --slot and new "
                             "streams");
    }
    if (!bridge->needs_slot)
        log_event(LOG_WARN, "resyncing everything by difference", LOG_STR("reason", why),
                  LOG_STR("slot", bridge->settings->slot));
    bridge->needs_slot = bridge->wants_resync = true;
    return true;
}

/* The slot and the database that the replica was made from: with another one, a slot that is not
 * there would look like one that was lost. */
bool bridge_identify(struct bridge *bridge, struct pg_connection *connection,
                     struct buffer *identity, struct err *err)
{
    struct pg_rows *rows =
        pg_query(connection, err,
                 "SELECT (SELECT system_identifier FROM pg_control_system()) || '/' || oid"
                 "  FROM pg_database WHERE datname = current_database()",
                 0, NULL);
    if (!rows)
        return false;
    buffer_printf(identity, "slot %s of %s", bridge->settings->slot, pg_rows_str(rows, 0, 0));
    pg_rows_free(rows);
    return true;
}

static enum bridge_end check_identity(struct bridge *bridge, struct pg_connection *connection,
                                      struct err *err)
{
    struct buffer identity = BUFFER_INIT;
    bool ok = bridge_identify(bridge, connection, &identity, err);
    struct slice made_from = replica_meta(bridge->replica, "identity");
    bool is_same = ok && slice_eq(made_from, buffer_slice(&identity));
    if (ok && !is_same) {
        err_set(err, "the state folder %s was made from %.*s (system/database), and this is %.*s",
                bridge->settings->state, SLICE_ARG(made_from),
                SLICE_ARG(buffer_slice(&identity)));
        err_hint(err, "give each slot of each database a --state folder of its own");
    }
    buffer_release(&identity);
    if (!ok)
        return BRIDGE_RETRY;
    return is_same ? BRIDGE_DONE : BRIDGE_FAILED;
}

static enum bridge_end check_slot(struct bridge *bridge, struct pg_connection *connection,
                                  struct err *err)
{
    const char *slot = bridge->settings->slot;
    struct pg_rows *rows =
        pg_query(connection, err,
                 "SELECT coalesce(confirmed_flush_lsn, '0/0'), coalesce(wal_status = 'lost', false)"
                 "  FROM pg_replication_slots WHERE slot_name = $1",
                 1, &slot);
    if (!rows)
        return BRIDGE_RETRY;
    uint64_t confirmed = 0;
    bool exists = pg_rows_count(rows) == 1 && lsn_parse(pg_rows_slice(rows, 0, 0), &confirmed);
    bool is_lost = exists && pg_rows_str(rows, 0, 1)[0] == 't';
    pg_rows_free(rows);
    /* A resync that a crash has cut off may have made the slot already; its snapshot is gone. */
    bool was_making = replica_meta(bridge->replica, "making slot").len > 0;
    if (!exists || is_lost || was_making)
        return want_new_slot(bridge,
                             !exists   ? "the replication slot is gone"
                             : is_lost ? "Postgres has given the replication slot up"
                                       : "a resync was cut off",
                             err)
                   ? BRIDGE_DONE
                   : BRIDGE_FAILED;
    if (confirmed <= bridge->replica_lsn)
        return BRIDGE_DONE;
    char text[2][LSN_TEXT_SIZE];
    err_set(err, "slot %s has been confirmed up to %s, but the replica in %s ends at %s: the folder "
                 "is an older copy",
            slot, lsn_format(confirmed, text[0]), bridge->settings->state,
            lsn_format(bridge->replica_lsn, text[1]));
    err_hint(err, "start over with an empty --state folder, another --slot and new streams");
    return BRIDGE_FAILED;
}

/* The catalog and the compiled rules, for the rows that the replica has. */
static enum bridge_end prepare(struct bridge *bridge, struct err *err)
{
    struct pg_connection *connection = NULL;
    enum pg_reach reach = pg_try_connect(bridge->settings->db, &connection, err);
    if (reach != PG_CONNECTED)
        return reach == PG_UNREACHABLE ? BRIDGE_RETRY : BRIDGE_FAILED;
    enum bridge_end end = check_identity(bridge, connection, err);
    if (end == BRIDGE_DONE)
        end = check_slot(bridge, connection, err);
    if (end == BRIDGE_DONE && !bridge->catalog) {
        bridge->catalog = catalog_restore(replica_meta(bridge->replica, "catalog"), err);
        if (!bridge->catalog)
            end = BRIDGE_FAILED;
    }
    pg_close(connection);
    if (end != BRIDGE_DONE || bridge->rules)
        return end;
    bridge->rule_table = (struct rule_table){.catalog = bridge->catalog,
                                             .replica = bridge->replica,
                                             .conninfo = bridge->settings->db};
    struct state state = {bridge->replica, NULL};
    if (!rule_table_compile(&bridge->rule_table, &state, &bridge->rules, err))
        return bridge->rule_table.lost_connection ? BRIDGE_RETRY : BRIDGE_FAILED;
    rule_table_report(&bridge->rule_table, bridge->rules);
    transaction_init(&bridge->transaction, bridge->catalog, bridge->replica);
    return BRIDGE_DONE;
}

/* Whether the streams and the state folder go together, before anything is changed. */
static enum bridge_end look(struct bridge *bridge, bool is_fresh, struct err *err)
{
    if (bridge->is_claimed)
        return BRIDGE_DONE;
    enum bridge_end end = end_of(publisher_look(bridge->publisher, &bridge->published, err));
    if (end == BRIDGE_DONE &&
        !(is_fresh ? check_fresh(bridge, err) : check_positions(bridge, err)))
        end = BRIDGE_FAILED;
    return end;
}

/* One way from wherever the replica stands towards following. */
static enum bridge_end advance(struct bridge *bridge, struct err *err)
{
    enum replica_phase phase = meta_phase(bridge->replica);
    bool is_fresh = phase == PHASE_NEW || phase == PHASE_LOADING;
    enum bridge_end end = look(bridge, is_fresh, err);
    if (end != BRIDGE_DONE)
        return end;
    if (is_fresh)
        return bridge_load(bridge, err);
    if ((end = prepare(bridge, err)) != BRIDGE_DONE)
        return end;
    if (phase == PHASE_PUBLISHING)
        return bridge_publish_first(bridge, err);
    return bridge->wants_resync ? bridge_resync(bridge, err) : bridge_follow(bridge, err);
}

/* A change that does not fit, or another catalog. Tables that never fit would be read for ever. */
static enum bridge_end want_resync(struct bridge *bridge, struct err *err)
{
    if (++bridge->resyncs > RESYNCS_MAX)
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
        transaction_clear(&bridge->transaction);
        if (end == BRIDGE_FAILED || end == BRIDGE_STOPPED || *bridge->stop)
            return end == BRIDGE_FAILED ? end : BRIDGE_STOPPED;
        if (end == BRIDGE_DONE || clock_monotonic_ms() - started > RETRY_MAX_MS)
            delay_ms = RETRY_FIRST_MS;
        if (end == BRIDGE_RETRY) {
            log_err(LOG_WARN, "waiting", err);
            bridge_wait(bridge, delay_ms);
            delay_ms = delay_ms * 2 < RETRY_MAX_MS ? delay_ms * 2 : RETRY_MAX_MS;
        }
    }
}

static bool open_publisher(struct bridge *bridge, struct err *err)
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
    struct publisher_settings publisher = {.streams_url = settings->streams,
                                           .producer = settings->slot,
                                           .token = has_token ? text : NULL,
                                           .ca_file = settings->ca_file,
                                           .queue_limit = QUEUED_BATCHES};
    bridge->publisher = publisher_open(&publisher, bridge->wake_fd, err);
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
    if (!open_publisher(bridge, err))
        return false;
    bridge->sink = outbox_sink(&bridge->outbox);
    bridge->difference = difference_new(&bridge->sink);
    bridge->decoder = change_decoder_new();
    return true;
}

static void close_bridge(struct bridge *bridge)
{
    replication_close(bridge->replication);
    difference_free(bridge->difference);
    change_decoder_free(bridge->decoder);
    if (bridge->transaction.catalog)
        transaction_release(&bridge->transaction);
    ruleset_free(bridge->rules);
    rule_table_release(&bridge->rule_table);
    catalog_free(bridge->catalog);
    outbox_release(&bridge->outbox);
    publisher_close(bridge->publisher);
    replica_close(bridge->replica);
}

/* A replica that turned out too small for what came between two checkpoints is opened again with
 * more room: the same way as after a crash. */
bool bridge_run(const struct bridge_settings *settings, int stop_fd,
                const volatile sig_atomic_t *stop, struct err *err)
{
    uint64_t size_least = 0;
    for (;;) {
        struct bridge bridge = {.settings = settings, .stop = stop, .wake_fd = stop_fd};
        bool is_open = open_bridge(&bridge, size_least, err);
        enum bridge_end end = is_open ? run(&bridge, err) : BRIDGE_FAILED;
        bool needs_room = is_open && end == BRIDGE_FAILED && replica_is_full(bridge.replica);
        if (needs_room)
            size_least = replica_size(bridge.replica) * 2;
        close_bridge(&bridge);
        if (!needs_room)
            return end == BRIDGE_STOPPED;
        log_event(LOG_INFO, "replica grows", LOG_U("bytes", size_least));
    }
}
