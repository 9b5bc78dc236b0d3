/* The standard dialect from inside: standard_dialect.c sends a batch, standard_lane.c serves one
 * stream of it, standard_marker.c knows whose streams they are. Inside src/publish only. */
#pragma once

#include "batch_internal.h"
#include "last_event.h"
#include "publisher_internal.h"
#include "standard_plan.h"

#include "weir/http/pool.h"

#define JSON_TYPE "application/json"

enum lane_step {
    LANE_IDLE,
    LANE_READ, /* what the stream ends in */
    LANE_APPEND,
    LANE_CREATE, /* there is no such stream */
    LANE_HEAD,   /* why was it refused? */
};

/* One stream being served. */
struct lane {
    struct http_exchange *exchange;
    enum lane_step step;
    bool is_under_way;
    bool has_failed;                     /* the append, without an answer that tells */
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

/* Serves the stream's appends, the first of them now. */
void lane_begin_stream(struct sending *sending, struct lane *lane, uint32_t stream);

/* What it waited with. */
void lane_resume(struct sending *sending, struct lane *lane);

/* Its exchange has ended. ANSWER_STORED: the lane goes on by itself. */
enum answer_kind lane_on_answer(struct sending *sending, struct lane *lane);

void ends_forget(struct ends *ends);

/* The marker is a stream that says whose the others are. */
enum publisher_claim marker_ask(struct publisher *publisher, bool *is_there, struct err *err);
enum publisher_claim marker_make(struct publisher *publisher, struct err *err);

/* ANSWER_STORED: it is there, so the server is the same as before. */
enum answer_kind marker_check(struct sending *sending);
