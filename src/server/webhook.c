#include "webhook.h"

#include "key_set.h"
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
    struct store *store;
    struct key_set keys;
    uint64_t key_lifetime_ms;
    char *root;
    bool has_loopback;
    uint64_t next_number;
};

/* ---- Keys ---- */

/* A key is the setting "webhook-key/<when it was made>", and its value the seed. */
static const struct slice key_prefix = {"webhook-key/", 12};

enum { KEY_NAME_SIZE = 40 };

static struct slice key_name(int64_t made_ms, char name[KEY_NAME_SIZE])
{
    int len = snprintf(name, KEY_NAME_SIZE, "%s%016" PRId64, key_prefix.data, made_ms);
    check(len > 0 && len < KEY_NAME_SIZE);
    return slice_of(name, (size_t)len);
}

static void read_key(void *context, struct slice name, struct slice seed)
{
    check(seed.len == SIGNATURE_SEED_SIZE);
    key_set_add(context, signature_key_new((const unsigned char *)seed.data),
                strtoll(name.data + key_prefix.len, NULL, 10));
}

static void forget_oldest_key(struct webhooks *webhooks)
{
    char name[KEY_NAME_SIZE];
    struct slice key = key_name(webhooks->keys.keys[0].made_ms, name);
    if (!store_set(webhooks->store, key, SLICE_NONE))
        log_event(LOG_WARN, "a key of webhooks could not be removed; it comes back at a restart");
    key_set_remove_oldest(&webhooks->keys);
}

static void make_key(struct webhooks *webhooks, int64_t now_ms)
{
    char name[KEY_NAME_SIZE];
    unsigned char seed[SIGNATURE_SEED_SIZE];
    check(getrandom(seed, sizeof seed, 0) == (ssize_t)sizeof seed);
    if (!store_set(webhooks->store, key_name(now_ms, name),
                   slice_of((const char *)seed, sizeof seed)))
        log_event(LOG_WARN, "the key of webhooks could not be saved");
    struct signature_key *key = signature_key_new(seed);
    explicit_bzero(seed, sizeof seed);
    key_set_add(&webhooks->keys, key, now_ms);
    log_event(LOG_INFO, "webhooks have a new key", LOG_STR("kid", signature_key_id(key)));
}

static void turn_keys(struct webhooks *webhooks)
{
    int64_t now_ms = clock_wall_ms();
    if (key_set_is_due(&webhooks->keys, webhooks->key_lifetime_ms, now_ms))
        make_key(webhooks, now_ms);
    while (key_set_is_oldest_over(&webhooks->keys, now_ms))
        forget_oldest_key(webhooks);
}

static void open_keys(struct webhooks *webhooks, bool wants_new)
{
    store_each_setting(webhooks->store, key_prefix, read_key, &webhooks->keys);
    while (wants_new && webhooks->keys.count)
        forget_oldest_key(webhooks);
    if (!webhooks->keys.count)
        make_key(webhooks, clock_wall_ms());
}

/* ---- Opening ---- */

struct webhooks *webhooks_open(struct server *server)
{
    const struct server_settings *settings = server->settings;
    struct webhooks *webhooks = calloc(1, sizeof *webhooks);
    check(webhooks != NULL);
    webhooks->sender = http_sender_new();
    webhooks->store = server->store;
    webhooks->key_lifetime_ms = settings->webhook_key_lifetime_ms;
    open_keys(webhooks, settings->wants_new_webhook_key);
    webhooks->has_loopback = settings->has_webhook_loopback;
    if (settings->public_url)
        check((webhooks->root = strdup(settings->public_url)) != NULL);
    else
        check(asprintf(&webhooks->root, "%s://%s/v1/stream",
                       settings->tls_cert_file ? "https" : "http", settings->listen) > 0);
    return webhooks;
}

void webhooks_close(struct webhooks *webhooks)
{
    if (!webhooks)
        return;
    http_sender_free(webhooks->sender);
    key_set_release(&webhooks->keys);
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
    return signature_key_id(key_set_signing(&webhooks->keys, clock_wall_ms()));
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
    json_t *list = json_array();
    for (size_t i = 0; i < webhooks->keys.count; i++) {
        const struct signature_key *key = webhooks->keys.keys[i].key;
        json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:s, s:s, s:s}", "kty", "OKP", "crv",
                                              "Ed25519", "kid", signature_key_id(key), "use", "sig",
                                              "alg", "EdDSA", "x", signature_key_x(key)));
    }
    return dump(json_pack("{s:o}", "keys", list));
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
    char token[CLAIM_TOKEN_SIZE], *callback;
    /* From the wake on, of which the lease tells, so that one that is repeated has the
     * same token. */
    int64_t woken_ms = subscription->lease_until_ms - (int64_t)subscription->config.lease_ttl_ms;
    subscription_token(all, subscription, woken_ms + CLAIM_TOKEN_LIFETIME_MS, token);
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
    const struct signature_key *key = key_set_signing(&webhooks->keys, clock_wall_ms());
    struct buffer text = BUFFER_INIT;
    char header[256], signature[SIGNATURE_TEXT_SIZE];
    int64_t now_s = clock_wall_ms() / 1000;
    uint64_t timeout_ms = subscription->config.lease_ttl_ms;
    char *body = make_body(all, subscription);
    buffer_printf(&text, "%" PRId64 ".", now_s);
    buffer_add_str(&text, body);
    signature_make(key, buffer_slice(&text), signature);
    snprintf(header, sizeof header, "Webhook-Signature: t=%" PRId64 ",kid=%s,ed25519=%s", now_s,
             signature_key_id(key), signature);
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
    subscription_save(all, subscription);
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
        /* It has called back, so it has the wake. */
        if (!subscription->is_delivered)
            take_failure(all, subscription, result->status);
        return;
    }
    subscription_set_delivered(subscription);
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

/* A wake that has not arrived is sent again as it was, until its lease is over. */
static bool is_to_be_repeated(const struct subscription *subscription)
{
    int64_t now_ms = clock_wall_ms();
    return subscription->holder && subscription->config.webhook_url &&
           !subscription->is_delivered && !subscription->delivery && !subscription->send_ticket &&
           subscription->next_attempt_ms <= now_ms && subscription->lease_until_ms > now_ms;
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
    turn_keys(all->webhooks);
    uint64_t durable = store_durable(all->server->store);
    for (size_t i = 0; i < all->count; i++) {
        struct subscription *subscription = all->items[i];
        bool is_durable = subscription->send_ticket && subscription->send_ticket <= durable;
        if (is_durable || is_to_be_repeated(subscription))
            send_wake(all, subscription);
        else if (subscription->next_attempt_ms && subscription_has_room(all, 0))
            subscription_wake_if_pending(all, subscription);
    }
}
