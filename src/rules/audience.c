/* Sets of who sees a row: a list in the order found, hashed once it is long. */
#include "audience.h"

const uint64_t *columns_union(struct arena *arena, const struct relation *relation,
                              const uint64_t *a, const uint64_t *b)
{
    if (!a || !b)
        return NULL;
    size_t words = relation->column_count / 64 + 1;
    uint64_t *both = arena_alloc(arena, words * sizeof *both);
    for (size_t i = 0; i < words; i++)
        both[i] = a[i] | b[i];
    return both;
}

enum { LINEAR_MEMBERS = 8 };

void audience_init(struct audience *audience, struct arena *arena)
{
    *audience = (struct audience){.arena = arena};
}

static uint64_t member_hash(const struct channel *channel, struct slice subject)
{
    return hash64(hash_process_key(), subject) ^
           hash64(hash_process_key(), channel->identity) * 0x9e3779b97f4a7c15ULL;
}

static bool is_member(const struct audience_member *member, const struct channel *channel,
                      struct slice subject)
{
    return slice_eq(member->subject, subject) &&
           (member->channel == channel || slice_eq(member->channel->identity, channel->identity));
}

struct audience_member *audience_find(const struct audience *audience,
                                      const struct channel *channel, struct slice subject)
{
    if (!audience->bucket_count) {
        for (size_t i = 0; i < audience->count; i++) {
            if (is_member(audience->members[i], channel, subject))
                return audience->members[i];
        }
        return NULL;
    }
    uint64_t hash = member_hash(channel, subject);
    struct audience_member *member = audience->buckets[hash & (audience->bucket_count - 1)];
    while (member && !is_member(member, channel, subject))
        member = member->next_in_bucket;
    return member;
}

static void hash_member(struct audience *audience, struct audience_member *member)
{
    uint64_t hash = member_hash(member->channel, member->subject);
    struct audience_member **bucket = &audience->buckets[hash & (audience->bucket_count - 1)];
    member->next_in_bucket = *bucket;
    *bucket = member;
}

static void audience_grow(struct audience *audience)
{
    size_t capacity = audience->capacity ? audience->capacity * 4 : LINEAR_MEMBERS;
    struct audience_member **members = arena_alloc(audience->arena, capacity * sizeof *members);
    if (audience->count)
        memcpy(members, audience->members, audience->count * sizeof *members);
    audience->members = members;
    audience->capacity = capacity;
    if (capacity == LINEAR_MEMBERS)
        return;
    audience->bucket_count = capacity;
    audience->buckets = arena_calloc(audience->arena, capacity, sizeof *audience->buckets);
    for (size_t i = 0; i < audience->count; i++)
        hash_member(audience, audience->members[i]);
}

void audience_add(struct audience *audience, const struct channel *channel, struct slice subject,
                  const uint64_t *columns)
{
    struct audience_member *member = audience_find(audience, channel, subject);
    if (member) {
        member->columns =
            columns_union(audience->arena, channel->relation, member->columns, columns);
        return;
    }
    if (audience->count == audience->capacity)
        audience_grow(audience);
    member = arena_alloc(audience->arena, sizeof *member);
    *member = (struct audience_member){
        .channel = channel, .subject = arena_copy(audience->arena, subject), .columns = columns};
    audience->members[audience->count++] = member;
    if (audience->bucket_count)
        hash_member(audience, member);
}
