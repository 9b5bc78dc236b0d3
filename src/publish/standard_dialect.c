/* The dialect of any Durable Streams server: one POST a stream and transaction.
 *
 * The server keeps no progress for us, so each append says by its Stream-Seq which transaction it
 * is of, and a server refuses one that it has. Always alike: what is sent again after a crash is
 * the same appends with the same sequences, so it does not matter which of them arrived, nor in
 * which order streams are served. Many streams are under way at once, each with one request.
 *
 * A server may also be killed between an append and the note of its Stream-Seq (that of npm can
 * be). So where an append may have been sent before, with an answer that never came, the end of its
 * stream is read first. docs/decisions/standard-dialect.md. */
#include "standard_internal.h"
#include "standard_trial.h"
#include "url.h"

#include "weir/base/clock.h"
#include "weir/base/log.h"

#include <stdio.h>
#include <stdlib.h>

enum { WAIT_MS = 250 };

struct standard *standard_new(const char *root, const char *producer,
                              const struct http_settings *settings, size_t connections)
{
    check(connections > 0);
    struct standard *standard = calloc(1, sizeof *standard);
    check(standard != NULL);
    standard->marker_url = url_make(root, "/weir/bridge/", producer);
    standard->pool = http_pool_new(settings);
    standard->lanes = calloc(connections, sizeof *standard->lanes);
    check(standard->lanes != NULL);
    standard->lane_count = connections;
    for (size_t i = 0; i < connections; i++)
        standard->lanes[i].exchange = http_exchange_new(standard->pool, &standard->lanes[i]);
    return standard;
}

void standard_free(struct standard *standard)
{
    if (!standard)
        return;
    for (size_t i = 0; i < standard->lane_count; i++) {
        struct lane *lane = &standard->lanes[i];
        http_exchange_free(lane->exchange);
        buffer_release(&lane->url);
        buffer_release(&lane->tail);
        buffer_release(&lane->offset);
        free(lane->pieces);
    }
    free(standard->lanes);
    http_pool_free(standard->pool);
    ends_forget(&standard->ends);
    free(standard->marker_url);
    free(standard);
}

/* What Weir's own tables say is for `weir serve`, and no stream that people might read. */
static bool is_wanted(const struct sending *sending, uint32_t stream)
{
    return sending->plan.first[stream] != NO_APPEND &&
           !slice_starts_with(plan_path(&sending->plan, stream), SLICE("__weir/"));
}

/* Lanes that wait are taken up again, idle ones get the next streams. */
static enum answer_kind fill_lanes(struct sending *sending)
{
    if (clock_monotonic_ms() < sending->resume_at_ms)
        return ANSWER_STORED;
    if (sending->standard->is_suspicious) {
        enum answer_kind kind = marker_check(sending);
        if (kind != ANSWER_STORED)
            return kind;
    }
    for (size_t i = 0; i < sending->standard->lane_count; i++) {
        struct lane *lane = &sending->standard->lanes[i];
        if (lane->is_under_way)
            continue;
        while (lane->step == LANE_IDLE && sending->next_stream < sending->plan.stream_count) {
            uint32_t stream = sending->next_stream++;
            if (is_wanted(sending, stream))
                lane_begin_stream(sending, lane, stream);
        }
        if (lane->step == LANE_IDLE || lane->is_under_way)
            continue;
        lane_resume(sending, lane);
    }
    return ANSWER_STORED;
}

static void cut_off(struct standard *standard)
{
    for (size_t i = 0; i < standard->lane_count; i++) {
        struct lane *lane = &standard->lanes[i];
        if (lane->is_under_way) {
            http_exchange_free(lane->exchange);
            lane->exchange = http_exchange_new(standard->pool, lane);
        }
        lane->is_under_way = false;
        lane->step = LANE_IDLE;
    }
}

static enum answer_kind send_plan(struct sending *sending)
{
    for (;;) {
        enum answer_kind kind = fill_lanes(sending);
        if (kind == ANSWER_FATAL)
            return kind;
        if (sending->busy == 0 && sending->next_stream == sending->plan.stream_count)
            return ANSWER_STORED;
        if (publisher_is_closing(sending->publisher))
            return ANSWER_RETRY;
        uint64_t now = clock_monotonic_ms(), wait_ms = WAIT_MS;
        if (sending->resume_at_ms > now && sending->resume_at_ms - now < wait_ms)
            wait_ms = sending->resume_at_ms - now;
        struct http_exchange *exchange = http_pool_wait(sending->standard->pool, wait_ms);
        if (exchange && lane_on_answer(sending, http_exchange_context(exchange)) == ANSWER_FATAL)
            return ANSWER_FATAL;
    }
}

/* What an earlier process may have sent has been sent again. */
static void end_replay(struct standard *standard, struct progress after)
{
    if (after.lsn > standard->replayed_to)
        ends_forget(&standard->ends);
}

static enum answer_kind send_batch(struct publisher *publisher, struct batch *batch,
                                   struct progress before, struct progress after, struct err *err)
{
    (void)before;
    struct sending sending = {.publisher = publisher,
                              .standard = publisher->standard,
                              .interval_ms = BACKOFF_FIRST_MS,
                              .err = err};
    plan_init(&sending.plan, batch);
    enum answer_kind kind = send_plan(&sending);
    cut_off(publisher->standard);
    plan_release(&sending.plan);
    if (kind != ANSWER_STORED)
        return kind;
    end_replay(publisher->standard, after);
    if (sending.failures)
        log_event(LOG_INFO, "the stream server stores appends again",
                  LOG_STR("url", publisher->root), LOG_U("failures", sending.failures));
    if (sending.skipped)
        log_event(LOG_WARN, "streams that are closed or deleted were left out",
                  LOG_U("appends", sending.skipped), LOG_LSN("lsn", after.lsn));
    return ANSWER_STORED;
}

static enum publisher_claim look(struct publisher *publisher, struct progress own,
                                 struct progress *progress, struct err *err)
{
    bool is_there;
    enum publisher_claim result = marker_ask(publisher, &is_there, err);
    if (result == PUBLISHER_CLAIMED)
        *progress = !is_there ? (struct progress){0, 0} : own.lsn ? own : (struct progress){1, 0};
    return result;
}

static enum publisher_claim claim(struct publisher *publisher, const struct publisher_start *start,
                                  struct progress *progress, struct err *err)
{
    struct standard *standard = publisher->standard;
    enum publisher_claim result = marker_make(publisher, err);
    if (result != PUBLISHER_CLAIMED)
        return result;
    pthread_mutex_lock(&publisher->lock);
    publisher->epoch = 1; /* nobody asks for it */
    pthread_mutex_unlock(&publisher->lock);
    standard->replayed_to = start->replayed_to;
    *progress = start->own;
    return PUBLISHER_CLAIMED;
}

/* There is nobody to tell. A progress that restarts means sequences of another history, which the
 * streams refuse unless they are greater; then the bridge stops. */
static enum publisher_claim set_source(struct publisher *publisher, const char *source,
                                       bool restarts, struct progress *progress, struct err *err)
{
    (void)err;
    snprintf(publisher->source, sizeof publisher->source, "%s", source);
    *progress = restarts ? (struct progress){0, 0} : publisher->stored;
    return PUBLISHER_CLAIMED;
}

static enum publisher_claim try_writing(struct publisher *publisher, struct err *err)
{
    return standard_try_writing(publisher->standard->pool, publisher->root, publisher->producer,
                                err);
}

const struct dialect dialect_standard = {.kind = PUBLISHER_DIALECT_STANDARD,
                                         .send = send_batch,
                                         .look = look,
                                         .claim = claim,
                                         .set_source = set_source,
                                         .try_writing = try_writing};
