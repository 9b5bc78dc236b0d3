/* Looking into arrays and jsonb, as rows store them. Pure. */
#pragma once

#include "query.h"

/* The elements of an array's JSON, of all its dimensions, in order. An element that is an array in
 * JSON, as of jsonb[], is taken for a dimension: rules do not compare those. */
struct array_walk {
    const char *at, *end;
};

/* JSON null, which is a NULL array, has no elements. */
struct array_walk array_walk_of(struct slice array);
bool array_walk_next(struct array_walk *walk, struct slice *element);

/* What -> and ->> along the path give as text, as jsonb prints it; false for NULL. Borrowed from
 * json or in the arena. */
bool json_path_text(struct slice json, const struct json_step_to *path, size_t path_len,
                    struct slice *text, struct arena *arena);
