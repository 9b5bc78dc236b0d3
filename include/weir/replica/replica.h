/* struct replica: the published tables as of one LSN, in LMDB.
 *
 * One thread. All work happens in one write transaction that spans a checkpoint: replica_open()
 * begins it, replica_commit() makes everything durable and begins the next. A crash goes back to
 * the last commit; the slot then sends the rest again. Row pointers borrow from the mapped file and
 * stay valid until the next put, commit or abort.
 *
 *   meta    name -> bytes (identity, position, the hash key, index definitions)
 *   rows    storage id of the relation (8, big-endian), row key -> record (weir/replica/row.h)
 *   index   index id (4, big-endian), components, row key -> nothing */
#pragma once

#include "weir/base/err.h"
#include "weir/replica/key.h"
#include "weir/replica/scratch.h"

struct replica;

struct replica_settings {
    const char *directory; /* created if absent */
    uint64_t size_limit;   /* bytes that the file may grow to */
    uint64_t size_least;   /* room to open with; 0: as much as what is there asks for */
};

/* Opens and locks the folder: a second process is refused. A folder of another format is refused
 * with what to do. */
struct replica *replica_open(const struct replica_settings *settings,
                             struct err *err) WEIR_MUST_CHECK;

/* Whether another process has the folder open. */
bool replica_is_in_use(const char *directory);

/* Drops what was not committed. NULL is allowed. */
void replica_close(struct replica *replica);

/* Durable when it returns true. On false nothing since the last commit is kept, and the replica can
 * only be closed. Blocks for the sync. */
bool replica_commit(struct replica *replica, struct err *err) WEIR_MUST_CHECK;

/* Whether a put failed because the file was as large as it had been opened for. Closing the replica
 * and opening it with twice replica_size() mends it, and the slot sends again what is lost by that.
 * The file grows by itself at commits, so this takes more changes between two commits than it had
 * room for. */
bool replica_is_full(const struct replica *replica);

/* Whether something has failed that was not rolled back: then all there is to do with it is to
 * close it. */
bool replica_has_failed(const struct replica *replica);

/* Whether something failed because the disk is full: opening it anew when there is room
 * mends it. */
bool replica_has_no_space(const struct replica *replica);
uint64_t replica_size(const struct replica *replica);

/* Starts writing changed pages to the disk without waiting, so that the commit finds
 * little left. */
void replica_flush_ahead(struct replica *replica);

/* Whether anything was put since the last commit. */
bool replica_is_dirty(const struct replica *replica);

/* Keeps what was last committed to be read as "before", while the rows are changed; nothing may
 * have been put since. The file may then grow to its limit without a commit between. */
bool replica_keep_before(struct replica *replica, struct err *err) WEIR_MUST_CHECK;

/* Commits and roll-backs do so too. */
void replica_forget_before(struct replica *replica);

/* Drops what was put since the last commit, the indexes made since then among it. */
void replica_roll_back(struct replica *replica);

/* The replica's own, in its folder. */
struct scratch *replica_scratch(const struct replica *replica);

/* Removes all rows, index entries, definitions and meta values except the hash key. */
bool replica_wipe(struct replica *replica, struct err *err) WEIR_MUST_CHECK;

const struct hash_key *replica_hash_key(const struct replica *replica);

/* Meta values; an absent one is SLICE_NONE. */
struct slice replica_meta(struct replica *replica, const char *name);
bool replica_set_meta(struct replica *replica, const char *name, struct slice value,
                      struct err *err) WEIR_MUST_CHECK;

/* An index on up to INDEX_COLUMNS_MAX columns of a relation, in that order; or on the elements of
 * one array column, with an entry for each of them that is not NULL. Made and filled when it does
 * not exist. Pointers stay valid until the replica is wiped or closed. */
enum index_kind { INDEX_OF_VALUES, INDEX_OF_ELEMENTS };

struct replica_index {
    uint32_t id;
    uint64_t storage_id; /* of the relation */
    enum index_kind kind;
    uint16_t columns[INDEX_COLUMNS_MAX];
    uint16_t column_count;
};

const struct replica_index *
replica_ensure_index(struct replica *replica, const struct relation *relation, enum index_kind kind,
                     const uint16_t *columns, size_t column_count, struct err *err) WEIR_MUST_CHECK;

/* Forgets the indexes of relations that are not in the set. Their rows must be gone. */
bool replica_forget_indexes_except(struct replica *replica, const struct relation_set *relations,
                                   struct err *err) WEIR_MUST_CHECK;

/* The row by row key, or ROW_NONE: as it is, or as it was before. */
struct row replica_get(struct replica *replica, const struct relation *relation, struct slice key);
struct row replica_get_before(struct replica *replica, const struct relation *relation,
                              struct slice key);

/* Replaces old by new under the same key; either may be ROW_NONE. The old row must be the stored
 * one. Keeps the indexes. False when the disk or the map is full or broken. */
bool replica_put(struct replica *replica, const struct relation *relation, struct slice key,
                 struct row old_row, struct row new_row, struct err *err) WEIR_MUST_CHECK;

/* Rows in a range of keys: of the relation itself (index NULL), those whose row key starts with
 * prefix; else those whose index entry does. No put may happen between begin and end, unless the
 * range is of the rows as they were before. */
struct replica_range {
    struct replica *replica;
    const struct relation *relation;
    const struct replica_index *index;
    void *cursor; /* from the replica's pool */
    bool of_before;
    bool is_started;
    char prefix[512];
    size_t prefix_len;
};

void replica_range_begin(struct replica_range *range, struct replica *replica,
                         const struct relation *relation, const struct replica_index *index,
                         struct slice prefix);

void replica_range_begin_before(struct replica_range *range, struct replica *replica,
                                const struct relation *relation, const struct replica_index *index,
                                struct slice prefix);

/* False at the end. key and row are borrowed as the head of this file says. */
bool replica_range_next(struct replica_range *range, struct slice *key, struct row *row);
void replica_range_end(struct replica_range *range);
