/* The dialect of any Durable Streams server: one POST a stream and transaction.
 *
 * The server keeps no progress for us, so each append says by its Stream-Seq which transaction it is
 * of, and a server refuses one that it has. Always alike: what is sent again after a crash is the
 * same appends with the same sequences, so it does not matter which of them arrived, nor in which
 * order streams are served. Many streams are under way at once, each with one request.
 *
 * A server may also be killed between an append and the note of its Stream-Seq (that of npm can be).
 * So where an append may have been sent before, with an answer that never came, the end of its stream
 * is read first. docs/decisions/standard-dialect.md. */
#include "batch_internal.h"
#include "last_event.h"
#include "publisher_internal.h"
#include "standard_plan.h"
#include "standard_trial.h"
#include "url.h"

#include "weir/base/clock.h"
#include "weir/base/log.h"
#include "weir/base/lsn.h"
#include "weir/http/pool.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* What is read of a stream's end is this much, or 16 times as much, until its last event is in it. */
enum { WAIT_MS = 250, TAIL_FIRST = 256 * 1024, TAIL_GROWTH = 16 };

static const char json_type[] = "application/json";
static const struct slice nothing = {"[]", 2};

enum lane_step {
    LANE_IDLE,
    LANE_READ,   /* what the stream ends in */
    LANE_APPEND,
    LANE_CREATE, /* there is no such stream */
    LANE_HEAD,   /* why was it refused? */
};

/* One stream being served. */
struct lane {
    struct http_exchange *exchange;
    enum lane_step step;
    bool is_under_way;
    bool has_failed;  /* the append, without an answer that tells */
    bool was_created, create_has_failed; /* for this append */
    uint32_t stream, append;
    struct buffer url;
    size_t url_len; /* without a query */
    struct slice *pieces;
    size_t piece_capacity;
    struct buffer tail, offset;
    size_t tail_max;
};

/* What streams ended in when this process first asked, for what an earlier one may have sent. */
struct ends {
    struct batch *streams; /* as a set of paths */
    struct stream_end {
        bool is_known;
        struct hash128 identity; /* all 0: nothing is in it */
    } *ends;
    size_t capacity;
};

struct standard {
    char *marker_url;
    struct http_pool *pool;
    struct lane *lanes;
    size_t lane_count;
    uint64_t replayed_to;
    struct ends ends;
    bool is_suspicious; /* it was not there, or was connected to anew: is it the same as before? */
};

/* One batch on its way. */
struct sending {
    struct publisher *publisher;
    struct standard *standard;
    struct plan plan;
    uint32_t next_stream;
    size_t busy; /* lanes */
    uint64_t interval_ms, resume_at_ms, failures;
    size_t skipped;
    struct err *err;
};

static void forget_ends(struct ends *ends)
{
    batch_free(ends->streams);
    free(ends->ends);
    *ends = (struct ends){.streams = NULL};
}

static struct stream_end *end_of(struct ends *ends, struct slice path)
{
    if (!ends->streams)
        ends->streams = batch_new();
    uint32_t count = ends->streams->stream_count;
    uint32_t index = batch_add_stream(ends->streams, path);
    if (index >= ends->capacity) {
        ends->capacity = ends->capacity ? ends->capacity * 2 : 256;
        ends->ends = realloc(ends->ends, ends->capacity * sizeof *ends->ends);
        check(ends->ends != NULL);
    }
    if (index == count)
        ends->ends[index] = (struct stream_end){.is_known = false};
    return &ends->ends[index];
}

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
    forget_ends(&standard->ends);
    free(standard->marker_url);
    free(standard);
}

/* ---- Requests ---- */

static const struct plan_append *append_of(const struct sending *sending, const struct lane *lane)
{
    return &sending->plan.appends[lane->append];
}

static bool is_replayed(const struct sending *sending, const struct lane *lane)
{
    return append_of(sending, lane)->progress.lsn <= sending->standard->replayed_to;
}

static struct stream_end *own_end(const struct sending *sending, const struct lane *lane)
{
    return end_of(&sending->standard->ends, plan_path(&sending->plan, lane->stream));
}

static void set_pieces(const struct sending *sending, struct lane *lane, size_t *count)
{
    const struct plan_append *append = append_of(sending, lane);
    *count = 2 * (size_t)append->count + 1;
    if (*count > lane->piece_capacity) {
        lane->piece_capacity = *count * 2;
        lane->pieces = realloc(lane->pieces, lane->piece_capacity * sizeof *lane->pieces);
        check(lane->pieces != NULL);
    }
    for (size_t i = 0; i < append->count; i++) {
        lane->pieces[2 * i] = i ? SLICE(",") : SLICE("[");
        lane->pieces[2 * i + 1] = sending->plan.payloads[load_u32(append->refs + 4 * i)];
    }
    lane->pieces[*count - 1] = SLICE("]");
}

static void begin(struct sending *sending, struct lane *lane)
{
    struct http_request request = {.timeout_ms = REQUEST_TIMEOUT_MS};
    char sequence[64];
    const struct plan_append *append = append_of(sending, lane);
    lane->url.len = lane->url_len;
    switch (lane->step) {
    case LANE_READ:
        request.method = "GET";
        request.answer_max = lane->tail_max;
        buffer_printf(&lane->url, "?offset=%s", buffer_str(&lane->offset));
        break;
    case LANE_APPEND:
        request.method = "POST";
        request.content_type = json_type;
        snprintf(sequence, sizeof sequence, "Stream-Seq: %016" PRIX64 "-%016" PRIX64,
                 append->progress.lsn, append->progress.step);
        request.header = sequence;
        set_pieces(sending, lane, &request.piece_count);
        request.pieces = lane->pieces;
        break;
    case LANE_CREATE:
        request.method = "PUT";
        request.content_type = json_type;
        request.pieces = &nothing; /* a body, however short, keeps libcurl from sending it twice */
        request.piece_count = 1;
        break;
    case LANE_HEAD:
        request.method = "HEAD";
        break;
    case LANE_IDLE:
        check(false);
    }
    request.url = buffer_str(&lane->url);
    http_exchange_begin(lane->exchange, &request);
    lane->is_under_way = true;
}

static void go_to(struct sending *sending, struct lane *lane, enum lane_step step)
{
    lane->step = step;
    begin(sending, lane);
}

static void read_tail(struct sending *sending, struct lane *lane)
{
    buffer_clear(&lane->tail);
    buffer_clear(&lane->offset);
    buffer_add_str(&lane->offset, "-1");
    if (!lane->tail_max)
        lane->tail_max = TAIL_FIRST;
    go_to(sending, lane, LANE_READ);
}

static void end_append(struct sending *sending, struct lane *lane);

/* By what its stream ended in: behind that, an append of this process is behind it as well. */
static void decide(struct sending *sending, struct lane *lane, const struct stream_end *end)
{
    struct hash128 own;
    struct slice event = plan_last_event(&sending->plan, append_of(sending, lane));
    check(event_identity(event, &own));
    if (own.low == end->identity.low && own.high == end->identity.high)
        end_append(sending, lane);
    else
        go_to(sending, lane, LANE_APPEND);
}

static void begin_append(struct sending *sending, struct lane *lane, uint32_t append)
{
    lane->append = append;
    lane->has_failed = lane->was_created = lane->create_has_failed = false;
    if (!is_replayed(sending, lane))
        go_to(sending, lane, LANE_APPEND);
    else if (own_end(sending, lane)->is_known)
        decide(sending, lane, own_end(sending, lane));
    else
        read_tail(sending, lane);
}

static void begin_stream(struct sending *sending, struct lane *lane, uint32_t stream)
{
    lane->stream = stream;
    buffer_clear(&lane->url);
    buffer_add_str(&lane->url, sending->publisher->root);
    buffer_add_char(&lane->url, '/');
    buffer_add_slice(&lane->url, plan_path(&sending->plan, stream));
    lane->url_len = lane->url.len;
    sending->busy++;
    begin_append(sending, lane, sending->plan.first[stream]);
}

static void end_append(struct sending *sending, struct lane *lane)
{
    uint32_t next = append_of(sending, lane)->next;
    if (next != NO_APPEND) {
        begin_append(sending, lane, next);
        return;
    }
    lane->step = LANE_IDLE;
    sending->busy--;
}

/* ---- Answers ---- */

/* Streams are not named: their paths hold subjects, which are values of rows. */
static enum answer_kind refused(struct sending *sending, const struct lane *lane, long status)
{
    char text[LSN_TEXT_SIZE];
    struct err *err = sending->err;
    static const char *const what[] = {[LANE_READ] = "reading", [LANE_APPEND] = "appending to",
                                       [LANE_CREATE] = "creating", [LANE_HEAD] = "asking about"};
    err_set(err, "%s: %s a stream, for the transaction at %s: the server answered %ld",
            sending->publisher->root, what[lane->step],
            lsn_format(append_of(sending, lane)->progress.lsn, text), status);
    if (status == 401 || status == 403)
        err_hint(err, "give the bridge a token that may write, as --streams-token-file");
    else if (status == 413)
        err_hint(err, "raise the server's limit for request bodies, or lower --max-event");
    else if (status == 409 && lane->step == LANE_APPEND)
        err_hint(err, "another writer appends to this stream, or it was made with another "
                      "Content-Type: give the bridge streams of its own");
    else if (status == 409)
        err_hint(err, "the stream exists and is not as the bridge makes it (application/json): "
                      "delete it, or give the bridge streams of its own");
    return ANSWER_FATAL;
}

static enum answer_kind skip(struct sending *sending, struct lane *lane)
{
    sending->skipped++;
    end_append(sending, lane);
    return ANSWER_STORED;
}

static enum answer_kind retry(struct sending *sending, struct lane *lane, long status)
{
    if (status)
        err_set(sending->err, "%s answered %ld", sending->publisher->root, status);
    else
        err_prefix(sending->err, "%s", sending->publisher->root);
    if (sending->failures++ == 0)
        log_err(LOG_WARN, "the stream server did not store an append; retrying", sending->err);
    lane->has_failed |= lane->step == LANE_APPEND;
    lane->create_has_failed |= lane->step == LANE_CREATE;
    uint64_t now = clock_monotonic_ms();
    if (now >= sending->resume_at_ms) {
        sending->resume_at_ms = now + with_jitter(sending->interval_ms);
        sending->interval_ms = sending->interval_ms * 2 < BACKOFF_MAX_MS ? sending->interval_ms * 2
                                                                         : BACKOFF_MAX_MS;
    }
    return ANSWER_RETRY;
}

/* Not where all streams may have been lost: then the marker is asked for first. */
static void create(struct sending *sending, struct lane *lane)
{
    lane->step = LANE_CREATE;
    if (!sending->standard->is_suspicious)
        begin(sending, lane);
}

static enum answer_kind on_append(struct sending *sending, struct lane *lane, long status)
{
    switch (status) {
    case 200:
    case 201:
    case 204:
        sending->interval_ms = BACKOFF_FIRST_MS;
        end_append(sending, lane);
        return ANSWER_STORED;
    case 404:
        if (lane->was_created)
            return retry(sending, lane, status); /* it does not know yet what it has made */
        create(sending, lane);
        return ANSWER_STORED;
    case 409:
        if (http_exchange_header(lane->exchange, "Stream-Closed"))
            return skip(sending, lane);
        if (!lane->has_failed && !is_replayed(sending, lane))
            return refused(sending, lane, status);
        go_to(sending, lane, LANE_HEAD);
        return ANSWER_STORED;
    case 410:
        return skip(sending, lane);
    default:
        return refused(sending, lane, status);
    }
}

/* Two other reasons for a 409 show in the stream itself; what remains is that it has the append. */
static enum answer_kind on_head(struct sending *sending, struct lane *lane, long status)
{
    if (status != 200)
        return refused(sending, lane, status);
    if (http_exchange_header(lane->exchange, "Stream-Closed"))
        return skip(sending, lane);
    const char *type = http_exchange_header(lane->exchange, "Content-Type");
    if (!type || strncasecmp(type, json_type, sizeof json_type - 1) != 0) {
        lane->step = LANE_APPEND;
        return refused(sending, lane, 409);
    }
    end_append(sending, lane);
    return ANSWER_STORED;
}

static enum answer_kind on_tail(struct sending *sending, struct lane *lane)
{
    struct stream_end end = {.is_known = true};
    switch (lane->tail.len ? last_event_of(buffer_slice(&lane->tail), &end.identity)
                           : LAST_EVENT_NONE) {
    case LAST_EVENT_NONE:
    case LAST_EVENT_FOUND:
        lane->tail_max = 0;
        if (is_replayed(sending, lane))
            *own_end(sending, lane) = end;
        decide(sending, lane, &end);
        return ANSWER_STORED;
    case LAST_EVENT_UNKNOWN:
        break;
    }
    if (lane->tail.len == lane->tail_max) {
        lane->tail_max *= TAIL_GROWTH;
        read_tail(sending, lane);
        return ANSWER_STORED;
    }
    err_set(sending->err, "%s: a stream does not end in an event, so it cannot be told whether an "
                          "append is in it", sending->publisher->root);
    err_hint(sending->err, "give the bridge streams of its own");
    return ANSWER_FATAL;
}

static enum answer_kind on_read(struct sending *sending, struct lane *lane, long status)
{
    if (status == 404) {
        if (is_replayed(sending, lane))
            *own_end(sending, lane) = (struct stream_end){.is_known = true};
        create(sending, lane);
        return ANSWER_STORED;
    }
    if (status == 410)
        return skip(sending, lane);
    if (status != 200)
        return refused(sending, lane, status);
    struct slice page = http_exchange_answer(lane->exchange);
    if (page.len > 2) { /* an empty one has nothing to say about what is last */
        buffer_clear(&lane->tail);
        buffer_add_slice(&lane->tail, page);
    }
    const char *next = http_exchange_header(lane->exchange, "Stream-Next-Offset");
    if (http_exchange_header(lane->exchange, "Stream-Up-To-Date") || !next ||
        strcmp(next, buffer_str(&lane->offset)) == 0)
        return on_tail(sending, lane);
    buffer_clear(&lane->offset);
    buffer_add_str(&lane->offset, next);
    go_to(sending, lane, LANE_READ);
    return ANSWER_STORED;
}

/* A stream that the server has, and did not know of when it was appended to: that happens to the
 * reference server when it has more files open than it keeps, and it may have written the append. */
static enum answer_kind on_create(struct sending *sending, struct lane *lane, long status)
{
    if (status != 200 && status != 201)
        return refused(sending, lane, status);
    if (status == 200 && !lane->create_has_failed) {
        err_set(sending->err, "%s: the server answered 404 for a stream that it has, so it cannot be "
                              "told whether it has the append", sending->publisher->root);
        err_hint(sending->err, "if it is the reference server with files and more than 100 streams, "
                               "use --streams-connections 1 with new streams");
        return ANSWER_FATAL;
    }
    lane->was_created = true;
    go_to(sending, lane, LANE_APPEND);
    return ANSWER_STORED;
}

/* ANSWER_STORED: the lane goes on by itself. */
static enum answer_kind on_answer(struct sending *sending, struct lane *lane)
{
    lane->is_under_way = false;
    long status = http_exchange_status(lane->exchange, sending->err);
    sending->standard->is_suspicious |= status == 0 || http_exchange_is_new(lane->exchange);
    if (status == 0 || status == 408 || status == 429 || status >= 500)
        return retry(sending, lane, status);
    switch (lane->step) {
    case LANE_READ:
        return on_read(sending, lane, status);
    case LANE_APPEND:
        return on_append(sending, lane, status);
    case LANE_CREATE:
        return on_create(sending, lane, status);
    case LANE_HEAD:
        return on_head(sending, lane, status);
    case LANE_IDLE:
        break;
    }
    check(false);
}

/* ---- The marker: a stream that says whose the others are ---- */

static enum publisher_claim ask_marker(struct publisher *publisher, bool *is_there,
                                       struct err *err)
{
    long status;
    struct slice text;
    const char *url = publisher->standard->marker_url;
    if (!http_get(publisher->http, url, CLAIM_TIMEOUT_MS, &status, &text, err))
        return PUBLISHER_UNREACHABLE;
    *is_there = status == 200;
    if (status == 200 || status == 404)
        return PUBLISHER_CLAIMED;
    err_set(err, "%s answered %ld", url, status);
    if (status == 408 || status == 429 || status >= 500)
        return PUBLISHER_UNREACHABLE;
    if (status == 401 || status == 403)
        err_hint(err, "give the bridge a token that may read and write, as --streams-token-file");
    return PUBLISHER_REFUSED;
}

static enum publisher_claim make_marker(struct publisher *publisher, struct err *err)
{
    struct standard *standard = publisher->standard;
    struct http_exchange *exchange = standard->lanes[0].exchange;
    http_exchange_begin(exchange, &(struct http_request){.method = "PUT",
                                                         .url = standard->marker_url,
                                                         .content_type = json_type,
                                                         .timeout_ms = CLAIM_TIMEOUT_MS});
    check(http_pool_wait(standard->pool, 2 * CLAIM_TIMEOUT_MS) == exchange);
    long status = http_exchange_status(exchange, err);
    if (status == 200 || status == 201)
        return PUBLISHER_CLAIMED;
    if (status)
        err_set(err, "%s answered %ld", standard->marker_url, status);
    else
        err_prefix(err, "%s", standard->marker_url);
    return status == 0 || status == 408 || status == 429 || status >= 500 ? PUBLISHER_UNREACHABLE
                                                                         : PUBLISHER_REFUSED;
}

/* ---- A batch ---- */

/* One that has forgotten its streams must not be given the rest of them. */
static enum answer_kind check_marker(struct sending *sending)
{
    bool is_there = false;
    enum publisher_claim result = ask_marker(sending->publisher, &is_there, sending->err);
    if (result == PUBLISHER_UNREACHABLE) {
        sending->resume_at_ms = clock_monotonic_ms() + with_jitter(sending->interval_ms);
        return ANSWER_RETRY;
    }
    sending->standard->is_suspicious = false;
    if (result == PUBLISHER_CLAIMED && is_there)
        return ANSWER_STORED;
    if (result == PUBLISHER_CLAIMED) {
        err_set(sending->err, "%s: the stream server has lost its streams",
                sending->publisher->root);
        err_hint(sending->err, "give it its data back, or start the bridge with an empty --state "
                               "and another --slot, which sends everything again");
    }
    return ANSWER_FATAL;
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
        enum answer_kind kind = check_marker(sending);
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
                begin_stream(sending, lane, stream);
        }
        if (lane->step == LANE_IDLE || lane->is_under_way)
            continue;
        if (lane->step == LANE_APPEND && lane->has_failed)
            read_tail(sending, lane);
        else
            begin(sending, lane);
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
        if (exchange && on_answer(sending, http_exchange_context(exchange)) == ANSWER_FATAL)
            return ANSWER_FATAL;
    }
}

/* What an earlier process may have sent has been sent again. */
static void end_replay(struct standard *standard, struct progress after)
{
    if (after.lsn > standard->replayed_to)
        forget_ends(&standard->ends);
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
    enum publisher_claim result = ask_marker(publisher, &is_there, err);
    if (result == PUBLISHER_CLAIMED)
        *progress = !is_there ? (struct progress){0, 0} : own.lsn ? own : (struct progress){1, 0};
    return result;
}

static enum publisher_claim claim(struct publisher *publisher, const struct publisher_start *start,
                                  struct progress *progress, struct err *err)
{
    struct standard *standard = publisher->standard;
    enum publisher_claim result = make_marker(publisher, err);
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
