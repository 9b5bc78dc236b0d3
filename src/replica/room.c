#include "room.h"

#include "weir/base/check.h"

#include <errno.h>
#include <fcntl.h>

/* Pages from a tree's root to a leaf, twice as each may be split. And what LMDB needs for itself:
 * its lists of free pages, the roots. */
enum { PAGES_PER_TREE = 12, OWN_PAGES = 256, STEP_BYTES = 8 << 20 };

void map_room_begin(struct map_room *room, MDB_env *env)
{
    MDB_envinfo info;
    mdb_env_info(env, &info);
    mdb_env_get_fd(env, &room->fd);
    room->env = env;
    room->begin = (uint64_t)info.me_last_pgno + 1;
    room->touched = room->large = 0;
}

static uint64_t pages_there_are(MDB_txn *txn, const MDB_dbi *tables, size_t table_count)
{
    uint64_t pages = 0;
    for (size_t i = 0; i < table_count; i++) {
        MDB_stat stat;
        check(mdb_stat(txn, tables[i], &stat) == 0);
        pages += stat.ms_branch_pages + stat.ms_leaf_pages + stat.ms_overflow_pages;
    }
    return pages;
}

static uint64_t bytes_needed(const struct map_room *room, uint64_t page_size)
{
    uint64_t touched = room->touched + room->touched / 64;
    return (room->begin + touched + room->large + OWN_PAGES) * page_size;
}

static int take(struct map_room *room, uint64_t until)
{
    if (fallocate(room->fd, 0, (off_t)room->reserved, (off_t)(until - room->reserved)) != 0) {
        if (errno != EOPNOTSUPP)
            return errno;
        until = UINT64_MAX; /* then it has to go without */
    }
    room->reserved = until;
    return 0;
}

int map_room_take(struct map_room *room, MDB_txn *txn, const MDB_dbi *tables, size_t table_count,
                  size_t trees, size_t value_len)
{
    MDB_stat stat;
    mdb_env_stat(room->env, &stat);
    room->touched += trees * PAGES_PER_TREE;
    room->large += value_len > stat.ms_psize / 4 ? value_len / stat.ms_psize + 1 : 0;
    if (bytes_needed(room, stat.ms_psize) <= room->reserved)
        return 0;
    uint64_t most = pages_there_are(txn, tables, table_count) + trees * PAGES_PER_TREE;
    if (room->touched > most)
        room->touched = most;
    MDB_envinfo info;
    mdb_env_info(room->env, &info);
    uint64_t needed = bytes_needed(room, stat.ms_psize);
    if (needed > info.me_mapsize)
        needed = info.me_mapsize; /* the map becomes full before the disk does */
    if (needed <= room->reserved)
        return 0;
    uint64_t generous = needed + STEP_BYTES < info.me_mapsize ? needed + STEP_BYTES : needed;
    return take(room, generous) == 0 ? 0 : take(room, needed);
}
