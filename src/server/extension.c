/* Weir's own requests below __weir: which is which, and batches. docs/protocol-extensions.md. */
#include "internal.h"
#include "overview.h"
#include "producer.h"
#include "report.h"

#include "weir/base/json.h"
#include "weir/base/lsn.h"

#include <inttypes.h>

static void add_progress(struct buffer *out, const struct store_progress *progress)
{
    char lsn[LSN_TEXT_SIZE];
    buffer_printf(out, "\"lsn\":\"%s\",\"step\":%" PRIu64, lsn_format(progress->lsn, lsn),
                  progress->step);
}

static void reply_built(struct request *request, unsigned status, struct buffer *json)
{
    reply_json(request, status, buffer_slice(json));
    buffer_release(json);
}

/* ---- Batches ---- */

static void add_skipped(struct buffer *out, const struct batch_answer *answer)
{
    buffer_add_str(out, ",\"skipped\":[");
    for (size_t i = 0; i < answer->skipped_count; i++) {
        buffer_add_str(out, i ? ",{\"path\":" : "{\"path\":");
        json_add_string(out, answer->skipped[i].path);
        buffer_add_str(out, ",\"reason\":");
        json_add_string(out, slice_from_str(answer->skipped[i].reason));
        buffer_add_char(out, '}');
    }
    buffer_add_char(out, ']');
}

static void reply_stored(struct request *request, const struct batch_answer *answer,
                         bool is_duplicate)
{
    struct buffer json = BUFFER_INIT;
    buffer_add_char(&json, '{');
    add_progress(&json, &answer->progress);
    add_skipped(&json, answer);
    buffer_add_str(&json, is_duplicate ? ",\"duplicate\":true}" : "}");
    reply_built(request, MHD_HTTP_OK, &json);
}

static void reply_batch_error(struct request *request, enum batch_result result,
                              const struct batch_answer *answer)
{
    struct buffer json = BUFFER_INIT;
    if (result != BATCH_GAP) {
        reply_fenced(request, answer->progress.epoch);
        return;
    }
    buffer_add_str(&json, "{\"error\":\"gap\",");
    add_progress(&json, &answer->progress);
    buffer_add_char(&json, '}');
    reply_built(request, MHD_HTTP_CONFLICT, &json);
}

static void append_batch(struct request *request)
{
    struct server *server = request->server;
    struct batch_answer answer;
    enum batch_result result = store_batch(server->store, buffer_slice(&request->body), &answer);
    switch (result) {
    case BATCH_OK:
        server->counters.batches++;
        server->counters.batch_events += answer.event_count;
        reply_stored(request, &answer, false);
        break;
    case BATCH_DUPLICATE:
        reply_stored(request, &answer, true);
        break;
    case BATCH_FENCED:
    case BATCH_UNKNOWN:
    case BATCH_GAP:
        reply_batch_error(request, result, &answer);
        break;
    case BATCH_MALFORMED:
        reply_text(request, MHD_HTTP_BAD_REQUEST, answer.malformed);
        break;
    case BATCH_NO_ROOM:
        reply_no_room(request);
        break;
    case BATCH_TOO_MANY:
        reply_too_many_streams(request);
        break;
    }
    buffer_release(&request->body);
    reply_after(request, store_staged(server->store));
}

static void route_batch(struct request *request)
{
    struct slice type = request_header(request, "Content-Type");
    if (request->method != METHOD_POST)
        reply_not_allowed(request, "POST, OPTIONS", "a batch is sent with POST");
    else if (!slice_eq_str(type, "application/vnd.weir.batch"))
        reply_text(request, MHD_HTTP_UNSUPPORTED_MEDIA_TYPE,
                   "a batch is application/vnd.weir.batch");
    else
        append_batch(request);
}

void route_extension(struct request *request, struct slice path)
{
    struct slice producers = SLICE("__weir/producers/"), reports = SLICE("__weir/reports/"),
                 questions = SLICE("__weir/questions/");
    if (slice_starts_with(path, reports))
        route_report(request, slice_after(path, reports));
    else if (slice_eq_str(path, "__weir/questions"))
        route_questions(request);
    else if (slice_starts_with(path, questions))
        route_question(request, slice_after(path, questions));
    else if (slice_eq_str(path, "__weir/overview"))
        route_overview(request);
    else if (slice_eq_str(path, "__weir/streams"))
        route_streams(request);
    else if (request->method == METHOD_POST && !request_may_write(request))
        return;
    else if (slice_eq_str(path, "__weir/batch"))
        route_batch(request);
    else if (slice_starts_with(path, producers))
        route_producer(request, slice_after(path, producers));
    else
        reply_text(request, MHD_HTTP_NOT_FOUND, "there is no such extension");
}
