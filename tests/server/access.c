/* What a token's subject and patterns let through, and what a row of weir.revoked refuses. */
#include "server/access.h"

#include "weir/base/path.h"
#include "weir/base/percent.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

static bool may_read(const char *patterns, const char *subject, const char *path)
{
    struct token_claims claims = {.subject = (char *)(uintptr_t)subject};
    return grant_may_read(patterns, &claims, slice_from_str(path));
}

/* As the request's path goes: raw to canonical, and then asked for. */
static bool may_request(const char *patterns, const char *subject, const char *raw)
{
    struct buffer path = BUFFER_INIT;
    bool ok = path_canonical(slice_from_str(raw), &path) == PATH_OK &&
              may_read(patterns, subject, buffer_str(&path));
    buffer_release(&path);
    return ok;
}

Test(access, a_subject_has_its_own_segment)
{
    static const struct {
        const char *subject, *raw;
        bool is_allowed;
    } cases[] = {
        {"ana", "user/ana/data", true},
        {"ana", "user/ana", true},
        {"ana", "user/ana/a/b/c", true},
        {"ana", "user/%61na/data", true},
        {"ana", "user/bob/data", false},
        {"ana", "user/anab/data", false},
        {"ana", "user/an/data", false},
        {"ana", "user/Ana/data", false},
        {"ana", "User/ana/data", false},
        {"ana", "user/", false},
        {"ana", "user", false},
        {"ana", "ana", false},
        {"ana", "x/user/ana/data", false},
        {"ana", "user/ana%2Fdata", false},
        {"a/b", "user/a%2Fb/data", true},
        {"a/b", "user/a/b", false},
        {"a/b", "user/a/b/data", false},
        {"a", "user/a%2Fb/data", false},
        {"bob/data", "user/bob/data", false},
        {"..", "user/../data", false},
        {"..", "user/%2e%2E/data", true},
        {"..", "data", false},
        {".", "user/./data", false},
        {".", "user/%2E/data", true},
        {"%2f", "user/%252f/data", true},
        {"%2f", "user/%2f/data", false},
        {"a%2Fb", "user/a%2Fb/data", false},
        {"*", "user/ana/data", false},
        {"*", "user/*/data", true},
        {"*", "user/%2A/data", true},
        {"**", "user/ana/data", false},
        {"**", "a/b/c", false},
        {"{sub}", "user/{sub}/data", true},
        {"{sub}", "user/ana/data", false},
        {"a,public/**", "public/x", false},
        {"ana?x=1", "user/ana/data", false},
        {"ana#", "user/ana/data", false},
        {"ana\n", "user/ana/data", false},
        {"", "user//data", false},
        {"", "user/data", false},
        {"\xc3\xa9", "user/%C3%A9/data", true},
        {"e\xcc\x81", "user/%C3%A9/data", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        cr_expect_eq(may_request("user/{sub}/**", cases[i].subject, cases[i].raw),
                     cases[i].is_allowed, "sub %s, path %s", cases[i].subject, cases[i].raw);
}

/* Every path that a subject may read has the subject for its second segment. */
Test(access, no_subject_reaches_another_path)
{
    static const char letters[] = {'a', 'b', '/', '.', '%', '2', 'f', '*', '{', '}', ','};
    unsigned seed = 7;
    printf("seed %u\n", seed);
    for (int round = 0; round < 200000; round++) {
        char texts[2][6];
        for (int t = 0; t < 2; t++) {
            int len = rand_r(&seed) % 5;
            for (int i = 0; i < len; i++)
                texts[t][i] = letters[(size_t)rand_r(&seed) % sizeof letters];
            texts[t][len] = '\0';
        }
        struct buffer raw = BUFFER_INIT, own = BUFFER_INIT, path = BUFFER_INIT;
        buffer_printf(&raw, "user/%s", texts[1]);
        buffer_add_str(&own, "user/");
        percent_encode_segment(&own, slice_from_str(texts[0]));
        if (path_canonical(buffer_slice(&raw), &path) == PATH_OK &&
            may_read("user/{sub}/**", texts[0], buffer_str(&path))) {
            cr_assert(own.len > 5 && path.len >= own.len &&
                          memcmp(path.data, own.data, own.len) == 0 &&
                          (path.len == own.len || path.data[own.len] == '/'),
                      "sub %s, path %s", texts[0], texts[1]);
        }
        buffer_release(&raw);
        buffer_release(&own);
        buffer_release(&path);
    }
}

Test(access, a_very_long_subject_is_one_segment_too)
{
    char subject[SUBJECT_BYTES_MAX + 1], raw[SUBJECT_BYTES_MAX + 32];
    memset(subject, 'x', sizeof subject - 1);
    subject[sizeof subject - 1] = '\0';
    snprintf(raw, sizeof raw, "user/%s/data", subject);
    cr_expect(may_request("user/{sub}/**", subject, raw));
    raw[20] = 'y';
    cr_expect(!may_request("user/{sub}/**", subject, raw));
    cr_expect(!may_request("user/{sub}/**", subject, "user/xxx/data"));
}

Test(access, patterns_of_the_setting)
{
    struct err err;
    const char *several = "u-{sub}/data,public/**,{sub}%20x/*";
    cr_assert(grant_check_patterns(several, &err), "%s", err.message);
    cr_expect(may_request(several, "ana", "u-ana/data"));
    cr_expect(!may_request(several, "ana", "u-bob/data"));
    cr_expect(may_request(several, "ana", "public/a/b"));
    cr_expect(may_request(several, "ana", "ana%20x/y"));
    cr_expect(may_request(several, "/", "%2F%20x/y"));
    static const char *const bad[] = {"",   ",",    "a,",       "a//b", "/a",
                                      "a/", "a/%2", "{sub}%zz", "a/.."};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        cr_expect(!grant_check_patterns(bad[i], &err), "%s", bad[i]);
        cr_expect(strstr(err.message, "--auth-streams") && err.hint[0]);
    }
}

Test(access, streams_of_the_token)
{
    char *streams[] = {"project/17/*", "link/a%2Fb", "bad//pattern", "x/{sub}/y"};
    struct token_claims claims = {.subject = "ana", .streams = streams, .stream_count = 4};
    cr_expect(grant_may_read("user/{sub}/**", &claims, SLICE("project/17/notes")));
    cr_expect(!grant_may_read("user/{sub}/**", &claims, SLICE("project/17")));
    cr_expect(!grant_may_read("user/{sub}/**", &claims, SLICE("project/18/notes")));
    cr_expect(grant_may_read("user/{sub}/**", &claims, SLICE("link/a%2Fb")));
    cr_expect(!grant_may_read("user/{sub}/**", &claims, SLICE("link/a/b")));
    cr_expect(!grant_may_read("user/{sub}/**", &claims, SLICE("x/ana/y")));
    cr_expect(grant_may_read("user/{sub}/**", &claims, SLICE("user/ana/data")));
}

/* ---- Revocations ---- */

static bool is_revoked(const struct revocations *all, const char *subject, const char *id,
                       int64_t issued_ms)
{
    struct token_claims claims = {
        .subject = (char *)(uintptr_t)subject, .id = (char *)(uintptr_t)id, .issued_ms = issued_ms};
    return revocations_has(all, &claims, 1000000);
}

static void apply(struct revocations *all, const char *key, const char *value,
                  const char *operation)
{
    char event[512];
    snprintf(
        event, sizeof event,
        "{\"type\":\"revoked\",\"key\":\"%s\",\"value\":%s,\"headers\":{\"operation\":\"%s\"}}",
        key, value, operation);
    revocations_apply(all, slice_from_str(event));
}

#define ROW(subject, since, until, jti) \
    "{\"subject\":\"" subject "\",\"since\":" since ",\"until\":" until ",\"jti\":" jti "}"
#define AT_500S  "\"1970-01-01T00:08:20+00:00\""
#define AT_900S  "\"1970-01-01T00:15:00.5+00:00\""
#define AT_1100S "\"1970-01-01T00:18:20+00:00\""

Test(access, tokens_issued_before_the_row_are_refused)
{
    struct revocations *all = revocations_new();
    apply(all, "1", ROW("ana", AT_500S, "null", "null"), "insert");
    cr_expect(is_revoked(all, "ana", NULL, 499000));
    cr_expect(is_revoked(all, "ana", NULL, 500000));
    cr_expect(!is_revoked(all, "ana", NULL, 501000));
    cr_expect(is_revoked(all, "ana", NULL, INT64_MIN), "one that does not say");
    cr_expect(!is_revoked(all, "bob", NULL, 0));
    apply(all, "2", ROW("ana", AT_900S, AT_1100S, "null"), "insert");
    cr_expect(is_revoked(all, "ana", NULL, 900000));
    cr_expect(!is_revoked(all, "ana", NULL, 901000));
    apply(all, "2", ROW("ana", AT_900S, AT_900S, "null"), "update");
    cr_expect(!is_revoked(all, "ana", NULL, 501000), "it is over");
    apply(all, "1", "null", "delete");
    cr_expect(!is_revoked(all, "ana", NULL, 0));
    revocations_free(all, NULL);
}

Test(access, infinity_and_what_cannot_be_read_refuse_everything)
{
    struct revocations *all = revocations_new();
    apply(all, "1", ROW("ana", "\"infinity\"", "null", "null"), "insert");
    apply(all, "2", ROW("bob", "\"0044-03-15T00:00:00+00:00 BC\"", "\"later\"", "null"), "insert");
    cr_expect(is_revoked(all, "ana", NULL, INT64_MAX - 1));
    cr_expect(is_revoked(all, "bob", NULL, INT64_MAX - 1));
    revocations_free(all, NULL);
}

Test(access, one_token_alone)
{
    struct revocations *all = revocations_new();
    apply(all, "1", ROW("ana", AT_500S, "null", "\"t1\""), "insert");
    cr_expect(is_revoked(all, "ana", "t1", 600000));
    cr_expect(!is_revoked(all, "ana", "t2", 0));
    cr_expect(!is_revoked(all, "ana", NULL, 0));
    cr_expect(!is_revoked(all, "bob", "t1", 0));
    revocations_free(all, NULL);
}

Test(access, a_row_that_moves_to_another_subject)
{
    struct revocations *all = revocations_new();
    apply(all, "1", ROW("ana", AT_500S, "null", "null"), "insert");
    apply(all, "1", ROW("bob", AT_500S, "null", "null"), "update");
    cr_expect(!is_revoked(all, "ana", NULL, 0));
    cr_expect(is_revoked(all, "bob", NULL, 0));
    revocations_apply(all, SLICE("not json"));
    revocations_apply(all, SLICE("{}"));
    apply(all, "9", "null", "delete");
    cr_expect(is_revoked(all, "bob", NULL, 0));
    revocations_free(all, NULL);
}
