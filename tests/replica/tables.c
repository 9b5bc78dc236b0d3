#include "tables.h"

const struct value_type int_type = {
    .oid = 23, .base_oid = 23, .kind = VALUE_INTEGER, .name = "int"};
const struct value_type plain_text_type = {
    .oid = 25, .base_oid = 25, .kind = VALUE_TEXT, .name = "text"};
const struct value_type numeric_type = {
    .oid = 1700, .base_oid = 1700, .kind = VALUE_NUMERIC, .name = "numeric"};
const struct value_type char_type = {
    .oid = 1042, .base_oid = 1042, .kind = VALUE_CHAR, .name = "character"};

static const struct value_type array_type = {.oid = 1009,
                                             .base_oid = 1009,
                                             .kind = VALUE_ARRAY,
                                             .element = &plain_text_type,
                                             .name = "text[]"};

#define COLUMN(text, its_type) \
    { \
        .name = {text, sizeof(text) - 1}, .json_name = {"\"" text "\"", sizeof(text) + 1}, \
        .type = &(its_type), .collation = { \
            .is_deterministic = true \
        } \
    }

static const struct column columns[COLUMNS] = {COLUMN("a", int_type), COLUMN("b", plain_text_type),
                                               COLUMN("g", plain_text_type),
                                               COLUMN("n", numeric_type), COLUMN("l", array_type)};
static const uint16_t key_columns[] = {COLUMN_A, COLUMN_B};

const struct relation test_relation = {.oid = 4711,
                                       .storage_id = 4711,
                                       .schema = {"public", 6},
                                       .name = {"t", 1},
                                       .columns = columns,
                                       .column_count = COLUMNS,
                                       .key = key_columns,
                                       .key_count = 2};

struct row test_row(struct arena *arena, const char *a, const char *b, const char *g, const char *n)
{
    struct buffer list = BUFFER_INIT, record = BUFFER_INIT;
    buffer_printf(&list, "[[%s,null],[\"%s\",%s]]", g, n, g);
    struct slice values[COLUMNS] = {slice_from_str(a), slice_from_str(b), slice_from_str(g),
                                    slice_from_str(n), buffer_slice(&list)};
    row_build(&record, &test_relation, values);
    struct row row = {arena_copy(arena, buffer_slice(&record))};
    buffer_release(&record);
    buffer_release(&list);
    return row;
}

struct slice test_key(struct arena *arena, const struct hash_key *hash, struct row row)
{
    struct buffer key = BUFFER_INIT;
    key_of_row(&key, hash, &test_relation, row, arena);
    struct slice copy = arena_copy(arena, buffer_slice(&key));
    buffer_release(&key);
    return copy;
}

uint32_t test_random(uint64_t *state, uint32_t bound)
{
    *state += 0x9e3779b97f4a7c15u; /* SplitMix64 */
    uint64_t z = *state;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return (uint32_t)((z ^ (z >> 31)) % bound);
}
