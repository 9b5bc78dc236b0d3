/* Building an audience, for the ruleset alone. */
#pragma once

#include "weir/rules/ruleset.h"

/* Adds the subject, or widens what it sees by columns (NULL: all). The subject is copied. */
void audience_add(struct audience *audience, const struct channel *channel, struct slice subject,
                  const uint64_t *columns);

/* The union of two column sets; NULL, which is all, where either is. In the arena. */
const uint64_t *columns_union(struct arena *arena, const struct relation *relation,
                              const uint64_t *a, const uint64_t *b);
