/* Cutting a checkpoint: copying what has changed out of memory, and letting go afterwards.
 *
 * Copying a hundred thousand streams takes longer than an append may wait, so it goes on over many
 * turns. What is copied is the state at the cut all the same, as a stream that is about to change
 * is copied first. */
#include "internal.h"

#include "weir/base/clock.h"
#include "weir/base/fault.h"

#include <stdlib.h>
#include <sys/eventfd.h>

enum { FETCHED_AHEAD = 8 };

static void copy_stream(struct checkpoint_job *job, struct checkpoint_stream *added)
{
    struct stream *stream = added->stream;
    stream->cut_place = 0;
    added->is_copied = true;
    added->record_at = job->records.len;
    stream_encode(stream, &job->records);
    added->record_len = job->records.len - added->record_at;
    added->has_stored = stream->stored_tail > stream->fork.position;
    added->first_entry = job->entry_count;
    size_t first = stream_find_entry(stream, stream->stored_tail);
    added->entry_count = stream->first + stream->count - first;
    size_t needed = job->entry_count + added->entry_count;
    if (needed > job->entry_capacity) {
        job->entry_capacity = needed * 2;
        job->entries = realloc(job->entries, job->entry_capacity * sizeof *job->entries);
        check(job->entries != NULL);
    }
    if (added->entry_count)
        memcpy(job->entries + job->entry_count, stream->entries + first,
               added->entry_count * sizeof *job->entries);
    job->entry_count = needed;
    stream->stored_tail = stream->tail;
}

void store_copy_first(struct store *store, const struct stream *stream)
{
    if (stream->cut_place)
        copy_stream(store->job, &store->job->streams[stream->cut_place - 1]);
}

static bool copy_some(struct checkpoint_job *job, size_t limit)
{
    for (; job->looked_at < job->stream_count && limit; job->looked_at++, limit--) {
        struct checkpoint_stream *added = &job->streams[job->looked_at];
        if (job->looked_at + FETCHED_AHEAD < job->stream_count)
            __builtin_prefetch(added[FETCHED_AHEAD].stream);
        if (!added->is_copied)
            copy_stream(job, added);
    }
    return job->looked_at == job->stream_count;
}

bool store_copy_cut(struct store *store, bool all)
{
    bool is_whole = copy_some(store->job, all ? SIZE_MAX : store->settings.checkpoint_slice);
    if (!is_whole)
        check(eventfd_write(store->event_fd, 1) == 0); /* the next turn is at once */
    return is_whole;
}

static void add_stream(struct checkpoint_job *job, struct stream *stream)
{
    struct checkpoint_stream *added = &job->streams[job->stream_count++];
    bool is_gone = stream->is_gone;
    *added = (struct checkpoint_stream){.stream = stream, .id = stream->id, .is_copied = is_gone};
    stream->is_dirty = false;
    stream->cut_place = is_gone ? 0 : job->stream_count;
}

static void add_dirty(struct checkpoint_job *job, const struct store *store, bool is_gone)
{
    for (size_t i = 0; i < store->dirty_count; i++) {
        if (i + FETCHED_AHEAD < store->dirty_count)
            __builtin_prefetch(&store->dirty[i + FETCHED_AHEAD]->cut_place);
        if (store->dirty[i]->is_gone == is_gone)
            add_stream(job, store->dirty[i]);
    }
}

/* Deleted ones first, as their paths may have been taken over. */
static void add_streams(struct checkpoint_job *job, struct store *store)
{
    job->streams = calloc(store->dirty_count + 1, sizeof *job->streams);
    check(job->streams != NULL);
    add_dirty(job, store, true);
    add_dirty(job, store, false);
    store->dirty_count = 0;
}

static void add_producers(struct checkpoint_job *job, const struct store *store)
{
    job->producer_count = store->producer_count;
    job->producers = calloc(store->producer_count + 1, sizeof *job->producers);
    check(job->producers != NULL);
    if (store->producer_count)
        memcpy(job->producers, store->producers, store->producer_count * sizeof *job->producers);
}

void store_cut(struct store *store)
{
    check(!store->job && frame_is_empty(store->open));
    struct checkpoint_job *job = calloc(1, sizeof *job);
    check(job != NULL);
    fault_step(FAULT_CHECKPOINT_CUT);
    job->sequence = store->open->sequence - 1;
    job->last_id = store->last_id;
    add_streams(job, store);
    add_producers(job, store);
    store_cut_settings(store, job);
    store->job = job;
    store->is_job_started = false;
}

static void free_job(struct checkpoint_job *job)
{
    buffer_release(&job->records);
    free(job->streams);
    free(job->entries);
    free(job->producers);
    free(job->settings);
    free(job);
}

/* Lets go of streams of the job that is over, if there is one. Returns what is left of
 * the limit. */
static size_t let_go(struct store *store, size_t limit)
{
    struct checkpoint_job *job = store->job_over;
    if (!job)
        return limit;
    for (; job->let_go < job->stream_count && limit; job->let_go++, limit--) {
        if (job->let_go + FETCHED_AHEAD < job->stream_count)
            __builtin_prefetch(job->streams[job->let_go + FETCHED_AHEAD].stream);
        store_drop(store, job->streams[job->let_go].stream);
    }
    if (job->let_go == job->stream_count) {
        free_job(job);
        store->job_over = NULL;
    }
    return limit;
}

void store_end_job(struct store *store)
{
    let_go(store, SIZE_MAX);
    store->job_over = store->job;
    store->job = NULL;
}

/* What a checkpoint has freed is given back at the beginning of the second one after it
 * (catalog_space.c), which may not be long in coming. */
static void owe_checkpoints(struct store *store)
{
    enum { UNTIL_GIVEN_BACK = 2 };
    const struct checkpoint_job *job = store->job;
    bool has_deleted = job->stream_count && !job->streams[0].record_len;
    if (has_deleted)
        store->checkpoints_owed = UNTIL_GIVEN_BACK;
    else if (store->checkpoints_owed)
        store->checkpoints_owed--;
}

void store_finish_job(struct store *store)
{
    const struct checkpoint_job *job = store->job;
    owe_checkpoints(store);
    store->checkpointed = job->sequence;
    store->pinned_bytes = 0;
    for (const struct frame *frame = store->oldest; frame; frame = frame->next) {
        if (frame->sequence > job->sequence)
            store->pinned_bytes += frame_memory(frame);
    }
    fault_step(FAULT_CHECKPOINT_DROP_LOG);
    log_drop(store->log, job->sequence);
    store_end_job(store);
    store->counters.checkpoints++;
    store->checkpoint_due_ms = clock_monotonic_ms() + store->settings.checkpoint_ms;
}

static void drop_frame(struct store *store, struct frame *frame)
{
    for (size_t i = 0; i < frame->touched_count; i++) {
        if (i + FETCHED_AHEAD < frame->touched_count)
            __builtin_prefetch(frame->touched[i + FETCHED_AHEAD].stream);
        stream_drop_entries(frame->touched[i].stream, frame);
        store_drop(store, frame->touched[i].stream);
    }
    store->memory_bytes -= frame_memory(frame);
    frame_free(frame);
}

static bool has_too_much(const struct store *store)
{
    return store->oldest && store->memory_bytes > store->settings.cache_bytes &&
           store->oldest->sequence <= store->checkpointed;
}

/* A checkpoint lets go of many streams and frames at once: some in each turn, so that nobody waits
 * for it. */
void store_trim_memory(struct store *store, bool all)
{
    size_t left = let_go(store, all ? SIZE_MAX : store->settings.checkpoint_slice);
    while (left && has_too_much(store)) {
        struct frame *frame = store->oldest;
        left -= frame->touched_count < left ? frame->touched_count : left;
        store->oldest = frame->next;
        if (!store->oldest)
            store->newest = NULL;
        drop_frame(store, frame);
    }
    if (store->job_over || has_too_much(store))
        check(eventfd_write(store->event_fd, 1) == 0);
}
