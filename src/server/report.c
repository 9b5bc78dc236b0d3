#include "report.h"

#include "weir/base/clock.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

struct reports *reports_new(void)
{
    struct reports *reports = calloc(1, sizeof *reports);
    check(reports != NULL);
    return reports;
}

static void clear_report(struct bridge_report *report)
{
    free(report->producer);
    json_decref(report->report);
    *report = (struct bridge_report){.producer = NULL};
}

static void clear_question(struct question *question)
{
    free(question->text);
    json_decref(question->answer);
    *question = (struct question){.state = QUESTION_FREE};
}

void reports_free(struct reports *reports)
{
    for (size_t i = 0; i < REPORTS_MAX; i++)
        clear_report(&reports->reports[i]);
    for (size_t i = 0; i < QUESTIONS_MAX; i++)
        clear_question(&reports->questions[i]);
    free(reports);
}

/* ---- Readiness ---- */

static const char *complaint_of(const struct bridge_report *report, uint64_t lag_limit_ms,
                                uint64_t now_ms)
{
    static char text[400];
    const char *phase = json_string_value(json_object_get(report->report, "phase"));
    double lag_s = json_number_value(json_object_get(report->report, "lag_seconds"));
    if (now_ms - report->arrived_ms > REPORT_STALE_MS)
        snprintf(text, sizeof text, "the bridge %s has not been heard of for %" PRIu64 " s",
                 report->producer, (now_ms - report->arrived_ms) / 1000);
    else if (!phase || strcmp(phase, "following") != 0)
        snprintf(text, sizeof text, "the bridge %s is %s", report->producer,
                 phase ? phase : "not following");
    else if (lag_s * 1000 > (double)lag_limit_ms)
        snprintf(text, sizeof text, "the bridge %s is %.0f s behind", report->producer, lag_s);
    else
        return NULL;
    return text;
}

const char *reports_complaint(const struct reports *reports, uint64_t lag_limit_ms, uint64_t now_ms)
{
    for (size_t i = 0; i < REPORTS_MAX; i++) {
        const struct bridge_report *report = &reports->reports[i];
        const char *complaint =
            report->producer ? complaint_of(report, lag_limit_ms, now_ms) : NULL;
        if (complaint)
            return complaint;
    }
    return NULL;
}

void reports_write(const struct reports *reports, uint64_t now_ms, struct buffer *out)
{
    json_t *list = json_array();
    for (size_t i = 0; i < REPORTS_MAX; i++) {
        const struct bridge_report *report = &reports->reports[i];
        if (report->producer)
            json_array_append_new(list,
                                  json_pack("{s:s,s:I,s:O}", "producer", report->producer, "age_ms",
                                            (json_int_t)(now_ms - report->arrived_ms), "report",
                                            report->report));
    }
    char *text = json_dumps(list, JSON_COMPACT);
    check(text != NULL);
    buffer_add_str(out, text);
    free(text);
    json_decref(list);
}

/* ---- Taking a report ---- */

static bool is_stopped(const struct bridge_report *report)
{
    const char *phase = json_string_value(json_object_get(report->report, "phase"));
    return phase && strcmp(phase, "stopped") == 0;
}

/* The place of the producer's report: its own, a free one, or the one not heard of for longest. */
static struct bridge_report *place_for(struct reports *reports, struct slice producer)
{
    struct bridge_report *place = &reports->reports[0];
    for (size_t i = 0; i < REPORTS_MAX; i++) {
        struct bridge_report *report = &reports->reports[i];
        if (report->producer && slice_eq_str(producer, report->producer))
            return report;
        if (place->producer && (!report->producer || report->arrived_ms < place->arrived_ms))
            place = report;
    }
    return place;
}

static void take_answer(struct reports *reports, json_t *answer)
{
    json_int_t id = json_integer_value(json_object_get(answer, "id"));
    for (size_t i = 0; i < QUESTIONS_MAX; i++) {
        struct question *question = &reports->questions[i];
        if (question->state != QUESTION_ASKED || question->id != (uint64_t)id)
            continue;
        question->state = QUESTION_ANSWERED;
        question->answer = json_incref(answer);
    }
}

static void take_answers(struct reports *reports, json_t *report)
{
    size_t index;
    json_t *answer;
    json_array_foreach(json_object_get(report, "answers"), index, answer)
        take_answer(reports, answer);
    json_object_del(report, "answers");
}

static void hand_out_questions(struct reports *reports, struct buffer *out)
{
    buffer_add_str(out, "{\"questions\":[");
    bool is_first = true;
    for (size_t i = 0; i < QUESTIONS_MAX; i++) {
        struct question *question = &reports->questions[i];
        if (question->state != QUESTION_WAITING)
            continue;
        if (!is_first)
            buffer_add_char(out, ',');
        buffer_add_str(out, question->text);
        question->state = QUESTION_ASKED;
        is_first = false;
    }
    buffer_add_str(out, "]}");
}

static void store_report(struct request *request, struct slice producer, json_t *report)
{
    struct reports *reports = request->server->reports;
    struct bridge_report *place = place_for(reports, producer);
    clear_report(place);
    *place = (struct bridge_report){.producer = strndup(producer.data, producer.len),
                                    .report = json_incref(report),
                                    .arrived_ms = clock_monotonic_ms()};
    check(place->producer != NULL);
    take_answers(reports, report);
    struct buffer out = BUFFER_INIT;
    if (is_stopped(place))
        clear_report(place);
    else
        hand_out_questions(reports, &out);
    reply_json(request, MHD_HTTP_OK, out.len ? buffer_slice(&out) : SLICE("{}"));
    buffer_release(&out);
}

void route_report(struct request *request, struct slice producer)
{
    enum { NAME_MAX_BYTES = 200 };
    struct slice body = buffer_slice(&request->body);
    if (request->method != METHOD_POST) {
        reply_not_allowed(request, "POST, OPTIONS", "a report is sent with POST");
        return;
    }
    if (body.len > REPORT_BYTES_MAX || producer.len > NAME_MAX_BYTES) {
        reply_text(request, MHD_HTTP_CONTENT_TOO_LARGE, "a report has at most 256 KiB");
        return;
    }
    json_t *report = json_loadb(body.data ? body.data : "", body.len, JSON_REJECT_DUPLICATES, NULL);
    if (json_is_object(report))
        store_report(request, producer, report);
    else
        reply_text(request, MHD_HTTP_BAD_REQUEST, "a report is a JSON object");
    json_decref(report);
}

/* ---- Questions ---- */

/* A free place, or the oldest question's, that nobody has come back for. */
static struct question *place_for_question(struct reports *reports)
{
    struct question *place = &reports->questions[0];
    for (size_t i = 0; i < QUESTIONS_MAX; i++) {
        struct question *question = &reports->questions[i];
        if (question->state == QUESTION_FREE)
            return question;
        if (question->id < place->id)
            place = question;
    }
    clear_question(place);
    return place;
}

static void ask(struct request *request, const char *subject, const char *relation, const char *key)
{
    struct reports *reports = request->server->reports;
    struct question *question = place_for_question(reports);
    question->id = ++reports->next_question;
    question->state = QUESTION_WAITING;
    json_t *text = json_pack("{s:I,s:s,s:s,s:s}", "id", (json_int_t)question->id, "subject",
                             subject, "relation", relation, "key", key);
    question->text = json_dumps(text, JSON_COMPACT);
    check(question->text != NULL);
    json_decref(text);
    char answer[48];
    snprintf(answer, sizeof answer, "{\"id\":%" PRIu64 "}", question->id);
    reply_json(request, MHD_HTTP_ACCEPTED, slice_from_str(answer));
}

void route_questions(struct request *request)
{
    const char *subject, *relation, *key;
    struct slice body = buffer_slice(&request->body);
    if (request->method != METHOD_POST) {
        reply_not_allowed(request, "POST, OPTIONS", "a question is asked with POST");
        return;
    }
    json_t *json = json_loadb(body.data ? body.data : "", body.len, 0, NULL);
    if (json_unpack(json, "{s:s,s:s,s:s}", "subject", &subject, "relation", &relation, "key",
                    &key) == 0)
        ask(request, subject, relation, key);
    else
        reply_text(request, MHD_HTTP_BAD_REQUEST,
                   "a question is a JSON object with subject, relation and key");
    json_decref(json);
}

static void reply_answer(struct request *request, struct question *question)
{
    char *text = json_dumps(question->answer, JSON_COMPACT);
    check(text != NULL);
    reply_json(request, MHD_HTTP_OK, slice_from_str(text));
    free(text);
    clear_question(question);
}

void route_question(struct request *request, struct slice id)
{
    struct reports *reports = request->server->reports;
    uint64_t number = 0;
    bool is_number = parse_whole_number(id, &number);
    for (size_t i = 0; is_number && i < QUESTIONS_MAX; i++) {
        struct question *question = &reports->questions[i];
        if (question->state == QUESTION_FREE || question->id != number)
            continue;
        if (question->state == QUESTION_ANSWERED)
            reply_answer(request, question);
        else
            reply_json(request, MHD_HTTP_ACCEPTED, SLICE("{}"));
        return;
    }
    reply_text(request, MHD_HTTP_NOT_FOUND, "there is no such question, or it was answered");
}
