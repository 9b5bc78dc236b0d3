/* A spilled change set: its changes are in the replica, which rows they are in the scratch. Inside
 * src/replica only; weir/replica/change_set.h says what each of these is. */
#pragma once

#include "weir/replica/change_set.h"

/* Undoes what was not applied, and lets "before" go. Nothing to do for a set in memory. */
void spill_end(struct change_set *set);

bool spill_look(const struct change_set *set, const struct relation *relation, struct slice key,
                struct change_entry *entry);
struct change_entry *spill_touch(struct change_set *set, const struct relation *relation,
                                 struct slice key);
bool spill_put(struct change_set *set, struct change_entry *entry, struct row new_row,
               struct err *err) WEIR_MUST_CHECK;
void spill_walk_begin(struct change_walk *walk);
bool spill_walk_next(struct change_walk *walk);

/* change_set.c */
struct changed_relation *changed_relation_ensure(struct change_set *set,
                                                 const struct relation *relation);
