/* Fuzzing the decoder, jansson being the oracle: whatever it accepts says what jansson reads in the
 * same bytes, with every slice within them; and it refuses nothing that jansson finds complete.
 * fuzz_wal2json tests/wal2json/corpus */
#include "decode_compare.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct slice input;

static void check_inside(struct slice part)
{
    if (part.data)
        check(part.data >= input.data && part.data + part.len <= input.data + input.len);
}

static void check_columns(const struct change_column *columns, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        check_inside(columns[i].name);
        check_inside(columns[i].value.raw);
        check(columns[i].name.data[0] == '"' && columns[i].name.len >= 2);
        check(json_is_valid(columns[i].value.raw));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct change_decoder *decoder;
    if (!decoder)
        decoder = change_decoder_new();
    struct change change;
    struct err err;
    input = slice_of((const char *)data, size);
    if (!change_decode(decoder, input, &change, &err)) {
        check(!decode_is_due(input));
        return 0;
    }
    check(json_is_valid(input));
    check(!decode_compare(&change, input));
    check_inside(change.timestamp);
    check_inside(change.schema);
    check_inside(change.table);
    check_inside(change.prefix);
    check_inside(change.content);
    check_columns(change.columns, change.column_count);
    check_columns(change.identity, change.identity_count);
    return 0;
}
