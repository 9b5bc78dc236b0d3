/* Looking into jsonb, as rows store it, and into texts. Pure. */
#pragma once

#include "query.h"

/* What -> and ->> along the operand's path give as text, as jsonb prints it; false for NULL.
 * Borrowed from json or in the arena. */
bool json_path_text(struct slice json, const struct operand *operand, struct slice *text,
                    struct arena *arena);

/* Whether a UTF-8 text is LIKE the pattern: % for any characters, _ for one, \ before one that is
 * meant as it is. */
bool like_matches(struct slice text, struct slice pattern);
