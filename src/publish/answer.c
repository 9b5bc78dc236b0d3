#include "answer.h"

#include "weir/base/lsn.h"
#include "weir/base/utf8.h"

#include <jansson.h>
#include <stdio.h>

/* An "lsn" and "step" member; false when they are missing or malformed. */
static bool read_progress(const json_t *object, struct progress *progress)
{
    const json_t *lsn = json_object_get(object, "lsn"), *step = json_object_get(object, "step");
    if (!json_is_string(lsn) || !json_is_integer(step) || json_integer_value(step) < 0)
        return false;
    progress->step = (uint64_t)json_integer_value(step);
    return lsn_parse(slice_of(json_string_value(lsn), json_string_length(lsn)), &progress->lsn);
}

static enum answer_kind read_stored(const struct question *question, const json_t *object,
                                    struct answer *answer, struct err *err)
{
    const json_t *epoch = json_object_get(object, "epoch");
    bool ok = read_progress(object, &answer->progress);
    if (question->is_claim)
        ok = ok && json_is_integer(epoch) && json_integer_value(epoch) > 0;
    if (!ok) {
        err_set(err, "%s answered, but not as a weir stream server does", question->url);
        err_hint(err, "--streams must be the root of a `weir serve`, for example "
                      "http://127.0.0.1:4437/v1/stream");
        return ANSWER_FATAL;
    }
    const char *source = json_string_value(json_object_get(object, "source"));
    snprintf(answer->source, sizeof answer->source, "%s", source ? source : "");
    answer->epoch = question->is_claim ? (uint64_t)json_integer_value(epoch) : 0;
    answer->is_duplicate = json_is_true(json_object_get(object, "duplicate"));
    answer->skipped_count = json_array_size(json_object_get(object, "skipped"));
    return ANSWER_STORED;
}

/* A plain-text reason, in one bounded line; nothing when the body is something else. */
static struct slice reason_of(struct slice body)
{
    enum { REASON_MAX = 160 };
    size_t len = 0;
    while (len < body.len && len < REASON_MAX && (unsigned char)body.data[len] >= 0x20)
        len++;
    struct slice reason = slice_of(body.data, len);
    while (reason.len && !utf8_is_valid(reason))
        reason.len--;
    return reason.len && reason.data[0] != '<' && reason.data[0] != '{' ? reason : SLICE_NONE;
}

static void explain_gap(const struct question *question, const json_t *object, struct err *err)
{
    struct progress stored;
    char expected_text[LSN_TEXT_SIZE], stored_text[LSN_TEXT_SIZE] = "unknown";
    if (read_progress(object, &stored))
        lsn_format(stored.lsn, stored_text);
    err_set(err,
            "%s: the stream server has producer \"%s\" at %s, but this batch begins at %s (step "
            "%llu)",
            question->url, question->producer, stored_text,
            lsn_format(question->before.lsn, expected_text),
            (unsigned long long)question->before.step);
    err_hint(err, "the server's data and the bridge's state do not belong together: give the "
                  "server its own --data back, or start the bridge with an empty --state, which "
                  "sends everything again");
}

bool answer_say_fenced(const struct question *question, uint64_t epoch, struct err *err)
{
    err_set(err, "%s: another bridge has taken producer \"%s\" over (epoch %llu)", question->url,
            question->producer, (unsigned long long)epoch);
    return err_hint(err, "one bridge a slot: stop the other one, or leave this one stopped");
}

static void explain(const struct question *question, long status, const json_t *object,
                    struct slice body, struct err *err)
{
    const json_t *epoch = json_object_get(object, "epoch");
    struct slice reason = reason_of(body);
    if (status == 409 && !question->is_claim) {
        explain_gap(question, object, err);
        return;
    }
    if (status == 403 && json_is_integer(epoch)) {
        answer_say_fenced(question, (uint64_t)json_integer_value(epoch), err);
        return;
    }
    err_set(err, "%s answered %ld%s%.*s", question->url, status, reason.len ? ": " : "",
            SLICE_ARG(reason));
    if (status == 401 || status == 403)
        err_hint(err, "give the bridge the server's --writer-token-file as --streams-token-file");
    else if (status == 404)
        err_hint(err, "--streams must be the root of a `weir serve`, for example "
                      "http://127.0.0.1:4437/v1/stream");
    else if (status == 413)
        err_hint(err,
                 "a batch of %zu bytes is more than the server takes: raise its limit for "
                 "request bodies, or lower the bridge's for batches",
                 question->body_len);
    else
        err_hint(err, "do the bridge and the server have the same version?");
}

enum answer_kind answer_read(const struct question *question, long status, struct slice body,
                             struct answer *answer, struct err *err)
{
    *answer = (struct answer){.epoch = 0};
    if (status == 408 || status == 429 || status >= 500) {
        struct slice reason = reason_of(body);
        err_set(err, "%s answered %ld%s%.*s", question->url, status, reason.len ? ": " : "",
                SLICE_ARG(reason));
        if (status == 507)
            err_hint(err, "make room on the stream server, and it goes on");
        return ANSWER_RETRY;
    }
    json_t *object = body.len ? json_loadb(body.data, body.len, 0, NULL) : NULL;
    enum answer_kind kind = ANSWER_FATAL;
    if (status == 200)
        kind = read_stored(question, object, answer, err);
    else
        explain(question, status, object, body, err);
    const json_t *epoch = json_object_get(object, "epoch");
    answer->is_fenced = status == 403 && json_is_integer(epoch);
    if (answer->is_fenced)
        answer->epoch = (uint64_t)json_integer_value(epoch);
    answer->is_gap = status == 409 && !question->is_claim;
    json_decref(object);
    return kind;
}
