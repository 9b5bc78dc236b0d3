/* struct slot_watch: the slot as Postgres sees it, and probes into its WAL. One thread. */
#pragma once

#include "weir/postgres/connection.h"

struct slot_watch {
    const char *conninfo, *slot;
    struct pg_connection *connection; /* opened when needed */
    struct err complaint;             /* said already */
    bool was_at_risk;                 /* said already */
};

struct slot_state {
    bool is_known, is_active;
    char wal_status[16];     /* "reserved", "extended", "unreserved", "lost"; "" when it is gone */
    uint64_t written_lsn;    /* the end of Postgres's WAL */
    uint64_t retained_bytes; /* of WAL, for this slot */
    uint64_t unconfirmed_bytes;
    bool has_limit;      /* Postgres gives the slot up when it needs more than so much WAL */
    uint64_t safe_bytes; /* which may still be written until then */
    bool is_at_risk;     /* less than a fifth of the limit is left, or it has been given up */
};

void slot_watch_release(struct slot_watch *watch);

/* Looks, and writes `probe` into the WAL unless it is NULL. False when Postgres cannot be asked. */
bool slot_watch_look(struct slot_watch *watch, const char *probe, struct slot_state *state);

/* The connection, for other small questions; NULL when Postgres cannot be reached. */
struct pg_connection *slot_watch_connection(struct slot_watch *watch);
