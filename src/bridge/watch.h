/* struct watch: whether the catalog is still what it was when it was looked at.
 *
 * wal2json says the name that a row's table had and not its oid, and neither ALTER TABLE … RENAME,
 * DROP TABLE and ALTER SCHEMA nor ALTER PUBLICATION, ALTER TYPE and CREATE OPERATOR send anything
 * through the slot. So a transaction is delivered only when Postgres, asked when the transaction
 * was visible there, says that what its rows and the rules mean hangs on the same rows of the
 * catalog as when that was looked at. One answer is good for every transaction that its snapshot
 * shows: a backlog costs one question, a transaction by itself a round trip.
 *
 * The answer is a hash of which transactions wrote those rows. So it may differ where nothing is
 * different (GRANT writes pg_class), and what is different it does not say: another look does.
 * Inside src/bridge only. */
#pragma once

#include "catalog.h"

#include "weir/postgres/connection.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct watch {
    uint64_t first_to_come; /* no transaction from it on is in the snapshot; 0: not asked yet */
    uint64_t *running;      /* of those before it, which are not in it either */
    size_t running_count;
    struct buffer question; /* about what the last look found; empty: not looked yet */
    struct buffer prepare;
    unsigned version;     /* of the statement */
    struct buffer looked; /* the hash as of the look, and as of the last answer */
    struct buffer answer;

    /* What the last look found of the catalog that is known. */
    bool is_other;             /* it is not what it was */
    bool shows_other_rows;     /* nor do publication and rules show the same rows of it */
    enum table_change *tables; /* for each of its relations */
};

/* After the catalog, or Postgres's history, has been exchanged. */
void watch_forget(struct watch *watch);
void watch_release(struct watch *watch);

/* Begins with what a look has found, in the transaction that now was loaded in: of its snapshot, so
 * that nothing that was loaded is older than what the hash tells of. Blocks for two round trips. */
bool watch_begin(struct watch *watch, const struct catalog *known, const struct catalog *now,
                 const char *publication, struct pg_connection *connection,
                 struct err *err) WEIR_MUST_CHECK;

bool watch_has_looked(const struct watch *watch);

/* Whether the last answer is what it was at the look. */
bool watch_is_quiet(const struct watch *watch);

/* Whether the answer is from when the transaction was visible. */
bool watch_covers(const struct watch *watch, uint32_t xid);

/* Asks; only after a look. Blocks for a round trip. */
bool watch_ask(struct watch *watch, struct pg_connection *connection,
               struct err *err) WEIR_MUST_CHECK;

/* watch_sql.c: the question about the tables of the catalog, whose columns are a snapshot and a
 * hash. Blocks for a round trip. */
bool watch_write_question(struct buffer *out, const struct catalog *catalog,
                          const char *publication, struct pg_connection *connection,
                          struct err *err) WEIR_MUST_CHECK;
