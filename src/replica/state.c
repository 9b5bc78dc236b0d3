#include "weir/replica/state.h"

#include "weir/base/check.h"

struct state state_before(struct replica *replica, const struct change_set *changes)
{
    return (struct state){.replica = replica, .is_before = change_set_is_spilled(changes)};
}

struct state state_after(struct replica *replica, struct change_set *changes)
{
    return (struct state){.replica = replica,
                          .changes = change_set_is_spilled(changes) ? NULL : changes};
}

struct row state_get(const struct state *state, const struct relation *relation, struct slice key)
{
    if (state->is_before)
        return replica_get_before(state->replica, relation, key);
    const struct change_entry *entry =
        state->changes ? change_set_find(state->changes, relation, key) : NULL;
    return entry ? entry->new_row : replica_get(state->replica, relation, key);
}

/* A full primary key of few columns is also its row key, unless it is folded into a hash, which
 * the planner excludes by key_has_ranges(). */
void state_read_begin(struct state_read *read, const struct state *state,
                      const struct access *access, struct slice components)
{
    *read = (struct state_read){.state = state, .access = access};
    if (access->kind == ACCESS_KEY) {
        read->single = state_get(state, access->relation, components);
        return;
    }
    const struct replica_index *index = access->kind == ACCESS_INDEX ? access->index : NULL;
    if (state->is_before)
        replica_range_begin_before(&read->range, state->replica, access->relation, index,
                                   components);
    else
        replica_range_begin(&read->range, state->replica, access->relation, index, components);
    read->in_replica = true;
    if (!state->changes)
        return;
    if (access->kind == ACCESS_ALL) {
        const struct changed_relation *changed = change_set_of(state->changes, access->relation);
        read->entry = changed ? changed->first : NULL;
    } else {
        read->match = change_set_match(state->changes, state->replica, access->relation,
                                       index ? index->kind : INDEX_OF_VALUES, access->columns,
                                       access->column_count, components);
    }
}

static bool next_in_replica(struct state_read *read, struct row *row)
{
    struct slice key;
    while (replica_range_next(&read->range, &key, row)) {
        /* Rows that the transaction touched come from the change set, as they are now. */
        if (!read->state->changes ||
            !change_set_find(read->state->changes, read->access->relation, key))
            return true;
    }
    replica_range_end(&read->range);
    read->in_replica = false;
    return false;
}

bool state_read_next(struct state_read *read, struct row *row)
{
    if (read->access->kind == ACCESS_KEY) {
        *row = read->single;
        read->single = ROW_NONE;
        return row_exists(*row);
    }
    if (read->in_replica && next_in_replica(read, row))
        return true;
    if (read->match) {
        *row = read->match->entry->new_row;
        read->match = read->match->next;
        return true;
    }
    while (read->entry) {
        *row = read->entry->new_row;
        read->entry = read->entry->next_of_relation;
        if (row_exists(*row))
            return true;
    }
    return false;
}

void state_read_end(struct state_read *read)
{
    if (read->in_replica)
        replica_range_end(&read->range);
    read->in_replica = false;
}
