/* struct table_reader: the rows of one table by COPY, as the replica stores them. Inside src/bridge
 * only. */
#pragma once

#include "catalog.h"

#include "weir/postgres/connection.h"
#include "weir/replica/replica.h"

struct table_reader;

/* The replica is only asked for its hash key. */
struct table_reader *table_reader_new(struct replica *replica);
void table_reader_free(struct table_reader *reader); /* NULL is allowed */

/* Called for each row; key and row are borrowed for the call. False with err ends the reading. */
typedef bool table_row_fn(void *context, const struct relation *relation, struct slice key,
                          struct row row, struct err *err);

/* leaf: of this partition, as of this moment's catalog; NULL: of the whole table. */
enum bridge_end table_read(struct table_reader *reader, struct pg_connection *connection,
                           const struct relation *relation, const struct leaf *leaf,
                           table_row_fn *fn, void *context, struct err *err) WEIR_MUST_CHECK;

/* Enters an exported snapshot in which tables are to be read; *catalog is the catalog in it. DDL
 * does not obey snapshots: a table that is rewritten or truncated meanwhile would be empty to it.
 * So all published tables are locked against that, and then have to be what the snapshot knows of;
 * otherwise it fails, and another snapshot may do. db: for a look from outside of the snapshot.
 *
 * Nothing may be locked before the slot is made: making it waits for running transactions, among
 * which may be one that waits for the lock, and Postgres does not see that these two wait for each
 * other. */
bool snapshot_enter(struct pg_connection *connection, const char *db, const char *snapshot,
                    const char *publication, struct catalog **catalog,
                    struct err *err) WEIR_MUST_CHECK;
