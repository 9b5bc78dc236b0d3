#include "segment.h"

#include "weir/base/fault.h"
#include "weir/base/hash.h"
#include "weir/base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

/* Header: magic 8, number 8, salt 4, reserved 8, CRC of all before it 4. */
enum { AT_NUMBER = 8, AT_SALT = 16, AT_CRC = 28 };
static const char magic[8] = "WEIRLOG1";

static void segment_name(uint64_t number, char out[SEGMENT_NAME_SIZE])
{
    snprintf(out, SEGMENT_NAME_SIZE, "%016" PRIx64 ".log", number);
}

bool segment_parse_name(const char *name, uint64_t *number)
{
    char *end;
    if (strlen(name) != 20 || strspn(name, "0123456789abcdef") != 16)
        return false;
    *number = strtoull(name, &end, 16);
    return strcmp(end, ".log") == 0;
}

static bool write_header(struct segment *segment)
{
    char header[SEGMENT_HEADER_SIZE] = {0};
    memcpy(header, magic, sizeof magic);
    store_u64(header + AT_NUMBER, segment->number);
    store_u32(header + AT_SALT, segment->salt);
    store_u32(header + AT_CRC, crc32c(0, header, AT_CRC));
    return pwrite(segment->fd, header, sizeof header, 0) == (ssize_t)sizeof header;
}

bool segment_create(struct segment *segment, int folder_fd, uint64_t number, uint64_t size)
{
    char name[SEGMENT_NAME_SIZE];
    segment_name(number, name);
    *segment = (struct segment){.number = number, .size = size, .used = SEGMENT_HEADER_SIZE};
    check(getrandom(&segment->salt, sizeof segment->salt, 0) == (ssize_t)sizeof segment->salt);
    if (fault_fails(FAULT_SEGMENT_CREATE))
        return false;
    segment->fd = openat(folder_fd, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (segment->fd < 0)
        return false;
    fault_step(FAULT_SEGMENT_CREATED);
    /* The whole file is synced once, with its size and header, so that a commit needs to sync no
     * more than its own bytes. */
    if (posix_fallocate(segment->fd, 0, (off_t)size) == 0 && write_header(segment) &&
        fsync(segment->fd) == 0 && fsync(folder_fd) == 0)
        return true;
    segment_remove(segment, folder_fd);
    return false;
}

bool segment_extend(struct segment *segment, uint64_t size)
{
    if (posix_fallocate(segment->fd, 0, (off_t)size) != 0 || fsync(segment->fd) != 0)
        return false;
    segment->size = size;
    return true;
}

void segment_remove(struct segment *segment, int folder_fd)
{
    char name[SEGMENT_NAME_SIZE];
    segment_name(segment->number, name);
    if (segment->fd >= 0)
        close(segment->fd);
    segment->fd = -1;
    fault_step(FAULT_SEGMENT_REMOVE);
    unlinkat(folder_fd, name, 0);
}

static bool damaged(uint64_t number, uint64_t offset, const char *what, struct err *err)
{
    char name[SEGMENT_NAME_SIZE];
    segment_name(number, name);
    err_set(err, "log/%s is damaged at byte %" PRIu64 ": %s", name, offset, what);
    return err_hint(err, "restore the data folder from a copy; starting without these bytes would "
                         "lose acknowledged data");
}

static bool is_zero(const char *data, size_t len)
{
    return len == 0 || (data[0] == 0 && memcmp(data, data + 1, len - 1) == 0);
}

static bool has_frame_at(const struct segment *segment, struct slice file, size_t at,
                         struct frame_header *header)
{
    if (file.len - at < FRAME_HEADER_SIZE ||
        !frame_header_parse(file.data + at, segment->salt, header) ||
        file.len - at - FRAME_HEADER_SIZE < header->body_len)
        return false;
    return frame_body_is_valid(header, file.data + at + FRAME_HEADER_SIZE, segment->salt);
}

static bool has_frame_behind(const struct segment *segment, struct slice file, size_t at)
{
    struct frame_header header;
    for (at += FRAME_ALIGNMENT; at + FRAME_HEADER_SIZE <= file.len; at += FRAME_ALIGNMENT) {
        if (has_frame_at(segment, file, at, &header))
            return true;
    }
    return false;
}

/* The first frame of all may have any sequence that leaves no gap behind the checkpoint. */
static bool is_in_order(const struct segment_scan *scan, uint64_t sequence)
{
    return scan->last ? sequence == scan->last + 1 : sequence > 0 && sequence <= scan->after + 1;
}

static bool replay_frames(struct segment *segment, struct slice file, struct segment_scan *scan,
                          struct err *err)
{
    size_t at = SEGMENT_HEADER_SIZE;
    struct frame_header header;
    for (; has_frame_at(segment, file, at, &header);
         at += FRAME_HEADER_SIZE + (size_t)header.body_len) {
        if (scan->torn_number)
            return damaged(scan->torn_number, scan->torn_at, "frames follow in a later file", err);
        if (!is_in_order(scan, header.sequence))
            return damaged(segment->number, at, "a frame is missing before this one", err);
        scan->last = segment->last_sequence = header.sequence;
        if (header.sequence > scan->after)
            scan->apply(scan->context, frame_of_log(&header, file.data + at));
    }
    segment->used = at;
    if (at < file.len && !is_zero(file.data + at, file.len - at)) {
        if (has_frame_behind(segment, file, at))
            return damaged(segment->number, at, "a bad frame with a good one behind it", err);
        scan->torn_number = segment->number;
        scan->torn_at = at;
    }
    return true;
}

static bool replay_file(struct segment *segment, struct slice file, struct segment_scan *scan,
                        struct err *err)
{
    /* The header is synced before the first frame is written, so without a header there must be
     * nothing else. */
    if (file.len < SEGMENT_HEADER_SIZE)
        return true;
    if (memcmp(file.data, magic, sizeof magic) != 0 ||
        load_u64(file.data + AT_NUMBER) != segment->number ||
        load_u32(file.data + AT_CRC) != crc32c(0, file.data, AT_CRC)) {
        if (is_zero(file.data + SEGMENT_HEADER_SIZE, file.len - SEGMENT_HEADER_SIZE))
            return true;
        return damaged(segment->number, 0, "the header is bad", err);
    }
    segment->salt = load_u32(file.data + AT_SALT);
    return replay_frames(segment, file, scan, err);
}

bool segment_replay(struct segment *segment, int folder_fd, struct segment_scan *scan,
                    struct err *err)
{
    char name[SEGMENT_NAME_SIZE];
    segment_name(segment->number, name);
    struct stat status;
    int fd = openat(folder_fd, name, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &status) < 0) {
        int saved = errno;
        if (fd >= 0)
            close(fd);
        return err_set_errno(err, saved, "cannot read log/%s", name);
    }
    segment->size = (uint64_t)status.st_size;
    bool ok = true;
    if (status.st_size > 0) {
        char *data = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        ok = data != MAP_FAILED;
        if (!ok) {
            err_set_errno(err, errno, "cannot map log/%s", name);
        } else {
            ok = replay_file(segment, slice_of(data, (size_t)status.st_size), scan, err);
            munmap(data, (size_t)status.st_size);
        }
    }
    close(fd);
    return ok;
}

bool segment_cut(struct segment *segment, int folder_fd, struct err *err)
{
    char name[SEGMENT_NAME_SIZE];
    segment_name(segment->number, name);
    if (segment->used == segment->size)
        return true;
    int fd = openat(folder_fd, name, O_RDWR | O_CLOEXEC);
    bool ok = fd >= 0 && ftruncate(fd, (off_t)segment->used) == 0 && fsync(fd) == 0;
    if (!ok)
        err_set_errno(err, errno, "cannot cut log/%s", name);
    if (fd >= 0)
        close(fd);
    segment->size = segment->used;
    return ok;
}
