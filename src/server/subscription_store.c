/* Subscriptions as settings of the store, as JSON, and their lists in memory. */
#include "subscription.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

enum { KEY_SIZE = STORE_KEY_MAX + 1 };

static struct slice subscription_key(const struct subscription *subscription, char key[KEY_SIZE])
{
    int len = snprintf(key, KEY_SIZE, "subscription/%s", subscription->id);
    check(len > 0 && len < KEY_SIZE);
    return slice_of(key, (size_t)len);
}

static struct slice link_key(const struct subscription *subscription, const struct link *link,
                             char key[KEY_SIZE])
{
    int len = snprintf(key, KEY_SIZE, "link/%s/%" PRIu64, subscription->id, link->number);
    check(len > 0 && len < KEY_SIZE);
    return slice_of(key, (size_t)len);
}

/* Room has been ensured by whoever changes the subscription. */
static void set(struct subscriptions *all, struct slice key, struct slice value)
{
    check(store_set(all->server->store, key, value));
}

static void save_json(struct subscriptions *all, struct slice key, json_t *json)
{
    char *text = json_dumps(json, JSON_COMPACT);
    check(json != NULL && text != NULL);
    set(all, key, slice_from_str(text));
    free(text);
    json_decref(json);
}

void subscription_save(struct subscriptions *all, const struct subscription *subscription)
{
    char key[KEY_SIZE];
    const struct subscription_config *config = &subscription->config;
    save_json(
        all, subscription_key(subscription, key),
        json_pack("{s:s, s:s*, s:s, s:s*, s:s*, s:s*, s:I, s:I, s:I, s:s, s:s*, s:I, s:I, s:I, "
                  "s:I, s:b}",
                  "config_hash", config->hash, "pattern", config->pattern, "streams",
                  config->streams, "wake_stream", config->wake_stream, "webhook_url",
                  config->webhook_url, "description", config->description, "lease_ttl_ms",
                  (json_int_t)config->lease_ttl_ms, "created_ms",
                  (json_int_t)subscription->created_ms, "generation",
                  (json_int_t)subscription->generation, "wake_id", subscription->wake_id, "holder",
                  subscription->holder, "lease_until_ms", (json_int_t)subscription->lease_until_ms,
                  "next_link", (json_int_t)subscription->next_link, "failures",
                  (json_int_t)subscription->failures, "next_attempt_ms",
                  (json_int_t)subscription->next_attempt_ms, "delivered",
                  (int)subscription->is_delivered));
}

void subscription_save_link(struct subscriptions *all, const struct subscription *subscription,
                            const struct link *link)
{
    char key[KEY_SIZE];
    save_json(all, link_key(subscription, link, key),
              json_pack("{s:s, s:b, s:b, s:I}", "path", link->path, "explicit", link->is_explicit,
                        "glob", link->is_glob, "acked", (json_int_t)link->acked));
}

void subscription_forget_link(struct subscriptions *all, const struct subscription *subscription,
                              const struct link *link)
{
    char key[KEY_SIZE];
    set(all, link_key(subscription, link, key), SLICE_NONE);
}

void subscription_forget(struct subscriptions *all, const struct subscription *subscription)
{
    char key[KEY_SIZE];
    set(all, subscription_key(subscription, key), SLICE_NONE);
    for (size_t i = 0; i < subscription->link_count; i++)
        subscription_forget_link(all, subscription, &subscription->links[i]);
}

/* ---- In memory ---- */

struct link *subscription_insert_link(struct subscription *subscription, struct slice path)
{
    if (subscription->link_count == subscription->link_capacity) {
        subscription->link_capacity =
            subscription->link_capacity ? subscription->link_capacity * 2 : 8;
        subscription->links =
            realloc(subscription->links, subscription->link_capacity * sizeof(struct link));
        check(subscription->links != NULL);
    }
    size_t at = 0, high = subscription->link_count;
    while (at < high) {
        size_t middle = at + (high - at) / 2;
        if (slice_cmp(slice_from_str(subscription->links[middle].path), path) < 0)
            at = middle + 1;
        else
            high = middle;
    }
    struct link *link = &subscription->links[at];
    memmove(link + 1, link, (subscription->link_count++ - at) * sizeof *link);
    *link = (struct link){.path = strndup(path.data, path.len)};
    check(link->path != NULL);
    return link;
}

void subscription_insert(struct subscriptions *all, struct subscription *subscription)
{
    all->items = realloc(all->items, (all->count + 1) * sizeof(struct subscription *));
    check(all->items != NULL);
    size_t at = all->count++;
    for (; at > 0 && strcmp(all->items[at - 1]->id, subscription->id) > 0; at--)
        all->items[at] = all->items[at - 1];
    all->items[at] = subscription;
}

void subscription_free(struct subscription *subscription)
{
    subscription_config_release(&subscription->config);
    for (size_t i = 0; i < subscription->link_count; i++)
        free(subscription->links[i].path);
    free(subscription->links);
    free(subscription->holder);
    free(subscription->id);
    free(subscription);
}

/* ---- Loading ---- */

static char *copy_or_null(const char *text)
{
    char *copy = text ? strdup(text) : NULL;
    check(!text || copy);
    return copy;
}

/* What the server itself has written is as it was written. */
static json_t *load_json(struct slice value)
{
    json_t *json = json_loadb(value.data, value.len, 0, NULL);
    check(json_is_object(json));
    return json;
}

/* Subscriptions from before hashes were stored have none. */
static void load_hash(struct subscription_config *config, const char *stored)
{
    if (stored)
        snprintf(config->hash, CONFIG_HASH_SIZE, "%s", stored);
    else
        subscription_config_hash(config, config->hash);
}

static void load_subscription(void *context, struct slice key, struct slice value)
{
    struct subscriptions *all = context;
    struct slice prefix = SLICE("subscription/");
    const char *pattern = NULL, *streams, *wake_stream = NULL, *webhook_url = NULL;
    const char *description = NULL, *wake_id;
    const char *holder = NULL, *hash = NULL;
    json_int_t lease_ttl_ms, created_ms, generation, lease_until_ms, next_link;
    json_int_t failures = 0, next_attempt_ms = 0;
    int is_delivered = 0;
    json_t *json = load_json(value);
    check(json_unpack(json,
                      "{s?s, s?s, s:s, s?s, s?s, s?s, s:I, s:I, s:I, s:s, s?s, s:I, s:I, s?I, s?I, "
                      "s?b}",
                      "config_hash", &hash, "pattern", &pattern, "streams", &streams, "wake_stream",
                      &wake_stream, "webhook_url", &webhook_url, "description", &description,
                      "lease_ttl_ms", &lease_ttl_ms, "created_ms", &created_ms, "generation",
                      &generation, "wake_id", &wake_id, "holder", &holder, "lease_until_ms",
                      &lease_until_ms, "next_link", &next_link, "failures", &failures,
                      "next_attempt_ms", &next_attempt_ms, "delivered", &is_delivered) == 0);
    struct subscription *subscription = calloc(1, sizeof *subscription);
    check(subscription != NULL);
    subscription->id = strndup(key.data + prefix.len, key.len - prefix.len);
    subscription->config = (struct subscription_config){
        .pattern = copy_or_null(pattern),
        .streams = copy_or_null(streams),
        .wake_stream = copy_or_null(wake_stream),
        .webhook_url = copy_or_null(webhook_url),
        .description = copy_or_null(description),
        .lease_ttl_ms = (uint64_t)lease_ttl_ms,
    };
    load_hash(&subscription->config, hash);
    subscription->created_ms = created_ms;
    subscription->generation = (uint64_t)generation;
    snprintf(subscription->wake_id, WAKE_ID_SIZE, "%s", wake_id);
    subscription->holder = copy_or_null(holder);
    subscription->lease_until_ms = lease_until_ms;
    subscription->next_link = (uint64_t)next_link;
    subscription->failures = (uint64_t)failures;
    subscription->next_attempt_ms = next_attempt_ms;
    subscription->is_delivered = is_delivered;
    subscription_insert(all, subscription);
    json_decref(json);
}

static void load_link(void *context, struct slice key, struct slice value)
{
    struct subscriptions *all = context;
    struct slice prefix = SLICE("link/");
    const char *path;
    int is_explicit, is_glob;
    json_int_t acked;
    const char *slash = memrchr(key.data, '/', key.len);
    struct slice id = slice_of(key.data + prefix.len, (size_t)(slash - key.data) - prefix.len);
    struct subscription *subscription = subscription_find(all, id);
    check(subscription != NULL);
    json_t *json = load_json(value);
    check(json_unpack(json, "{s:s, s:b, s:b, s:I}", "path", &path, "explicit", &is_explicit, "glob",
                      &is_glob, "acked", &acked) == 0);
    struct link *link = subscription_insert_link(subscription, slice_from_str(path));
    link->number = strtoull(slash + 1, NULL, 10);
    link->is_explicit = is_explicit;
    link->is_glob = is_glob;
    link->acked = (uint64_t)acked;
    json_decref(json);
}

void subscriptions_load(struct subscriptions *all)
{
    store_each_setting(all->server->store, SLICE("subscription/"), load_subscription, all);
    store_each_setting(all->server->store, SLICE("link/"), load_link, all);
}
