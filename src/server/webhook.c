#include "webhook.h"

#include "signature.h"
#include "weir/base/clock.h"
#include "weir/base/log.h"
#include "weir/http/sender.h"
#include "weir/http/target.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

enum {
    TIMEOUT_MAX_MS = 10000,
    RETRY_FIRST_MS = 1000,
    RETRY_MAX_MS = 60000,
};

struct webhooks {
    struct http_sender *sender;
    struct signature_key *key;
    char *root;
    bool has_loopback;
    uint64_t next_number;
};

struct seed {
    unsigned char bytes[SIGNATURE_SEED_SIZE];
    bool is_there;
};

static void read_seed(void *context, struct slice key, struct slice value)
{
    struct seed *seed = context;
    (void)key;
    check(value.len == sizeof seed->bytes);
    memcpy(seed->bytes, value.data, value.len);
    seed->is_there = true;
}

static struct signature_key *open_key(struct store *store)
{
    struct seed seed = {.is_there = false};
    store_each_setting(store, SLICE("webhook-key"), read_seed, &seed);
    if (!seed.is_there) {
        check(getrandom(seed.bytes, sizeof seed.bytes, 0) == (ssize_t)sizeof seed.bytes);
        if (!store_set(store, SLICE("webhook-key"),
                       slice_of((const char *)seed.bytes, sizeof seed.bytes)))
            log_event(LOG_WARN, "the key of webhooks could not be saved");
    }
    struct signature_key *key = signature_key_new(seed.bytes);
    explicit_bzero(&seed, sizeof seed);
    return key;
}

struct webhooks *webhooks_open(struct server *server)
{
    const struct server_settings *settings = server->settings;
    struct webhooks *webhooks = calloc(1, sizeof *webhooks);
    check(webhooks != NULL);
    webhooks->sender = http_sender_new();
    webhooks->key = open_key(server->store);
    webhooks->has_loopback = settings->has_webhook_loopback;
    if (settings->public_url)
        check((webhooks->root = strdup(settings->public_url)) != NULL);
    else
        check(asprintf(&webhooks->root, "http://%s/v1/stream", settings->listen) > 0);
    return webhooks;
}

void webhooks_close(struct webhooks *webhooks)
{
    if (!webhooks)
        return;
    http_sender_free(webhooks->sender);
    signature_key_free(webhooks->key);
    free(webhooks->root);
    free(webhooks);
}

int webhooks_event_fd(const struct webhooks *webhooks)
{
    return http_sender_event_fd(webhooks->sender);
}

bool webhook_allows(const struct webhooks *webhooks, const char *url)
{
    enum http_target target = http_target_of(url);
    return target == HTTP_TARGET_PUBLIC ||
           (target == HTTP_TARGET_LOOPBACK && webhooks->has_loopback);
}

const char *webhook_key_id(const struct webhooks *webhooks)
{
    return signature_key_id(webhooks->key);
}

const char *webhook_root(const struct webhooks *webhooks)
{
    return webhooks->root;
}

static char *dump(json_t *json)
{
    char *text = json_dumps(json, JSON_COMPACT);
    check(json != NULL && text != NULL);
    json_decref(json);
    return text;
}

char *webhook_key_set(const struct webhooks *webhooks)
{
    return dump(json_pack("{s:[{s:s, s:s, s:s, s:s, s:s, s:s}]}", "keys", "kty", "OKP", "crv",
                          "Ed25519", "kid", webhook_key_id(webhooks), "use", "sig", "alg", "EdDSA",
                          "x", signature_key_x(webhooks->key)));
}

/* ---- Sending ---- */

static json_t *pack_snapshot(const struct subscription *subscription)
{
    json_t *list = json_array();
    for (size_t i = 0; i < subscription->link_count; i++) {
        const struct link *link = &subscription->links[i];
        char acked[OFFSET_TEXT_SIZE], tail[OFFSET_TEXT_SIZE];
        uint64_t snapshot = link->snapshot > link->acked ? link->snapshot : link->acked;
        format_offset(link->acked, acked);
        format_offset(snapshot, tail);
        json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:s, s:b}", "path", link->path,
                                              "link_type", link->is_explicit ? "explicit" : "glob",
                                              "acked_offset", acked, "tail_offset", tail,
                                              "has_pending", snapshot > link->acked));
    }
    return list;
}

static char *make_body(const struct subscriptions *all, const struct subscription *subscription)
{
    char token[TOKEN_SIZE], *callback;
    subscription_token(all, subscription, subscription->generation, token);
    check(asprintf(&callback, "%s/__ds/subscriptions/%s/callback", all->webhooks->root,
                   subscription->id) > 0);
    char *body = dump(json_pack(
        "{s:s, s:s, s:I, s:o, s:s, s:s}", "subscription_id", subscription->id, "wake_id",
        subscription->wake_id, "generation", (json_int_t)subscription->generation, "streams",
        pack_snapshot(subscription), "callback_url", callback, "callback_token", token));
    free(callback);
    return body;
}

static void send_wake(struct subscriptions *all, struct subscription *subscription)
{
    struct webhooks *webhooks = all->webhooks;
    struct buffer text = BUFFER_INIT;
    char header[256], signature[SIGNATURE_TEXT_SIZE];
    int64_t now_s = clock_wall_ms() / 1000;
    uint64_t timeout_ms = subscription->config.lease_ttl_ms;
    char *body = make_body(all, subscription);
    buffer_printf(&text, "%" PRId64 ".", now_s);
    buffer_add_str(&text, body);
    signature_make(webhooks->key, buffer_slice(&text), signature);
    snprintf(header, sizeof header, "Webhook-Signature: t=%" PRId64 ",kid=%s,ed25519=%s", now_s,
             webhook_key_id(webhooks), signature);
    subscription->send_ticket = 0;
    subscription->delivery = ++webhooks->next_number;
    http_sender_post(webhooks->sender, subscription->delivery, subscription->config.webhook_url,
                     header, slice_from_str(body),
                     timeout_ms < TIMEOUT_MAX_MS ? timeout_ms : TIMEOUT_MAX_MS);
    buffer_release(&text);
    free(body);
}

/* ---- Answers ---- */

static int64_t retry_delay_ms(uint64_t failures)
{
    uint32_t random;
    int64_t delay_ms = RETRY_FIRST_MS;
    for (uint64_t i = 1; i < failures && delay_ms < RETRY_MAX_MS; i++)
        delay_ms *= 2;
    if (delay_ms > RETRY_MAX_MS)
        delay_ms = RETRY_MAX_MS;
    check(getrandom(&random, sizeof random, 0) == (ssize_t)sizeof random);
    /* 20 % to either side, but never outside of 1 to 60 s. */
    delay_ms += delay_ms * ((int64_t)(random % 401) - 200) / 1000;
    return delay_ms < RETRY_FIRST_MS ? RETRY_FIRST_MS
           : delay_ms > RETRY_MAX_MS ? RETRY_MAX_MS
                                     : delay_ms;
}

static void take_failure(struct subscriptions *all, struct subscription *subscription, long status)
{
    subscription->failures++;
    subscription->next_attempt_ms = clock_wall_ms() + retry_delay_ms(subscription->failures);
    log_event(LOG_WARN, "a webhook failed and is tried again",
              LOG_STR("subscription", subscription->id), LOG_I("status", status),
              LOG_U("failures", subscription->failures));
    subscription_end_claim(all, subscription);
}

static void acknowledge_snapshot(struct subscriptions *all, struct subscription *subscription)
{
    subscription_refresh(all, subscription);
    for (size_t i = 0; i < subscription->link_count; i++) {
        struct link *link = &subscription->links[i];
        if (link->snapshot > link->acked && link->snapshot <= link->tail)
            subscription_acknowledge(all, subscription, link, link->snapshot);
    }
}

static void take_result(struct subscriptions *all, const struct http_result *result)
{
    struct subscription *subscription = NULL;
    for (size_t i = 0; i < all->count && !subscription; i++) {
        if (all->items[i]->delivery == result->number)
            subscription = all->items[i];
    }
    /* A callback was faster, or it is deleted. */
    if (!subscription)
        return;
    subscription->delivery = 0;
    if (result->status < 200 || result->status > 299) {
        take_failure(all, subscription, result->status);
        return;
    }
    subscription->failures = 0;
    subscription->next_attempt_ms = 0;
    struct slice answer = buffer_slice(&result->answer);
    json_t *json = json_loadb(answer.data ? answer.data : "", answer.len, 0, NULL);
    if (json_is_true(json_object_get(json, "done"))) {
        acknowledge_snapshot(all, subscription);
        subscription_end_claim(all, subscription);
    } else {
        subscription_save(all, subscription);
    }
    json_decref(json);
}

/* What one answer changes is bounded by the links of its subscription. */
static bool has_room(const struct subscriptions *all)
{
    return subscription_has_room(all, (size_t)LINKS_MAX * (STORE_KEY_MAX + 256));
}

void webhooks_run(struct subscriptions *all)
{
    struct http_result result;
    http_sender_clear(all->webhooks->sender);
    while (has_room(all) && http_sender_take(all->webhooks->sender, &result)) {
        take_result(all, &result);
        buffer_release(&result.answer);
    }
    uint64_t durable = store_durable(all->server->store);
    for (size_t i = 0; i < all->count; i++) {
        struct subscription *subscription = all->items[i];
        if (subscription->send_ticket && subscription->send_ticket <= durable)
            send_wake(all, subscription);
        else if (subscription->next_attempt_ms && subscription_has_room(all, 0))
            subscription_retry(all, subscription);
    }
}
