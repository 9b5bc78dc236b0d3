/* What bridges report about themselves, and questions for them. docs/protocol-extensions.md,
 * "Reports". Kept in memory only: a report is worth something while it is new. Loop thread. */
#pragma once

#include "internal.h"

struct json_t; /* jansson's */

enum {
    REPORTS_MAX = 16,
    REPORT_BYTES_MAX = 256 * 1024,
    QUESTIONS_MAX = 32,
    REPORT_STALE_MS = 10000, /* a bridge reports every second */
};

struct bridge_report {
    char *producer;        /* NULL: free */
    struct json_t *report; /* an object */
    uint64_t arrived_ms;   /* monotonic */
};

enum question_state { QUESTION_FREE, QUESTION_WAITING, QUESTION_ASKED, QUESTION_ANSWERED };

struct question {
    enum question_state state;
    uint64_t id;
    char *text;            /* JSON object */
    struct json_t *answer; /* QUESTION_ANSWERED */
};

struct reports {
    struct bridge_report reports[REPORTS_MAX];
    struct question questions[QUESTIONS_MAX];
    uint64_t next_question;
};

struct reports *reports_new(void);
void reports_free(struct reports *reports);

/* Why the streams are not up to date, for /readyz; NULL: they are, or nobody reports. The text
 * stays until the next call. */
const char *reports_complaint(const struct reports *reports, uint64_t lag_limit_ms,
                              uint64_t now_ms);

/* Appends a JSON array of {"producer":…,"age_ms":…,"report":{…}}. */
void reports_write(const struct reports *reports, uint64_t now_ms, struct buffer *out);

/* POST __weir/reports/{producer}; and __weir/questions. */
void route_report(struct request *request, struct slice producer);
void route_questions(struct request *request);
void route_question(struct request *request, struct slice id);
