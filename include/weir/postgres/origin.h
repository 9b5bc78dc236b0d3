/* struct pg_origin: which history of which database a connection has reached.
 *
 * A connection string names a place, and what is there may change: a standby is promoted behind the
 * same address, a backup is restored, a database is made again. Positions in the WAL (LSNs) only
 * mean something within one history.
 * https://www.postgresql.org/docs/15/continuous-archiving.html#BACKUP-TIMELINES */
#pragma once

#include "weir/postgres/replication.h"

enum { PG_DATABASE_SIZE = 48, PG_BACKEND_SIZE = 80 };

struct pg_origin {
    char database[PG_DATABASE_SIZE]; /* "system identifier/oid" */
    uint32_t timeline;               /* 0 while it recovers */
    uint64_t lsn;                    /* the end of its WAL; 0 while it recovers */
    bool is_recovering;              /* a standby, or a server that is still starting */
    char backend[PG_BACKEND_SIZE];   /* the session's process: pid and when it began */
};

/* Both block for one question. False with err when Postgres does not answer. */
bool pg_find_origin(struct pg_connection *connection, struct pg_origin *origin,
                    struct err *err) WEIR_MUST_CHECK;
bool replication_find_origin(struct replication *replication, struct pg_origin *origin,
                             struct err *err) WEIR_MUST_CHECK;

/* Ends the process that holds the slot if it is the one that `backend` names. Whether it did. */
bool pg_end_backend(struct pg_connection *connection, const char *slot, const char *backend);
