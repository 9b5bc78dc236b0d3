#include "key_set.h"

#include "weir/base/check.h"

#include <string.h>

void key_set_add(struct key_set *set, struct signature_key *key, int64_t made_ms)
{
    check(set->count < KEY_SET_MAX);
    check(set->count == 0 || set->keys[set->count - 1].made_ms <= made_ms);
    set->keys[set->count++] = (struct dated_key){key, made_ms};
}

void key_set_remove_oldest(struct key_set *set)
{
    check(set->count > 0);
    signature_key_free(set->keys[0].key);
    memmove(set->keys, set->keys + 1, --set->count * sizeof set->keys[0]);
}

void key_set_release(struct key_set *set)
{
    while (set->count)
        key_set_remove_oldest(set);
}

const struct signature_key *key_set_signing(const struct key_set *set, int64_t now_ms)
{
    check(set->count > 0);
    size_t at = set->count - 1;
    while (at > 0 && set->keys[at].made_ms + KEY_AHEAD_MS > now_ms)
        at--;
    return set->keys[at].key;
}

bool key_set_is_due(const struct key_set *set, uint64_t lifetime_ms, int64_t now_ms)
{
    return lifetime_ms && set->count < KEY_SET_MAX &&
           now_ms - set->keys[set->count - 1].made_ms >= (int64_t)lifetime_ms;
}

bool key_set_is_oldest_over(const struct key_set *set, int64_t now_ms)
{
    return set->count > 1 && set->keys[1].made_ms + KEY_AHEAD_MS + KEY_BEHIND_MS <= now_ms;
}
