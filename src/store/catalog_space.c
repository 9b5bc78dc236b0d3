/* Giving the disk back what was deleted.
 *
 * LMDB uses the pages of deleted records again, and its file never shrinks. So that the space of a
 * million streams that have gone is there for others than this file, free pages that lie together
 * are punched out of it: the file keeps its length, and has holes. A page that is used again is
 * written as a whole, and takes its place on the disk again.
 *
 * Which pages are free LMDB keeps in its database 0, by the transaction that freed them, as
 * mdb_stat reads them too: a record is a count and so many page numbers, the greatest first.
 * Punched is what LMDB itself would write over in the next transaction: what was free in the last
 * commit and in the one before it, to which a damaged last one would be cut back. Nobody reads
 * older states: the loop's reads end with its turn, and no turn begins a checkpoint before that. */
#include "catalog_internal.h"

#include "weir/base/log.h"

#include <fcntl.h>
#include <sys/stat.h>

/* A hole costs the file system an entry, so not for a page here and there, and not for little. */
enum { RUN_PAGES = 4, SLACK_MIN = 32 << 20, SLACK_PARTS = 4 };
enum { OWN_READERS = 2 }; /* the loop's, and the one here */

struct survey {
    int fd;
    uint64_t page_bytes, pages, snapshot;
    uint64_t free_pages; /* that may be punched; those freed last are not among them yet */
};

/* The next record of pages that may be punched. */
static bool read_next(const struct survey *survey, MDB_cursor *cursor, struct slice *pages)
{
    MDB_val key, value;
    if (mdb_cursor_get(cursor, &key, &value, MDB_NEXT) != 0)
        return false;
    check(key.mv_size == 8 && value.mv_size >= 8);
    if (load_u64(key.mv_data) >= survey->snapshot)
        return false;
    *pages = slice_of((const char *)value.mv_data + 8, load_u64(value.mv_data) * 8);
    check(pages->len <= value.mv_size - 8);
    return true;
}

static void count_free(struct survey *survey, MDB_cursor *cursor)
{
    struct slice pages;
    while (read_next(survey, cursor, &pages))
        survey->free_pages += pages.len / 8;
}

/* On the disk, and of no use. */
static uint64_t slack(const struct survey *survey)
{
    struct stat stat;
    uint64_t used = (survey->pages - survey->free_pages) * survey->page_bytes;
    if (fstat(survey->fd, &stat) < 0)
        return 0;
    uint64_t taken = (uint64_t)stat.st_blocks * 512;
    return taken > used ? taken - used : 0;
}

static bool is_worth_it(struct catalog *catalog, const struct survey *survey)
{
    uint64_t bytes = slack(survey),
             used = (survey->pages - survey->free_pages) * survey->page_bytes;
    if (bytes < catalog->slack_left)
        catalog->slack_left = bytes;
    return bytes > catalog->slack_left + SLACK_MIN && bytes > used / SLACK_PARTS;
}

static bool punch(const struct survey *survey, uint64_t first, uint64_t count)
{
    if (count < RUN_PAGES)
        return true;
    return fallocate(survey->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                     (off_t)(first * survey->page_bytes), (off_t)(count * survey->page_bytes)) == 0;
}

static bool punch_record(const struct survey *survey, struct slice pages)
{
    uint64_t first = 0, count = 0;
    for (size_t at = pages.len; at >= 8; at -= 8) {
        uint64_t page = load_u64(pages.data + at - 8);
        check(page >= first + count && page < survey->pages);
        if (page != first + count) {
            if (!punch(survey, first, count))
                return false;
            first = page;
            count = 0;
        }
        count++;
    }
    return punch(survey, first, count);
}

static void punch_all(struct catalog *catalog, const struct survey *survey, MDB_cursor *cursor)
{
    uint64_t before = slack(survey);
    struct slice pages;
    while (read_next(survey, cursor, &pages)) {
        if (!punch_record(survey, pages)) {
            log_event(LOG_INFO, "the file system does not take back what the catalog has free",
                      LOG_STR("error", strerror(errno)));
            break;
        }
    }
    catalog->slack_left = slack(survey);
    uint64_t freed = before > catalog->slack_left ? before - catalog->slack_left : 0;
    log_event(LOG_DEBUG, "space given back", LOG_U("bytes", freed));
}

static MDB_cursor *open_free(MDB_txn *txn)
{
    MDB_cursor *cursor;
    return mdb_cursor_open(txn, 0, &cursor) == 0 ? cursor : NULL;
}

void catalog_give_back(struct catalog *catalog)
{
    MDB_txn *txn;
    MDB_envinfo info;
    MDB_stat stat;
    struct survey survey;
    if (mdb_txn_begin(catalog->env, NULL, MDB_RDONLY, &txn) != 0)
        return;
    mdb_env_info(catalog->env, &info);
    mdb_env_stat(catalog->env, &stat);
    survey = (struct survey){
        .page_bytes = stat.ms_psize, .pages = info.me_last_pgno + 1, .snapshot = mdb_txn_id(txn)};
    MDB_cursor *cursor = open_free(txn);
    /* Somebody else reads the file, and what they read need not be the last commit. */
    bool is_ours = info.me_numreaders <= OWN_READERS;
    if (cursor && is_ours && mdb_env_get_fd(catalog->env, &survey.fd) == 0) {
        count_free(&survey, cursor);
        mdb_cursor_close(cursor);
        cursor = is_worth_it(catalog, &survey) ? open_free(txn) : NULL;
        if (cursor)
            punch_all(catalog, &survey, cursor);
    }
    if (cursor)
        mdb_cursor_close(cursor);
    mdb_txn_abort(txn);
}
