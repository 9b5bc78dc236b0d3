/* The dialect of `weir serve`: one request for a batch of many streams, and the producer's progress
 * beside it. docs/protocol-extensions.md. */
#include "parts.h"
#include "publisher_internal.h"

#include "weir/base/fault.h"
#include "weir/base/log.h"

#include <errno.h>
#include <string.h>

static const char batch_type[] = "application/vnd.weir.batch";

/* One attempt. err is set unless the batch is stored. */
static enum answer_kind send_once(struct publisher *publisher, const struct question *question,
                                  struct slice body, struct answer *answer, struct err *err)
{
    long status;
    struct slice text;
    if (fault_fails(FAULT_PUBLISH_SEND)) {
        err_set_errno(err, errno, "%s", question->url);
        return ANSWER_RETRY;
    }
    if (!http_post(publisher->http, question->url, batch_type, body, REQUEST_TIMEOUT_MS, &status,
                   &text, err))
        return ANSWER_RETRY;
    fault_step(FAULT_PUBLISH_ANSWERED);
    return answer_read(question, status, text, answer, err);
}

/* Sends until the server has answered for good. ANSWER_RETRY: the publisher closes. */
static enum answer_kind send_request(struct publisher *publisher, struct slice body,
                                     struct progress before, struct progress after, struct err *err)
{
    struct question question = {.url = publisher->batch_url,
                                .producer = publisher->producer,
                                .before = before,
                                .body_len = body.len};
    struct answer answer;
    uint64_t interval_ms = BACKOFF_FIRST_MS, attempts = 1;
    for (;; attempts++) {
        enum answer_kind kind = send_once(publisher, &question, body, &answer, err);
        if (kind == ANSWER_FATAL) {
            /* An epoch that is below ours was before ours, so the server has gone back. */
            publisher->has_lost_track =
                answer.is_gap || (answer.is_fenced && answer.epoch < publisher->epoch);
            return kind;
        }
        if (kind == ANSWER_STORED)
            break;
        if (attempts == 1)
            log_err(LOG_WARN, "the stream server did not store a batch; retrying", err);
        if (!publisher_pause(publisher, interval_ms))
            return ANSWER_RETRY;
        interval_ms = interval_ms * 2 < BACKOFF_MAX_MS ? interval_ms * 2 : BACKOFF_MAX_MS;
    }
    if (attempts > 1)
        log_event(LOG_INFO, "the stream server stores batches again",
                  LOG_STR("url", publisher->batch_url), LOG_U("attempts", attempts));
    /* The paths hold subjects, which are values of rows. */
    if (answer.skipped_count)
        log_event(LOG_WARN, "streams that are closed or deleted were left out of a batch",
                  LOG_U("streams", answer.skipped_count), LOG_LSN("lsn", after.lsn));
    return ANSWER_STORED;
}

static enum answer_kind send_batch(struct publisher *publisher, struct batch *batch,
                                   struct progress before, struct progress after, struct err *err)
{
    struct slice producer = slice_from_str(publisher->producer), body;
    struct parts *parts = parts_new(batch, before, after, PART_BYTES);
    enum answer_kind kind = ANSWER_STORED;
    struct progress stored = before, reached;
    while (kind == ANSWER_STORED &&
           parts_next(parts, producer, publisher->epoch, stored, &body, &reached)) {
        kind = send_request(publisher, body, stored, reached, err);
        if (kind != ANSWER_STORED)
            break;
        stored = reached;
        /* The last part is stored when the thread is done with the batch: then it is idle
         * as well. */
        if (progress_cmp(stored, after) < 0)
            publisher_set_stored(publisher, stored);
    }
    parts_free(parts);
    return kind;
}

/* Asks about the producer; with a POST unless body.data is NULL. */
static enum publisher_claim ask(struct publisher *publisher, struct slice body,
                                struct answer *answer, struct err *err)
{
    bool is_claim = body.data != NULL;
    struct question question = {
        .url = publisher->claim_url, .producer = publisher->producer, .is_claim = true};
    long status;
    struct slice text;
    bool answered =
        is_claim ? http_post(publisher->http, question.url, "application/json", body,
                             CLAIM_TIMEOUT_MS, &status, &text, err)
                 : http_get(publisher->http, question.url, CLAIM_TIMEOUT_MS, &status, &text, err);
    if (!answered)
        return PUBLISHER_UNREACHABLE;
    /* Any web server answers 404; only a stream server knows what a producer is. */
    if (!is_claim && status == 404 && slice_starts_with(text, SLICE("there is no such producer"))) {
        *answer = (struct answer){.epoch = 0}; /* never seen */
        publisher->source[0] = '\0';
        return PUBLISHER_CLAIMED;
    }
    switch (answer_read(&question, status, text, answer, err)) {
    case ANSWER_STORED:
        memcpy(publisher->source, answer->source, sizeof publisher->source);
        return PUBLISHER_CLAIMED;
    case ANSWER_RETRY:
        return PUBLISHER_UNREACHABLE;
    case ANSWER_FATAL:
        break;
    }
    return PUBLISHER_REFUSED;
}

static enum publisher_claim look(struct publisher *publisher, struct progress own,
                                 struct progress *progress, struct err *err)
{
    (void)own;
    struct answer answer;
    enum publisher_claim result = ask(publisher, SLICE_NONE, &answer, err);
    if (result != PUBLISHER_CLAIMED)
        return result;
    if (publisher->epoch && answer.epoch > publisher->epoch) {
        struct question question = {.url = publisher->claim_url, .producer = publisher->producer};
        answer_say_fenced(&question, answer.epoch, err);
        return PUBLISHER_REFUSED;
    }
    *progress = answer.progress;
    return PUBLISHER_CLAIMED;
}

static enum publisher_claim take_over(struct publisher *publisher, struct slice body,
                                      struct progress *progress, struct err *err)
{
    struct answer answer;
    if (fault_fails(FAULT_CLAIM_SEND)) {
        err_set_errno(err, errno, "%s", publisher->claim_url);
        return PUBLISHER_UNREACHABLE;
    }
    enum publisher_claim result = ask(publisher, body, &answer, err);
    if (result != PUBLISHER_CLAIMED)
        return result;
    pthread_mutex_lock(&publisher->lock);
    publisher->epoch = answer.epoch;
    pthread_mutex_unlock(&publisher->lock);
    *progress = answer.progress;
    return PUBLISHER_CLAIMED;
}

static enum publisher_claim claim(struct publisher *publisher, const struct publisher_start *start,
                                  struct progress *progress, struct err *err)
{
    (void)start;
    return take_over(publisher, SLICE(""), progress, err);
}

static enum publisher_claim set_source(struct publisher *publisher, const char *source,
                                       bool restarts, struct progress *progress, struct err *err)
{
    struct buffer body = BUFFER_INIT;
    buffer_printf(&body, "{\"source\":\"%s\",\"epoch\":%llu,\"restart\":%s}", source,
                  (unsigned long long)publisher->epoch, restarts ? "true" : "false");
    enum publisher_claim result = take_over(publisher, buffer_slice(&body), progress, err);
    buffer_release(&body);
    return result;
}

const struct dialect dialect_weir = {.kind = PUBLISHER_DIALECT_WEIR,
                                     .send = send_batch,
                                     .look = look,
                                     .claim = claim,
                                     .set_source = set_source};
