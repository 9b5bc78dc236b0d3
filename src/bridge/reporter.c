#include "reporter.h"

#include "lag.h"
#include "question.h"
#include "report.h"
#include "slot_watch.h"

#include "weir/base/check.h"
#include "weir/base/clock.h"
#include "weir/base/log.h"
#include "weir/publish/report.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum { REPORT_INTERVAL_MS = 1000, QUICK_INTERVAL_MS = 100, GOODBYE_MS = 500 };

struct reporter {
    const struct bridge_settings *settings;
    uint64_t run; /* random: probes of an earlier process are not this one's */
    int64_t started_ms;
    pthread_t thread;
    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t changed;
    bool is_stopping;
    struct bridge_figures figures;
    struct lag lag;

    /* The thread's own. */
    struct report_sender *sender;
    atomic_ullong abort_at_ms;
    struct slot_watch watch;
    struct slot_state slot;
    uint64_t looked_ms;
    struct buffer json, answers;
    struct err complaint; /* said already */
};

/* ---- Probes ---- */

bool reporter_is_probe(const struct reporter *reporter, struct slice content, uint64_t *number)
{
    char text[64];
    uint64_t run, parsed;
    if (content.len >= sizeof text)
        return false;
    memcpy(text, content.data, content.len);
    text[content.len] = '\0';
    if (sscanf(text, "probe %" SCNx64 " %" SCNu64, &run, &parsed) != 2 || run != reporter->run)
        return false;
    *number = parsed;
    return true;
}

void reporter_probe_stored(struct reporter *reporter, uint64_t number)
{
    pthread_mutex_lock(&reporter->lock);
    lag_store(&reporter->lag, number, clock_monotonic_us());
    pthread_mutex_unlock(&reporter->lock);
}

static void send_probe(struct reporter *reporter)
{
    char text[64];
    pthread_mutex_lock(&reporter->lock);
    uint64_t number = lag_send(&reporter->lag, clock_monotonic_us());
    pthread_mutex_unlock(&reporter->lock);
    snprintf(text, sizeof text, "probe %" PRIx64 " %" PRIu64, reporter->run, number);
    if (slot_watch_look(&reporter->watch, text, &reporter->slot))
        return;
    pthread_mutex_lock(&reporter->lock);
    lag_unsend(&reporter->lag);
    pthread_mutex_unlock(&reporter->lock);
}

static void look_if_due(struct reporter *reporter)
{
    uint64_t now = clock_monotonic_ms();
    if (!reporter->settings->probe_interval ||
        (reporter->looked_ms && now - reporter->looked_ms < reporter->settings->probe_interval))
        return;
    reporter->looked_ms = now;
    /* Before the slot is there, a probe would never come back. */
    pthread_mutex_lock(&reporter->lock);
    bool is_following = strcmp(reporter->figures.phase, "following") == 0;
    pthread_mutex_unlock(&reporter->lock);
    if (is_following)
        send_probe(reporter);
    else
        slot_watch_look(&reporter->watch, NULL, &reporter->slot);
}

/* ---- Reports ---- */

static void complain(struct reporter *reporter, const struct err *err)
{
    if (!reporter->complaint.message[0])
        log_err(LOG_DEBUG, "the stream server takes no reports", err);
    reporter->complaint = *err;
}

/* Returns whether questions came back, so that the next report is not far. */
static bool send_report(struct reporter *reporter)
{
    struct slice answer;
    struct err err;
    struct report report = {.slot_name = reporter->settings->slot,
                            .publication = reporter->settings->publication,
                            .started_ms = reporter->started_ms,
                            .slot = &reporter->slot,
                            .answers = buffer_slice(&reporter->answers)};
    pthread_mutex_lock(&reporter->lock);
    report.figures = reporter->figures;
    report.lag_us = lag_us(&reporter->lag, clock_monotonic_us());
    report.is_lag_known = reporter->lag.sent > 0;
    pthread_mutex_unlock(&reporter->lock);
    buffer_clear(&reporter->json);
    report_write(&report, &reporter->json);
    if (!report_send(reporter->sender, buffer_slice(&reporter->json), &answer, &err)) {
        complain(reporter, &err);
        return false;
    }
    reporter->complaint.message[0] = '\0';
    buffer_clear(&reporter->answers);
    return questions_answer(answer, &reporter->watch, &reporter->answers);
}

/* With the lock. */
static void wait_unless_stopping(struct reporter *reporter, uint64_t wait_ms)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    uint64_t ns = (uint64_t)until.tv_nsec + wait_ms * 1000000;
    until.tv_sec += (time_t)(ns / 1000000000);
    until.tv_nsec = (long)(ns % 1000000000);
    int status = 0;
    while (!reporter->is_stopping && status != ETIMEDOUT)
        status = pthread_cond_timedwait(&reporter->changed, &reporter->lock, &until);
}

static void *reporter_main(void *context)
{
    struct reporter *reporter = context;
    bool is_quick = false;
    pthread_mutex_lock(&reporter->lock);
    while (!reporter->is_stopping) {
        pthread_mutex_unlock(&reporter->lock);
        is_quick = send_report(reporter);
        look_if_due(reporter);
        pthread_mutex_lock(&reporter->lock);
        wait_unless_stopping(reporter, is_quick ? QUICK_INTERVAL_MS : REPORT_INTERVAL_MS);
    }
    reporter->figures.phase = "stopped";
    pthread_mutex_unlock(&reporter->lock);
    /* A server that has not taken the reports before will not take this one. */
    if (!reporter->complaint.message[0])
        send_report(reporter);
    return NULL;
}

struct reporter *reporter_start(const struct bridge_settings *settings,
                                const struct publisher_settings *publisher)
{
    struct reporter *reporter = calloc(1, sizeof *reporter);
    check(reporter != NULL);
    reporter->settings = settings;
    reporter->started_ms = clock_wall_ms();
    reporter->figures.phase = "starting";
    reporter->watch = (struct slot_watch){.conninfo = settings->db, .slot = settings->slot};
    reporter->sender = report_sender_new(publisher, &reporter->abort_at_ms);
    check(getrandom(&reporter->run, sizeof reporter->run, 0) == (ssize_t)sizeof reporter->run);

    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_mutex_init(&reporter->lock, NULL);
    pthread_cond_init(&reporter->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    check(pthread_create(&reporter->thread, NULL, reporter_main, reporter) == 0);
    return reporter;
}

void reporter_stop(struct reporter *reporter)
{
    if (!reporter)
        return;
    atomic_store(&reporter->abort_at_ms, clock_monotonic_ms() + GOODBYE_MS);
    pthread_mutex_lock(&reporter->lock);
    reporter->is_stopping = true;
    pthread_cond_broadcast(&reporter->changed);
    pthread_mutex_unlock(&reporter->lock);
    pthread_join(reporter->thread, NULL);

    slot_watch_release(&reporter->watch);
    report_sender_free(reporter->sender);
    buffer_release(&reporter->json);
    buffer_release(&reporter->answers);
    pthread_cond_destroy(&reporter->changed);
    pthread_mutex_destroy(&reporter->lock);
    free(reporter);
}

void reporter_show(struct reporter *reporter, const struct bridge_figures *figures)
{
    pthread_mutex_lock(&reporter->lock);
    reporter->figures = *figures;
    pthread_mutex_unlock(&reporter->lock);
}
