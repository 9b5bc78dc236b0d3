/* Whether Postgres, the replica and the streams go together, and what is to be done where they do
 * not. Asked again at each connection, as what is behind an address may have become another.
 *
 * Three things can be lost, exchanged or older than the others, each alone. Any two states can be
 * brought together by their difference, so the only question is which states are known:
 *
 *   slot goes on from the replica, streams are where it says     follow
 *   no slot that goes on, streams are where the replica says     a new snapshot, compared with it
 *   slot goes on from the replica, streams are not there         the replica, compared with them
 *   neither                                                      both: a new snapshot, and that
 *
 * Where the streams are is known by the rules that brought them there. With a program that
 * understands these otherwise it is not, however well the positions agree.
 *
 * What that would destroy, when somebody has only named the wrong database or the wrong server, is
 * the streams of others. So each side has a name of the database that it was made from, and with
 * another one nothing is touched unless --resync says so. docs/recovery.md has the table
 * of cases. */
#include "bridge_internal.h"

#include "weir/base/clock.h"
#include "weir/base/log.h"
#include "weir/base/lsn.h"

#include <stdio.h>

enum slot_state {
    SLOT_GONE,
    SLOT_LOST,    /* Postgres has removed WAL that it needed */
    SLOT_AHEAD,   /* of the replica: somebody has moved it on, or this is an older copy */
    SLOT_GOES_ON, /* from the replica's position */
};

struct look {
    struct bridge *bridge;
    enum replica_phase phase;
    bool has_rows;
    enum slot_state slot;
    const char *source; /* what the stream server has the producer's events from; "": not said */
    bool is_known;      /* the stream server knows the producer */
};

static enum bridge_end look_at_slot(struct look *look, struct pg_connection *connection,
                                    struct err *err)
{
    const char *slot = look->bridge->settings->slot;
    struct pg_rows *rows =
        pg_query(connection, err,
                 "SELECT coalesce(confirmed_flush_lsn, '0/0'), coalesce(wal_status = 'lost', false)"
                 "  FROM pg_replication_slots WHERE slot_name = $1",
                 1, &slot);
    if (!rows)
        return BRIDGE_RETRY;
    uint64_t confirmed = 0;
    if (pg_rows_count(rows) != 1 || !lsn_parse(pg_rows_slice(rows, 0, 0), &confirmed))
        look->slot = SLOT_GONE;
    else if (pg_rows_str(rows, 0, 1)[0] == 't')
        look->slot = SLOT_LOST;
    else
        look->slot = confirmed > look->bridge->replica_lsn ? SLOT_AHEAD : SLOT_GOES_ON;
    pg_rows_free(rows);
    return BRIDGE_DONE;
}

static enum bridge_end look_at_postgres(struct look *look, struct pg_connection *connection,
                                        struct err *err)
{
    struct bridge *bridge = look->bridge;
    if (!pg_find_origin(connection, &bridge->origin, err))
        return BRIDGE_RETRY;
    if (!bridge->origin.is_recovering)
        return look_at_slot(look, connection, err);
    err_set(err, "Postgres is a standby or still recovers, and a slot is of the primary");
    err_hint(err, "it is waited for until it is promoted; with several hosts in --db, "
                  "target_session_attrs=read-write finds the primary");
    return BRIDGE_RETRY;
}

/* ---- Whose they are ---- */

static bool is_of(struct slice source, const char *database)
{
    size_t len = strlen(database);
    return source.len > len && memcmp(source.data, database, len) == 0 && source.data[len] == '/';
}

/* "slot weir of 7312…/16384", as older versions wrote it too. */
static bool is_replica_ours(const struct look *look, struct slice made_from)
{
    struct bridge *bridge = look->bridge;
    struct buffer identity = BUFFER_INIT;
    buffer_printf(&identity, "slot %s of %s", bridge->settings->slot, bridge->origin.database);
    bool is_ours = slice_eq(made_from, buffer_slice(&identity));
    buffer_release(&identity);
    return is_ours;
}

static bool refuse_replica(const struct look *look, struct slice made_from, struct err *err)
{
    struct bridge *bridge = look->bridge;
    err_set(err,
            "the state folder %s was made from %.*s (system/database), and this is slot %s of %s",
            bridge->settings->state, SLICE_ARG(made_from), bridge->settings->slot,
            bridge->origin.database);
    return err_hint(err, "give each slot of each database a --state folder of its own; where this "
                         "database has taken the other one's place, start once with --resync");
}

static bool refuse_streams(const struct look *look, struct err *err)
{
    struct bridge *bridge = look->bridge;
    err_set(err, "the stream server holds streams of the producer %s that %s%s, and this is %s",
            bridge->settings->slot,
            look->source[0] ? "were made from " : "come from nobody knows where", look->source,
            bridge->origin.database);
    if (!publisher_keeps_progress(bridge->publisher))
        return err_hint(err,
                        "use the --state folder that they were made with, or another --slot and "
                        "new streams: a server of the standard dialect cannot be compared with");
    return err_hint(err,
                    "give each database a --slot name of its own; where this database has taken "
                    "the other one's place, or the --state folder is lost, start once with "
                    "--resync: it compares everything and deletes what is not in this database");
}

static bool refuse_slot(const struct look *look, struct err *err)
{
    struct bridge *bridge = look->bridge;
    err_set(err,
            "replication slot %s exists, but neither the state folder %s nor the stream server "
            "knows it",
            bridge->settings->slot, bridge->settings->state);
    return err_hint(err,
                    "SELECT pg_drop_replication_slot('%s'); -- where nobody else uses it, or "
                    "start once with --resync; or use the --state folder that this slot was "
                    "made with, or another --slot",
                    bridge->settings->slot);
}

/* The load that was to be compared with these streams has been, and then it was asked. */
static bool has_been_allowed(const struct look *look)
{
    return look->phase == PHASE_COMPARING &&
           slice_eq(replica_meta(look->bridge->replica, "compares with"),
                    slice_from_str(look->source));
}

/* Whether what would be written over is ours. */
static bool may_go_on(const struct look *look, struct err *err)
{
    struct bridge *bridge = look->bridge;
    struct slice made_from =
        look->has_rows ? replica_meta(bridge->replica, "identity") : SLICE_NONE;
    if (bridge->wants_compare)
        return true;
    if (look->has_rows && !is_replica_ours(look, made_from))
        return refuse_replica(look, made_from, err);
    if (look->source[0] && !is_of(slice_from_str(look->source), bridge->origin.database) &&
        !has_been_allowed(look))
        return refuse_streams(look, err);
    if (!look->has_rows && look->is_known && !look->source[0])
        return refuse_streams(look, err);
    if (look->phase == PHASE_NEW && !look->is_known && look->slot != SLOT_GONE)
        return refuse_slot(look, err);
    return true;
}

/* ---- Whether they go together ---- */

static bool has_outgoing(const struct bridge *bridge)
{
    return replica_meta(bridge->replica, "outgoing").len > 0;
}

/* Whether progress on the stream server counts in the replica's history. */
static bool has_same_source(const struct look *look)
{
    struct slice source = slice_from_str(look->source);
    struct replica *replica = look->bridge->replica;
    return !source.len || slice_eq(source, replica_meta(replica, "source"));
}

/* Whether a new source was put down with what is to be sent, and that has not begun. */
static bool is_before_restart(const struct look *look)
{
    struct replica *replica = look->bridge->replica;
    struct slice before = replica_meta(replica, "source before");
    return replica_meta(replica, "outgoing").len && before.len &&
           slice_eq(slice_after(before, SLICE("from ")), slice_from_str(look->source));
}

/* Whether the streams are what the replica says, or on their way there by what is in the spool or
 * comes from the slot. */
static bool are_streams_known(const struct look *look)
{
    struct bridge *bridge = look->bridge;
    struct progress replica = {bridge->replica_lsn, 0};
    if (look->phase == PHASE_COMPARING || !meta_has_rule_language(bridge->replica))
        return false;
    if (is_before_restart(look))
        return true;
    if (!has_same_source(look))
        return false;
    /* Streams that are behind have lost something. Once claimed, published is of the past. */
    return bridge->is_claimed || look->phase != PHASE_FOLLOWING || has_outgoing(bridge) ||
           progress_cmp(replica, bridge->published) <= 0;
}

/* Why the slot cannot be followed from the replica's position; NULL: it can. */
static const char *why_no_slot(const struct look *look)
{
    struct bridge *bridge = look->bridge;
    uint32_t timeline = meta_timeline(bridge->replica);
    uint64_t lsn = bridge->applied_lsn;
    if (timeline && timeline != bridge->origin.timeline)
        return "Postgres has another timeline: a standby was promoted or a backup restored";
    if (has_same_source(look) && look->phase == PHASE_FOLLOWING && bridge->published.lsn > lsn)
        lsn = bridge->published.lsn;
    if (bridge->origin.lsn < lsn)
        return "Postgres is older than what was read from it: a backup was restored";
    /* A resync that a crash has cut off may have made the slot already; its snapshot is gone. */
    if (replica_meta(bridge->replica, "making slot").len)
        return "a resync was cut off";
    switch (look->slot) {
    case SLOT_GONE:
        return "the replication slot is gone";
    case SLOT_LOST:
        return "Postgres has given the replication slot up";
    case SLOT_AHEAD:
        return "the replication slot was moved on, or the state folder is an older copy";
    case SLOT_GOES_ON:
        break;
    }
    return NULL;
}

/* Of one history, and not on the way by what is in the spool. */
static bool are_streams_ahead(const struct look *look)
{
    struct bridge *bridge = look->bridge;
    return !has_outgoing(bridge) && has_same_source(look) && look->phase == PHASE_FOLLOWING &&
           bridge->published.lsn > bridge->applied_lsn;
}

/* Streams that are ahead of the rows would be taken back to them, and show for a while what their
 * readers have lost since: then the rows of now are read. */
static enum bridge_way way_of_unknown_streams(const struct look *look, const char **why)
{
    bool is_understood = meta_has_rule_language(look->bridge->replica);
    *why = is_understood ? "the streams are not where the state folder says"
                         : "this version of weir understands rules otherwise than the one before";
    return are_streams_ahead(look) ? WAY_LOAD : WAY_COMPARE;
}

static enum bridge_way way_of_rows(const struct look *look, const char **why)
{
    struct bridge *bridge = look->bridge;
    bool are_known = are_streams_known(look);
    *why = why_no_slot(look);
    bridge->needs_slot = *why != NULL;
    if (!*why && !are_known)
        return way_of_unknown_streams(look, why);
    if (!*why && look->phase == PHASE_PUBLISHING)
        return WAY_PUBLISH;
    if (!*why)
        return bridge->wants_resync ? WAY_RESYNC : WAY_FOLLOW;
    /* The slot would have brought the replica to where the streams are. */
    bool are_ahead = !has_outgoing(bridge) && bridge->published.lsn > bridge->applied_lsn;
    return are_known && !are_ahead && look->phase == PHASE_FOLLOWING ? WAY_RESYNC : WAY_LOAD;
}

enum bridge_end bridge_weigh(struct bridge *bridge, struct pg_connection *connection,
                             enum bridge_way *way, const char **why, struct err *err)
{
    struct look look = {.bridge = bridge, .phase = PHASE_NEW, .source = ""};
    if (bridge->replica)
        look.phase = meta_phase(bridge->replica);
    if (bridge->publisher)
        look.source = publisher_source(bridge->publisher);
    look.has_rows = look.phase != PHASE_NEW && look.phase != PHASE_LOADING;
    look.is_known = look.source[0] || bridge->published.lsn > 0;
    enum bridge_end end = look_at_postgres(&look, connection, err);
    if (end != BRIDGE_DONE)
        return end;
    if (!may_go_on(&look, err))
        return BRIDGE_FAILED;
    *way = WAY_LOAD;
    *why = NULL;
    if (bridge->wants_compare)
        *why = "--resync was given";
    else if (look.has_rows && bridge->cannot_replay)
        *why = "what has been delivered since the last checkpoint cannot be worked out again";
    else if (look.has_rows)
        *way = way_of_rows(&look, why);
    else if (look.is_known)
        *why = "the state folder has no rows, and the streams have";
    return BRIDGE_DONE;
}

/* Only `weir serve` says which streams a producer has written. */
static bool can_read_streams(const struct bridge *bridge, const char *why, struct err *err)
{
    if (publisher_keeps_progress(bridge->publisher))
        return true;
    err_set(err, "%s, and a server of the standard dialect cannot be compared with", why);
    return err_hint(err, "give the stream server its data back, or the state folder its version of "
                         "weir; or start with an empty --state, another --slot and new streams");
}

/* Postgres would count it among the standbys that a commit waits for, and the bridge delivers what
 * is committed: each would wait for the other, and everybody who commits with them. */
static enum bridge_end check_not_awaited(struct pg_connection *connection, struct err *err)
{
    struct pg_rows *rows = pg_query(connection, err, REPLICATION_AWAITED_SQL, 0, NULL);
    bool is_awaited = rows && pg_rows_count(rows) > 0;
    if (is_awaited) {
        err_set(err, "%s", pg_rows_str(rows, 0, 0));
        err_hint(err, "%s", pg_rows_str(rows, 0, 1));
    }
    pg_rows_free(rows);
    return rows && !is_awaited ? BRIDGE_DONE : BRIDGE_RETRY;
}

enum bridge_end bridge_decide(struct bridge *bridge, enum bridge_way *way, struct err *err)
{
    struct pg_connection *connection;
    const char *why = NULL;
    rule_table_disconnect(&bridge->rule_table); /* it may be to another server */
    enum pg_reach reach = pg_try_connect(bridge->settings->db, &connection, err);
    if (reach != PG_CONNECTED)
        return reach == PG_UNREACHABLE ? BRIDGE_RETRY : BRIDGE_FAILED;
    enum bridge_end end = check_not_awaited(connection, err);
    if (end == BRIDGE_DONE && !bridge->is_claimed)
        end = bridge_end_of(publisher_look(
            bridge->publisher, (struct progress){bridge->replica_lsn, 0}, &bridge->published, err));
    if (end == BRIDGE_DONE)
        end = bridge_weigh(bridge, connection, way, &why, err);
    pg_close(connection);
    if (end == BRIDGE_DONE && why && *way != WAY_RESYNC && !can_read_streams(bridge, why, err))
        end = BRIDGE_FAILED;
    if (end != BRIDGE_DONE)
        return end;
    if (why && strcmp(why, bridge->resync_reason) != 0)
        log_event(LOG_WARN, "resyncing everything by difference", LOG_STR("reason", why),
                  LOG_STR("against", *way == WAY_RESYNC ? "the replica" : "the streams"),
                  LOG_STR("slot", bridge->settings->slot));
    snprintf(bridge->resync_reason, sizeof bridge->resync_reason, "%s", why ? why : "");
    if (*way == WAY_RESYNC)
        bridge->wants_resync = true;
    return BRIDGE_DONE;
}

bool bridge_begin_history(struct bridge *bridge, bool restarts, struct err *err)
{
    struct replica *replica = bridge->replica;
    struct buffer source = BUFFER_INIT, before = BUFFER_INIT, identity = BUFFER_INIT;
    buffer_printf(&source, "%s/%llu", bridge->origin.database, (unsigned long long)clock_wall_ms());
    if (restarts)
        buffer_printf(&before, "from %s", publisher_source(bridge->publisher));
    buffer_printf(&identity, "slot %s of %s", bridge->settings->slot, bridge->origin.database);
    bool ok = replica_set_meta(replica, "source", buffer_slice(&source), err) &&
              replica_set_meta(replica, "source before", buffer_slice(&before), err) &&
              replica_set_meta(replica, "identity", buffer_slice(&identity), err) &&
              meta_set_timeline(replica, bridge->origin.timeline, err) &&
              bridge_note_sent(bridge, 0, err);
    buffer_release(&source);
    buffer_release(&before);
    buffer_release(&identity);
    return ok;
}

bool bridge_is_same_origin(const struct bridge *bridge, const struct pg_origin *origin,
                           struct err *err)
{
    if (!origin->is_recovering && origin->timeline == bridge->origin.timeline &&
        strcmp(origin->database, bridge->origin.database) == 0)
        return true;
    return err_set(err, "behind the address of Postgres there is another server than a moment ago");
}
