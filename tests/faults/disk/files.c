/* Files and folders below the root: which descriptors are theirs, and the calls that open, make,
 * remove and resize them. */
#include "disk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { FD_MAX = 4096 };

static struct open_file fds[FD_MAX];

/* False when it is not below the root. folder: relative, "." for the root. */
static bool resolve(int at_fd, const char *path, char *folder, char *name)
{
    char whole[PATH_MAX], link[64], real_folder[PATH_MAX];
    if (!disk_root_len)
        return false;
    if (path[0] == '/' || at_fd == AT_FDCWD) {
        snprintf(whole, sizeof whole, "%s", path);
    } else {
        snprintf(link, sizeof link, "/proc/self/fd/%d", at_fd);
        ssize_t len = readlink(link, whole, sizeof whole - 1);
        if (len < 0)
            return false;
        snprintf(whole + len, sizeof whole - (size_t)len, "/%s", path);
    }
    char *slash = strrchr(whole, '/');
    snprintf(name, NAME_MAX, "%.*s", NAME_MAX - 1, slash ? slash + 1 : whole);
    if (slash)
        *slash = 0;
    if (!realpath(slash ? whole : ".", real_folder) ||
        strncmp(real_folder, disk_root, disk_root_len) != 0 ||
        (real_folder[disk_root_len] != 0 && real_folder[disk_root_len] != '/'))
        return false;
    snprintf(folder, PATH_MAX, "%.*s", PATH_MAX - 1,
             real_folder[disk_root_len] ? real_folder + disk_root_len + 1 : ".");
    return strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

const struct open_file *file_of_root(int fd)
{
    struct stat status;
    bool is_ours = fd >= 0 && fd < FD_MAX && fds[fd].inode && fstat(fd, &status) == 0 &&
                   status.st_ino == fds[fd].inode && !S_ISSOCK(status.st_mode);
    return is_ours ? &fds[fd] : NULL;
}

static int opened(int fd, int flags, bool is_ours, bool was_there, const char *folder,
                  const char *name)
{
    struct stat status;
    if (fd < 0 || fd >= FD_MAX)
        return fd;
    pthread_mutex_lock(&disk_lock);
    fds[fd].inode = 0;
    if (fstat(fd, &status) == 0 && (S_ISREG(status.st_mode) || S_ISDIR(status.st_mode))) {
        char link[64], path[PATH_MAX];
        snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        ssize_t len = readlink(link, path, sizeof path - 1);
        path[len > 0 ? len : 0] = 0;
        bool is_below = disk_root_len && strncmp(path, disk_root, disk_root_len) == 0 &&
                        (path[disk_root_len] == '/' || !path[disk_root_len]);
        if (is_below) {
            fds[fd].inode = status.st_ino;
            fds[fd].is_dsync = flags & O_DSYNC;
            fds[fd].is_folder = S_ISDIR(status.st_mode);
        }
        if (is_ours && S_ISREG(status.st_mode) && durable_is_kept() &&
            (!was_there || !durable_id_of(status.st_ino)))
            durable_note("C\t%s\t%s\t%u\n", folder, name, durable_new_id(status.st_ino));
    }
    pthread_mutex_unlock(&disk_lock);
    return fd;
}

static int open_any(int at_fd, const char *path, int flags, mode_t mode)
{
    char folder[PATH_MAX], name[NAME_MAX];
    bool is_ours = resolve(at_fd, path, folder, name);
    if (is_ours && call_must_fail(OPEN))
        return -1;
    bool was_there = is_ours && faccessat(at_fd, path, F_OK, 0) == 0;
    int fd = (int)syscall(SYS_openat, at_fd, path, flags, mode);
    return opened(fd, flags, is_ours, was_there, folder, name);
}

/* What stands before the program's own; the rest of the library is nobody's business. */
#pragma GCC visibility push(default)

#define MODE(flags) \
    mode_t mode = 0; \
    if ((flags) & (O_CREAT | O_TMPFILE)) { \
        va_list args; \
        va_start(args, flags); \
        mode = va_arg(args, mode_t); \
        va_end(args); \
    }

int open(const char *path, int flags, ...)
{
    MODE(flags)
    return open_any(AT_FDCWD, path, flags, mode);
}

int open64(const char *path, int flags, ...)
{
    MODE(flags)
    return open_any(AT_FDCWD, path, flags, mode);
}

int openat(int at_fd, const char *path, int flags, ...)
{
    MODE(flags)
    return open_any(at_fd, path, flags, mode);
}

int openat64(int at_fd, const char *path, int flags, ...)
{
    MODE(flags)
    return open_any(at_fd, path, flags, mode);
}

int mkdirat(int at_fd, const char *path, mode_t mode)
{
    char folder[PATH_MAX], name[NAME_MAX];
    bool is_ours = resolve(at_fd, path, folder, name);
    int code = (int)syscall(SYS_mkdirat, at_fd, path, mode);
    if (is_ours && code == 0 && durable_is_kept())
        durable_note("M\t%s\t%s\n", folder, name);
    return code;
}

int unlinkat(int at_fd, const char *path, int flags)
{
    char folder[PATH_MAX], name[NAME_MAX];
    bool is_ours = resolve(at_fd, path, folder, name);
    if (is_ours && call_must_fail(UNLINK))
        return -1;
    int code = (int)syscall(SYS_unlinkat, at_fd, path, flags);
    if (is_ours && code == 0 && durable_is_kept())
        durable_note("U\t%s\t%s\n", folder, name);
    return code;
}

int unlink(const char *path)
{
    return unlinkat(AT_FDCWD, path, 0);
}

int ftruncate(int fd, off_t len)
{
    if (file_of_root(fd) && call_must_fail(TRUNCATE))
        return -1;
    return (int)syscall(SYS_ftruncate, fd, len);
}

int ftruncate64(int fd, off_t len)
{
    return ftruncate(fd, len);
}

int posix_fallocate(int fd, off_t at, off_t len)
{
    if (file_of_root(fd) && call_must_fail(TRUNCATE))
        return errno;
    return syscall(SYS_fallocate, fd, 0, at, len) == 0 ? 0 : errno;
}

int fallocate(int fd, int mode, off_t at, off_t len)
{
    if (file_of_root(fd) && call_must_fail(TRUNCATE))
        return -1;
    return (int)syscall(SYS_fallocate, fd, mode, at, len);
}

int fallocate64(int fd, int mode, off_t at, off_t len)
{
    return fallocate(fd, mode, at, len);
}

int posix_fallocate64(int fd, off_t at, off_t len)
{
    return posix_fallocate(fd, at, len);
}

#pragma GCC visibility pop
