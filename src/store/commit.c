#include "commit.h"

#include "weir/base/clock.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>

struct commit {
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    struct frame *waiting; /* handed over, not yet synced */
    struct log_place place;
    uint64_t synced; /* sequence */
    bool is_stopping;
    int event_fd;
};

static void *commit_main(void *argument)
{
    struct commit *commit = argument;
    pthread_mutex_lock(&commit->mutex);
    for (;;) {
        while (!commit->waiting && !commit->is_stopping)
            pthread_cond_wait(&commit->changed, &commit->mutex);
        if (!commit->waiting)
            break;
        struct frame *frame = commit->waiting;
        struct log_place place = commit->place;
        pthread_mutex_unlock(&commit->mutex);
        uint64_t started_us = clock_monotonic_us();
        log_write(place, frame);
        frame->write_us = clock_monotonic_us() - started_us;
        pthread_mutex_lock(&commit->mutex);
        commit->waiting = NULL;
        commit->synced = frame->sequence;
        pthread_cond_broadcast(&commit->changed);
        check(eventfd_write(commit->event_fd, 1) == 0);
    }
    pthread_mutex_unlock(&commit->mutex);
    return NULL;
}

struct commit *commit_start(int event_fd)
{
    struct commit *commit = calloc(1, sizeof *commit);
    check(commit != NULL);
    commit->event_fd = event_fd;
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
    pthread_mutex_lock(&commit->mutex);
    bool is_idle = !commit->waiting;
    pthread_mutex_unlock(&commit->mutex);
    return is_idle;
}

void commit_submit(struct commit *commit, struct frame *frame, struct log_place place)
{
    pthread_mutex_lock(&commit->mutex);
    check(!commit->waiting);
    commit->waiting = frame;
    commit->place = place;
    pthread_cond_broadcast(&commit->changed);
    pthread_mutex_unlock(&commit->mutex);
}

uint64_t commit_synced(struct commit *commit)
{
    pthread_mutex_lock(&commit->mutex);
    uint64_t synced = commit->synced;
    pthread_mutex_unlock(&commit->mutex);
    return synced;
}

uint64_t commit_wait(struct commit *commit)
{
    pthread_mutex_lock(&commit->mutex);
    while (commit->waiting)
        pthread_cond_wait(&commit->changed, &commit->mutex);
    uint64_t synced = commit->synced;
    pthread_mutex_unlock(&commit->mutex);
    return synced;
}
