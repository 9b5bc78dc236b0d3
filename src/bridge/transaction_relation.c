/* Which table a change is of: by its own name, or that of one of its partitions; and whether such
 * changes of it are published. */
#include "transaction_internal.h"

#include "weir/base/json.h"

static bool token_is(struct slice token, struct slice name, struct buffer *scratch)
{
    if (token.len == name.len + 2 && memcmp(token.data + 1, name.data, name.len) == 0)
        return true;
    return memchr(token.data, '\\', token.len) && slice_eq(json_text(token, scratch), name);
}

/* Whether rows of the relation arrive under the name; partitions under their own. */
static bool is_called(struct transaction *transaction, const struct relation *relation,
                      struct slice schema, struct slice table)
{
    struct buffer *scratch = &transaction->scratch;
    if (!relation->is_partitioned)
        return token_is(table, relation->name, scratch) &&
               token_is(schema, relation->schema, scratch);
    for (size_t i = 0; i < relation->leaf_count; i++) {
        if (token_is(table, relation->leaves[i].name, scratch) &&
            token_is(schema, relation->leaves[i].schema, scratch))
            return true;
    }
    return false;
}

const struct relation *transaction_find_relation(struct transaction *transaction,
                                                 const struct change *change)
{
    const struct relation_set *set = &transaction->catalog->relations;
    for (size_t i = 0; i < set->count; i++) {
        size_t at = (transaction->last_relation + i) % set->count;
        const struct relation *relation = set->relations[at];
        if (is_called(transaction, relation, change->schema, change->table)) {
            transaction->last_relation = at;
            return relation;
        }
    }
    return NULL;
}

bool transaction_publishes(const struct relation *relation, enum change_kind kind)
{
    switch (kind) {
    case CHANGE_INSERT:
        return relation->published & PUBLISH_INSERT;
    case CHANGE_UPDATE:
        return relation->published & PUBLISH_UPDATE;
    case CHANGE_DELETE:
        return relation->published & PUBLISH_DELETE;
    case CHANGE_TRUNCATE:
        return relation->published & PUBLISH_TRUNCATE;
    default:
        return true;
    }
}
