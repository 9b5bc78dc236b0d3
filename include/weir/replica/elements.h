/* The elements of an array column, and their keys in an index. Pure. */
#pragma once

#include "weir/replica/key.h"

/* The elements of an array's JSON, of all its dimensions, in order. An element that is an array in
 * JSON, as of jsonb[], is taken for a dimension: rules do not compare those. */
struct array_walk {
    const char *at, *end;
};

/* JSON null, which is a NULL array, has no elements. */
struct array_walk array_walk_of(struct slice array);
bool array_walk_next(struct array_walk *walk, struct slice *element);

/* The components (weir/replica/key.h) of the elements that are not NULL, each once, in ascending
 * order. */
struct element_set {
    struct slice *items;
    size_t count;
};

struct element_set element_set_of(const struct hash_key *hash, const struct value_type *array,
                                  struct slice json, struct arena *arena);
