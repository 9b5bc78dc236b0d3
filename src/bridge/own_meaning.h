/* The application's own operators and casts: what Postgres may take where a rule writes = or ||, or
 * makes a text of a value, instead of what is built in. */
#pragma once

#include "weir/base/arena.h"
#include "weir/rules/ruleset.h"

/* Lists all that could concern a rule, as one text that is empty where there is none. */
extern const char own_meaning_list_sql[];

/* Names what concerns a use of values of these types by a rule whose table is in schema $1; an
 * empty text where there is none. In the arena. */
const char *own_meaning_sql(struct arena *arena, enum value_use use, const uint32_t *types,
                            size_t count);
