/* What of the files below the root is durable: a copy of each as of its last sync, and a journal of
 * names. */
#include "disk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { FILES_MAX = 4096 };

static char durable[PATH_MAX];
static struct {
    ino_t inode;
    unsigned id;
} files[FILES_MAX];
static unsigned file_count, last_id;
static int names_fd = -1, ids_fd = -1;

bool durable_is_kept(void)
{
    return durable[0];
}

void durable_note(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    if (vdprintf(names_fd, format, args) < 0)
        disk_give_up("names");
    va_end(args);
}

static int durable_file(unsigned id, int flags)
{
    char path[PATH_MAX + 32];
    snprintf(path, sizeof path, "%s/data.%u", durable, id);
    int fd = (int)syscall(SYS_openat, AT_FDCWD, path, flags | O_CLOEXEC, 0600);
    if (fd < 0)
        disk_give_up(path);
    return fd;
}

unsigned durable_new_id(ino_t inode)
{
    unsigned at = 0;
    while (at < file_count && files[at].inode != inode)
        at++;
    if (at == FILES_MAX)
        disk_give_up("too many files");
    if (at == file_count)
        file_count++;
    files[at].inode = inode;
    files[at].id = ++last_id;
    dprintf(ids_fd, "%lu %u\n", (unsigned long)inode, last_id);
    close(durable_file(last_id, O_CREAT | O_TRUNC | O_RDWR));
    return last_id;
}

unsigned durable_id_of(ino_t inode)
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
                if (kept_len >= page + (ssize_t)page_len &&
                    memcmp(live + page, kept + page, page_len) == 0)
                    continue;
                if (syscall(SYS_pwrite64, to_fd, live + page, page_len, at + page) !=
                    (long)page_len)
                    disk_give_up("copying");
            }
        }
        at += len;
    }
}

void durable_keep(int of_fd, off_t from, off_t to)
{
    struct stat status;
    char link[64];
    if (!durable[0] || fstat(of_fd, &status) < 0)
        return;
    unsigned id = durable_id_of(status.st_ino);
    if (!id)
        return;
    int copy = durable_file(id, O_RDWR);
    /* Opened anew, as seeking would move what the program writes at. */
    snprintf(link, sizeof link, "/proc/self/fd/%d", of_fd);
    int fd = (int)syscall(SYS_openat, AT_FDCWD, link, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        disk_give_up(link);
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
        disk_give_up("truncating");
    close(copy);
    close(fd);
}

/* ---- The start ---- */

static int append_to(const char *name)
{
    char path[PATH_MAX + 16];
    snprintf(path, sizeof path, "%s/%s", durable, name);
    int fd =
        (int)syscall(SYS_openat, AT_FDCWD, path, O_CREAT | O_APPEND | O_WRONLY | O_CLOEXEC, 0600);
    if (fd < 0)
        disk_give_up(path);
    return fd;
}

/* What is there at first is durable. */
static void take_in(const char *folder)
{
    char path[PATH_MAX * 2], below[PATH_MAX * 2];
    snprintf(path, sizeof path, "%s/%s", disk_root, folder);
    DIR *dir = opendir(path);
    if (!dir)
        return;
    for (struct dirent *item; (item = readdir(dir));) {
        if (strcmp(item->d_name, ".") == 0 || strcmp(item->d_name, "..") == 0)
            continue;
        if (item->d_type == DT_DIR) {
            durable_note("M\t%s\t%s\n", folder, item->d_name);
            snprintf(below, sizeof below, strcmp(folder, ".") ? "%s/%s" : "%.0s%s", folder,
                     item->d_name);
            take_in(below);
            continue;
        }
        int fd = (int)syscall(SYS_openat, dirfd(dir), item->d_name, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
            disk_give_up(item->d_name);
        struct stat status;
        fstat(fd, &status);
        durable_note("C\t%s\t%s\t%u\n", folder, item->d_name, durable_new_id(status.st_ino));
        durable_keep(fd, 0, LLONG_MAX);
        close(fd);
    }
    closedir(dir);
    durable_note("S\t%s\n", folder);
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

void durable_begin(const char *folder)
{
    char path[PATH_MAX + 16], made[PATH_MAX + 16];
    snprintf(durable, sizeof durable, "%s", folder);
    snprintf(path, sizeof path, "%s/names", durable);
    snprintf(made, sizeof made, "%s/names.made", durable);
    mkdir(durable, 0700);
    if (access(path, F_OK) == 0) {
        names_fd = append_to("names");
        ids_fd = append_to("ids");
        go_on_with();
        return;
    }
    /* All of it or, when this process is killed now, nothing. */
    names_fd = append_to("names.made");
    ids_fd = append_to("ids");
    if (ftruncate(names_fd, 0) < 0 || ftruncate(ids_fd, 0) < 0)
        disk_give_up(durable);
    take_in(".");
    if (rename(made, path) < 0)
        disk_give_up(made);
}
