#include "weir/replica/elements.h"

#include "weir/base/check.h"
#include "weir/base/json.h"
#include "weir/replica/value.h"

#include <stdlib.h>

struct array_walk array_walk_of(struct slice array)
{
    return (struct array_walk){array.data, array.data + array.len};
}

bool array_walk_next(struct array_walk *walk, struct slice *element)
{
    if (walk->at == walk->end || (*walk->at != '[' && *walk->at != ',' && *walk->at != ']'))
        return false;
    while (walk->at < walk->end && (*walk->at == '[' || *walk->at == ',' || *walk->at == ']'))
        walk->at++;
    if (walk->at == walk->end)
        return false;
    struct json_scan scan = {walk->at, walk->end};
    struct json_value value;
    check(json_scan_value(&scan, &value));
    *element = value.raw;
    walk->at = value.raw.data + value.raw.len;
    return true;
}

static int by_bytes(const void *a, const void *b)
{
    return slice_cmp(*(const struct slice *)a, *(const struct slice *)b);
}

struct element_set element_set_of(const struct hash_key *hash, const struct value_type *array,
                                  struct slice json, struct arena *arena)
{
    struct element_set set = {NULL, 0};
    struct array_walk walk = array_walk_of(json), counting = walk;
    struct slice element;
    size_t most = 0, count = 0;
    while (array_walk_next(&counting, &element))
        most += !value_is_null(element);
    if (!most)
        return set;
    struct buffer component = BUFFER_INIT;
    set.items = arena_alloc(arena, most * sizeof *set.items);
    while (array_walk_next(&walk, &element)) {
        if (value_is_null(element))
            continue;
        buffer_clear(&component);
        key_add_value(&component, hash, array->element, element, arena);
        set.items[count++] = arena_copy(arena, buffer_slice(&component));
    }
    buffer_release(&component);
    qsort(set.items, count, sizeof *set.items, by_bytes);
    for (size_t i = 0; i < count; i++) {
        if (!set.count || !slice_eq(set.items[set.count - 1], set.items[i]))
            set.items[set.count++] = set.items[i];
    }
    return set;
}
