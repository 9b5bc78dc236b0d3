#include "checkpoint.h"

#include "catalog.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>

struct checkpoint {
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    struct catalog *catalog;
    const struct checkpoint_job *job;
    enum checkpoint_state state;
    struct err err;
    bool is_stopping;
    int event_fd;
};

static void *checkpoint_main(void *argument)
{
    struct checkpoint *checkpoint = argument;
    pthread_mutex_lock(&checkpoint->mutex);
    for (;;) {
        while (!checkpoint->job && !checkpoint->is_stopping)
            pthread_cond_wait(&checkpoint->changed, &checkpoint->mutex);
        if (!checkpoint->job)
            break;
        const struct checkpoint_job *job = checkpoint->job;
        struct err err;
        pthread_mutex_unlock(&checkpoint->mutex);
        bool ok = catalog_write(checkpoint->catalog, job, &err);
        pthread_mutex_lock(&checkpoint->mutex);
        checkpoint->job = NULL;
        checkpoint->state = ok ? CHECKPOINT_DONE : CHECKPOINT_FAILED;
        if (!ok)
            checkpoint->err = err;
        pthread_cond_broadcast(&checkpoint->changed);
        check(eventfd_write(checkpoint->event_fd, 1) == 0);
    }
    pthread_mutex_unlock(&checkpoint->mutex);
    return NULL;
}

struct checkpoint *checkpoint_start(struct catalog *catalog, int event_fd)
{
    struct checkpoint *checkpoint = calloc(1, sizeof *checkpoint);
    check(checkpoint != NULL);
    checkpoint->catalog = catalog;
    checkpoint->event_fd = event_fd;
    pthread_mutex_init(&checkpoint->mutex, NULL);
    pthread_cond_init(&checkpoint->changed, NULL);
    check(pthread_create(&checkpoint->thread, NULL, checkpoint_main, checkpoint) == 0);
    return checkpoint;
}

void checkpoint_stop(struct checkpoint *checkpoint)
{
    pthread_mutex_lock(&checkpoint->mutex);
    checkpoint->is_stopping = true;
    pthread_cond_broadcast(&checkpoint->changed);
    pthread_mutex_unlock(&checkpoint->mutex);
    pthread_join(checkpoint->thread, NULL);
    pthread_cond_destroy(&checkpoint->changed);
    pthread_mutex_destroy(&checkpoint->mutex);
    free(checkpoint);
}

void checkpoint_submit(struct checkpoint *checkpoint, const struct checkpoint_job *job)
{
    pthread_mutex_lock(&checkpoint->mutex);
    check(checkpoint->state == CHECKPOINT_IDLE);
    checkpoint->job = job;
    checkpoint->state = CHECKPOINT_BUSY;
    pthread_cond_broadcast(&checkpoint->changed);
    pthread_mutex_unlock(&checkpoint->mutex);
}

enum checkpoint_state checkpoint_poll(struct checkpoint *checkpoint, bool wait, struct err *err)
{
    pthread_mutex_lock(&checkpoint->mutex);
    while (wait && checkpoint->state == CHECKPOINT_BUSY)
        pthread_cond_wait(&checkpoint->changed, &checkpoint->mutex);
    enum checkpoint_state state = checkpoint->state;
    if (state == CHECKPOINT_FAILED)
        *err = checkpoint->err;
    if (state != CHECKPOINT_BUSY)
        checkpoint->state = CHECKPOINT_IDLE;
    pthread_mutex_unlock(&checkpoint->mutex);
    return state;
}
