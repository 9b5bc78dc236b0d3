#include "answers.h"

#include "weir/base/check.h"
#include "weir/base/hash.h"
#include "weir/base/reader.h"

#include <stdlib.h>

enum { FIRST_BUCKETS = 64, QUESTION_SIZE = 16 };

/* Saved: 16 of the question, 1 whether Postgres took it, 4 length of text, text, 4 length of hint,
 * hint. */
struct answer {
    struct hash128 question; /* with the rule that asks */
    bool ok;
    struct slice text, hint; /* the value, or the error's */
    uint64_t asked_by;       /* the latest compilation */
    struct answer *next;
};

struct answers {
    struct hash_key hash;
    struct arena arena;
    struct answer **buckets;
    size_t bucket_count, count;
    uint64_t compilation;
    bool has_changed;
    struct buffer rule, question;
};

static struct answer **bucket_of(const struct answers *answers, const struct hash128 *question)
{
    return &answers->buckets[load_u64((const char *)question) & (answers->bucket_count - 1)];
}

static void grow(struct answers *answers)
{
    struct answer **old = answers->buckets;
    size_t old_count = answers->bucket_count;
    answers->bucket_count = old_count ? old_count * 4 : FIRST_BUCKETS;
    answers->buckets = arena_calloc(&answers->arena, answers->bucket_count, sizeof(void *));
    for (size_t i = 0; i < old_count; i++) {
        for (struct answer *each = old[i], *next; each; each = next) {
            next = each->next;
            struct answer **bucket = bucket_of(answers, &each->question);
            each->next = *bucket;
            *bucket = each;
        }
    }
}

static void put(struct answers *answers, const struct answer *answer)
{
    if (answers->count >= answers->bucket_count)
        grow(answers);
    struct answer *added = arena_alloc(&answers->arena, sizeof *added);
    struct answer **bucket = bucket_of(answers, &answer->question);
    *added = *answer;
    added->text = arena_copy(&answers->arena, answer->text);
    added->hint = arena_copy(&answers->arena, answer->hint);
    added->next = *bucket;
    *bucket = added;
    answers->count++;
}

static void load(struct answers *answers, struct slice saved)
{
    struct reader reader = reader_of(saved);
    while (reader_left(&reader)) {
        struct answer answer = {.asked_by = 0};
        struct slice question = read_bytes(&reader, QUESTION_SIZE);
        answer.ok = read_u8(&reader);
        answer.text = read_bytes(&reader, read_u32(&reader));
        answer.hint = read_bytes(&reader, read_u32(&reader));
        check(!reader.failed); /* a record of the replica bears a checksum */
        memcpy(&answer.question, question.data, QUESTION_SIZE);
        put(answers, &answer);
    }
}

struct answers *answers_new(const struct hash_key *hash, struct slice saved)
{
    struct answers *answers = calloc(1, sizeof *answers);
    check(answers != NULL);
    _Static_assert(sizeof(struct hash128) == QUESTION_SIZE, "what is saved");
    answers->hash = *hash;
    grow(answers);
    load(answers, saved);
    answers->has_changed = !saved.data; /* what is saved may be another's */
    return answers;
}

void answers_free(struct answers *answers)
{
    if (!answers)
        return;
    arena_release(&answers->arena);
    buffer_release(&answers->rule);
    buffer_release(&answers->question);
    free(answers);
}

void answers_save(const struct answers *answers, struct buffer *out)
{
    for (size_t i = 0; i < answers->bucket_count; i++) {
        for (const struct answer *each = answers->buckets[i]; each; each = each->next) {
            buffer_add(out, &each->question, QUESTION_SIZE);
            buffer_add_char(out, each->ok);
            buffer_add_u32(out, (uint32_t)each->text.len);
            buffer_add_slice(out, each->text);
            buffer_add_u32(out, (uint32_t)each->hint.len);
            buffer_add_slice(out, each->hint);
        }
    }
}

void answers_begin(struct answers *answers)
{
    answers->compilation++;
}

void answers_begin_rule(struct answers *answers, uint32_t relation_oid, struct slice audience)
{
    buffer_clear(&answers->rule);
    buffer_add_u32(&answers->rule, relation_oid);
    buffer_add_u64(&answers->rule, audience.len);
    buffer_add_slice(&answers->rule, audience);
}

void answers_settle(struct answers *answers)
{
    struct answers kept = {.hash = answers->hash,
                           .compilation = answers->compilation,
                           .rule = answers->rule,
                           .question = answers->question};
    grow(&kept);
    for (size_t i = 0; i < answers->bucket_count; i++) {
        for (const struct answer *each = answers->buckets[i]; each; each = each->next) {
            if (each->asked_by == answers->compilation)
                put(&kept, each);
        }
    }
    kept.has_changed = answers->has_changed || kept.count != answers->count;
    arena_release(&answers->arena);
    *answers = kept;
}

static struct hash128 question_of(struct answers *answers, const char *sql, struct slice literal)
{
    buffer_clear(&answers->question);
    buffer_add_slice(&answers->question, buffer_slice(&answers->rule));
    buffer_add_str(&answers->question, sql);
    buffer_add_char(&answers->question, '\0');
    buffer_add_slice(&answers->question, literal);
    return hash128(&answers->hash, buffer_slice(&answers->question));
}

bool answers_find(struct answers *answers, const char *sql, struct slice literal, bool *ok,
                  struct buffer *text, struct err *err)
{
    struct hash128 question = question_of(answers, sql, literal);
    struct answer *answer = *bucket_of(answers, &question);
    while (answer && memcmp(&answer->question, &question, QUESTION_SIZE) != 0)
        answer = answer->next;
    if (!answer)
        return false;
    answer->asked_by = answers->compilation;
    *ok = answer->ok;
    if (answer->ok) {
        buffer_add_slice(text, answer->text);
        return true;
    }
    err_set(err, "%.*s", SLICE_ARG(answer->text));
    if (answer->hint.len)
        err_hint(err, "%.*s", SLICE_ARG(answer->hint));
    return true;
}

void answers_add(struct answers *answers, const char *sql, struct slice literal, bool ok,
                 struct slice text, const struct err *err)
{
    struct answer answer = {.question = question_of(answers, sql, literal),
                            .ok = ok,
                            .text = ok ? text : slice_from_str(err->message),
                            .hint = ok ? SLICE("") : slice_from_str(err->hint),
                            .asked_by = answers->compilation};
    put(answers, &answer);
    answers->has_changed = true;
}

bool answers_have_changed(const struct answers *answers)
{
    return answers->has_changed;
}

void answers_note_saved(struct answers *answers)
{
    answers->has_changed = false;
}
