/* Writing and syncing, by calls and by maps: what is synced is noted as durable, and goes to no
 * disk. */
#include "disk.h"

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { MAPS_MAX = 64 };

static struct {
    char *at;
    size_t len;
    int fd;
    off_t offset;
} maps[MAPS_MAX];

static ssize_t written(const struct open_file *file, int fd, ssize_t len, off_t end)
{
    if (len > 0 && file->is_dsync) {
        pthread_mutex_lock(&disk_lock);
        durable_keep(fd, end - len, end);
        pthread_mutex_unlock(&disk_lock);
    }
    return len;
}

/* What stands before the program's own; the rest of the library is nobody's business. */
#pragma GCC visibility push(default)

ssize_t pwrite(int fd, const void *data, size_t len, off_t at)
{
    const struct open_file *file = file_of_root(fd);
    if (!file)
        return syscall(SYS_pwrite64, fd, data, len, at);
    if (call_must_fail(WRITE)) {
        if (len > 1) /* some of it comes first, as with a disk that becomes full */
            syscall(SYS_pwrite64, fd, data, len / 2, at);
        return -1;
    }
    return written(file, fd, syscall(SYS_pwrite64, fd, data, len, at), at + (off_t)len);
}

ssize_t pwrite64(int fd, const void *data, size_t len, off_t at)
{
    return pwrite(fd, data, len, at);
}

ssize_t write(int fd, const void *data, size_t len)
{
    const struct open_file *file = file_of_root(fd);
    if (file && call_must_fail(WRITE))
        return -1;
    ssize_t count = syscall(SYS_write, fd, data, len);
    return file ? written(file, fd, count, lseek(fd, 0, SEEK_CUR)) : count;
}

ssize_t writev(int fd, const struct iovec *parts, int count)
{
    const struct open_file *file = file_of_root(fd);
    if (file && call_must_fail(WRITE))
        return -1;
    ssize_t len = syscall(SYS_writev, fd, parts, count);
    return file ? written(file, fd, len, lseek(fd, 0, SEEK_CUR)) : len;
}

static int sync_fd(int fd, long call)
{
    const struct open_file *file = file_of_root(fd);
    if (!file)
        return (int)syscall(call, fd);
    if (call_must_fail(SYNC))
        return -1;
    if (!durable_is_kept())
        return 0;
    pthread_mutex_lock(&disk_lock);
    if (file->is_folder) {
        char link[64], path[PATH_MAX];
        snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        ssize_t len = readlink(link, path, sizeof path - 1);
        path[len > 0 ? len : 0] = 0;
        if (strncmp(path, disk_root, disk_root_len) == 0)
            durable_note("S\t%s\n", path[disk_root_len] ? path + disk_root_len + 1 : ".");
    } else {
        durable_keep(fd, 0, LLONG_MAX);
    }
    pthread_mutex_unlock(&disk_lock);
    return 0;
}

int fsync(int fd)
{
    return sync_fd(fd, SYS_fsync);
}

int fdatasync(int fd)
{
    return sync_fd(fd, SYS_fdatasync);
}

void *mmap(void *hint, size_t len, int protection, int flags, int fd, off_t offset)
{
    bool is_ours = fd >= 0 && file_of_root(fd);
    if (is_ours && call_must_fail(MMAP))
        return MAP_FAILED;
    void *at = (void *)syscall(SYS_mmap, hint, len, protection, flags, fd, offset);
    if (is_ours && at != MAP_FAILED && (flags & MAP_SHARED) && (protection & PROT_WRITE)) {
        pthread_mutex_lock(&disk_lock);
        int free_map = 0;
        while (free_map < MAPS_MAX && maps[free_map].len)
            free_map++;
        if (free_map == MAPS_MAX)
            disk_give_up("too many maps");
        maps[free_map].at = at;
        maps[free_map].len = len;
        maps[free_map].offset = offset;
        maps[free_map].fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
        pthread_mutex_unlock(&disk_lock);
    }
    return at;
}

void *mmap64(void *hint, size_t len, int protection, int flags, int fd, off_t offset)
{
    return mmap(hint, len, protection, flags, fd, offset);
}

int munmap(void *at, size_t len)
{
    pthread_mutex_lock(&disk_lock);
    for (int i = 0; i < MAPS_MAX; i++) {
        if (maps[i].len && maps[i].at == at) {
            close(maps[i].fd);
            maps[i].len = 0;
        }
    }
    pthread_mutex_unlock(&disk_lock);
    return (int)syscall(SYS_munmap, at, len);
}

int msync(void *at, size_t len, int flags)
{
    int fd = -1;
    off_t from = 0;
    if (!(flags & MS_SYNC))
        return (int)syscall(SYS_msync, at, len, flags);
    pthread_mutex_lock(&disk_lock);
    for (int i = 0; i < MAPS_MAX && fd < 0; i++) {
        if (maps[i].len && (char *)at >= maps[i].at && (char *)at < maps[i].at + maps[i].len) {
            fd = maps[i].fd;
            from = maps[i].offset + ((char *)at - maps[i].at);
        }
    }
    bool fails = fd >= 0 && call_must_fail(SYNC);
    if (fd >= 0 && !fails)
        durable_keep(fd, from, from + (off_t)len);
    pthread_mutex_unlock(&disk_lock);
    return fails ? -1 : 0;
}

#pragma GCC visibility pop
