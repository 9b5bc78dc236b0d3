/* struct log: the commit log, a row of files `log/<number>.log` with one frame behind the other.
 *
 * Room is taken from the file system before an operation is decided on, so a full disk refuses a
 * write cleanly and the commit thread never meets one; whatever fails there stops the process, as
 * after a failed sync nobody knows what is on the disk. Because a frame is written only when the
 * one before it has been synced, only the last frame can be torn; a bad frame with a good one
 * behind it is damage. Checksums are salted per file, so no payload can look like a frame.
 *
 * The loop thread owns the log; log_write() is the commit thread's. */
#pragma once

#include "frame.h"
#include "weir/base/err.h"

struct log;

/* Opens the folder "log" in folder_fd, made when missing. */
struct log *log_open(int folder_fd, uint64_t segment_bytes, struct err *err) WEIR_MUST_CHECK;
void log_close(struct log *log); /* NULL is allowed; unlinks what was never written to */

/* Calls apply for each frame with a sequence above `after`, in order, and hands it over. Cuts off a
 * torn last frame. *last is the last sequence in the log, or `after`. */
bool log_replay(struct log *log, uint64_t after, void (*apply)(void *context, struct frame *frame),
                void *context, uint64_t *last, struct err *err) WEIR_MUST_CHECK;

/* Makes sure that a frame of so many bytes can be placed. False when the disk is full. May create a
 * file, which takes some milliseconds. When there is no room for one, the file in use is given up
 * if it holds nothing above the sequence `checkpointed`. */
bool log_reserve(struct log *log, uint64_t frame_bytes, uint64_t checkpointed) WEIR_MUST_CHECK;

struct log_place {
    int fd;
    uint64_t offset;
    uint32_t salt;
    uint32_t zeros; /* to write behind the frame */
};

/* Where the sealed frame goes; its room must have been reserved. */
struct log_place log_place(struct log *log, const struct frame *frame);

/* Signs, writes and syncs. Blocks; aborts the process when the disk fails. */
void log_write(struct log_place place, struct frame *frame);

/* Removes files that hold nothing above the sequence. */
void log_drop(struct log *log, uint64_t sequence);

uint64_t log_size(const struct log *log); /* bytes taken on disk */
