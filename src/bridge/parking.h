/* struct parking: rows that are too large for a stream, on their way into weir.parked.
 *
 * Such a row is shown to nobody, and what was parked is written down before anything of its
 * transaction is sent: a transaction that is worked out again writes the same, once. */
#pragma once

#include "rule_table.h"

#include "weir/base/buffer.h"
#include "weir/replica/row.h"

struct parking {
    uint64_t lsn;        /* of the transaction at hand */
    struct buffer noted; /* JSON objects, with commas between */
    uint64_t rows;       /* since the beginning */
    bool has_complained;
};

void parking_release(struct parking *parking);

/* bytes: how large the row is as JSON; 0: what was parked of it before is no more. */
void parking_note(struct parking *parking, const struct relation *relation, struct row row,
                  size_t bytes);

/* Writes what has been noted; false with err when the connection is lost. What Postgres refuses is
 * logged and forgotten: the row is shown to nobody either way. */
bool parking_write(struct parking *parking, struct rule_table *table, const char *slot,
                   struct err *err) WEIR_MUST_CHECK;

/* Forgets what has been noted. */
void parking_drop(struct parking *parking);
