/* struct scratch: sorted tables in a file of the state folder, for what is too much for memory.
 *
 * What a large transaction changes, reaches and says is kept here while it is worked out, and what
 * it says until the stream server has it. Everything has one lifetime: it begins with the first put
 * and ends with scratch_clear(), which removes the file. A failure (no room on the disk) is kept
 * and told by scratch_is_sound(); until then puts do nothing and gets find nothing. One thread; not
 * a store: only what was there at scratch_sync() survives. */
#pragma once

#include "weir/base/err.h"
#include "weir/base/slice.h"

enum scratch_table {
    SCRATCH_NOTES,
    SCRATCH_CHANGED,    /* of change sets */
    SCRATCH_CANDIDATES, /* of differences */
    SCRATCH_EVENTS,     /* of a bridge's spool: this and the next two */
    SCRATCH_DELIVERIES,
    SCRATCH_PATHS,
    SCRATCH_HELD, /* what streams hold */
    SCRATCH_TABLES
};

/* Keys are at most this long. */
enum { SCRATCH_KEY_MAX = 511 };

struct scratch;

/* Touches nothing yet. size_limit: what the file may grow to. */
struct scratch *scratch_new(const char *directory, uint64_t size_limit);
void scratch_free(struct scratch *scratch); /* NULL is allowed; the file stays */

void scratch_put(struct scratch *scratch, enum scratch_table table, struct slice key,
                 struct slice value);

/* Puts unless the key is there; whether it was not. */
bool scratch_put_new(struct scratch *scratch, enum scratch_table table, struct slice key,
                     struct slice value);

/* Nothing happens where it is not there. */
void scratch_remove(struct scratch *scratch, enum scratch_table table, struct slice key);

/* SLICE_NONE when there is none. Borrowed until the table is written to. */
struct slice scratch_get(struct scratch *scratch, enum scratch_table table, struct slice key);

/* Whether every put since the beginning was kept. */
bool scratch_has_no_space(const struct scratch *scratch);
bool scratch_is_sound(const struct scratch *scratch, struct err *err) WEIR_MUST_CHECK;

/* Makes what is in it durable; blocks for that. */
bool scratch_sync(struct scratch *scratch, struct err *err) WEIR_MUST_CHECK;

/* Opens what an earlier process has synced. False where there is nothing of the kind. */
bool scratch_reopen(struct scratch *scratch, struct err *err) WEIR_MUST_CHECK;

void scratch_clear(struct scratch *scratch);

/* One table only. */
void scratch_empty(struct scratch *scratch, enum scratch_table table);

/* The entries whose keys begin with a prefix, in the order of their keys. Other tables may be
 * written to meanwhile; key and value are borrowed until this one is. */
struct scratch_walk {
    void *cursor; /* NULL: there is nothing */
    bool is_started;
    char prefix[64];
    size_t prefix_len;
};

void scratch_walk_begin(struct scratch_walk *walk, struct scratch *scratch,
                        enum scratch_table table, struct slice prefix);
bool scratch_walk_next(struct scratch_walk *walk, struct slice *key, struct slice *value);
void scratch_walk_end(struct scratch_walk *walk);
