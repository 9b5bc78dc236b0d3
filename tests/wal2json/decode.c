#include "decode_compare.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

/* A file of messages, one a line. */
struct golden {
    char *text;
    struct slice lines[1024];
    size_t count;
};

static struct golden golden_read(const char *path)
{
    struct golden golden = {.count = 0};
    FILE *file = fopen(path, "r");
    cr_assert(file, "cannot open %s", path);
    size_t capacity = 4 << 20, len;
    golden.text = malloc(capacity);
    len = fread(golden.text, 1, capacity, file);
    fclose(file);
    cr_assert_lt(len, capacity);
    for (char *at = golden.text; at < golden.text + len;) {
        char *line_end = memchr(at, '\n', (size_t)(golden.text + len - at));
        cr_assert(line_end && golden.count < 1024);
        golden.lines[golden.count++] = slice_of(at, (size_t)(line_end - at));
        at = line_end + 1;
    }
    cr_assert_gt(golden.count, 100);
    return golden;
}

static void compare_file(const char *path)
{
    struct golden golden = golden_read(path);
    struct change_decoder *decoder = change_decoder_new();
    size_t seen[CHANGE_MESSAGE + 1] = {0};
    for (size_t i = 0; i < golden.count; i++) {
        struct change change;
        struct err err;
        cr_assert(change_decode(decoder, golden.lines[i], &change, &err), "line %zu: %s", i + 1,
                  err.message);
        const char *difference = decode_compare(&change, golden.lines[i]);
        cr_assert_null(difference, "line %zu: %s", i + 1, difference);
        cr_assert(decode_is_due(golden.lines[i]), "line %zu", i + 1);
        seen[change.kind]++;
    }
    for (size_t kind = 0; kind <= CHANGE_MESSAGE; kind++)
        cr_assert_gt(seen[kind], 0, "no message of kind %zu", kind);
    change_decoder_free(decoder);
    free(golden.text);
}

/* WEIR_GOLDEN: a fresh capture instead (fresh.sh). */
Test(decode, golden_messages_are_read_as_jansson_reads_them)
{
    const char *fresh = getenv("WEIR_GOLDEN");
    compare_file(fresh ? fresh : GOLDEN "/golden.jsonl");
    if (!fresh)
        compare_file(GOLDEN "/cases.jsonl");
}

Test(decode, a_message_cut_anywhere_is_refused)
{
    struct golden golden = golden_read(GOLDEN "/golden.jsonl");
    struct change_decoder *decoder = change_decoder_new();
    for (size_t i = 0; i < golden.count; i++) {
        for (size_t len = 0; len < golden.lines[i].len; len++) {
            struct change change;
            struct err err;
            /* A copy of its own size lets AddressSanitizer see a read past the end. */
            char *cut = malloc(len ? len : 1);
            memcpy(cut, golden.lines[i].data, len);
            cr_assert_not(change_decode(decoder, slice_of(cut, len), &change, &err),
                          "line %zu, %zu bytes", i + 1, len);
            cr_assert(strstr(err.message, "not valid JSON"), "%s", err.message);
            free(cut);
        }
    }
    change_decoder_free(decoder);
    free(golden.text);
}

static struct change decode(struct change_decoder *decoder, const char *message)
{
    struct change change;
    struct err err;
    cr_assert(change_decode(decoder, slice_from_str(message), &change, &err), "%s", err.message);
    return change;
}

Test(decode, an_update_without_its_toast_and_with_its_old_key)
{
    struct change_decoder *decoder = change_decoder_new();
    struct change change = decode(
        decoder, "{\"action\":\"U\",\"xid\":761,\"timestamp\":\"2026-11-23 21:10:11.903253+00\","
                 "\"lsn\":\"0/154E570\",\"schema\":\"public\",\"table\":\"toasted\",\"columns\":["
                 "{\"name\":\"id\",\"value\":2},{\"name\":\"small\",\"value\":null}],\"identity\":["
                 "{\"name\":\"id\",\"value\":1}]}");
    cr_assert_eq(change.kind, CHANGE_UPDATE);
    cr_assert_eq(change.xid, 761);
    cr_assert_eq(change.lsn, 0x154E570);
    cr_assert_eq(change.column_count, 2);
    cr_assert(slice_eq(change.columns[0].name, SLICE("\"id\"")));
    cr_assert(slice_eq(change.columns[0].value.raw, SLICE("2")));
    cr_assert_eq(change.columns[1].value.kind, JSON_NULL);
    cr_assert_eq(change.identity_count, 1);
    cr_assert(slice_eq(change.identity[0].value.raw, SLICE("1")));

    /* Nothing of one message is left in the next. */
    change = decode(decoder, "{\"action\":\"T\",\"xid\":1,\"lsn\":\"0/1\",\"schema\":\"s\","
                             "\"table\":\"t\"}");
    cr_assert(change.column_count == 0 && change.identity_count == 0 && change.next_lsn == 0);
    cr_assert_null(change.timestamp.data);
    change_decoder_free(decoder);
    change_decoder_free(NULL);
}

Test(decode, members_may_come_in_any_order_and_with_more_beside_them)
{
    struct change_decoder *decoder = change_decoder_new();
    struct change change =
        decode(decoder,
               " { \"columns\" : [ { \"value\" : 1e400 , \"type\":{\"a\":[1]}, \"name\" : \"a\" } "
               "] , \"new\":[{}], \"table\":\"t\",\"schema\":\"s\",\"lsn\":\"FF/FF\",\"xid\":"
               "4294967295,\"action\":\"I\"} ");
    cr_assert_eq(change.kind, CHANGE_INSERT);
    cr_assert_eq(change.xid, UINT32_MAX);
    cr_assert_eq(change.lsn, 0xFF000000FF);
    cr_assert(slice_eq(change.columns[0].value.raw, SLICE("1e400")));
    change = decode(decoder, "{\"content\":\"c\",\"prefix\":\"p\",\"action\":\"M\",\"xid\":null,"
                             "\"timestamp\":null}");
    cr_assert_eq(change.kind, CHANGE_MESSAGE);
    cr_assert(slice_eq(change.prefix, SLICE("\"p\"")));
    change_decoder_free(decoder);
}

#define ROW(action, rest) \
    "{\"action\":\"" action "\",\"xid\":1,\"lsn\":\"0/1\",\"schema\":\"s\",\"table\":\"t\"" rest "}"

Test(decode, what_is_missing_or_wrong_is_named)
{
    static const struct {
        const char *message, *complaint;
    } cases[] = {
        {"", "not valid JSON at byte 0"},
        {"[]", "not valid JSON at byte 0"},
        {"{}", "no \"action\""},
        {"{\"action\":\"X\"}", "\"action\""},
        {"{\"action\":\"IU\"}", "\"action\""},
        {"{\"action\":1}", "\"action\""},
        {"{\"action\":\"B\",\"lsn\":\"0/1\",\"nextlsn\":\"0/2\"}", "no \"xid\""},
        {"{\"action\":\"B\",\"xid\":null,\"lsn\":\"0/1\",\"nextlsn\":\"0/2\"}", "no \"xid\""},
        {"{\"action\":\"C\",\"xid\":1,\"nextlsn\":\"0/2\"}", "no \"lsn\""},
        {"{\"action\":\"M\",\"content\":\"c\"}", "no \"prefix\""},
        {"{\"action\":\"M\",\"prefix\":\"p\",\"content\":1}", "no \"content\""},
        {"{\"action\":\"C\",\"xid\":1,\"lsn\":\"0/2\"}", "no \"nextlsn\""},
        {"{\"action\":\"C\",\"xid\":1,\"lsn\":\"02\"}", "\"lsn\""},
        {"{\"action\":\"C\",\"xid\":1,\"nextlsn\":\"0/123456789\"}", "\"nextlsn\""},
        {"{\"action\":\"C\",\"xid\":4294967296}", "\"xid\""},
        {"{\"action\":\"C\",\"xid\":-1}", "\"xid\""},
        {"{\"action\":\"C\",\"xid\":1.5}", "\"xid\""},
        {"{\"action\":\"T\",\"xid\":1,\"lsn\":\"0/1\",\"table\":\"t\"}", "no \"schema\""},
        {"{\"action\":\"T\",\"xid\":1,\"lsn\":\"0/1\",\"schema\":\"t\"}", "no \"table\""},
        {"{\"action\":\"T\",\"xid\":1,\"lsn\":\"0/1\",\"schema\":1,\"table\":\"t\"}",
         "no \"schema\""},
        {ROW("I", ""), "no \"columns\""},
        {ROW("U", ",\"identity\":[]"), "no \"columns\""},
        {ROW("D", ",\"columns\":[]"), "no \"identity\""},
        {ROW("I", ",\"columns\":{}"), "not valid JSON"},
        {ROW("I", ",\"columns\":[1]"), "not valid JSON"},
        {ROW("I", ",\"columns\":[{}]"), "\"name\""},
        {ROW("I", ",\"columns\":[{\"name\":1,\"value\":1}]"), "\"name\""},
        {ROW("I", ",\"columns\":[{\"name\":\"a\"}]"), "\"value\""},
        {ROW("I", ",\"columns\":[{\"name\":\"a\",\"value\":[1]}]"), "\"value\""},
        {ROW("I", ",\"columns\":[{\"name\":\"a\",\"value\":{}}]"), "\"value\""},
        {ROW("I", ",\"columns\":[{\"name\":\"a\",\"value\":1},]"), "not valid JSON"},
        {ROW("I", ",\"columns\":[{\"name\":\"a\",\"value\":NaN}]"), "not valid JSON"},
        {ROW("I", ",\"columns\":[{\"name\":\"\xff\",\"value\":1}]"), "not valid JSON"},
        {ROW("T", "") "x", "not valid JSON"},
    };
    struct change_decoder *decoder = change_decoder_new();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct change change;
        struct err err;
        cr_assert_not(change_decode(decoder, slice_from_str(cases[i].message), &change, &err), "%s",
                      cases[i].message);
        cr_assert(strstr(err.message, cases[i].complaint), "%s: %s", cases[i].message, err.message);
    }
    change_decoder_free(decoder);
}

/* {"action":"I",...} with that many columns. */
static struct buffer wide_row(size_t columns)
{
    struct buffer message = BUFFER_INIT;
    buffer_add_str(&message, "{\"action\":\"I\",\"xid\":1,\"lsn\":\"0/1\",\"schema\":\"s\","
                             "\"table\":\"t\",\"columns\":[");
    for (size_t i = 0; i < columns; i++)
        buffer_printf(&message, "%s{\"name\":\"c%zu\",\"value\":%zu}", i ? "," : "", i, i);
    buffer_add_str(&message, "]}");
    return message;
}

Test(decode, as_many_columns_as_postgres_has_and_not_one_more)
{
    struct change_decoder *decoder = change_decoder_new();
    struct change change;
    struct err err;
    struct buffer message = wide_row(1600);
    cr_assert(change_decode(decoder, buffer_slice(&message), &change, &err), "%s", err.message);
    cr_assert_eq(change.column_count, 1600);
    cr_assert(slice_eq(change.columns[1599].name, SLICE("\"c1599\"")));
    buffer_release(&message);
    message = wide_row(1601);
    cr_assert_not(change_decode(decoder, buffer_slice(&message), &change, &err));
    cr_assert(strstr(err.message, "more than 1600 columns"));
    buffer_release(&message);
    change_decoder_free(decoder);
}
