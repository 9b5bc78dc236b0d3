/* One stream being served: its appends of a batch one after another, and what else is asked where
 * it is not known whether the server has one of them already. */
#include "standard_internal.h"

#include "weir/base/clock.h"
#include "weir/base/log.h"
#include "weir/base/lsn.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* What is read of a stream's end is this much, or 16 times as much, until its last event is
 * in it. */
enum { TAIL_FIRST = 256 * 1024, TAIL_GROWTH = 16 };

static const struct slice nothing = {"[]", 2};

void ends_forget(struct ends *ends)
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
        request.content_type = JSON_TYPE;
        snprintf(sequence, sizeof sequence, "Stream-Seq: %016" PRIX64 "-%016" PRIX64,
                 append->progress.lsn, append->progress.step);
        request.header = sequence;
        set_pieces(sending, lane, &request.piece_count);
        request.pieces = lane->pieces;
        break;
    case LANE_CREATE:
        request.method = "PUT";
        request.content_type = JSON_TYPE;
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

void lane_begin_stream(struct sending *sending, struct lane *lane, uint32_t stream)
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

void lane_resume(struct sending *sending, struct lane *lane)
{
    if (lane->step == LANE_APPEND && lane->has_failed)
        read_tail(sending, lane);
    else
        begin(sending, lane);
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
    static const char *const what[] = {[LANE_READ] = "reading",
                                       [LANE_APPEND] = "appending to",
                                       [LANE_CREATE] = "creating",
                                       [LANE_HEAD] = "asking about"};
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
        sending->interval_ms =
            sending->interval_ms * 2 < BACKOFF_MAX_MS ? sending->interval_ms * 2 : BACKOFF_MAX_MS;
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
    if (!type || strncasecmp(type, JSON_TYPE, strlen(JSON_TYPE)) != 0) {
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
    err_set(sending->err,
            "%s: a stream does not end in an event, so it cannot be told whether an "
            "append is in it",
            sending->publisher->root);
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
 * reference server when it has more files open than it keeps, and it may have written
 * the append. */
static enum answer_kind on_create(struct sending *sending, struct lane *lane, long status)
{
    if (status != 200 && status != 201)
        return refused(sending, lane, status);
    if (status == 200 && !lane->create_has_failed) {
        err_set(sending->err,
                "%s: the server answered 404 for a stream that it has, so it cannot be "
                "told whether it has the append",
                sending->publisher->root);
        err_hint(sending->err,
                 "if it is the reference server with files and more than 100 streams, "
                 "use --streams-connections 1 with new streams");
        return ANSWER_FATAL;
    }
    lane->was_created = true;
    go_to(sending, lane, LANE_APPEND);
    return ANSWER_STORED;
}

enum answer_kind lane_on_answer(struct sending *sending, struct lane *lane)
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
