/* Records and keys: what is put in comes out; keys are equal and contiguous as the headers say. */
#include "tables.h"

#include "weir/replica/value.h"

#include <criterion/criterion.h>

static const struct hash_key hash = {1, 2};

Test(replica_row, gives_back_each_column_and_the_object)
{
    struct arena arena = ARENA_INIT;
    struct row row = test_row(&arena, "7", "\"x\\\"y\"", "null", "1.50");
    cr_assert(slice_eq_str(row_json(&test_relation, row),
                           "{\"a\":7,\"b\":\"x\\\"y\",\"g\":null,\"n\":1.50,"
                           "\"l\":[[null,null],[\"1.50\",null]]}"));
    cr_assert(slice_eq_str(row_column(&test_relation, row, COLUMN_A), "7"));
    cr_assert(slice_eq_str(row_column(&test_relation, row, COLUMN_B), "\"x\\\"y\""));
    cr_assert(slice_eq_str(row_column(&test_relation, row, COLUMN_G), "null"));
    cr_assert(slice_eq_str(row_column(&test_relation, row, COLUMN_N), "1.50"));
    arena_release(&arena);
}

Test(replica_row, shows_only_the_columns_asked_for)
{
    struct arena arena = ARENA_INIT;
    struct row row = test_row(&arena, "7", "\"x\"", "null", "1.50");
    static const char *const expected[] = {"{}", "{\"a\":7}", "{\"b\":\"x\"}",
                                           "{\"a\":7,\"b\":\"x\"}"};
    for (uint64_t bits = 0; bits < 4; bits++) {
        struct buffer out = BUFFER_INIT;
        row_json_of_columns(&out, &test_relation, row, &bits);
        cr_assert(slice_eq_str(buffer_slice(&out), expected[bits]));
        buffer_release(&out);
    }
    arena_release(&arena);
}

static struct slice component(struct arena *arena, struct slice bytes)
{
    struct buffer out = BUFFER_INIT;
    if (bytes.data)
        key_add_component(&out, &hash, bytes);
    else
        key_add_null(&out);
    struct slice copy = arena_copy(arena, buffer_slice(&out));
    buffer_release(&out);
    return copy;
}

static bool is_prefix(struct slice a, struct slice b)
{
    return a.len <= b.len && memcmp(a.data, b.data, a.len) == 0;
}

/* Bytes of all kinds, of lengths around the bounds, and each a neighbour of another. */
Test(replica_key, no_component_is_a_prefix_of_another)
{
    enum { COUNT = 600 };
    static struct slice inputs[COUNT], outputs[COUNT];
    uint64_t state = 7;
    struct arena arena = ARENA_INIT;
    for (size_t i = 0; i < COUNT; i++) {
        size_t len = i < 8 ? i : test_random(&state, 2 * KEY_COMPONENT_MAX);
        char *bytes = arena_alloc(&arena, len + 1);
        for (size_t j = 0; j < len; j++)
            bytes[j] = "\0\1\2\3\xff"
                       "ab"[test_random(&state, 7)];
        /* Every third one is the one before it, with one more byte. */
        if (i % 3 == 2) {
            len = inputs[i - 1].len + 1;
            bytes = arena_alloc(&arena, len);
            if (len > 1)
                memcpy(bytes, inputs[i - 1].data, len - 1);
            bytes[len - 1] = "\0\1\xff"[test_random(&state, 3)];
        }
        inputs[i] = slice_of(bytes, len);
        outputs[i] = component(&arena, inputs[i]);
    }
    struct slice null = component(&arena, SLICE_NONE);
    for (size_t i = 0; i < COUNT; i++) {
        cr_assert_not(is_prefix(null, outputs[i]));
        for (size_t j = 0; j < COUNT; j++) {
            if (slice_eq(inputs[i], inputs[j]))
                cr_assert(slice_eq(outputs[i], outputs[j]));
            else
                cr_assert_not(is_prefix(outputs[i], outputs[j]), "%zu and %zu", i, j);
        }
    }
    arena_release(&arena);
}

static struct slice value_component(struct arena *arena, const struct value_type *type,
                                    const char *json)
{
    struct buffer out = BUFFER_INIT;
    key_add_value(&out, &hash, type, slice_from_str(json), arena);
    struct slice copy = arena_copy(arena, buffer_slice(&out));
    buffer_release(&out);
    return copy;
}

Test(replica_key, equal_values_have_equal_components)
{
    struct arena arena = ARENA_INIT;
    cr_assert(slice_eq(value_component(&arena, &numeric_type, "1.50"),
                       value_component(&arena, &numeric_type, "1.5")));
    cr_assert(slice_eq(value_component(&arena, &numeric_type, "7.00"),
                       value_component(&arena, &int_type, "7")));
    cr_assert(slice_eq(value_component(&arena, &char_type, "\"ab  \""),
                       value_component(&arena, &plain_text_type, "\"ab\"")));
    cr_assert(slice_eq(value_component(&arena, &plain_text_type, "\"\\u00e9\""),
                       value_component(&arena, &plain_text_type, "\"é\"")));
    cr_assert_not(slice_eq(value_component(&arena, &plain_text_type, "\"ab \""),
                           value_component(&arena, &plain_text_type, "\"ab\"")));
    cr_assert_not(slice_eq(value_component(&arena, &plain_text_type, "\"null\""),
                           value_component(&arena, &plain_text_type, "null")));
    arena_release(&arena);
}

Test(replica_key, row_keys_are_texts_and_long_ones_are_folded)
{
    struct arena arena = ARENA_INIT;
    struct slice one = test_key(&arena, &hash, test_row(&arena, "1", "\"2\"", "null", "0"));
    struct slice other = test_key(&arena, &hash, test_row(&arena, "12", "\"\"", "null", "0"));
    cr_assert_not(slice_eq(one, other));
    char text[1000];
    memset(text, 'x', sizeof text);
    text[0] = text[sizeof text - 2] = '"';
    text[sizeof text - 1] = '\0';
    struct slice folded = test_key(&arena, &hash, test_row(&arena, "1", text, "null", "0"));
    cr_assert(folded.len <= ROW_KEY_MAX);
    text[500] = 'y';
    cr_assert_not(
        slice_eq(folded, test_key(&arena, &hash, test_row(&arena, "1", text, "null", "0"))));
    arena_release(&arena);
}
