#include "subscription.h"
#include "webhook.h"

#include "weir/base/clock.h"
#include "weir/base/log.h"

#include <stdlib.h>
#include <sys/random.h>

struct appended {
    char *path;
    uint64_t previous_tail, tail;
};

struct subscription *subscription_find(const struct subscriptions *all, struct slice id)
{
    for (size_t i = 0; i < all->count; i++) {
        if (slice_eq_str(id, all->items[i]->id))
            return all->items[i];
    }
    return NULL;
}

struct link *subscription_find_link(struct subscription *subscription, struct slice path)
{
    size_t low = 0, high = subscription->link_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = slice_cmp(slice_from_str(subscription->links[middle].path), path);
        if (order == 0)
            return &subscription->links[middle];
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

/* ---- Links ---- */

static uint64_t tail_of(struct subscriptions *all, const char *path)
{
    struct stream *stream;
    enum find_result found = store_find(all->server->store, slice_from_str(path), &stream);
    return found == FIND_OK ? stream_tail(stream) : 0;
}

/* A stream that was deleted and made again begins at 0 again, and so does its cursor. */
static void set_tail(struct link *link, uint64_t tail)
{
    link->tail = tail;
    if (link->acked > tail)
        link->acked = 0;
}

void subscription_refresh(struct subscriptions *all, struct subscription *subscription)
{
    for (size_t i = 0; i < subscription->link_count; i++)
        set_tail(&subscription->links[i], tail_of(all, subscription->links[i].path));
}

bool subscription_is_pending(const struct subscription *subscription)
{
    for (size_t i = 0; i < subscription->link_count; i++) {
        if (subscription->links[i].tail > subscription->links[i].acked)
            return true;
    }
    return false;
}

static struct link *add_link(struct subscription *subscription, struct slice path, uint64_t acked)
{
    if (subscription->link_count >= LINKS_MAX)
        return NULL;
    struct link *link = subscription_insert_link(subscription, path);
    link->number = subscription->next_link++;
    link->acked = acked;
    link->tail = acked;
    return link;
}

static void remove_link(struct subscription *subscription, struct link *link)
{
    size_t behind = subscription->link_count - (size_t)(link - subscription->links) - 1;
    free(link->path);
    memmove(link, link + 1, behind * sizeof *link);
    subscription->link_count--;
}

static bool is_matched(const struct subscription *subscription, struct slice path)
{
    const struct subscription_config *config = &subscription->config;
    /* A wake must not be work for the subscription that it wakes. */
    return config->pattern && !slice_eq_str(path, config->wake_stream) &&
           glob_match(slice_from_str(config->pattern), path);
}

bool subscription_link(struct subscriptions *all, struct subscription *subscription,
                       struct slice path)
{
    struct link *link = subscription_find_link(subscription, path);
    if (!link) {
        struct stream *stream;
        bool exists = store_find(all->server->store, path, &stream) == FIND_OK;
        link = add_link(subscription, path, exists ? stream_tail(stream) : 0);
    }
    if (!link)
        return false;
    link->is_explicit = true;
    subscription_save_link(all, subscription, link);
    subscription_save(all, subscription);
    return true;
}

void subscription_unlink(struct subscriptions *all, struct subscription *subscription,
                         struct slice path)
{
    struct link *link = subscription_find_link(subscription, path);
    if (!link)
        return;
    link->is_explicit = false;
    if (link->is_glob) {
        subscription_save_link(all, subscription, link);
        return;
    }
    subscription_forget_link(all, subscription, link);
    remove_link(subscription, link);
}

/* ---- Creating and deleting ---- */

struct backfill {
    struct subscription *subscription;
    bool is_too_much;
};

static void backfill_stream(void *context, struct slice path, uint64_t tail)
{
    struct backfill *backfill = context;
    struct subscription *subscription = backfill->subscription;
    if (!is_matched(subscription, path))
        return;
    struct link *link = subscription_find_link(subscription, path);
    if (!link)
        link = add_link(subscription, path, tail);
    if (link)
        link->is_glob = true;
    else
        backfill->is_too_much = true;
}

static bool link_listed(struct subscriptions *all, struct subscription *subscription)
{
    const char *line = subscription->config.streams;
    while (*line) {
        size_t len = strcspn(line, "\n");
        char *path = strndup(line, len);
        check(path != NULL);
        struct link *link = add_link(subscription, slice_from_str(path), tail_of(all, path));
        free(path);
        if (!link)
            return false;
        link->is_explicit = true;
        line += len + 1;
    }
    return true;
}

bool subscription_has_room(const struct subscriptions *all, size_t bytes)
{
    enum { ONE_SUBSCRIPTION = 1 << 20 };
    return store_ensure(all->server->store, bytes + ONE_SUBSCRIPTION);
}

static size_t links_size(const struct subscription *subscription)
{
    size_t bytes = 0;
    for (size_t i = 0; i < subscription->link_count; i++)
        bytes += strlen(subscription->links[i].path) + STORE_KEY_MAX + 256;
    return bytes;
}

static void save_all(struct subscriptions *all, const struct subscription *subscription)
{
    subscription_save(all, subscription);
    for (size_t i = 0; i < subscription->link_count; i++)
        subscription_save_link(all, subscription, &subscription->links[i]);
}

static enum subscription_result link_all(struct subscriptions *all,
                                         struct subscription *subscription)
{
    struct backfill backfill = {subscription, false};
    if (all->count >= SUBSCRIPTIONS_MAX || !link_listed(all, subscription))
        return SUBSCRIPTION_TOO_MUCH;
    if (subscription->config.pattern)
        store_each_stream(all->server->store, backfill_stream, &backfill);
    if (backfill.is_too_much)
        return SUBSCRIPTION_TOO_MUCH;
    return subscription_has_room(all, links_size(subscription)) ? SUBSCRIPTION_OK
                                                                : SUBSCRIPTION_NO_ROOM;
}

enum subscription_result subscription_create(struct subscriptions *all, struct slice id,
                                             struct subscription_config *config,
                                             struct subscription **created)
{
    struct subscription *subscription = calloc(1, sizeof *subscription);
    check(subscription != NULL);
    subscription->id = strndup(id.data, id.len);
    subscription->config = *config;
    *config = (struct subscription_config){0};
    subscription->created_ms = clock_wall_ms();
    enum subscription_result result = link_all(all, subscription);
    if (result != SUBSCRIPTION_OK) {
        subscription_free(subscription);
        return result;
    }
    save_all(all, subscription);
    subscription_insert(all, subscription);
    store_observe(all->server->store, true);
    *created = subscription;
    return SUBSCRIPTION_OK;
}

void subscription_delete(struct subscriptions *all, struct subscription *subscription)
{
    subscription_forget(all, subscription);
    size_t at = 0;
    while (all->items[at] != subscription)
        at++;
    memmove(&all->items[at], &all->items[at + 1],
            (--all->count - at) * sizeof(struct subscription *));
    subscription_free(subscription);
    store_observe(all->server->store, all->count > 0);
}

/* ---- The server's calls ---- */

void subscriptions_on_append(void *context, struct stream *stream, uint64_t previous_tail)
{
    struct subscriptions *all = ((struct server *)context)->subscriptions;
    struct slice path = stream_path(stream);
    if (all->queue_count == all->queue_capacity) {
        all->queue_capacity = all->queue_capacity ? all->queue_capacity * 2 : 64;
        all->queue = realloc(all->queue, all->queue_capacity * sizeof *all->queue);
        check(all->queue != NULL);
    }
    struct appended *appended = &all->queue[all->queue_count++];
    *appended = (struct appended){strndup(path.data, path.len), previous_tail, stream_tail(stream)};
    check(appended->path != NULL);
}

static void look_at(struct subscriptions *all, struct subscription *subscription,
                    const struct appended *appended)
{
    struct slice path = slice_from_str(appended->path);
    struct link *link = subscription_find_link(subscription, path);
    if (!link && is_matched(subscription, path)) {
        link = add_link(subscription, path, appended->previous_tail);
        if (!link) {
            log_event(LOG_WARN, "a subscription has too many streams",
                      LOG_STR("subscription", subscription->id), LOG_SLICE("stream", path));
            return;
        }
        link->is_glob = true;
        subscription_save_link(all, subscription, link);
        subscription_save(all, subscription);
    }
    if (!link)
        return;
    set_tail(link, appended->tail);
    subscription_wake_if_pending(all, subscription);
}

static void expire_leases(struct subscriptions *all)
{
    int64_t now_ms = clock_wall_ms();
    for (size_t i = 0; i < all->count; i++) {
        struct subscription *subscription = all->items[i];
        /* A request under way ends by its own time limit, and then its failure counts. */
        if (subscription->holder && !subscription->delivery && !subscription->send_ticket &&
            subscription->lease_until_ms <= now_ms && subscription_has_room(all, 0))
            subscription_end_claim(all, subscription);
    }
}

/* Without room, what is queued waits; as nothing is appended then, the queue does not grow. */
void subscriptions_run(struct server *server)
{
    struct subscriptions *all = server->subscriptions;
    size_t done = 0;
    for (; done < all->queue_count; done++) {
        size_t looked = 0;
        while (looked < all->count && subscription_has_room(all, 0))
            look_at(all, all->items[looked++], &all->queue[done]);
        if (looked < all->count)
            break;
        free(all->queue[done].path);
    }
    all->queue_count -= done;
    if (all->queue_count)
        memmove(all->queue, all->queue + done, all->queue_count * sizeof *all->queue);
    expire_leases(all);
    if (all->webhooks)
        webhooks_run(all);
}

static void read_secret(void *context, struct slice key, struct slice value)
{
    struct subscriptions *all = context;
    (void)key;
    check(value.len == sizeof all->secret);
    memcpy(all->secret, value.data, value.len);
    all->has_secret = true;
}

/* What was appended between the last wake and a restart. Streams that are not linked came after
 * the subscription, so all of them is new. */
static void catch_up(struct subscriptions *all, struct subscription *subscription)
{
    struct backfill backfill = {subscription, false};
    uint64_t first_new = subscription->next_link;
    if (!subscription_has_room(all, 0))
        return;
    if (subscription->config.pattern)
        store_each_stream(all->server->store, backfill_stream, &backfill);
    for (size_t i = 0; i < subscription->link_count; i++) {
        if (subscription->links[i].number >= first_new)
            subscription->links[i].acked = 0;
    }
    subscription_refresh(all, subscription);
    if (subscription->next_link > first_new && subscription_has_room(all, links_size(subscription)))
        save_all(all, subscription);
    /* The snapshot of a wake that may not have arrived is lost, so it is another wake. */
    if (subscription->config.webhook_url && subscription->holder && !subscription->is_delivered)
        subscription_end_claim(all, subscription);
    else
        subscription_wake_if_pending(all, subscription);
}

void subscriptions_open(struct server *server)
{
    struct subscriptions *all = calloc(1, sizeof *all);
    check(all != NULL);
    all->server = server;
    server->subscriptions = all;
    store_each_setting(server->store, SLICE("token-secret"), read_secret, all);
    if (!all->has_secret) {
        check(getrandom(all->secret, sizeof all->secret, 0) == (ssize_t)sizeof all->secret);
        /* Without room the secret lives as long as the process; tokens then end with it. */
        if (!store_set(server->store, SLICE("token-secret"),
                       slice_of((const char *)all->secret, sizeof all->secret)))
            log_event(LOG_WARN, "the secret of tokens could not be saved");
    }
    if (server->settings->has_webhooks)
        all->webhooks = webhooks_open(server);
    subscriptions_load(all);
    for (size_t i = 0; i < all->count; i++)
        catch_up(all, all->items[i]);
    store_observe(server->store, all->count > 0);
}

void subscriptions_close(struct subscriptions *all)
{
    webhooks_close(all->webhooks);
    for (size_t i = 0; i < all->count; i++)
        subscription_free(all->items[i]);
    for (size_t i = 0; i < all->queue_count; i++)
        free(all->queue[i].path);
    free(all->queue);
    free(all->items);
    free(all);
}
