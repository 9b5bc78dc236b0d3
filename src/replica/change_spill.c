#include "change_spill.h"

#include "weir/base/check.h"

/* A noted row: storage id 8, big-endian, row key. */
enum { STORAGE_ID_SIZE = 8, NOTE_MAX = STORAGE_ID_SIZE + ROW_KEY_MAX + 18 };

struct note {
    char bytes[NOTE_MAX];
    size_t len;
};

static struct slice note_of(struct note *note, const struct relation *relation, struct slice key)
{
    uint64_t storage_id = __builtin_bswap64(relation->storage_id);
    note->len = STORAGE_ID_SIZE + key.len;
    check(note->len <= sizeof note->bytes);
    memcpy(note->bytes, &storage_id, STORAGE_ID_SIZE);
    memcpy(note->bytes + STORAGE_ID_SIZE, key.data, key.len);
    return slice_of(note->bytes, note->len);
}

void spill_end(struct change_set *set)
{
    for (size_t i = 0; i < 2; i++)
        buffer_release(&set->loose_keys[i]);
    if (!set->replica)
        return;
    if (set->is_applied)
        replica_forget_before(set->replica);
    else
        replica_roll_back(set->replica);
    set->replica = NULL;
}

bool spill_look(const struct change_set *set, const struct relation *relation, struct slice key,
                struct change_entry *entry)
{
    struct note note;
    if (!scratch_get(replica_scratch(set->replica), SCRATCH_CHANGED, note_of(&note, relation, key))
             .data)
        return false;
    *entry = (struct change_entry){.relation = relation,
                                   .key = key,
                                   .old_row = replica_get_before(set->replica, relation, key),
                                   .new_row = replica_get(set->replica, relation, key)};
    return true;
}

struct change_entry *spill_touch(struct change_set *set, const struct relation *relation,
                                 struct slice key)
{
    unsigned at = set->next_loose++ % 2;
    struct buffer *copy = &set->loose_keys[at];
    buffer_clear(copy);
    buffer_add_slice(copy, key);
    set->loose[at] =
        (struct change_entry){.relation = relation,
                              .key = buffer_slice(copy),
                              .old_row = replica_get_before(set->replica, relation, key),
                              .new_row = replica_get(set->replica, relation, key)};
    return &set->loose[at];
}

bool spill_put(struct change_set *set, struct change_entry *entry, struct row new_row,
               struct err *err)
{
    struct note note;
    const struct relation *relation = entry->relation;
    struct row stored = replica_get(set->replica, relation, entry->key);
    if (scratch_put_new(replica_scratch(set->replica), SCRATCH_CHANGED,
                        note_of(&note, relation, entry->key), SLICE("x"))) {
        changed_relation_ensure(set, relation)->count++;
        set->entry_count++;
    }
    if ((row_exists(stored) || row_exists(new_row)) &&
        !replica_put(set->replica, relation, entry->key, stored, new_row, err))
        return false;
    entry->new_row = replica_get(set->replica, relation, entry->key);
    return true;
}

void spill_walk_begin(struct change_walk *walk)
{
    uint64_t prefix = __builtin_bswap64(walk->changed->relation->storage_id);
    scratch_walk_begin(&walk->noted, replica_scratch(walk->set->replica), SCRATCH_CHANGED,
                       slice_of((const char *)&prefix, sizeof prefix));
}

bool spill_walk_next(struct change_walk *walk)
{
    struct slice noted, ignored;
    if (!scratch_walk_next(&walk->noted, &noted, &ignored))
        return false;
    struct replica *replica = walk->set->replica;
    const struct relation *relation = walk->changed->relation;
    struct slice key = slice_of(noted.data + STORAGE_ID_SIZE, noted.len - STORAGE_ID_SIZE);
    walk->current = (struct change_entry){.relation = relation,
                                          .key = key,
                                          .old_row = replica_get_before(replica, relation, key),
                                          .new_row = replica_get(replica, relation, key)};
    return true;
}

static bool move_out(struct change_set *set, const struct change_set *memory, struct err *err)
{
    const struct changed_relation *changed = memory->relations;
    for (; changed; changed = changed->next) {
        /* Also where nothing changed: that the transaction touched the row may count. */
        for (struct change_entry *entry = changed->first; entry; entry = entry->next_of_relation) {
            struct change_entry *loose = spill_touch(set, entry->relation, entry->key);
            if (!spill_put(set, loose, entry->new_row, err))
                return false;
        }
    }
    return true;
}

bool change_set_spill(struct change_set *set, struct replica *replica, struct err *err)
{
    check(!change_set_is_spilled(set));
    if (!replica_keep_before(replica, err))
        return false;
    struct change_set memory = *set;
    *set = (struct change_set){.replica = replica};
    bool ok = move_out(set, &memory, err);
    arena_release(&memory.arena);
    return ok;
}
