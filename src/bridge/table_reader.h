/* struct table_reader: the rows of one table by COPY, as the replica stores them. Inside src/bridge
 * only. */
#pragma once

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

/* Begins a read-only transaction that sees exactly the exported snapshot. */
bool snapshot_enter(struct pg_connection *connection, const char *snapshot,
                    struct err *err) WEIR_MUST_CHECK;
