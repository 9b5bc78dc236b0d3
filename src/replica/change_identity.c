/* The index of REPLICA IDENTITY USING INDEX is unique, immediate and without NULLs, so at any
 * moment of a transaction its columns name one row. They come with the bytes that are stored, so
 * values are compared as JSON and not as SQL would.
 *
 * Which columns these are each change says itself, as partitions of one table may have different
 * indexes. A map over the rows of the change set is made when first asked for and kept up then;
 * rows that the transaction has not touched are looked up in an index of the replica. */
#include "change_identity.h"

#include "weir/base/check.h"

enum { BUCKETS = 1024 };

struct identity_node {
    struct change_entry *entry;
    uint64_t hash;
    struct identity_node *next;
};

struct identity_map {
    uint16_t columns[RELATION_KEY_MAX];
    size_t column_count;
    struct identity_map *next;
    struct identity_node *buckets[BUCKETS];
};

static uint64_t add_hash(uint64_t hash, struct slice value)
{
    return hash * 31 + hash64(hash_process_key(), value);
}

static uint64_t hash_of_row(const struct identity_map *map, const struct change_entry *entry)
{
    uint64_t hash = 0;
    for (size_t i = 0; i < map->column_count; i++)
        hash = add_hash(hash, row_column(entry->relation, entry->new_row, map->columns[i]));
    return hash;
}

static void insert_node(struct identity_map *map, struct identity_node *node)
{
    struct identity_node **bucket = &map->buckets[node->hash % BUCKETS];
    node->next = *bucket;
    *bucket = node;
}

static void add_to_map(struct change_set *set, struct identity_map *map, struct change_entry *entry)
{
    struct identity_node *node = arena_alloc(&set->arena, sizeof *node);
    *node = (struct identity_node){entry, hash_of_row(map, entry), NULL};
    insert_node(map, node);
}

void identity_maps_add(struct change_set *set, struct change_entry *entry)
{
    if (!set->has_identities || !row_exists(entry->new_row))
        return;
    struct identity_map *map = changed_relation_of(set, entry->relation)->identities;
    for (; map; map = map->next)
        add_to_map(set, map, entry);
}

void identity_maps_remove(struct change_set *set, struct change_entry *entry)
{
    if (!set->has_identities || !row_exists(entry->new_row))
        return;
    struct identity_map *map = changed_relation_of(set, entry->relation)->identities;
    for (; map; map = map->next) {
        struct identity_node **at = &map->buckets[hash_of_row(map, entry) % BUCKETS];
        while ((*at)->entry != entry)
            at = &(*at)->next;
        *at = (*at)->next;
    }
}

static struct identity_map *ensure_map(struct change_set *set, struct changed_relation *changed,
                                       const struct row_identity *identity)
{
    size_t size = identity->count * sizeof *identity->columns;
    struct identity_map *map = changed->identities;
    while (map && (map->column_count != identity->count ||
                   memcmp(map->columns, identity->columns, size) != 0))
        map = map->next;
    if (map)
        return map;
    map = arena_calloc(&set->arena, 1, sizeof *map);
    memcpy(map->columns, identity->columns, size);
    map->column_count = identity->count;
    map->next = changed->identities;
    changed->identities = map;
    set->has_identities = true;
    for (struct change_entry *entry = changed->first; entry; entry = entry->next_of_relation) {
        if (row_exists(entry->new_row))
            add_to_map(set, map, entry);
    }
    return map;
}

static bool is_identified(const struct relation *relation, struct row row,
                          const struct row_identity *identity)
{
    for (size_t i = 0; i < identity->count; i++) {
        if (!slice_eq(row_column(relation, row, identity->columns[i]), identity->values[i]))
            return false;
    }
    return true;
}

static struct change_entry *find_changed(struct change_set *set, const struct relation *relation,
                                         const struct row_identity *identity)
{
    struct changed_relation *changed = changed_relation_ensure(set, relation);
    const struct identity_map *map = ensure_map(set, changed, identity);
    uint64_t hash = 0;
    for (size_t i = 0; i < identity->count; i++)
        hash = add_hash(hash, identity->values[i]);
    for (struct identity_node *node = map->buckets[hash % BUCKETS]; node; node = node->next) {
        if (node->hash == hash && is_identified(relation, node->entry->new_row, identity))
            return node->entry;
    }
    return NULL;
}

/* The key of the row in the replica, in key; empty where there is none that is not in the change
 * set. */
static bool find_stored(struct change_set *set, struct replica *replica,
                        const struct relation *relation, const struct row_identity *identity,
                        struct buffer *key, struct err *err)
{
    size_t count = identity->count < INDEX_COLUMNS_MAX ? identity->count : INDEX_COLUMNS_MAX;
    const struct replica_index *index =
        replica_ensure_index(replica, relation, INDEX_OF_VALUES, identity->columns, count, err);
    if (!index)
        return false;
    struct buffer prefix = BUFFER_INIT;
    for (size_t i = 0; i < count; i++)
        key_add_value(&prefix, replica_hash_key(replica),
                      relation->columns[identity->columns[i]].type, identity->values[i],
                      &set->arena);
    struct replica_range range;
    struct slice row_key;
    struct row row;
    replica_range_begin(&range, replica, relation, index, buffer_slice(&prefix));
    while (!key->len && replica_range_next(&range, &row_key, &row)) {
        if (is_identified(relation, row, identity) &&
            (change_set_is_spilled(set) || !change_set_find(set, relation, row_key)))
            buffer_add_slice(key, row_key);
    }
    replica_range_end(&range);
    buffer_release(&prefix);
    return true;
}

bool change_set_touch_identified(struct change_set *set, struct replica *replica,
                                 const struct relation *relation,
                                 const struct row_identity *identity, struct change_entry **entry,
                                 struct err *err)
{
    check(identity->count > 0 && identity->count <= RELATION_KEY_MAX);
    *entry = change_set_is_spilled(set) ? NULL : find_changed(set, relation, identity);
    if (*entry)
        return true;
    struct buffer key = BUFFER_INIT;
    bool ok = find_stored(set, replica, relation, identity, &key, err);
    if (key.len)
        *entry = change_set_touch(set, replica, relation, buffer_slice(&key));
    buffer_release(&key);
    return ok;
}
