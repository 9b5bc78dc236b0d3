#include "replica_internal.h"

#include "weir/base/check.h"
#include "weir/replica/elements.h"

#include <stdlib.h>

enum { INDEX_RECORD_SIZE = 4 + 8 + 2 + 2 + 2 * INDEX_COLUMNS_MAX };

static void add_index(struct replica *replica, const struct replica_index *index)
{
    struct replica_index *copy = malloc(sizeof *copy);
    replica->indexes =
        realloc(replica->indexes, (replica->index_count + 1) * sizeof *replica->indexes);
    check(copy && replica->indexes);
    *copy = *index;
    replica->indexes[replica->index_count++] = copy;
}

void replica_forget_indexes(struct replica *replica)
{
    for (size_t i = 0; i < replica->index_count; i++)
        free(replica->indexes[i]);
    free(replica->indexes);
    replica->indexes = NULL;
    replica->index_count = 0;
}

static bool refuse_definitions(const struct replica *replica, struct err *err)
{
    err_set(err, "%s/replica.mdb is damaged: the index definitions", replica->directory);
    return replica_hint_damage(replica, err);
}

/* The definitions are one meta value, a fixed-size record each. */
bool replica_load_indexes(struct replica *replica, struct err *err)
{
    struct slice all = replica_meta(replica, "indexes");
    if (all.len % INDEX_RECORD_SIZE != 0)
        return refuse_definitions(replica, err);
    for (size_t at = 0; at < all.len; at += INDEX_RECORD_SIZE) {
        struct replica_index index = {.id = load_u32(all.data + at),
                                      .storage_id = load_u64(all.data + at + 4),
                                      .kind = (enum index_kind)load_u16(all.data + at + 12),
                                      .column_count = load_u16(all.data + at + 14)};
        if (index.kind > INDEX_OF_ELEMENTS || index.column_count > INDEX_COLUMNS_MAX)
            return refuse_definitions(replica, err);
        memcpy(index.columns, all.data + at + 16, sizeof index.columns);
        add_index(replica, &index);
    }
    replica->committed_index_count = replica->index_count;
    return true;
}

static bool save_indexes(struct replica *replica, struct err *err)
{
    struct buffer all = BUFFER_INIT;
    for (size_t i = 0; i < replica->index_count; i++) {
        const struct replica_index *index = replica->indexes[i];
        buffer_add_u32(&all, index->id);
        buffer_add_u64(&all, index->storage_id);
        buffer_add_u16(&all, (uint16_t)index->kind);
        buffer_add_u16(&all, index->column_count);
        buffer_add(&all, index->columns, sizeof index->columns);
    }
    bool ok = replica_set_meta(replica, "indexes", buffer_slice(&all), err);
    buffer_release(&all);
    return ok;
}

static void index_key_of(struct replica *replica, const struct replica_index *index,
                         const struct relation *relation, struct slice key, struct row row,
                         struct buffer *out)
{
    buffer_clear(out);
    buffer_add_u32(out, __builtin_bswap32(index->id));
    for (size_t i = 0; i < index->column_count; i++) {
        uint16_t column = index->columns[i];
        key_add_value(out, &replica->hash, relation->columns[column].type,
                      row_column(relation, row, column), &replica->arena);
    }
    buffer_add_slice(out, key);
    arena_clear(&replica->arena);
}

static bool index_columns_differ(const struct replica_index *index, const struct relation *relation,
                                 struct row a, struct row b)
{
    for (size_t i = 0; i < index->column_count; i++) {
        if (!slice_eq(row_column(relation, a, index->columns[i]),
                      row_column(relation, b, index->columns[i])))
            return true;
    }
    return false;
}

/* The entry is replica->full_key. Every stored row is in every index of its relation. Room is taken
 * for each entry: a new index writes one for each row there is, an array has one for
 * each element. */
static int delete_entry(struct replica *replica, const struct replica_index *index,
                        const struct relation *relation)
{
    MDB_val entry = val_of(buffer_slice(&replica->full_key));
    int code = replica_make_room(replica, 1, 0);
    if (code == 0)
        code = mdb_del(replica->txn, replica->trees[TREE_INDEX], &entry, NULL);
    if (code == MDB_NOTFOUND)
        replica_stop_damaged(replica, &(struct replica_owner){relation, index}, NULL,
                             "an index entry that is missing");
    return code;
}

static int insert_entry(struct replica *replica)
{
    int code = replica_make_room(replica, 1, 0);
    return code ? code
                : replica_put_sealed(replica, TREE_INDEX, buffer_slice(&replica->full_key),
                                     SLICE(""), 0);
}

static int index_delete(struct replica *replica, const struct replica_index *index,
                        const struct relation *relation, struct slice key, struct row row)
{
    index_key_of(replica, index, relation, key, row, &replica->full_key);
    return delete_entry(replica, index, relation);
}

static int index_insert(struct replica *replica, const struct replica_index *index,
                        const struct relation *relation, struct slice key, struct row row)
{
    index_key_of(replica, index, relation, key, row, &replica->full_key);
    return insert_entry(replica);
}

static int put_element(struct replica *replica, const struct replica_index *index,
                       const struct relation *relation, struct slice key, struct slice element,
                       bool is_new)
{
    struct buffer *full_key = &replica->full_key;
    buffer_clear(full_key);
    buffer_add_u32(full_key, __builtin_bswap32(index->id));
    buffer_add_slice(full_key, element);
    buffer_add_slice(full_key, key);
    return is_new ? insert_entry(replica) : delete_entry(replica, index, relation);
}

static struct element_set elements_of(struct replica *replica, const struct replica_index *index,
                                      const struct relation *relation, struct row row)
{
    uint16_t column = index->columns[0];
    if (!row_exists(row))
        return (struct element_set){NULL, 0};
    return element_set_of(&replica->hash, relation->columns[column].type,
                          row_column(relation, row, column), &replica->arena);
}

/* An array may be long, so only what one has and the other has not is written. */
static int put_elements(struct replica *replica, const struct replica_index *index,
                        const struct relation *relation, struct slice key, struct row old_row,
                        struct row new_row)
{
    struct element_set old = elements_of(replica, index, relation, old_row);
    struct element_set new = elements_of(replica, index, relation, new_row);
    int code = 0;
    for (size_t i = 0, j = 0; code == 0 && (i < old.count || j < new.count);) {
        int order = i == old.count   ? 1
                    : j == new.count ? -1
                                     : slice_cmp(old.items[i], new.items[j]);
        if (order < 0)
            code = put_element(replica, index, relation, key, old.items[i], false);
        else if (order > 0)
            code = put_element(replica, index, relation, key, new.items[j], true);
        i += order <= 0;
        j += order >= 0;
    }
    arena_clear(&replica->arena);
    return code;
}

static int put_index(struct replica *replica, const struct replica_index *index,
                     const struct relation *relation, struct slice key, struct row old_row,
                     struct row new_row)
{
    if (index->kind == INDEX_OF_ELEMENTS)
        return put_elements(replica, index, relation, key, old_row, new_row);
    int code = 0;
    if (row_exists(old_row))
        code = index_delete(replica, index, relation, key, old_row);
    if (code == 0 && row_exists(new_row))
        code = index_insert(replica, index, relation, key, new_row);
    return code;
}

int replica_put_indexes(struct replica *replica, const struct relation *relation, struct slice key,
                        struct row old_row, struct row new_row)
{
    for (size_t i = 0; i < replica->index_count; i++) {
        const struct replica_index *index = replica->indexes[i];
        if (index->storage_id != relation->storage_id)
            continue;
        bool both = row_exists(old_row) && row_exists(new_row);
        if (both && !index_columns_differ(index, relation, old_row, new_row))
            continue;
        int code = put_index(replica, index, relation, key, old_row, new_row);
        if (code)
            return code;
    }
    return 0;
}

static bool fill_index(struct replica *replica, const struct relation *relation,
                       const struct replica_index *index, struct err *err)
{
    struct replica_range range;
    struct slice key;
    struct row row;
    int code = 0;
    replica_range_begin(&range, replica, relation, NULL, SLICE_NONE);
    while (code == 0 && replica_range_next(&range, &key, &row))
        code = put_index(replica, index, relation, key, ROW_NONE, row);
    replica_range_end(&range);
    return code == 0 || replica_fail(replica, code, "cannot build an index", err);
}

const struct replica_index *replica_ensure_index(struct replica *replica,
                                                 const struct relation *relation,
                                                 enum index_kind kind, const uint16_t *columns,
                                                 size_t column_count, struct err *err)
{
    check(column_count > 0 && column_count <= INDEX_COLUMNS_MAX);
    uint32_t next_id = 1;
    for (size_t i = 0; i < replica->index_count; i++) {
        const struct replica_index *index = replica->indexes[i];
        if (index->id >= next_id)
            next_id = index->id + 1;
        /* An index that starts with the columns serves as well. */
        if (index->storage_id == relation->storage_id && index->kind == kind &&
            index->column_count >= column_count &&
            memcmp(index->columns, columns, column_count * sizeof *columns) == 0)
            return index;
    }
    struct replica_index index = {.id = next_id,
                                  .storage_id = relation->storage_id,
                                  .kind = kind,
                                  .column_count = (uint16_t)column_count};
    memcpy(index.columns, columns, column_count * sizeof *columns);
    add_index(replica, &index);
    const struct replica_index *added = replica->indexes[replica->index_count - 1];
    return fill_index(replica, relation, added, err) && save_indexes(replica, err) ? added : NULL;
}

bool replica_forget_indexes_except(struct replica *replica, const struct relation_set *relations,
                                   struct err *err)
{
    size_t kept = 0;
    for (size_t i = 0; i < replica->index_count; i++) {
        struct replica_index *index = replica->indexes[i];
        bool is_used = false;
        for (size_t j = 0; j < relations->count; j++)
            is_used = is_used || relations->relations[j]->storage_id == index->storage_id;
        if (is_used)
            replica->indexes[kept++] = index;
        else
            free(index);
    }
    if (kept == replica->index_count)
        return true;
    replica->index_count = kept;
    if (replica->committed_index_count > kept)
        replica->committed_index_count = kept;
    return save_indexes(replica, err);
}
