/* The keys that sign webhooks, over time. Protocol 6.5. Pure.
 *
 * Receivers may keep the published set for five minutes, so a new key is published for a while
 * before it signs; what an older key has signed may still be under way, so it stays published. */
#pragma once

#include "signature.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    KEY_SET_MAX = 8,
    KEY_AHEAD_MS = 600000,   /* published, before it signs */
    KEY_BEHIND_MS = 86400000 /* published, when it signs no more */
};

struct key_set {
    struct dated_key {
        struct signature_key *key; /* owned */
        int64_t made_ms;
    } keys[KEY_SET_MAX]; /* oldest first */
    size_t count;
};

/* Takes the key over; made_ms is not below that of the others, and there is room. */
void key_set_add(struct key_set *set, struct signature_key *key, int64_t made_ms);
void key_set_remove_oldest(struct key_set *set);
void key_set_release(struct key_set *set);

/* The one that signs now; the set is not empty. */
const struct signature_key *key_set_signing(const struct key_set *set, int64_t now_ms);

/* Whether the newest key has had its time; lifetime_ms 0: never. */
bool key_set_is_due(const struct key_set *set, uint64_t lifetime_ms, int64_t now_ms);

/* Whether nothing signed by the oldest key may be under way any more. */
bool key_set_is_oldest_over(const struct key_set *set, int64_t now_ms);
