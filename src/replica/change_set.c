#include "change_identity.h"
#include "change_spill.h"

#include "weir/base/check.h"
#include "weir/replica/elements.h"

enum { FIRST_BUCKETS = 64 };

/* The new rows of one relation by the components of some columns; chained hash table. */
struct change_index {
    enum index_kind kind;
    uint16_t columns[INDEX_COLUMNS_MAX];
    size_t column_count;
    struct change_index *next;
    size_t bucket_count;
    struct change_index_bucket {
        struct slice components;
        struct change_match *first;
        struct change_index_bucket *next;
    } **buckets;
};

void change_set_init(struct change_set *set)
{
    *set = (struct change_set){0};
}

void change_set_clear(struct change_set *set)
{
    struct arena arena = set->arena;
    spill_end(set);
    arena_clear(&arena);
    *set = (struct change_set){.arena = arena};
}

void change_set_release(struct change_set *set)
{
    spill_end(set);
    arena_release(&set->arena);
    *set = (struct change_set){0};
}

size_t change_set_memory(const struct change_set *set)
{
    return arena_used(&set->arena);
}

static uint64_t hash_of(const struct relation *relation, struct slice key)
{
    return hash64(hash_process_key(), key) ^ relation->oid;
}

static struct change_entry *find_hashed(const struct change_set *set,
                                        const struct relation *relation, struct slice key,
                                        uint64_t hash)
{
    if (!set->bucket_count)
        return NULL;
    struct change_entry *entry = set->buckets[hash & (set->bucket_count - 1)];
    while (entry &&
           (entry->key_hash != hash || entry->relation != relation || !slice_eq(entry->key, key)))
        entry = entry->next_in_bucket;
    return entry;
}

struct change_entry *change_set_find(const struct change_set *set, const struct relation *relation,
                                     struct slice key)
{
    check(!change_set_is_spilled(set));
    return set->entry_count ? find_hashed(set, relation, key, hash_of(relation, key)) : NULL;
}

bool change_set_look(const struct change_set *set, const struct relation *relation,
                     struct slice key, struct change_entry *entry)
{
    if (change_set_is_spilled(set))
        return spill_look(set, relation, key, entry);
    const struct change_entry *found = change_set_find(set, relation, key);
    if (found)
        *entry = *found;
    return found != NULL;
}

static void grow_buckets(struct change_set *set)
{
    size_t count = set->bucket_count ? set->bucket_count * 4 : FIRST_BUCKETS;
    struct change_entry **buckets = arena_calloc(&set->arena, count, sizeof *buckets);
    for (struct changed_relation *changed = set->relations; changed; changed = changed->next) {
        for (struct change_entry *entry = changed->first; entry; entry = entry->next_of_relation) {
            struct change_entry **bucket = &buckets[entry->key_hash & (count - 1)];
            entry->next_in_bucket = *bucket;
            *bucket = entry;
        }
    }
    set->buckets = buckets;
    set->bucket_count = count;
}

struct changed_relation *changed_relation_of(const struct change_set *set,
                                             const struct relation *relation)
{
    struct changed_relation *changed = set->relations;
    while (changed && changed->relation != relation)
        changed = changed->next;
    return changed;
}

const struct changed_relation *change_set_of(const struct change_set *set,
                                             const struct relation *relation)
{
    return changed_relation_of(set, relation);
}

struct changed_relation *changed_relation_ensure(struct change_set *set,
                                                 const struct relation *relation)
{
    struct changed_relation *changed = changed_relation_of(set, relation);
    if (changed)
        return changed;
    changed = arena_calloc(&set->arena, 1, sizeof *changed);
    changed->relation = relation;
    if (set->last_relation)
        set->last_relation->next = changed;
    else
        set->relations = changed;
    set->last_relation = changed;
    return changed;
}

struct change_entry *change_set_touch(struct change_set *set, struct replica *replica,
                                      const struct relation *relation, struct slice key)
{
    if (change_set_is_spilled(set))
        return spill_touch(set, relation, key);
    uint64_t hash = hash_of(relation, key);
    struct change_entry *entry = find_hashed(set, relation, key, hash);
    if (entry)
        return entry;
    if (set->entry_count >= set->bucket_count)
        grow_buckets(set);
    entry = arena_calloc(&set->arena, 1, sizeof *entry);
    entry->relation = relation;
    entry->key = arena_copy(&set->arena, key);
    entry->key_hash = hash;
    struct row stored = replica_get(replica, relation, key);
    /* Copied, because the first put of change_set_apply() may move the page. */
    if (row_exists(stored))
        entry->old_row.record = arena_copy(&set->arena, stored.record);
    entry->new_row = entry->old_row;

    struct change_entry **bucket = &set->buckets[hash & (set->bucket_count - 1)];
    entry->next_in_bucket = *bucket;
    *bucket = entry;
    struct changed_relation *changed = changed_relation_ensure(set, relation);
    if (changed->last)
        changed->last->next_of_relation = entry;
    else
        changed->first = entry;
    changed->last = entry;
    changed->count++;
    set->entry_count++;
    identity_maps_add(set, entry);
    return entry;
}

bool change_set_put(struct change_set *set, struct change_entry *entry, struct row new_row,
                    struct err *err)
{
    if (change_set_is_spilled(set))
        return spill_put(set, entry, new_row, err);
    identity_maps_remove(set, entry);
    entry->new_row =
        row_exists(new_row) ? (struct row){arena_copy(&set->arena, new_row.record)} : ROW_NONE;
    identity_maps_add(set, entry);
    return true;
}

bool change_entry_is_noop(const struct change_entry *entry)
{
    if (row_exists(entry->old_row) != row_exists(entry->new_row))
        return false;
    return slice_eq(entry->old_row.record, entry->new_row.record);
}

void change_walk_begin(struct change_walk *walk, const struct change_set *set,
                       const struct changed_relation *changed)
{
    *walk = (struct change_walk){.set = set, .changed = changed, .next = changed->first};
    if (change_set_is_spilled(set))
        spill_walk_begin(walk);
}

const struct change_entry *change_walk_next(struct change_walk *walk)
{
    if (change_set_is_spilled(walk->set))
        return spill_walk_next(walk) ? &walk->current : NULL;
    const struct change_entry *entry = walk->next;
    if (entry)
        walk->next = entry->next_of_relation;
    return entry;
}

void change_walk_end(struct change_walk *walk)
{
    scratch_walk_end(&walk->noted);
}

bool change_set_apply(struct change_set *set, struct replica *replica, struct err *err)
{
    set->is_applied = true;
    if (change_set_is_spilled(set))
        return scratch_is_sound(replica_scratch(replica), err);
    for (struct changed_relation *changed = set->relations; changed; changed = changed->next) {
        for (struct change_entry *entry = changed->first; entry; entry = entry->next_of_relation) {
            if (!change_entry_is_noop(entry) && !replica_put(replica, entry->relation, entry->key,
                                                             entry->old_row, entry->new_row, err))
                return false;
        }
    }
    return true;
}

static struct slice components_of(struct buffer *out, struct arena *arena,
                                  const struct hash_key *hash, const struct relation *relation,
                                  struct row row, const uint16_t *columns, size_t column_count)
{
    buffer_clear(out);
    for (size_t i = 0; i < column_count; i++)
        key_add_value(out, hash, relation->columns[columns[i]].type,
                      row_column(relation, row, columns[i]), arena);
    return buffer_slice(out);
}

static struct change_index_bucket *index_slot(struct change_set *set, struct change_index *index,
                                              struct slice components, bool make)
{
    uint64_t hash = hash64(hash_process_key(), components);
    struct change_index_bucket **head = &index->buckets[hash & (index->bucket_count - 1)];
    struct change_index_bucket *slot = *head;
    while (slot && !slice_eq(slot->components, components))
        slot = slot->next;
    if (slot || !make)
        return slot;
    slot = arena_calloc(&set->arena, 1, sizeof *slot);
    slot->components = arena_copy(&set->arena, components);
    slot->next = *head;
    *head = slot;
    return slot;
}

static void add_match(struct change_set *set, struct change_index *index, struct slice components,
                      struct change_entry *entry)
{
    struct change_index_bucket *slot = index_slot(set, index, components, true);
    struct change_match *match = arena_alloc(&set->arena, sizeof *match);
    *match = (struct change_match){entry, slot->first};
    slot->first = match;
}

static void index_elements(struct change_set *set, struct change_index *index,
                           const struct hash_key *hash, struct change_entry *entry)
{
    uint16_t column = index->columns[0];
    struct element_set elements =
        element_set_of(hash, entry->relation->columns[column].type,
                       row_column(entry->relation, entry->new_row, column), &set->arena);
    for (size_t i = 0; i < elements.count; i++)
        add_match(set, index, elements.items[i], entry);
}

static struct change_index *build_index(struct change_set *set, struct replica *replica,
                                        struct changed_relation *changed, enum index_kind kind,
                                        const uint16_t *columns, size_t column_count)
{
    struct change_index *index = arena_calloc(&set->arena, 1, sizeof *index);
    index->kind = kind;
    memcpy(index->columns, columns, column_count * sizeof *columns);
    index->column_count = column_count;
    index->bucket_count = FIRST_BUCKETS;
    while (index->bucket_count < changed->count)
        index->bucket_count *= 2;
    index->buckets = arena_calloc(&set->arena, index->bucket_count, sizeof(void *));
    struct buffer scratch = BUFFER_INIT;
    for (struct change_entry *entry = changed->first; entry; entry = entry->next_of_relation) {
        if (!row_exists(entry->new_row))
            continue;
        if (kind == INDEX_OF_ELEMENTS) {
            index_elements(set, index, replica_hash_key(replica), entry);
            continue;
        }
        struct slice components =
            components_of(&scratch, &set->arena, replica_hash_key(replica), changed->relation,
                          entry->new_row, columns, column_count);
        add_match(set, index, components, entry);
    }
    buffer_release(&scratch);
    index->next = changed->indexes;
    changed->indexes = index;
    return index;
}

const struct change_match *change_set_match(struct change_set *set, struct replica *replica,
                                            const struct relation *relation, enum index_kind kind,
                                            const uint16_t *columns, size_t column_count,
                                            struct slice components)
{
    check(column_count <= INDEX_COLUMNS_MAX);
    struct changed_relation *changed = changed_relation_of(set, relation);
    if (!changed)
        return NULL;
    struct change_index *index = changed->indexes;
    while (index && (index->kind != kind || index->column_count != column_count ||
                     memcmp(index->columns, columns, column_count * sizeof *columns) != 0))
        index = index->next;
    if (!index)
        index = build_index(set, replica, changed, kind, columns, column_count);
    struct change_index_bucket *slot = index_slot(set, index, components, false);
    return slot ? slot->first : NULL;
}
