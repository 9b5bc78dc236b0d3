/* A batch as appends in the order of each stream. Inside src/publish only. */
#pragma once

#include "weir/publish/batch.h"

enum { NO_APPEND = UINT32_MAX };

struct plan_append {
    struct progress progress; /* of its transaction */
    uint32_t count;
    const char *refs; /* payload 4 each */
    uint32_t next;    /* of the same stream, or NO_APPEND */
};

struct plan {
    struct batch *batch;
    struct plan_append *appends;
    uint32_t *first; /* of each stream, or NO_APPEND */
    uint32_t stream_count;
    struct slice *payloads;
};

/* The batch must not change meanwhile. */
void plan_init(struct plan *plan, struct batch *batch);
void plan_release(struct plan *plan);

struct slice plan_path(const struct plan *plan, uint32_t stream);
struct slice plan_last_event(const struct plan *plan, const struct plan_append *append);
