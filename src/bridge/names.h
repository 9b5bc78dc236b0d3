/* struct names: which table each published name means, as of a snapshot of Postgres.
 *
 * wal2json says the name that a row's table had and not its oid, and neither ALTER TABLE … RENAME, DROP TABLE
 * and ALTER SCHEMA nor ALTER PUBLICATION send anything through the slot. So a transaction's rows are taken
 * for a table's only where Postgres, asked when the transaction was visible there, says that its name still
 * means that table, and that it is published. One answer is good for every transaction that its snapshot
 * shows: a backlog costs one question, a transaction by itself a round trip. Inside src/bridge only. */
#pragma once

#include "catalog.h"

#include "weir/postgres/connection.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct names {
    uint64_t first_unknown;  /* of the snapshot: every transaction below has ended; 0: not asked yet */
    uint64_t first_to_come;  /* no transaction from this one on is in it */
    uint64_t *running;       /* between the two */
    size_t running_count;
    bool *is_other;          /* for each relation of the catalog: its name means another table, or none */
    unsigned version;        /* of the statement, which holds the catalog's names */
    struct buffer prepare;   /* empty: not made for this catalog yet */
};

/* After the catalog, or Postgres's history, has been exchanged. */
void names_forget(struct names *names);
void names_release(struct names *names);

/* Whether what is known is from when the transaction was visible. */
bool names_cover(const struct names *names, uint32_t xid);

/* Asks. Blocks for a round trip. */
bool names_ask(struct names *names, const struct catalog *catalog, const char *publication,
               struct pg_connection *connection, struct err *err) WEIR_MUST_CHECK;
