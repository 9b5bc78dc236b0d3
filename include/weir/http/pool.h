/* struct http_pool: many requests under way at once, over connections that are kept. Driven by the
 * one thread that uses it: nothing moves but in http_pool_wait(). */
#pragma once

#include "weir/http/http.h"

struct http_pool;

/* One request after another; several of them make a pool busy. */
struct http_exchange;

struct http_request {
    const char *method;         /* "POST" and "PUT" send a body; "GET"; "HEAD"; "DELETE" */
    const char *url;            /* copied */
    const char *content_type;   /* NULL: none */
    const char *header;         /* one more "Name: value", or NULL; copied */
    const struct slice *pieces; /* of the body; borrowed until the exchange has ended */
    size_t piece_count;
    size_t answer_max; /* of the answer only so many of the last bytes are kept */
    uint64_t timeout_ms;
};

struct http_pool *http_pool_new(const struct http_settings *settings);

/* Every exchange must have been freed. NULL is allowed. */
void http_pool_free(struct http_pool *pool);

/* The context is the caller's. Freeing an exchange cuts its request off. */
struct http_exchange *http_exchange_new(struct http_pool *pool, void *context);
void http_exchange_free(struct http_exchange *exchange); /* NULL is allowed */

/* Not while another one is under way. */
void http_exchange_begin(struct http_exchange *exchange, const struct http_request *request);

/* An exchange that has ended, each once; NULL when none has within timeout_ms. */
struct http_exchange *http_pool_wait(struct http_pool *pool, uint64_t timeout_ms);

void *http_exchange_context(const struct http_exchange *exchange);

/* The answer's status; 0 with err: there was none, and whether the request was carried out is not
 * known. */
long http_exchange_status(struct http_exchange *exchange, struct err *err);

/* Whether a connection had to be made for it. */
bool http_exchange_is_new(const struct http_exchange *exchange);

/* Until the next begin. A header that is not there is NULL. */
struct slice http_exchange_answer(const struct http_exchange *exchange);
const char *http_exchange_header(const struct http_exchange *exchange, const char *name);
