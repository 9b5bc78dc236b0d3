/* Looking into jsonb, as rows store it. Pure. */
#pragma once

#include "query.h"

/* What -> and ->> along the path give as text, as jsonb prints it; false for NULL. Borrowed from
 * json or in the arena. */
bool json_path_text(struct slice json, const struct json_step_to *path, size_t path_len,
                    struct slice *text, struct arena *arena);
