/* LD_PRELOAD: a disk that forgets what was not synced, and calls that fail.
 *
 *   WEIR_DISK_ROOT     the folder that this is about
 *   WEIR_DISK_DURABLE  where to note what of it is durable: what a power loss would leave (optional)
 *   WEIR_DISK_FAIL     KIND:N=ERRNO or KIND:N+=ERRNO, the N-th call of a kind, or each from there on;
 *                      kinds: open, write, sync, truncate, mmap, unlink, malloc
 *
 * The durable folder holds a copy of each file as of its last sync (`data.<id>`), and a journal of
 * names: C dir name id, U dir name, M dir name, and S dir where a folder was synced. A sync copies
 * what differs and does nothing else; tests/faults/lib/disk.js makes the folder that a power loss
 * leaves. Files are known by inode, and an inode is given a new id whenever it becomes a new file. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { FD_MAX = 4096, FILES_MAX = 4096, MAPS_MAX = 64, PAGE = 4096 };

enum kind { OPEN, WRITE, SYNC, TRUNCATE, MMAP, UNLINK, MALLOC, KINDS };
static const char *const kind_names[KINDS] = {"open", "write",  "sync",  "truncate",
                                              "mmap", "unlink", "malloc"};

static struct {
    enum kind kind;
    unsigned long at;
    bool from_there_on;
    int errno_value;
} failing = {.kind = KINDS};
static unsigned long calls;

static char root[PATH_MAX], durable[PATH_MAX];
static size_t root_len;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct {
    ino_t inode;
    unsigned id;
} files[FILES_MAX];
static unsigned file_count, last_id;
static struct {
    ino_t inode; /* 0: not of the root */
    bool is_dsync, is_folder;
} fds[FD_MAX];
static struct {
    char *at;
    size_t len;
    int fd;
    off_t offset;
} maps[MAPS_MAX];
static int names_fd = -1, ids_fd = -1;

static _Noreturn void give_up(const char *what)
{
    dprintf(2, "disk.c: %s: %s\n", what, strerror(errno));
    abort();
}

/* ---- Failing ---- */

static bool must_fail(enum kind kind)
{
    if (failing.kind != kind)
        return false;
    unsigned long number = __atomic_add_fetch(&calls, 1, __ATOMIC_RELAXED);
    if (failing.from_there_on ? number < failing.at : number != failing.at)
        return false;
    if (number == failing.at) {
        char line[100];
        int len = snprintf(line, sizeof line, "disk.c: call %lu of %s fails\n", number,
                           kind_names[kind]);
        syscall(SYS_write, 2, line, (size_t)len);
    }
    errno = failing.errno_value;
    return true;
}

static void read_failing(const char *text)
{
    static const struct {
        const char *name;
        int value;
    } errors[] = {{"EIO", EIO}, {"ENOSPC", ENOSPC}, {"EROFS", EROFS}, {"ENOMEM", ENOMEM}, {"EMFILE", EMFILE}};
    char kind[20], error[20], plus[2] = "";
    unsigned long at;
    if (sscanf(text, "%19[a-z]:%lu%1[+]=%19s", kind, &at, plus, error) != 4 &&
        sscanf(text, "%19[a-z]:%lu=%19s", kind, &at, error) != 3)
        give_up("WEIR_DISK_FAIL");
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++) {
        if (strcmp(error, errors[i].name) == 0)
            failing.errno_value = errors[i].value;
    }
    failing.at = at;
    failing.from_there_on = plus[0] != 0;
    for (int i = 0; i < KINDS; i++) {
        if (strcmp(kind, kind_names[i]) == 0)
            failing.kind = (enum kind)i;
    }
    if (failing.kind == KINDS || !failing.errno_value)
        give_up("WEIR_DISK_FAIL");
}

/* ---- What is durable ---- */

__attribute__((format(printf, 1, 2))) static void note(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    if (vdprintf(names_fd, format, args) < 0)
        give_up("names");
    va_end(args);
}

static int durable_file(unsigned id, int flags)
{
    char path[PATH_MAX + 32];
    snprintf(path, sizeof path, "%s/data.%u", durable, id);
    int fd = (int)syscall(SYS_openat, AT_FDCWD, path, flags | O_CLOEXEC, 0600);
    if (fd < 0)
        give_up(path);
    return fd;
}

static unsigned new_id(ino_t inode)
{
    unsigned at = 0;
    while (at < file_count && files[at].inode != inode)
        at++;
    if (at == FILES_MAX)
        give_up("too many files");
    if (at == file_count)
        file_count++;
    files[at].inode = inode;
    files[at].id = ++last_id;
    dprintf(ids_fd, "%lu %u\n", (unsigned long)inode, last_id);
    close(durable_file(last_id, O_CREAT | O_TRUNC | O_RDWR));
    return last_id;
}

static unsigned id_of(ino_t inode)
{
    for (unsigned i = 0; i < file_count; i++) {
        if (files[i].inode == inode)
            return files[i].id;
    }
    return 0;
}

/* Whole pages of [from, to) that differ. */
static void copy_range(int from_fd, int to_fd, off_t from, off_t to)
{
    static char live[64 * PAGE], kept[64 * PAGE];
    for (off_t at = from; at < to;) {
        size_t want = to - at < (off_t)sizeof live ? (size_t)(to - at) : sizeof live;
        ssize_t len = pread(from_fd, live, want, at);
        if (len <= 0)
            return;
        ssize_t kept_len = pread(to_fd, kept, (size_t)len, at);
        if (kept_len != len || memcmp(live, kept, (size_t)len) != 0) {
            for (ssize_t page = 0; page < len; page += PAGE) {
                size_t page_len = len - page < PAGE ? (size_t)(len - page) : PAGE;
                if (kept_len >= page + (ssize_t)page_len && memcmp(live + page, kept + page, page_len) == 0)
                    continue;
                if (syscall(SYS_pwrite64, to_fd, live + page, page_len, at + page) != (long)page_len)
                    give_up("copying");
            }
        }
        at += len;
    }
}

/* The file's bytes in [from, to) are durable from now on. */
static void keep(int of_fd, off_t from, off_t to)
{
    struct stat status;
    char link[64];
    if (!durable[0] || fstat(of_fd, &status) < 0)
        return;
    unsigned id = id_of(status.st_ino);
    if (!id)
        return;
    int copy = durable_file(id, O_RDWR);
    /* Opened anew, as seeking would move what the program writes at. */
    snprintf(link, sizeof link, "/proc/self/fd/%d", of_fd);
    int fd = (int)syscall(SYS_openat, AT_FDCWD, link, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        give_up(link);
    if (to > status.st_size)
        to = status.st_size;
    for (off_t at = from; at < to;) {
        off_t data = lseek(fd, at, SEEK_DATA);
        if (data < 0 || data >= to)
            break;
        off_t hole = lseek(fd, data, SEEK_HOLE);
        if (hole < 0 || hole > to)
            hole = to;
        data = data / PAGE * PAGE;
        copy_range(fd, copy, data < from ? from : data, hole);
        at = hole;
    }
    if (syscall(SYS_ftruncate, copy, status.st_size) < 0)
        give_up("truncating");
    close(copy);
    close(fd);
}

/* ---- Paths ---- */

/* False when it is not below the root. folder: relative, "." for the root. */
static bool resolve(int at_fd, const char *path, char *folder, char *name)
{
    char whole[PATH_MAX], link[64], real_folder[PATH_MAX];
    if (!root_len)
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
    if (!realpath(slash ? whole : ".", real_folder) || strncmp(real_folder, root, root_len) != 0 ||
        (real_folder[root_len] != 0 && real_folder[root_len] != '/'))
        return false;
    snprintf(folder, PATH_MAX, "%.*s", PATH_MAX - 1,
             real_folder[root_len] ? real_folder + root_len + 1 : ".");
    return strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

static bool is_of_root(int fd)
{
    struct stat status;
    return fd >= 0 && fd < FD_MAX && fds[fd].inode && fstat(fd, &status) == 0 &&
           status.st_ino == fds[fd].inode && !S_ISSOCK(status.st_mode);
}

static int opened(int fd, int flags, bool is_ours, bool was_there, const char *folder, const char *name)
{
    struct stat status;
    if (fd < 0 || fd >= FD_MAX)
        return fd;
    pthread_mutex_lock(&lock);
    fds[fd].inode = 0;
    if (fstat(fd, &status) == 0 && (S_ISREG(status.st_mode) || S_ISDIR(status.st_mode))) {
        char link[64], path[PATH_MAX];
        snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        ssize_t len = readlink(link, path, sizeof path - 1);
        path[len > 0 ? len : 0] = 0;
        bool is_below = root_len && strncmp(path, root, root_len) == 0 && (path[root_len] == '/' || !path[root_len]);
        if (is_below) {
            fds[fd].inode = status.st_ino;
            fds[fd].is_dsync = flags & O_DSYNC;
            fds[fd].is_folder = S_ISDIR(status.st_mode);
        }
        if (is_ours && S_ISREG(status.st_mode) && durable[0] && (!was_there || !id_of(status.st_ino)))
            note("C\t%s\t%s\t%u\n", folder, name, new_id(status.st_ino));
    }
    pthread_mutex_unlock(&lock);
    return fd;
}

static int open_any(int at_fd, const char *path, int flags, mode_t mode)
{
    char folder[PATH_MAX], name[NAME_MAX];
    bool is_ours = resolve(at_fd, path, folder, name);
    if (is_ours && must_fail(OPEN))
        return -1;
    bool was_there = is_ours && faccessat(at_fd, path, F_OK, 0) == 0;
    int fd = (int)syscall(SYS_openat, at_fd, path, flags, mode);
    return opened(fd, flags, is_ours, was_there, folder, name);
}

#define MODE(flags)                                                            \
    mode_t mode = 0;                                                           \
    if ((flags) & (O_CREAT | O_TMPFILE)) {                                     \
        va_list args;                                                          \
        va_start(args, flags);                                                 \
        mode = va_arg(args, mode_t);                                           \
        va_end(args);                                                          \
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
    if (is_ours && code == 0 && durable[0])
        note("M\t%s\t%s\n", folder, name);
    return code;
}

int unlinkat(int at_fd, const char *path, int flags)
{
    char folder[PATH_MAX], name[NAME_MAX];
    bool is_ours = resolve(at_fd, path, folder, name);
    if (is_ours && must_fail(UNLINK))
        return -1;
    int code = (int)syscall(SYS_unlinkat, at_fd, path, flags);
    if (is_ours && code == 0 && durable[0])
        note("U\t%s\t%s\n", folder, name);
    return code;
}

int unlink(const char *path)
{
    return unlinkat(AT_FDCWD, path, 0);
}

/* ---- Writing and syncing ---- */

static ssize_t written(int fd, ssize_t len, off_t end)
{
    if (len > 0 && fds[fd].is_dsync) {
        pthread_mutex_lock(&lock);
        keep(fd, end - len, end);
        pthread_mutex_unlock(&lock);
    }
    return len;
}

ssize_t pwrite(int fd, const void *data, size_t len, off_t at)
{
    if (!is_of_root(fd))
        return syscall(SYS_pwrite64, fd, data, len, at);
    if (must_fail(WRITE)) {
        if (len > 1) /* some of it comes first, as with a disk that becomes full */
            syscall(SYS_pwrite64, fd, data, len / 2, at);
        return -1;
    }
    return written(fd, syscall(SYS_pwrite64, fd, data, len, at), at + (off_t)len);
}

ssize_t pwrite64(int fd, const void *data, size_t len, off_t at)
{
    return pwrite(fd, data, len, at);
}

ssize_t write(int fd, const void *data, size_t len)
{
    if (is_of_root(fd) && must_fail(WRITE))
        return -1;
    ssize_t count = syscall(SYS_write, fd, data, len);
    return is_of_root(fd) ? written(fd, count, lseek(fd, 0, SEEK_CUR)) : count;
}

ssize_t writev(int fd, const struct iovec *parts, int count)
{
    if (is_of_root(fd) && must_fail(WRITE))
        return -1;
    ssize_t len = syscall(SYS_writev, fd, parts, count);
    return is_of_root(fd) ? written(fd, len, lseek(fd, 0, SEEK_CUR)) : len;
}

static int sync_fd(int fd, long call)
{
    if (!is_of_root(fd))
        return (int)syscall(call, fd);
    if (must_fail(SYNC))
        return -1;
    if (!durable[0])
        return 0;
    pthread_mutex_lock(&lock);
    if (fds[fd].is_folder) {
        char link[64], path[PATH_MAX];
        snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        ssize_t len = readlink(link, path, sizeof path - 1);
        path[len > 0 ? len : 0] = 0;
        if (strncmp(path, root, root_len) == 0)
            note("S\t%s\n", path[root_len] ? path + root_len + 1 : ".");
    } else {
        keep(fd, 0, LLONG_MAX);
    }
    pthread_mutex_unlock(&lock);
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
    bool is_ours = fd >= 0 && is_of_root(fd);
    if (is_ours && must_fail(MMAP))
        return MAP_FAILED;
    void *at = (void *)syscall(SYS_mmap, hint, len, protection, flags, fd, offset);
    if (is_ours && at != MAP_FAILED && (flags & MAP_SHARED) && (protection & PROT_WRITE)) {
        pthread_mutex_lock(&lock);
        int free_map = 0;
        while (free_map < MAPS_MAX && maps[free_map].len)
            free_map++;
        if (free_map == MAPS_MAX)
            give_up("too many maps");
        maps[free_map].at = at;
        maps[free_map].len = len;
        maps[free_map].offset = offset;
        maps[free_map].fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
        pthread_mutex_unlock(&lock);
    }
    return at;
}

void *mmap64(void *hint, size_t len, int protection, int flags, int fd, off_t offset)
{
    return mmap(hint, len, protection, flags, fd, offset);
}

int munmap(void *at, size_t len)
{
    pthread_mutex_lock(&lock);
    for (int i = 0; i < MAPS_MAX; i++) {
        if (maps[i].len && maps[i].at == at) {
            close(maps[i].fd);
            maps[i].len = 0;
        }
    }
    pthread_mutex_unlock(&lock);
    return (int)syscall(SYS_munmap, at, len);
}

int msync(void *at, size_t len, int flags)
{
    int fd = -1;
    off_t from = 0;
    if (!(flags & MS_SYNC))
        return (int)syscall(SYS_msync, at, len, flags);
    pthread_mutex_lock(&lock);
    for (int i = 0; i < MAPS_MAX && fd < 0; i++) {
        if (maps[i].len && (char *)at >= maps[i].at && (char *)at < maps[i].at + maps[i].len) {
            fd = maps[i].fd;
            from = maps[i].offset + ((char *)at - maps[i].at);
        }
    }
    bool fails = fd >= 0 && must_fail(SYNC);
    if (fd >= 0 && !fails)
        keep(fd, from, from + (off_t)len);
    pthread_mutex_unlock(&lock);
    return fails ? -1 : 0;
}

int ftruncate(int fd, off_t len)
{
    if (is_of_root(fd) && must_fail(TRUNCATE))
        return -1;
    return (int)syscall(SYS_ftruncate, fd, len);
}

int ftruncate64(int fd, off_t len)
{
    return ftruncate(fd, len);
}

int posix_fallocate(int fd, off_t at, off_t len)
{
    if (is_of_root(fd) && must_fail(TRUNCATE))
        return errno;
    return syscall(SYS_fallocate, fd, 0, at, len) == 0 ? 0 : errno;
}

int fallocate(int fd, int mode, off_t at, off_t len)
{
    if (is_of_root(fd) && must_fail(TRUNCATE))
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

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *old, size_t size);

#ifndef WITHOUT_MALLOC
void *malloc(size_t size)
{
    return must_fail(MALLOC) ? NULL : __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
    return must_fail(MALLOC) ? NULL : __libc_calloc(count, size);
}

void *realloc(void *old, size_t size)
{
    return must_fail(MALLOC) ? NULL : __libc_realloc(old, size);
}
#endif

/* ---- The start ---- */

static int append_to(const char *name)
{
    char path[PATH_MAX + 16];
    snprintf(path, sizeof path, "%s/%s", durable, name);
    int fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_CREAT | O_APPEND | O_WRONLY | O_CLOEXEC, 0600);
    if (fd < 0)
        give_up(path);
    return fd;
}

/* What is there at first is durable. */
static void take_in(const char *folder)
{
    char path[PATH_MAX * 2], below[PATH_MAX * 2];
    snprintf(path, sizeof path, "%s/%s", root, folder);
    DIR *dir = opendir(path);
    if (!dir)
        return;
    for (struct dirent *item; (item = readdir(dir));) {
        if (strcmp(item->d_name, ".") == 0 || strcmp(item->d_name, "..") == 0)
            continue;
        if (item->d_type == DT_DIR) {
            note("M\t%s\t%s\n", folder, item->d_name);
            snprintf(below, sizeof below, strcmp(folder, ".") ? "%s/%s" : "%.0s%s", folder, item->d_name);
            take_in(below);
            continue;
        }
        int fd = (int)syscall(SYS_openat, dirfd(dir), item->d_name, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
            give_up(item->d_name);
        struct stat status;
        fstat(fd, &status);
        note("C\t%s\t%s\t%u\n", folder, item->d_name, new_id(status.st_ino));
        keep(fd, 0, LLONG_MAX);
        close(fd);
    }
    closedir(dir);
    note("S\t%s\n", folder);
}

static void go_on_with(void)
{
    char path[PATH_MAX + 16];
    snprintf(path, sizeof path, "%s/ids", durable);
    FILE *ids = fopen(path, "r");
    unsigned long inode;
    unsigned id;
    while (ids && fscanf(ids, "%lu %u\n", &inode, &id) == 2) {
        unsigned at = 0;
        while (at < file_count && files[at].inode != inode)
            at++;
        if (at == file_count)
            file_count++;
        files[at].inode = inode;
        files[at].id = id;
        if (id > last_id)
            last_id = id;
    }
    if (ids)
        fclose(ids);
}

__attribute__((constructor)) static void start(void)
{
    const char *from = getenv("WEIR_DISK_ROOT"), *to = getenv("WEIR_DISK_DURABLE");
    const char *fail = getenv("WEIR_DISK_FAIL");
    if (from && realpath(from, root))
        root_len = strlen(root);
    if (to && root_len) {
        char path[PATH_MAX + 16], made[PATH_MAX + 16];
        snprintf(durable, sizeof durable, "%s", to);
        snprintf(path, sizeof path, "%s/names", durable);
        snprintf(made, sizeof made, "%s/names.made", durable);
        mkdir(durable, 0700);
        if (access(path, F_OK) == 0) {
            names_fd = append_to("names");
            ids_fd = append_to("ids");
            go_on_with();
        } else { /* all of it or, when this process is killed now, nothing */
            names_fd = append_to("names.made");
            ids_fd = append_to("ids");
            if (ftruncate(names_fd, 0) < 0 || ftruncate(ids_fd, 0) < 0)
                give_up(durable);
            take_in(".");
            if (rename(made, path) < 0)
                give_up(made);
        }
    }
    if (fail)
        read_failing(fail);
}
