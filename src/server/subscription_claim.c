/* What workers ask of a subscription: to claim a wake, acknowledge, and release. Protocol 7. */
#include "access.h"
#include "subscription_request.h"

#include "weir/base/clock.h"

#include <stdlib.h>

void route_claim(struct request *request, struct subscription *subscription, const json_t *body)
{
    struct subscriptions *all = request->server->subscriptions;
    const char *worker = json_string_value(json_object_get(body, "worker"));
    char token[CLAIM_TOKEN_SIZE];
    if (!worker || !*worker || strlen(worker) > UINT8_MAX) {
        subscription_reply_invalid(request, "worker is missing or too long");
        return;
    }
    if (subscription->holder) {
        subscription_reply(request, MHD_HTTP_CONFLICT,
                           json_pack("{s:{s:s, s:s, s:I}}", "error", "code", "ALREADY_CLAIMED",
                                     "current_holder", subscription->holder, "generation",
                                     (json_int_t)subscription->generation));
        return;
    }
    subscription_refresh(all, subscription);
    if (!subscription_is_pending(subscription)) {
        subscription_reply_error(request, MHD_HTTP_CONFLICT, "NO_PENDING_WORK",
                                 "there is nothing to do");
        return;
    }
    subscription_claim(all, subscription, worker);
    subscription_token(all, subscription, clock_wall_ms() + CLAIM_TOKEN_LIFETIME_MS, token);
    subscription_reply(request, MHD_HTTP_OK,
                       json_pack("{s:s, s:I, s:s, s:o, s:I}", "wake_id", subscription->wake_id,
                                 "generation", (json_int_t)subscription->generation, "token", token,
                                 "streams", subscription_pack_links(subscription, true),
                                 "lease_ttl_ms", (json_int_t)subscription->config.lease_ttl_ms));
}

static bool check_token(struct request *request, const struct subscription *subscription,
                        uint64_t *generation)
{
    struct claim_token token = {.id = subscription->id, .created_ms = subscription->created_ms};
    enum claim_token_result result =
        claim_token_check(request->server->subscriptions->secret, request_bearer_token(request),
                          clock_wall_ms(), &token);
    *generation = token.generation;
    if (result == CLAIM_TOKEN_INVALID)
        subscription_reply_error(request, MHD_HTTP_UNAUTHORIZED, "TOKEN_INVALID",
                                 "the token is not valid");
    else if (result == CLAIM_TOKEN_EXPIRED)
        subscription_reply_error(request, MHD_HTTP_UNAUTHORIZED, "TOKEN_EXPIRED",
                                 "the token is over; another wake follows when the lease is");
    return result == CLAIM_TOKEN_OK;
}

/* Protocol 7.3. Answers unless the request belongs to the current wake. */
static bool check_fence(struct request *request, const struct subscription *subscription,
                        const json_t *body)
{
    uint64_t generation;
    if (!check_token(request, subscription, &generation))
        return false;
    const char *wake_id = json_string_value(json_object_get(body, "wake_id"));
    json_int_t named = json_integer_value(json_object_get(body, "generation"));
    if (generation == subscription->generation && named == (json_int_t)generation && wake_id &&
        subscription->holder && strcmp(wake_id, subscription->wake_id) == 0)
        return true;
    subscription_reply_error(request, MHD_HTTP_CONFLICT, "FENCED",
                             "the wake is not the current one");
    return false;
}

/* The link and position that an entry of "acks" names; what is wrong, or NULL. */
static const char *parse_ack(struct subscription *subscription, const json_t *ack,
                             struct link **link, uint64_t *position)
{
    const char *stream = json_string_value(json_object_get(ack, "stream"));
    const char *offset = json_string_value(json_object_get(ack, "offset"));
    char *path = stream ? subscription_path(stream) : NULL;
    *link = path ? subscription_find_link(subscription, slice_from_str(path)) : NULL;
    free(path);
    if (!*link)
        return "an ack names a stream that is not of this subscription";
    if (!offset || parse_offset(slice_from_str(offset), position) != OFFSET_POSITION)
        return "an ack has no offset";
    if (*position < (*link)->acked)
        return "an ack goes back";
    return *position > (*link)->tail ? "an ack lies behind the end of its stream" : NULL;
}

/* All or none. */
static bool apply_acks(struct request *request, struct subscription *subscription,
                       const json_t *acks)
{
    struct subscriptions *all = request->server->subscriptions;
    size_t count = json_array_size(acks);
    struct link *link;
    uint64_t position;
    subscription_refresh(all, subscription);
    for (size_t i = 0; i < count; i++) {
        const char *wrong = parse_ack(subscription, json_array_get(acks, i), &link, &position);
        if (wrong) {
            subscription_reply_error(request, MHD_HTTP_CONFLICT, "INVALID_OFFSET", wrong);
            return false;
        }
    }
    for (size_t i = 0; i < count; i++) {
        /* A stream named twice may go back by its second ack, and then keeps the first. */
        if (!parse_ack(subscription, json_array_get(acks, i), &link, &position))
            subscription_acknowledge(all, subscription, link, position);
    }
    return true;
}

void route_acknowledge(struct request *request, struct subscription *subscription,
                       const json_t *body)
{
    struct subscriptions *all = request->server->subscriptions;
    bool is_woken = false;
    if (!check_fence(request, subscription, body) ||
        !apply_acks(request, subscription, json_object_get(body, "acks")))
        return;
    if (subscription->config.webhook_url)
        subscription_set_delivered(subscription);
    if (json_is_true(json_object_get(body, "done")))
        is_woken = subscription_end_claim(all, subscription);
    else
        subscription_extend(all, subscription);
    subscription_reply(request, MHD_HTTP_OK,
                       json_pack("{s:b, s:b}", "ok", true, "next_wake", is_woken));
}

void route_release(struct request *request, struct subscription *subscription, const json_t *body)
{
    if (!check_fence(request, subscription, body))
        return;
    subscription_end_claim(request->server->subscriptions, subscription);
    reply_empty(request, MHD_HTTP_NO_CONTENT);
}
