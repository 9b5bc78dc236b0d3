/* What the parts of the catalog share: catalog.c opens and reads, catalog_write.c writes, and
 * catalog_space.c gives back space. */
#pragma once

#include "catalog.h"
#include "weir/base/checked.h"
#include "weir/base/hash.h"

#include <errno.h>
#include <lmdb.h>

enum database {
    DATABASE_META,      /* names to numbers */
    DATABASE_PATHS,     /* hash of the path to id */
    DATABASE_STREAMS,   /* id to record */
    DATABASE_CHUNKS,    /* id and position to messages */
    DATABASE_EXPIRY,    /* deadline and id to nothing */
    DATABASE_PRODUCERS, /* name to progress */
    DATABASE_SETTINGS,  /* key to value */
    DATABASE_COUNT,
};

enum { PAIR_KEY_SIZE = 16 };

struct catalog {
    MDB_env *env;
    MDB_dbi databases[DATABASE_COUNT];
    struct hash_key key; /* of path hashes */
    MDB_txn *reader;     /* the loop thread's, reset between uses */
    bool is_reading;
    uint64_t slack_left; /* bytes that could not be given back, the last time; checkpoint thread */
};

/* Checkpoint thread, outside of its transaction. Punches holes where that pays. */
void catalog_give_back(struct catalog *catalog);

bool catalog_fail(struct err *err, const char *what, int code);
MDB_val catalog_value(const void *data, size_t len);
struct hash128 catalog_path_hash(const struct catalog *catalog, struct slice path);

/* Two numbers as a key that sorts by the first, then by the second. */
void catalog_pair_key(uint64_t high, uint64_t low, char out[PAIR_KEY_SIZE]);
uint64_t catalog_pair_high(const MDB_val *key);
uint64_t catalog_pair_low(const MDB_val *key);

/* LMDB has no checksums of its own, so records and chunks bring theirs, over their key as well:
 * what is in another's place is as wrong. False: it is damaged. */
bool catalog_record_of(uint64_t id, const MDB_val *value, struct slice *record);
uint32_t catalog_chunk_crc(const MDB_val *key, const MDB_val *value);
bool catalog_chunk_of(const MDB_val *key, const MDB_val *value, struct chunk *chunk);
