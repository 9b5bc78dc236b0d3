/* Finding a changed row by columns that are unique but not its key: REPLICA IDENTITY USING INDEX.
 * Of a change set in memory; one that is spilled asks the replica. Inside src/replica only. */
#pragma once

#include "weir/replica/change_set.h"

/* To be called when an entry is made, and with its old new_row before that is replaced. */
void identity_maps_add(struct change_set *set, struct change_entry *entry);
void identity_maps_remove(struct change_set *set, struct change_entry *entry);

/* change_set.c */
struct changed_relation *changed_relation_of(const struct change_set *set,
                                             const struct relation *relation);
struct changed_relation *changed_relation_ensure(struct change_set *set,
                                                 const struct relation *relation);
