#include "standard_plan.h"

#include "batch_internal.h"

#include <stdlib.h>

static void *array(size_t count, size_t size)
{
    void *items = calloc(count + 1, size);
    check(items != NULL);
    return items;
}

static void find_payloads(struct plan *plan)
{
    const struct batch *batch = plan->batch;
    size_t at = GAP;
    for (uint32_t i = 0; i < batch->payload_count; i++) {
        plan->payloads[i] = slice_of(batch->body.data + at + 4, load_u32(batch->body.data + at));
        at += 4 + plan->payloads[i].len;
    }
}

void plan_init(struct plan *plan, struct batch *batch)
{
    uint32_t *last = array(batch->stream_count, sizeof *last);
    *plan = (struct plan){.batch = batch,
                          .appends = array(batch->append_count, sizeof *plan->appends),
                          .first = array(batch->stream_count, sizeof *plan->first),
                          .stream_count = batch->stream_count,
                          .payloads = array(batch->payload_count, sizeof *plan->payloads)};
    for (uint32_t i = 0; i < batch->stream_count; i++)
        plan->first[i] = last[i] = NO_APPEND;
    size_t at = 0, mark = 0;
    for (uint32_t i = 0; i < batch->append_count; i++) {
        const char *from = batch->appends.data + at;
        uint32_t stream = load_u32(from), count = load_u32(from + 4);
        while (mark < batch->mark_count && batch->marks[mark].append_end <= at)
            mark++;
        check(mark < batch->mark_count);
        plan->appends[i] = (struct plan_append){.progress = batch->marks[mark].progress,
                                                .count = count,
                                                .refs = from + 8,
                                                .next = NO_APPEND};
        *(last[stream] == NO_APPEND ? &plan->first[stream] : &plan->appends[last[stream]].next) = i;
        last[stream] = i;
        at += 8 + 4 * (size_t)count;
    }
    free(last);
    find_payloads(plan);
}

void plan_release(struct plan *plan)
{
    free(plan->appends);
    free(plan->first);
    free(plan->payloads);
}

struct slice plan_path(const struct plan *plan, uint32_t stream)
{
    const struct batch_stream *from = &plan->batch->streams[stream];
    return slice_of(plan->batch->paths.data + from->path_at, from->path_len);
}

struct slice plan_last_event(const struct plan *plan, const struct plan_append *append)
{
    return plan->payloads[load_u32(append->refs + 4 * ((size_t)append->count - 1))];
}
