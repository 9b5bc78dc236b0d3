/* LD_PRELOAD: a disk that forgets what was not synced, and calls that fail.
 *
 *   WEIR_DISK_ROOT     the folder that this is about
 *   WEIR_DISK_DURABLE  where to note what of it is durable: what a power loss would leave
 *                      (optional)
 *   WEIR_DISK_FAIL     KIND:N=ERRNO or KIND:N+=ERRNO, the N-th call of a kind, or each from
 *                      there on; kinds: open, write, sync, truncate, mmap, unlink, malloc
 *
 * The durable folder holds a copy of each file as of its last sync (`data.<id>`), and a journal of
 * names: C dir name id, U dir name, M dir name, and S dir where a folder was synced. A sync copies
 * what differs and does nothing else; tests/faults/lib/disk.js makes the folder that a power loss
 * leaves. Files are known by inode, and an inode is given a new id whenever it becomes a new file.
 */
#include "disk.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

char disk_root[PATH_MAX];
size_t disk_root_len;
pthread_mutex_t disk_lock = PTHREAD_MUTEX_INITIALIZER;

_Noreturn void disk_give_up(const char *what)
{
    dprintf(2, "disk.c: %s: %s\n", what, strerror(errno));
    abort();
}

__attribute__((constructor)) static void start(void)
{
    const char *from = getenv("WEIR_DISK_ROOT"), *to = getenv("WEIR_DISK_DURABLE");
    const char *fail = getenv("WEIR_DISK_FAIL");
    if (from && realpath(from, disk_root))
        disk_root_len = strlen(disk_root);
    if (to && disk_root_len)
        durable_begin(to);
    if (fail)
        calls_read(fail);
}
