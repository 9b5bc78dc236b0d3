/* Subscriptions: durable cursors over streams that wake workers. Protocol sections 6 and 7, a wake
 * is an event in a stream that the application has made for it, or a request to a URL (webhook.h).
 *
 * A subscription is idle, woken (a wake event is written) or held (a worker has claimed the wake).
 *
 *     idle --pending work--> woken --claim--> held --done, release, lease over--> idle
 *
 * Each wake has a new generation, and only the token of the current one moves cursors. Everything
 * is a setting in the store: `subscription/<id>` the subscription, `link/<id>/<number>` each of its
 * streams. Loop thread. */
#pragma once

#include "claim_token.h"
#include "internal.h"
#include "subscription_config.h"

enum {
    SUBSCRIPTIONS_MAX = 1000,
    LINKS_MAX = 10000,
    WAKE_ID_SIZE = 36,
    CONFIG_BYTES_MAX = 256 * 1024, /* the body of a PUT */
};

struct link {
    char *path; /* canonical */
    uint64_t number;
    bool is_explicit, is_glob;
    uint64_t acked;
    uint64_t tail;     /* as last seen */
    uint64_t snapshot; /* the tail that the current wake of a webhook tells of */
};

struct subscription {
    char *id; /* one canonical path segment */
    struct subscription_config config;
    int64_t created_ms;
    uint64_t generation;
    char wake_id[WAKE_ID_SIZE]; /* empty: idle */
    char *holder;               /* NULL: not held */
    int64_t lease_until_ms;     /* wall clock, while held */
    struct link *links;         /* sorted by path */
    size_t link_count, link_capacity;
    uint64_t next_link;
    uint64_t failures;       /* of webhook requests in a row */
    int64_t next_attempt_ms; /* wall clock; 0: whenever there is work */
    bool is_delivered;       /* the webhook has the current wake */
    uint64_t send_ticket;    /* the wake is to be sent when this is durable; 0: none */
    uint64_t delivery;       /* number of the request under way; 0: none */
};

struct subscriptions {
    struct server *server;
    struct subscription **items; /* sorted by id */
    size_t count;
    struct appended *queue; /* appends not looked at yet */
    size_t queue_count, queue_capacity;
    unsigned char secret[CLAIM_SECRET_SIZE]; /* of tokens */
    bool has_secret;
    struct webhooks *webhooks; /* NULL: not allowed */
};

void subscriptions_open(struct server *server);
void subscriptions_close(struct subscriptions *all);

/* ---- subscription.c ---- */

struct subscription *subscription_find(const struct subscriptions *all, struct slice id);

/* What writes needs room, and asks for it first: true when there is. bytes: beside what one
 * subscription may take. */
bool subscription_has_room(const struct subscriptions *all, size_t bytes) WEIR_MUST_CHECK;

enum subscription_result { SUBSCRIPTION_OK, SUBSCRIPTION_TOO_MUCH, SUBSCRIPTION_NO_ROOM };

/* Takes the config over. TOO_MUCH: subscriptions, or streams that match. */
enum subscription_result subscription_create(struct subscriptions *all, struct slice id,
                                             struct subscription_config *config,
                                             struct subscription **created) WEIR_MUST_CHECK;
void subscription_delete(struct subscriptions *all, struct subscription *subscription);

/* Adds and removes explicit streams. False: too many. */
bool subscription_link(struct subscriptions *all, struct subscription *subscription,
                       struct slice path) WEIR_MUST_CHECK;
void subscription_unlink(struct subscriptions *all, struct subscription *subscription,
                         struct slice path);
struct link *subscription_find_link(struct subscription *subscription, struct slice path);

/* Asks the store for the tails of all links. */
void subscription_refresh(struct subscriptions *all, struct subscription *subscription);
bool subscription_is_pending(const struct subscription *subscription);

/* ---- subscription_wake.c ---- */

/* Wakes when there is work, nobody has been woken, and its next attempt is due. True: it has. */
bool subscription_wake_if_pending(struct subscriptions *all, struct subscription *subscription);

/* Room must have been ensured. */
void subscription_claim(struct subscriptions *all, struct subscription *subscription,
                        const char *worker);
void subscription_extend(struct subscriptions *all, struct subscription *subscription);
void subscription_acknowledge(struct subscriptions *all, struct subscription *subscription,
                              struct link *link, uint64_t position);
/* Ends the claim. True when work is pending, and the subscription has been woken again. */
bool subscription_end_claim(struct subscriptions *all, struct subscription *subscription);

/* The receiver of a webhook is known to have the wake; for the caller to save. */
void subscription_set_delivered(struct subscription *subscription);

/* A token of the current generation. */
void subscription_token(const struct subscriptions *all, const struct subscription *subscription,
                        int64_t expires_ms, char out[CLAIM_TOKEN_SIZE]);

/* ---- subscription_store.c ---- */

void subscription_save(struct subscriptions *all, const struct subscription *subscription);
void subscription_save_link(struct subscriptions *all, const struct subscription *subscription,
                            const struct link *link);
void subscription_forget_link(struct subscriptions *all, const struct subscription *subscription,
                              const struct link *link);
void subscription_forget(struct subscriptions *all, const struct subscription *subscription);
void subscriptions_load(struct subscriptions *all);

/* In memory only; the path must be new. */
struct link *subscription_insert_link(struct subscription *subscription, struct slice path);
void subscription_insert(struct subscriptions *all, struct subscription *subscription);
void subscription_free(struct subscription *subscription);

/* ---- glob.c. Pure. ---- */

/* "*" is one segment, "**" any number of them; everything else is canonical. False: not a path. */
bool glob_canonical(struct slice raw, struct buffer *out) WEIR_MUST_CHECK;
bool glob_match(struct slice pattern, struct slice path);
