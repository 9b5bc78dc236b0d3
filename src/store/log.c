#include "log.h"

#include "segment.h"
#include "weir/base/fault.h"
#include "weir/base/log.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILL_BYTES = 1 << 20 };

struct log {
    int folder_fd;
    uint64_t segment_bytes;
    struct segment *segments; /* oldest first */
    size_t count, capacity;
    struct segment *current; /* being written to, or NULL; one of segments */
    struct segment next;     /* prepared; fd -1: none */
    uint64_t last_number;
};

static struct segment *add_segment(struct log *log, struct segment segment)
{
    size_t current = log->current ? (size_t)(log->current - log->segments) : 0;
    if (log->count == log->capacity) {
        log->capacity = log->capacity ? log->capacity * 2 : 8;
        log->segments = realloc(log->segments, log->capacity * sizeof *log->segments);
        check(log->segments != NULL);
        if (log->current)
            log->current = &log->segments[current];
    }
    log->segments[log->count] = segment;
    return &log->segments[log->count++];
}

static int compare_numbers(const void *a, const void *b)
{
    uint64_t x = ((const struct segment *)a)->number, y = ((const struct segment *)b)->number;
    return (x > y) - (x < y);
}

static bool list_segments(struct log *log, struct err *err)
{
    int fd = openat(log->folder_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (!dir) {
        int saved = errno;
        if (fd >= 0)
            close(fd);
        return err_set_errno(err, saved, "cannot list the log folder");
    }
    for (struct dirent *item; (item = readdir(dir));) {
        uint64_t number;
        if (!segment_parse_name(item->d_name, &number))
            continue;
        add_segment(log, (struct segment){.number = number, .fd = -1});
        if (number > log->last_number)
            log->last_number = number;
    }
    closedir(dir);
    if (log->count)
        qsort(log->segments, log->count, sizeof *log->segments, compare_numbers);
    return true;
}

struct log *log_open(int folder_fd, uint64_t segment_bytes, struct err *err)
{
    if (mkdirat(folder_fd, "log", 0700) < 0 && errno != EEXIST) {
        err_set_errno(err, errno, "cannot make the log folder");
        return NULL;
    }
    int fd = openat(folder_fd, "log", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        err_set_errno(err, errno, "cannot open the log folder");
        return NULL;
    }
    struct log *log = calloc(1, sizeof *log);
    check(log != NULL);
    log->folder_fd = fd;
    log->segment_bytes = segment_bytes;
    log->next.fd = -1;
    if (!list_segments(log, err)) {
        log_close(log);
        return NULL;
    }
    return log;
}

void log_close(struct log *log)
{
    if (!log)
        return;
    if (log->next.fd >= 0)
        segment_remove(&log->next, log->folder_fd);
    for (size_t i = 0; i < log->count; i++) {
        if (log->segments[i].fd >= 0)
            close(log->segments[i].fd);
    }
    close(log->folder_fd);
    free(log->segments);
    free(log);
}

/* Cuts what is behind the last whole frame, and removes files at the end that hold none. */
static bool settle_segment(struct log *log, size_t index, struct err *err)
{
    struct segment *segment = &log->segments[index];
    if (segment->last_sequence)
        return segment_cut(segment, log->folder_fd, err);
    check(index + 1 == log->count);
    segment_remove(segment, log->folder_fd);
    log->count--;
    return true;
}

bool log_replay(struct log *log, uint64_t after, void (*apply)(void *context, struct frame *frame),
                void *context, uint64_t *last, struct err *err)
{
    struct segment_scan scan = {.after = after, .apply = apply, .context = context};
    for (size_t i = 0; i < log->count; i++) {
        if (!segment_replay(&log->segments[i], log->folder_fd, &scan, err))
            return false;
    }
    if (scan.torn_number)
        log_event(LOG_WARN, "a torn frame at the end of the commit log is cut off",
                  LOG_U("file", scan.torn_number), LOG_U("offset", scan.torn_at));
    *last = scan.last > after ? scan.last : after;
    for (size_t i = log->count; i-- > 0;) {
        bool is_last_written = log->segments[i].last_sequence != 0;
        if (!settle_segment(log, i, err))
            return false;
        if (is_last_written)
            break;
    }
    return true;
}

static void give_up_current(struct log *log)
{
    check(log->current == &log->segments[log->count - 1]);
    segment_remove(log->current, log->folder_fd);
    log->current = NULL;
    log->count--;
}

static bool prepare_next(struct log *log, uint64_t size, uint64_t checkpointed)
{
    uint64_t number = log->last_number + 1;
    bool ok = segment_create(&log->next, log->folder_fd, number, size);
    if (!ok && log->current && log->current->last_sequence <= checkpointed) {
        give_up_current(log);
        ok = segment_create(&log->next, log->folder_fd, number, size);
    }
    if (ok)
        log->last_number = number;
    return ok;
}

bool log_reserve(struct log *log, uint64_t frame_bytes, uint64_t checkpointed)
{
    if (log->current && log->current->size - log->current->used >= frame_bytes)
        return true;
    uint64_t needed = SEGMENT_HEADER_SIZE + frame_bytes;
    if (log->next.fd >= 0)
        return log->next.size >= needed || segment_extend(&log->next, needed);
    uint64_t size = needed > log->segment_bytes ? needed : log->segment_bytes;
    return prepare_next(log, size, checkpointed);
}

/* Room that has never been written to costs each commit a change of the file system's own records,
 * which has to be synced as well. So zeros go ahead of the frames, much at a time. */
static uint32_t fill_ahead(struct segment *segment)
{
    if (segment->used <= segment->filled)
        return 0;
    uint64_t filled = (segment->used + FILL_BYTES - 1) / FILL_BYTES * FILL_BYTES;
    segment->filled = filled < segment->size ? filled : segment->size;
    return (uint32_t)(segment->filled - segment->used);
}

struct log_place log_place(struct log *log, const struct frame *frame)
{
    uint64_t len = frame->bytes.len;
    if (!log->current || log->current->size - log->current->used < len) {
        check(log->next.fd >= 0);
        log->current = add_segment(log, log->next);
        log->next.fd = -1;
    }
    struct segment *segment = log->current;
    check(segment->size - segment->used >= len);
    struct log_place place = {segment->fd, segment->used, segment->salt, 0};
    segment->used += len;
    segment->last_sequence = frame->sequence;
    place.zeros = fill_ahead(segment);
    return place;
}

static _Noreturn void die(const char *what)
{
    struct err err;
    err_set_errno(&err, errno, "cannot %s the commit log", what);
    err_hint(&err, "the disk is failing; what was acknowledged is in the log, start again when the "
                   "disk is well");
    log_err(LOG_ERROR, "stopping", &err);
    abort();
}

static void write_all(int fd, struct slice rest, uint64_t offset)
{
    while (rest.len) {
        ssize_t written =
            fault_fails(FAULT_LOG_WRITE) ? -1 : pwrite(fd, rest.data, rest.len, (off_t)offset);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            die("write");
        offset += (uint64_t)written;
        rest = slice_of(rest.data + written, rest.len - (size_t)written);
    }
}

void log_write(struct log_place place, struct frame *frame)
{
    static const char zeros[FILL_BYTES];
    frame_sign(frame, place.salt);
    write_all(place.fd, buffer_slice(&frame->bytes), place.offset);
    write_all(place.fd, slice_of(zeros, place.zeros), place.offset + frame->bytes.len);
    /* After a failed sync the kernel may have dropped the pages, and a second try would succeed
     * without them. So there is no second try. */
    fault_step(FAULT_LOG_WRITTEN);
    if (fault_fails(FAULT_LOG_SYNC) || fdatasync(place.fd) < 0)
        die("sync");
    fault_step(FAULT_LOG_SYNCED);
}

void log_drop(struct log *log, uint64_t sequence)
{
    size_t kept = 0;
    for (size_t i = 0; i < log->count; i++) {
        struct segment *segment = &log->segments[i];
        if (segment != log->current && segment->last_sequence <= sequence) {
            segment_remove(segment, log->folder_fd);
            continue;
        }
        if (segment == log->current)
            log->current = &log->segments[kept];
        log->segments[kept++] = *segment;
    }
    log->count = kept;
}

uint64_t log_size(const struct log *log)
{
    uint64_t size = log->next.fd >= 0 ? log->next.size : 0;
    for (size_t i = 0; i < log->count; i++)
        size += log->segments[i].size;
    return size;
}
