/* What a relation's shape is known by. Inside src/bridge only. */
#pragma once

#include "weir/base/arena.h"
#include "weir/base/buffer.h"
#include "weir/replica/relation.h"

/* Sets storage_id from everything that the relation's stored rows depend on. */
void relation_identify(struct relation *relation);

/* The name as a quoted JSON token, in the arena. */
struct slice json_name_of(struct arena *arena, struct slice name);
