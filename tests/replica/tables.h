/* A table for the tests of this folder: (a int, b text) the key, g text, n numeric, l text[]:
 * {g, NULL, n as text, g}. */
#pragma once

#include "weir/replica/key.h"

enum { COLUMN_A, COLUMN_B, COLUMN_G, COLUMN_N, COLUMN_L, COLUMNS };

extern const struct relation test_relation;
extern const struct value_type int_type, plain_text_type, numeric_type, char_type;

/* A record of JSON tokens, in the arena. */
struct row test_row(struct arena *arena, const char *a, const char *b, const char *g,
                    const char *n);
struct slice test_key(struct arena *arena, const struct hash_key *hash, struct row row);

/* Numbers that only depend on the seed. */
uint32_t test_random(uint64_t *state, uint32_t bound);
