/* A replication connection: one logical slot, its stream of messages, and the feedback.
 *
 * One thread. Nothing here blocks longer than the given timeout, except the calls that say so.
 * https://www.postgresql.org/docs/15/protocol-replication.html */
#pragma once

#include "weir/postgres/connection.h"

struct replication;

/* Opens a replication=database connection to the same place (blocking), with the settings of
 * pg_try_connect() and wal_sender_timeout raised to 30 minutes (wal2json sends no keep-alive while
 * it decodes a large filtered transaction). A role without the REPLICATION right is refused, with
 * the SQL that gives it; no walsender free is PG_UNREACHABLE. */
enum pg_reach replication_try_connect(const char *conninfo, struct replication **replication,
                                      struct err *err) WEIR_MUST_CHECK;

/* As replication_try_connect(), for callers that do not retry: NULL on failure. */
struct replication *replication_connect(const char *conninfo, struct err *err) WEIR_MUST_CHECK;
void replication_close(struct replication *replication); /* NULL is allowed */

struct replication_slot {
    uint64_t consistent_lsn;
    char snapshot[80]; /* name of the exported snapshot; valid until the next command here */
    bool is_blocked;   /* it was not created, as transactions still run: trying again can help */
};

/* CREATE_REPLICATION_SLOT name LOGICAL wal2json EXPORT_SNAPSHOT. Waits for running transactions, so
 * blocking; lock_timeout_ms bounds one attempt, and the error then names the blocker. Errors
 * that people meet get a hint with the exact SQL: wal_level, no free slot, wal2json missing,
 * wal2json not on output_plugin_libraries, no REPLICATION right. */
bool replication_create_slot(struct replication *replication, const char *slot,
                             uint64_t lock_timeout_ms, struct replication_slot *created,
                             struct err *err) WEIR_MUST_CHECK;

/* The same for a slot that is gone with the connection: only for its snapshot, and the position
 * that goes with it. */
bool replication_create_temporary_slot(struct replication *replication, const char *slot,
                                       uint64_t lock_timeout_ms, struct replication_slot *created,
                                       struct err *err) WEIR_MUST_CHECK;

/* Queries for what is in the way of a slot, as a message and the SQL that mends it; no row when
 * nothing is. */
#define REPLICATION_NO_LOGICAL_WAL_SQL \
    "SELECT 'wal_level is ' || setting || ', and logical decoding needs wal_level = logical'," \
    "       'ALTER SYSTEM SET wal_level = logical; -- and restart Postgres'" \
    "  FROM pg_settings WHERE name = 'wal_level' AND setting <> 'logical'"
#define REPLICATION_NO_FREE_SLOT_SQL \
    "SELECT 'all ' || setting || ' replication slots of the server are in use'," \
    "       'ALTER SYSTEM SET max_replication_slots = ' || (setting::int + 10)::text" \
    "       || '; -- and restart Postgres; or SELECT pg_drop_replication_slot(slot_name) for one " \
    "that is not needed'" \
    "  FROM pg_settings WHERE name = 'max_replication_slots'" \
    "   AND setting::int <= (SELECT count(*) FROM pg_replication_slots)"

/* Of the session's application_name, which a replication connection to the same place has
 * as well. */
#define REPLICATION_AWAITED_SQL \
    "SELECT 'synchronous_standby_names is ' || setting || ', so commits wait for the bridge as for " \
    "a standby, and the bridge for the commits'," \
    "       'name the standbys in synchronous_standby_names one by one, without * and ' ||" \
    "       current_setting('application_name') || ', and SELECT pg_reload_conf();'" \
    "  FROM pg_settings WHERE name = 'synchronous_standby_names' AND EXISTS (" \
    "       SELECT FROM regexp_matches(" \
    "               regexp_replace(setting, '^\\s*((first|any)\\s+)?\\d+\\s*\\(', '', 'i')," \
    "               '\"((?:[^\"]|\"\")*)\"|([^\\s,()\"]+)', 'g') standby" \
    "        WHERE lower(coalesce(replace(standby[1], '\"\"', '\"'), standby[2]))" \
    "           IN ('*', lower(current_setting('application_name'))))"

struct replication_option {
    const char *name;
    const char *value;
};

/* Whether what failed last was the connection itself. */
bool replication_is_broken(const struct replication *replication);

/* Whether replication_start() failed as the slot is not there or lost. */
bool replication_has_no_slot(const struct replication *replication);

/* START_REPLICATION SLOT slot LOGICAL start_lsn (options). "Slot is active" comes back with
 * is_slot_busy set: waiting can help. A slot whose WAL is gone is called lost in err; ask
 * pg_replication_slots.wal_status where it has to be acted upon. */
bool replication_start(struct replication *replication, const char *slot, uint64_t start_lsn,
                       const struct replication_option *options, size_t option_count,
                       bool *is_slot_busy, struct err *err) WEIR_MUST_CHECK;

enum replication_event {
    REPLICATION_MESSAGE,   /* one wal2json message in `message` */
    REPLICATION_KEEPALIVE, /* server_lsn: everything before it has been sent */
    REPLICATION_IDLE,      /* timeout_ms passed, or wake_fd became readable */
    REPLICATION_ENDED,     /* server shut down in order: reconnect */
    REPLICATION_FAILED,    /* err is set; the connection is of no more use */
};

struct replication_input {
    struct slice message; /* borrowed until the next call */
    uint64_t server_lsn;  /* end of WAL on the server as of this message */
    bool reply_requested; /* keep-alive: send feedback at once */
};

/* The next event; waits up to timeout_ms (0: only what has already arrived). wake_fd, or -1, is
 * watched for reading besides the connection. Never sends anything by itself. */
enum replication_event replication_receive(struct replication *replication, int wake_fd,
                                           uint64_t timeout_ms, struct replication_input *input,
                                           struct err *err) WEIR_MUST_CHECK;

/* Standby status update: written and flushed and applied all as confirmed_lsn. Blocks only while
 * the socket's buffer is full. */
bool replication_confirm(struct replication *replication, uint64_t confirmed_lsn, bool want_reply,
                         struct err *err) WEIR_MUST_CHECK;
