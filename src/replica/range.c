#include "replica_internal.h"

#include "weir/base/check.h"

static MDB_cursor *take_cursor(struct replica *replica, bool of_before, bool is_index)
{
    struct cursor_pool *pool = &replica->cursors[of_before][is_index];
    if (pool->count)
        return pool->idle[--pool->count];
    MDB_cursor *cursor;
    int code = mdb_cursor_open(of_before ? replica->before : replica->txn,
                               is_index ? replica->index : replica->rows, &cursor);
    check(code == 0);
    return cursor;
}

static void begin_range(struct replica_range *range, struct replica *replica, bool of_before,
                        const struct relation *relation, const struct replica_index *index,
                        struct slice prefix)
{
    range->replica = replica;
    range->relation = relation;
    range->index = index;
    range->of_before = of_before;
    range->cursor = take_cursor(replica, of_before, index != NULL);
    range->is_started = false;
    uint64_t storage_id = __builtin_bswap64(relation->storage_id);
    uint32_t index_id = index ? __builtin_bswap32(index->id) : 0;
    range->prefix_len = index ? INDEX_PREFIX_SIZE : ROW_PREFIX_SIZE;
    memcpy(range->prefix, index ? (const void *)&index_id : (const void *)&storage_id,
           range->prefix_len);
    check(range->prefix_len + prefix.len <= sizeof range->prefix);
    if (prefix.len)
        memcpy(range->prefix + range->prefix_len, prefix.data, prefix.len);
    range->prefix_len += prefix.len;
}

void replica_range_begin(struct replica_range *range, struct replica *replica,
                         const struct relation *relation, const struct replica_index *index,
                         struct slice prefix)
{
    begin_range(range, replica, false, relation, index, prefix);
}

void replica_range_begin_before(struct replica_range *range, struct replica *replica,
                                const struct relation *relation,
                                const struct replica_index *index, struct slice prefix)
{
    begin_range(range, replica, true, relation, index, prefix);
}

/* An index entry ends in the row key, behind its column_count components. */
static struct slice row_key_in_entry(const struct replica_index *index, struct slice entry)
{
    const char *at = entry.data + INDEX_PREFIX_SIZE, *end = entry.data + entry.len;
    for (size_t i = 0; i < index->column_count; i++) {
        for (;; at++) {
            at = memchr(at, '\0', (size_t)(end - at));
            check(at && at + 1 < end);
            char mark = at[1];
            at++;
            if (mark == (char)0xff)
                continue;
            at += mark == 2 ? 17 : 1;
            break;
        }
    }
    check(at <= end);
    return slice_of(at, (size_t)(end - at));
}

bool replica_range_next(struct replica_range *range, struct slice *key, struct row *row)
{
    MDB_val entry = {range->prefix_len, range->prefix}, value;
    int code = mdb_cursor_get(range->cursor, &entry, &value,
                              range->is_started ? MDB_NEXT : MDB_SET_RANGE);
    range->is_started = true;
    check(code == 0 || code == MDB_NOTFOUND);
    if (code != 0 || entry.mv_size < range->prefix_len ||
        memcmp(entry.mv_data, range->prefix, range->prefix_len) != 0)
        return false;
    if (!range->index) {
        *key = slice_of((const char *)entry.mv_data + ROW_PREFIX_SIZE,
                        entry.mv_size - ROW_PREFIX_SIZE);
        *row = replica_row_of(range->relation, value);
        return true;
    }
    *key = row_key_in_entry(range->index, slice_of_val(entry));
    struct replica *replica = range->replica;
    MDB_txn *txn = range->of_before ? replica->before : replica->txn;
    *row = replica_get_in(replica, txn, range->relation, *key);
    check(row_exists(*row));
    return true;
}

void replica_range_end(struct replica_range *range)
{
    struct cursor_pool *pool = &range->replica->cursors[range->of_before][range->index != NULL];
    if (pool->count < CURSOR_POOL_MAX)
        pool->idle[pool->count++] = range->cursor;
    else
        mdb_cursor_close(range->cursor);
    range->cursor = NULL;
}
