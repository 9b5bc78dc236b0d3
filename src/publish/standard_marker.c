/* The marker: a stream of no events that says whose the others are, and that they are
 * still there. */
#include "standard_internal.h"

#include "weir/base/clock.h"

enum publisher_claim marker_ask(struct publisher *publisher, bool *is_there, struct err *err)
{
    long status;
    struct slice text;
    const char *url = publisher->standard->marker_url;
    if (!http_get(publisher->http, url, CLAIM_TIMEOUT_MS, &status, &text, err))
        return PUBLISHER_UNREACHABLE;
    *is_there = status == 200;
    if (status == 200 || status == 404)
        return PUBLISHER_CLAIMED;
    err_set(err, "%s answered %ld", url, status);
    if (status == 408 || status == 429 || status >= 500)
        return PUBLISHER_UNREACHABLE;
    if (status == 401 || status == 403)
        err_hint(err, "give the bridge a token that may read and write, as --streams-token-file");
    return PUBLISHER_REFUSED;
}

enum publisher_claim marker_make(struct publisher *publisher, struct err *err)
{
    struct standard *standard = publisher->standard;
    struct http_exchange *exchange = standard->lanes[0].exchange;
    http_exchange_begin(exchange, &(struct http_request){.method = "PUT",
                                                         .url = standard->marker_url,
                                                         .content_type = JSON_TYPE,
                                                         .timeout_ms = CLAIM_TIMEOUT_MS});
    check(http_pool_wait(standard->pool, 2 * CLAIM_TIMEOUT_MS) == exchange);
    long status = http_exchange_status(exchange, err);
    if (status == 200 || status == 201)
        return PUBLISHER_CLAIMED;
    if (status)
        err_set(err, "%s answered %ld", standard->marker_url, status);
    else
        err_prefix(err, "%s", standard->marker_url);
    return status == 0 || status == 408 || status == 429 || status >= 500 ? PUBLISHER_UNREACHABLE
                                                                          : PUBLISHER_REFUSED;
}

/* One that has forgotten its streams must not be given the rest of them. */
enum answer_kind marker_check(struct sending *sending)
{
    bool is_there = false;
    enum publisher_claim result = marker_ask(sending->publisher, &is_there, sending->err);
    if (result == PUBLISHER_UNREACHABLE) {
        sending->resume_at_ms = clock_monotonic_ms() + with_jitter(sending->interval_ms);
        return ANSWER_RETRY;
    }
    sending->standard->is_suspicious = false;
    if (result == PUBLISHER_CLAIMED && is_there)
        return ANSWER_STORED;
    if (result == PUBLISHER_CLAIMED) {
        err_set(sending->err, "%s: the stream server has lost its streams",
                sending->publisher->root);
        err_hint(sending->err, "give it its data back, or start the bridge with an empty --state "
                               "and another --slot, which sends everything again");
    }
    return ANSWER_FATAL;
}
