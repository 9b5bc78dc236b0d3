#include "replica_internal.h"

#include "weir/base/check.h"

enum { PAGE = 4096, LINE = 64, FETCHED_BYTES = 1024 };

MDB_cursor *replica_take_cursor(struct replica *replica, bool of_before, enum replica_tree tree)
{
    struct cursor_pool *pool = &replica->cursors[of_before][tree];
    if (pool->count)
        return pool->idle[--pool->count];
    MDB_cursor *cursor;
    int code =
        mdb_cursor_open(of_before ? replica->before : replica->txn, replica->trees[tree], &cursor);
    check(code == 0);
    return cursor;
}

void replica_give_cursor(struct replica *replica, bool of_before, enum replica_tree tree,
                         MDB_cursor *cursor)
{
    struct cursor_pool *pool = &replica->cursors[of_before][tree];
    if (pool->count < CURSOR_POOL_MAX)
        pool->idle[pool->count++] = cursor;
    else
        mdb_cursor_close(cursor);
}

static enum replica_tree tree_of(const struct replica_range *range)
{
    return range->index ? TREE_INDEX : TREE_ROWS;
}

static void begin_range(struct replica_range *range, struct replica *replica, bool of_before,
                        const struct relation *relation, const struct replica_index *index,
                        struct slice prefix)
{
    range->replica = replica;
    range->relation = relation;
    range->index = index;
    range->of_before = of_before;
    range->cursor = replica_take_cursor(replica, of_before, tree_of(range));
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
                                const struct relation *relation, const struct replica_index *index,
                                struct slice prefix)
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

/* LMDB fills a page from its end, so the entries that follow one lie before it, unless they came
 * later. */
static void fetch_behind(const char *entry)
{
    size_t left = (uintptr_t)entry % PAGE;
    for (size_t at = LINE; at < FETCHED_BYTES && at < left; at += LINE)
        __builtin_prefetch(entry - at);
}

/* To the next entry of the range, if there is one. */
static bool step(struct replica_range *range, const struct replica_owner *owner, MDB_val *entry,
                 MDB_val *value)
{
    struct replica *replica = range->replica;
    struct slice prefix = slice_of(range->prefix, range->prefix_len);
    int code = range->is_started
                   ? mdb_cursor_get(range->cursor, entry, value, MDB_NEXT)
                   : replica_seek(replica, range->cursor, owner, prefix, entry, value);
    if (code != 0 && code != MDB_NOTFOUND)
        replica_stop_failed(replica, owner, code);
    if (code == 0 && slice_starts_with(slice_of_val(*entry), prefix)) {
        if (!range->is_started)
            fetch_behind(entry->mv_data);
        range->is_started = true;
        return true;
    }
    /* One that was damaged may have been of the range. */
    if (code == 0 && range->is_started)
        replica_check_neighbour(replica, owner, *entry, *value);
    range->is_started = true;
    return false;
}

bool replica_range_next(struct replica_range *range, struct slice *key, struct row *row)
{
    struct replica *replica = range->replica;
    struct replica_owner owner = {range->relation, range->index};
    MDB_val entry, value;
    if (!step(range, &owner, &entry, &value))
        return false;
    if (!range->index) {
        *key = slice_of((const char *)entry.mv_data + ROW_PREFIX_SIZE,
                        entry.mv_size - ROW_PREFIX_SIZE);
        *row = replica_row_of(replica, range->relation, entry, value);
        return true;
    }
    struct slice nothing;
    if (!replica_unseal(TREE_INDEX, entry, value, &nothing))
        replica_stop_damaged(replica, &owner, entry.mv_data, "an index entry");
    *key = row_key_in_entry(range->index, slice_of_val(entry));
    *row = replica_get_in(replica, range->of_before, range->relation, *key);
    if (!row_exists(*row))
        replica_stop_damaged(replica, &owner, entry.mv_data, "the row of an index entry");
    return true;
}

void replica_range_end(struct replica_range *range)
{
    replica_give_cursor(range->replica, range->of_before, tree_of(range), range->cursor);
    range->cursor = NULL;
}
