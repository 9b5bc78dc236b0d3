/* Wakes of a subscription, and the claims on them. Protocol 7. */
#include "subscription.h"

#include "weir/base/clock.h"
#include "weir/base/log.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

static void write_wake(struct subscriptions *all, const struct subscription *subscription,
                       const char *path)
{
    struct store *store = all->server->store;
    struct slice wake_stream = slice_from_str(subscription->config.wake_stream);
    struct buffer event = BUFFER_INIT;
    struct stream *stream;
    struct append_answer answer;
    /* Ids and paths are canonical, so nothing in them needs escaping. */
    buffer_printf(&event,
                  "{\"type\":\"wake\",\"subscription_id\":\"%s\",\"stream\":\"%s\","
                  "\"generation\":%" PRIu64 ",\"ts\":%" PRId64 "}",
                  subscription->id, path, subscription->generation, clock_wall_ms());
    bool ok = store_find(store, wake_stream, &stream) == FIND_OK;
    if (ok) {
        struct append_request request = {.body = buffer_slice(&event),
                                         .content_type = stream_content_type(stream)};
        ok = store_append(store, stream, &request, &answer) == APPEND_OK;
    }
    if (!ok)
        log_event(LOG_WARN, "a wake event could not be written",
                  LOG_STR("subscription", subscription->id), LOG_SLICE("stream", wake_stream));
    buffer_release(&event);
}

/* The lease of a webhook begins with its wake. */
static void hold_for_webhook(struct subscription *subscription)
{
    int64_t now_ms = clock_wall_ms();
    for (size_t i = 0; i < subscription->link_count; i++)
        subscription->links[i].snapshot = subscription->links[i].tail;
    subscription->holder = strdup("webhook");
    check(subscription->holder != NULL);
    subscription->lease_until_ms = now_ms + (int64_t)subscription->config.lease_ttl_ms;
}

static void wake(struct subscriptions *all, struct subscription *subscription)
{
    unsigned char random[16];
    const char *path = "";
    for (size_t i = subscription->link_count; i-- > 0;) {
        if (subscription->links[i].tail > subscription->links[i].acked)
            path = subscription->links[i].path;
    }
    check(getrandom(random, sizeof random, 0) == (ssize_t)sizeof random);
    char *to = subscription->wake_id + snprintf(subscription->wake_id, WAKE_ID_SIZE, "w_");
    for (size_t i = 0; i < sizeof random; i++)
        to += snprintf(to, 3, "%02x", random[i]);
    subscription->generation++;
    if (subscription->config.webhook_url)
        hold_for_webhook(subscription);
    else
        write_wake(all, subscription, path);
}

static bool may_wake(const struct subscriptions *all, const struct subscription *subscription)
{
    return !subscription->config.webhook_url ||
           (all->webhooks && subscription->next_attempt_ms <= clock_wall_ms());
}

bool subscription_wake_if_pending(struct subscriptions *all, struct subscription *subscription)
{
    if (subscription->holder || subscription->wake_id[0] ||
        !subscription_is_pending(subscription) || !may_wake(all, subscription))
        return false;
    wake(all, subscription);
    subscription_save(all, subscription);
    if (subscription->config.webhook_url)
        subscription->send_ticket = store_staged(all->server->store);
    return true;
}

void subscription_claim(struct subscriptions *all, struct subscription *subscription,
                        const char *worker)
{
    subscription_wake_if_pending(all, subscription);
    subscription->holder = strdup(worker);
    check(subscription->holder != NULL);
    subscription_extend(all, subscription);
}

void subscription_extend(struct subscriptions *all, struct subscription *subscription)
{
    subscription->lease_until_ms = clock_wall_ms() + (int64_t)subscription->config.lease_ttl_ms;
    subscription_save(all, subscription);
}

void subscription_acknowledge(struct subscriptions *all, struct subscription *subscription,
                              struct link *link, uint64_t position)
{
    link->acked = position;
    subscription_save_link(all, subscription, link);
}

void subscription_set_delivered(struct subscription *subscription)
{
    subscription->is_delivered = true;
    subscription->failures = 0;
    subscription->next_attempt_ms = 0;
}

bool subscription_end_claim(struct subscriptions *all, struct subscription *subscription)
{
    free(subscription->holder);
    subscription->holder = NULL;
    subscription->wake_id[0] = '\0';
    subscription->lease_until_ms = 0;
    subscription->is_delivered = false;
    subscription->send_ticket = 0;
    subscription->delivery = 0;
    subscription_refresh(all, subscription);
    if (subscription_wake_if_pending(all, subscription))
        return true;
    subscription_save(all, subscription);
    return false;
}

void subscription_token(const struct subscriptions *all, const struct subscription *subscription,
                        int64_t expires_ms, char out[CLAIM_TOKEN_SIZE])
{
    struct claim_token token = {subscription->id, subscription->created_ms,
                                subscription->generation, expires_ms};
    claim_token_make(all->secret, &token, out);
}
