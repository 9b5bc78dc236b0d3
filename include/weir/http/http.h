/* One HTTP request to the stream server, on a connection that is kept. Blocks; one
 * thread per struct http. This layer is libcurl's only door. */
#pragma once

#include "weir/base/buffer.h"
#include "weir/base/err.h"

#include <stdatomic.h>

struct http;

struct http_settings {
    const char *token;   /* bearer token, NULL for none */
    const char *ca_file; /* PEM: who may vouch for an https server; NULL for the system's list */
    const atomic_ullong *abort_at_ms; /* when it is not 0 and the monotonic clock has passed it, a
                                         request under way ends */
};

/* Copies the strings. */
struct http *http_new(const struct http_settings *settings);
void http_free(struct http *http); /* NULL is allowed */

/* As http_post(), without a body: a GET. */
bool http_get(struct http *http, const char *url, uint64_t timeout_ms, long *status,
              struct slice *answer, struct err *err) WEIR_MUST_CHECK;

/* A header of the last answer, "" when it had none; borrowed until the next request. */
const char *http_answer_header(struct http *http, const char *name);

/* POSTs body and waits for the answer, for at most timeout_ms. False with err when there was none:
 * refused, timed out, cut off. The answer's text stays until the next request. */
bool http_post(struct http *http, const char *url, const char *content_type, struct slice body,
               uint64_t timeout_ms, long *status, struct slice *answer,
               struct err *err) WEIR_MUST_CHECK;
