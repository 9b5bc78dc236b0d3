/* Which key signs when, and how long a key is published. */
#include "server/key_set.h"

#include <criterion/criterion.h>

enum { DAY = 86400000 };

static struct signature_key *make_key(unsigned char first)
{
    unsigned char seed[SIGNATURE_SEED_SIZE] = {first};
    return signature_key_new(seed);
}

Test(key_set, a_key_is_published_before_it_signs_and_after_it_has)
{
    struct key_set set = {.count = 0};
    struct signature_key *old = make_key(1), *new = make_key(2);
    key_set_add(&set, old, 1000);
    cr_expect_eq(key_set_signing(&set, 1000), old, "the first one has nobody to wait for");
    cr_expect(!key_set_is_due(&set, DAY, 1000 + DAY - 1));
    cr_expect(key_set_is_due(&set, DAY, 1000 + DAY));
    cr_expect(!key_set_is_due(&set, 0, 1000 + DAY));
    int64_t made_ms = 1000 + DAY, signs_ms = made_ms + KEY_AHEAD_MS;
    key_set_add(&set, new, made_ms);
    cr_expect(!key_set_is_due(&set, DAY, made_ms));
    cr_expect_eq(key_set_signing(&set, signs_ms - 1), old);
    cr_expect_eq(key_set_signing(&set, signs_ms), new);
    cr_expect(!key_set_is_oldest_over(&set, signs_ms + KEY_BEHIND_MS - 1));
    cr_expect(key_set_is_oldest_over(&set, signs_ms + KEY_BEHIND_MS));
    key_set_remove_oldest(&set);
    cr_expect_eq(key_set_signing(&set, 0), new);
    cr_expect(!key_set_is_oldest_over(&set, INT64_MAX / 2), "the last one stays");
    key_set_release(&set);
}

Test(key_set, names_are_of_the_keys)
{
    struct signature_key *one = make_key(1), *same = make_key(1), *other = make_key(2);
    cr_expect_str_eq(signature_key_id(one), signature_key_id(same));
    cr_expect_str_neq(signature_key_id(one), signature_key_id(other));
    signature_key_free(one);
    signature_key_free(same);
    signature_key_free(other);
}
