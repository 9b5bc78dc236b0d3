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

enum bridge_end table_read(struct table_reader *reader, struct pg_connection *connection,
                           const struct relation *relation, table_row_fn *fn, void *context,
                           struct err *err) WEIR_MUST_CHECK;

/* Reading tables in an exported snapshot takes three steps, as DDL does not obey snapshots: a table
 * that is rewritten or truncated meanwhile would be empty to it. So first all published tables are
 * locked against that, in a transaction that only then enters the snapshot; and the catalog must
 * still be the one whose tables were locked. *catalog is the catalog in the snapshot.
 *
 *   snapshot_lock(), create the slot, snapshot_enter() */
bool snapshot_lock(struct pg_connection *connection, const char *publication,
                   enum catalog_strictness strictness, struct catalog **catalog,
                   struct err *err) WEIR_MUST_CHECK;
bool snapshot_enter(struct pg_connection *connection, const char *snapshot,
                    const char *publication, struct catalog **catalog,
                    struct err *err) WEIR_MUST_CHECK;
