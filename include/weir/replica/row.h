/* One row as the replica stores it: its JSON object, and where each column's value ends in it.
 *
 *   offset  bytes
 *   0       4 * n  for each of the n columns, the end of its value, counted from the object's start
 *   4n      ...    {"id":7,"title":"x"}
 *
 * The JSON is the event's `value` already, so a delivered row is copied, never built again; the
 * ends make any column's value a slice of it. Pure. */
#pragma once

#include "weir/base/buffer.h"
#include "weir/replica/relation.h"

/* A row's record, borrowed; an absent row has record.data == NULL. */
struct row {
    struct slice record;
};

#define ROW_NONE ((struct row){SLICE_NONE})

static inline bool row_exists(struct row row)
{
    return row.record.data != NULL;
}

/* The whole JSON object. */
struct slice row_json(const struct relation *relation, struct row row);

/* The JSON value of one column. */
struct slice row_column(const struct relation *relation, struct row row, size_t column);

/* Appends a record made of one JSON value for each column. */
void row_build(struct buffer *out, const struct relation *relation, const struct slice *values);

/* Appends the JSON object of only those columns whose bit is set (column i: bit i % 64 of word
 * i / 64). */
void row_json_of_columns(struct buffer *out, const struct relation *relation, struct row row,
                         const uint64_t *column_bits);
