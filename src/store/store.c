/* Opening, the turn, and closing. One turn: take in what has become durable and tell those who
 * watch, take in a finished checkpoint, hand over the open frame, start a checkpoint that is due,
 * trim memory. */
#include "internal.h"

#include "weir/base/clock.h"
#include "weir/base/fault.h"
#include "weir/base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CHECKPOINT_RETRY_MS = 5000, CHECKPOINT_STREAMS = 100000, OPEN_FRAME_MAX = 64 << 20 };

struct store_settings store_settings_default(const char *folder)
{
    return (struct store_settings){.folder = folder,
                                   .segment_bytes = 64 << 20,
                                   .cache_bytes = 128 << 20,
                                   .checkpoint_bytes = 64 << 20,
                                   .checkpoint_ms = 10000,
                                   .checkpoint_slice = 1000,
                                   .pinned_bytes = 512 << 20,
                                   .idle_streams = 10000};
}

/* ---- Frames ---- */

static void make_durable(struct store *store, const struct frame *frame)
{
    check(frame->sequence == store->durable + 1);
    store->durable = frame->sequence;
    fault_step(FAULT_FRAME_DURABLE);
    for (size_t i = 0; i < frame->touched_count; i++) {
        const struct touched *touched = &frame->touched[i];
        struct stream *stream = touched->stream;
        if (i + FETCH_STREAM < frame->touched_count)
            stream_fetch(touched[FETCH_STREAM].stream);
        uint64_t previous_tail = stream->durable_tail;
        stream->durable_tail = touched->tail;
        stream->is_durably_closed = touched->is_closed;
        stream->is_durably_gone = touched->is_gone;
        if (stream->watchers)
            store->settings.on_change(store->settings.context, stream);
        if (store->is_observed && stream->durable_tail > previous_tail)
            store->settings.on_append(store->settings.context, stream, previous_tail);
    }
}

static void keep_frame(struct store *store, struct frame *frame)
{
    if (store->newest)
        store->newest->next = frame;
    else
        store->oldest = frame;
    store->newest = frame;
    store->memory_bytes += frame_memory(frame);
    store->pinned_bytes += frame_memory(frame);
    store->counters.commits++;
    store->counters.commit_bytes += frame->bytes.len;
}

static void hand_over(struct store *store)
{
    struct frame *frame = store->open;
    frame_seal(frame);
    struct log_place place = log_place(store->log, frame);
    keep_frame(store, frame);
    if (!store->pending)
        store->pending = frame;
    store->open = frame_new(frame->sequence + 1);
    frame_expect(store->open, frame);
    commit_submit(store->commit, frame, place);
}

bool store_reserve(struct store *store, size_t operation_bytes)
{
    size_t needed = store->open->bytes.len + operation_bytes + FRAME_ALIGNMENT;
    bool has_room = log_reserve(store->log, needed, store->checkpointed);
    if (store->counters.is_full != !has_room)
        log_event(has_room ? LOG_INFO : LOG_ERROR,
                  has_room ? "there is room on the disk again"
                           : "no room on the disk; writes are refused, reads go on");
    store->counters.is_full = !has_room;
    return has_room;
}

enum store_readiness store_readiness(const struct store *store)
{
    if (store->pinned_bytes >= store->settings.pinned_bytes)
        return store->has_checkpoint_failed ? STORE_STUCK : STORE_BUSY;
    return store->open->bytes.len < OPEN_FRAME_MAX ? STORE_READY : STORE_BUSY;
}

uint64_t store_durable(const struct store *store)
{
    return store->durable;
}

uint64_t store_staged(const struct store *store)
{
    return frame_is_empty(store->open) ? store->open->sequence - 1 : store->open->sequence;
}

int store_event_fd(const struct store *store)
{
    return store->event_fd;
}

struct store_counters store_counters(const struct store *store)
{
    struct store_counters counters = store->counters;
    counters.log_bytes = log_size(store->log);
    counters.memory_bytes = store->memory_bytes;
    counters.pinned_bytes = store->pinned_bytes;
    counters.streams = store->stream_count;
    counters.streams_loaded = store->by_id.count;
    counters.is_full = counters.is_full || store_readiness(store) == STORE_STUCK;
    return counters;
}

/* ---- The turn ---- */

static bool is_checkpoint_due(const struct store *store)
{
    if (store->job)
        return false;
    if (store->open->sequence - 1 == store->checkpointed)
        return store->checkpoints_owed && clock_monotonic_ms() >= store->checkpoint_due_ms;
    /* On a full disk a checkpoint may give back what the log takes. */
    return store->counters.is_full || store->pinned_bytes >= store->settings.checkpoint_bytes ||
           store->dirty_count >= CHECKPOINT_STREAMS ||
           clock_monotonic_ms() >= store->checkpoint_due_ms;
}

static void collect_checkpoint(struct store *store, bool wait)
{
    struct err err;
    switch (checkpoint_poll(store->checkpoint, wait, &err)) {
    case CHECKPOINT_IDLE:
    case CHECKPOINT_BUSY:
        break;
    case CHECKPOINT_DONE:
        store->has_checkpoint_failed = false;
        store_finish_job(store);
        break;
    case CHECKPOINT_FAILED:
        log_err(LOG_ERROR, "the checkpoint failed; it is tried again", &err);
        store->has_checkpoint_failed = true;
        store->is_job_started = false;
        store->retry_ms = clock_monotonic_ms() + CHECKPOINT_RETRY_MS;
        break;
    }
}

static void start_job(struct store *store)
{
    if (!store->job || store->is_job_started || !store_copy_cut(store, false) ||
        store->durable < store->job->sequence || clock_monotonic_ms() < store->retry_ms)
        return;
    store->is_job_started = true;
    checkpoint_submit(store->checkpoint, store->job);
}

const uint64_t store_commit_class_us[COMMIT_CLASSES] = {
    250, 500, 1000, 2500, 5000, 10000, 25000, 100000, 500000, 2500000,
};

static void count_commit(struct store_counters *counters, uint64_t us)
{
    counters->commit_us += us;
    for (size_t i = 0; i < COMMIT_CLASSES; i++) {
        if (us <= store_commit_class_us[i]) {
            counters->commits_by_class[i]++;
            break;
        }
    }
}

static void take_in(struct store *store, uint64_t synced)
{
    for (; store->pending && store->pending->sequence <= synced;
         store->pending = store->pending->next) {
        count_commit(&store->counters, store->pending->write_us);
        make_durable(store, store->pending);
    }
}

void store_turn(struct store *store)
{
    eventfd_t ignored;
    eventfd_read(store->event_fd, &ignored);
    /* From here until the checkpoint is collected nobody may read the catalog (on_change() and
     * on_append() do not). A collected checkpoint is why streams and frames may leave memory, and
     * in a snapshot of before it they are not: who looked there then would find them nowhere. */
    catalog_read_end(store->catalog);
    take_in(store, commit_synced(store->commit));
    collect_checkpoint(store, false);
    store_expire(store);
    store_hand_over(store);
    if (frame_is_empty(store->open) && is_checkpoint_due(store))
        store_cut(store);
    start_job(store);
    store_trim_memory(store, false);
}

void store_hand_over(struct store *store)
{
    if (!frame_is_empty(store->open) && commit_is_idle(store->commit))
        hand_over(store);
}

/* ---- Opening and closing ---- */

static bool open_folder(struct store *store, struct err *err)
{
    const char *folder = store->settings.folder;
    if (mkdir(folder, 0700) < 0 && errno != EEXIST)
        return err_set_errno(err, errno, "cannot make the data folder %s", folder);
    store->folder_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (store->folder_fd < 0)
        return err_set_errno(err, errno, "cannot open the data folder %s", folder);
    store->lock_fd = openat(store->folder_fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (store->lock_fd < 0)
        return err_set_errno(err, errno, "cannot open %s/lock", folder);
    if (flock(store->lock_fd, LOCK_EX | LOCK_NB) == 0)
        return true;
    if (errno != EWOULDBLOCK)
        return err_set_errno(err, errno, "cannot lock %s/lock", folder);
    err_set(err, "the data folder %s is in use by another process", folder);
    return err_hint(err, "stop the other weir serve, or give this one a folder of its own");
}

/* The names of new files are as durable as what is in them. */
static bool sync_names(const struct store *store, struct err *err)
{
    int above = openat(store->folder_fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool ok = fsync(store->folder_fd) == 0 && above >= 0 && fsync(above) == 0;
    if (!ok)
        err_set_errno(err, errno, "cannot sync the folder %s", store->settings.folder);
    if (above >= 0)
        close(above);
    return ok;
}

static void replay_frame(void *context, struct frame *frame)
{
    struct store *store = context;
    store->open = frame;
    store_apply(store, FRAME_HEADER_SIZE);
    arena_clear(&store->scratch);
    store->open = NULL;
    keep_frame(store, frame);
    make_durable(store, frame);
}

static void remember_setting(void *context, struct slice key, struct slice value)
{
    store_remember(context, key, value, false);
}

static void remember_producer(void *context, struct slice name,
                              const struct store_progress *progress)
{
    store_add_producer(context, name)->progress = *progress;
}

static bool recover(struct store *store, struct err *err)
{
    uint64_t started_ms = clock_monotonic_ms(), last;
    store->checkpointed = store->durable = catalog_sequence(store->catalog);
    store->last_id = catalog_last_id(store->catalog);
    store->stream_count = catalog_stream_count(store->catalog);
    catalog_producers(store->catalog, remember_producer, store);
    catalog_settings(store->catalog, remember_setting, store);
    if (!log_replay(store->log, store->checkpointed, replay_frame, store, &last, err))
        return false;
    catalog_read_end(store->catalog);
    check(store->durable == last);
    store->open = frame_new(last + 1);
    store->counters = (struct store_counters){0};
    log_event(LOG_INFO, "store opened", LOG_STR("folder", store->settings.folder),
              LOG_U("checkpoint", store->checkpointed), LOG_U("last", last),
              LOG_U("ms", clock_monotonic_ms() - started_ms));
    return true;
}

static void release(struct store *store)
{
    store->settings.cache_bytes = 0;
    store->checkpointed = UINT64_MAX;
    store_trim_memory(store, true);
    if (store->open)
        frame_free(store->open);
    for (size_t i = 0; i < store->dirty_count; i++) {
        store->dirty[i]->is_dirty = false;
        store_drop(store, store->dirty[i]);
    }
    store_release_streams(store);
    for (size_t i = 0; i < store->producer_count; i++)
        free((char *)(uintptr_t)store->producers[i].name.data);
    free(store->producers);
    store_release_settings(store);
    free(store->dirty);
    free(store->skipped);
    free(store->page);
    arena_release(&store->scratch);
    log_close(store->log);
    catalog_close(store->catalog);
    if (store->event_fd >= 0)
        close(store->event_fd);
    if (store->lock_fd >= 0)
        close(store->lock_fd);
    if (store->folder_fd >= 0)
        close(store->folder_fd);
    free(store);
}

struct store *store_open(const struct store_settings *settings, struct err *err)
{
    struct store *store = calloc(1, sizeof *store);
    check(store != NULL);
    store->settings = *settings;
    store->folder_fd = store->lock_fd = -1;
    store->event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    check(store->event_fd >= 0);
    if (!open_folder(store, err) || !(store->catalog = catalog_open(settings->folder, err)) ||
        !(store->log = log_open(store->folder_fd, settings->segment_bytes, err)) ||
        !sync_names(store, err) || !recover(store, err)) {
        release(store);
        return NULL;
    }
    store->commit = commit_start(store->event_fd);
    store->checkpoint = checkpoint_start(store->catalog, store->event_fd);
    store->checkpoint_due_ms = clock_monotonic_ms() + settings->checkpoint_ms;
    return store;
}

static void finish_commits(struct store *store)
{
    for (;;) {
        take_in(store, commit_wait(store->commit));
        if (frame_is_empty(store->open))
            return;
        hand_over(store);
    }
}

/* At most the job in hand and one more; a failure is final here, as the log has everything. */
static bool finish_checkpoints(struct store *store, struct err *err)
{
    for (int i = 0; i < 2; i++) {
        if (!store->job && store->open->sequence - 1 != store->checkpointed)
            store_cut(store);
        if (!store->job)
            return true;
        store->retry_ms = 0;
        check(store_copy_cut(store, true));
        start_job(store);
        if (checkpoint_poll(store->checkpoint, true, err) == CHECKPOINT_FAILED) {
            store_end_job(store);
            return false;
        }
        store_finish_job(store);
    }
    return true;
}

bool store_close(struct store *store, struct err *err)
{
    catalog_read_end(store->catalog);
    finish_commits(store);
    bool ok = finish_checkpoints(store, err);
    commit_stop(store->commit);
    checkpoint_stop(store->checkpoint);
    release(store);
    return ok;
}
