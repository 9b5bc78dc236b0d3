/* Sends POSTs from a thread of its own, many at a time, for an owner that must not block. Targets
 * are judged again when connecting; redirects are not followed; nothing is tried twice. */
#pragma once

#include "weir/base/buffer.h"
#include "weir/base/check.h"

#include <stdbool.h>

struct http_sender;

struct http_result {
    uint64_t number; /* of the POST */
    long status;     /* 0: there was no answer, or a too large one */
    struct buffer answer;
};

/* Aborts when it cannot be made. All calls from the owner's thread. */
struct http_sender *http_sender_new(void);
/* Waits for the thread, which gives up what is under way. */
void http_sender_free(struct http_sender *sender);

/* Readable when there are results; http_sender_clear() before taking them. */
int http_sender_event_fd(const struct http_sender *sender);
void http_sender_clear(struct http_sender *sender);

/* Copies everything. header is one line. Each POST has one result. */
void http_sender_post(struct http_sender *sender, uint64_t number, const char *url,
                      const char *header, struct slice json, uint64_t timeout_ms);

/* The next result; the caller releases its answer. False: none yet. */
bool http_sender_take(struct http_sender *sender, struct http_result *result) WEIR_MUST_CHECK;
