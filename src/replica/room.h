/* Disk space for what a write transaction is going to put into a mapped file.
 *
 * With MDB_WRITEMAP a page is written by storing into the map, and where the disk is full that is
 * no error but a SIGBUS. So space is taken from the file system ahead of the pages that a put may
 * need, and a full disk refuses the put. How many pages are new is not known to LMDB's users; an
 * upper bound is: a put touches the pages on its way down its trees, and no page is touched twice
 * in a transaction, so never more than there are. Inside src/replica only. */
#pragma once

#include <lmdb.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct map_room {
    MDB_env *env;
    int fd;
    uint64_t begin;    /* pages in use when the transaction began */
    uint64_t touched;  /* pages that its puts may have touched */
    uint64_t large;    /* pages of values too large for one page */
    uint64_t reserved; /* bytes at the file's beginning that have their space */
};

/* At the begin of each write transaction. */
void map_room_begin(struct map_room *room, MDB_env *env);

/* Room for changes in so many trees, and for a value. 0, or an errno: ENOSPC, mostly. */
int map_room_take(struct map_room *room, MDB_txn *txn, const MDB_dbi *tables, size_t table_count,
                  size_t trees, size_t value_len);
