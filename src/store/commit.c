#include "commit.h"

#include "weir/base/clock.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>

struct commit {
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    struct frame *waiting; /* handed over, not yet synced */
    struct log_place place;
    bool is_stopping;
    /* What the loop asks for many times a commit: it takes no mutex for it, so that neither thread
     * finds it taken. */
    atomic_uint_fast64_t synced; /* sequence */
    atomic_bool is_idle;         /* `waiting` is none; changed with the mutex */
    int event_fd;
};

/* NULL: it is time to stop. */
static struct frame *wait_for_frame(struct commit *commit, struct log_place *place)
{
    pthread_mutex_lock(&commit->mutex);
    while (!commit->waiting && !commit->is_stopping)
        pthread_cond_wait(&commit->changed, &commit->mutex);
    struct frame *frame = commit->waiting;
    *place = commit->place;
    pthread_mutex_unlock(&commit->mutex);
    return frame;
}

/* From here on the frame may be gone. */
static void tell_synced(struct commit *commit, uint64_t sequence)
{
    atomic_store(&commit->synced, sequence);
    pthread_mutex_lock(&commit->mutex);
    commit->waiting = NULL;
    atomic_store(&commit->is_idle, true);
    pthread_cond_broadcast(&commit->changed);
    pthread_mutex_unlock(&commit->mutex);
    check(eventfd_write(commit->event_fd, 1) == 0);
}

static void *commit_main(void *argument)
{
    struct commit *commit = argument;
    struct frame *frame;
    struct log_place place;
    while ((frame = wait_for_frame(commit, &place))) {
        uint64_t started_us = clock_monotonic_us();
        log_write(place, frame);
        frame->write_us = clock_monotonic_us() - started_us;
        tell_synced(commit, frame->sequence);
    }
    return NULL;
}

struct commit *commit_start(int event_fd)
{
    struct commit *commit = calloc(1, sizeof *commit);
    check(commit != NULL);
    commit->event_fd = event_fd;
    atomic_init(&commit->is_idle, true);
    pthread_mutex_init(&commit->mutex, NULL);
    pthread_cond_init(&commit->changed, NULL);
    check(pthread_create(&commit->thread, NULL, commit_main, commit) == 0);
    return commit;
}

void commit_stop(struct commit *commit)
{
    pthread_mutex_lock(&commit->mutex);
    commit->is_stopping = true;
    pthread_cond_broadcast(&commit->changed);
    pthread_mutex_unlock(&commit->mutex);
    pthread_join(commit->thread, NULL);
    pthread_cond_destroy(&commit->changed);
    pthread_mutex_destroy(&commit->mutex);
    free(commit);
}

bool commit_is_idle(struct commit *commit)
{
    return atomic_load(&commit->is_idle);
}

void commit_submit(struct commit *commit, struct frame *frame, struct log_place place)
{
    pthread_mutex_lock(&commit->mutex);
    check(!commit->waiting);
    commit->waiting = frame;
    commit->place = place;
    atomic_store(&commit->is_idle, false);
    pthread_mutex_unlock(&commit->mutex);
    /* The thread wakes to a mutex that is free. */
    pthread_cond_broadcast(&commit->changed);
}

uint64_t commit_synced(struct commit *commit)
{
    return atomic_load(&commit->synced);
}

uint64_t commit_wait(struct commit *commit)
{
    pthread_mutex_lock(&commit->mutex);
    while (commit->waiting)
        pthread_cond_wait(&commit->changed, &commit->mutex);
    pthread_mutex_unlock(&commit->mutex);
    return commit_synced(commit);
}
