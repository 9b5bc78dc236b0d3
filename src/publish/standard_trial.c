#include "standard_trial.h"

#include "publisher_internal.h"
#include "url.h"

#include "weir/base/check.h"

#include <stdlib.h>

struct step {
    const char *method, *what;
    const char *header;
    const char *body;
};

/* As the bridge does it: a stream of JSON, made before the first append. */
static const struct step steps[] = {
    {"PUT", "making a stream", "Stream-TTL: 60", NULL},
    {"POST", "appending to a stream", NULL,
     "[{\"type\":\"weir\",\"key\":\"doctor\",\"headers\":{\"operation\":\"delete\"}}]"},
    {"DELETE", "deleting a stream", NULL, NULL},
};

static enum publisher_claim refused(const char *root, const struct step *step, long status,
                                    struct err *err)
{
    err_set(err, "%s: %s: the server answered %ld", root, step->what, status);
    if (status == 408 || status == 429 || status >= 500)
        return PUBLISHER_UNREACHABLE;
    if (status == 401 || status == 403)
        err_hint(err, "give the bridge a token that may read and write, as --streams-token-file");
    else
        err_hint(err, "--streams must be the root of a `weir serve`, for example "
                      "http://127.0.0.1:4437/v1/stream, or of another Durable Streams server");
    return PUBLISHER_REFUSED;
}

static enum publisher_claim carry_out(struct http_pool *pool, struct http_exchange *exchange,
                                      const char *root, const char *url, const struct step *step,
                                      struct err *err)
{
    struct slice body = slice_from_str(step->body ? step->body : "");
    http_exchange_begin(exchange, &(struct http_request){.method = step->method,
                                                         .url = url,
                                                         .content_type = "application/json",
                                                         .header = step->header,
                                                         .pieces = &body,
                                                         .piece_count = body.len > 0,
                                                         .timeout_ms = CLAIM_TIMEOUT_MS});
    check(http_pool_wait(pool, 2 * CLAIM_TIMEOUT_MS) == exchange);
    long status = http_exchange_status(exchange, err);
    if (status >= 200 && status < 300)
        return PUBLISHER_CLAIMED;
    if (status)
        return refused(root, step, status, err);
    err_prefix(err, "%s", root);
    return PUBLISHER_UNREACHABLE;
}

enum publisher_claim standard_try_writing(struct http_pool *pool, const char *root,
                                          const char *producer, struct err *err)
{
    enum publisher_claim result = PUBLISHER_CLAIMED;
    struct http_exchange *exchange = http_exchange_new(pool, NULL);
    char *url = url_make(root, "/weir/doctor/", producer);
    for (size_t i = 0; result == PUBLISHER_CLAIMED && i < sizeof steps / sizeof *steps; i++)
        result = carry_out(pool, exchange, root, url, &steps[i], err);
    free(url);
    http_exchange_free(exchange);
    return result;
}
