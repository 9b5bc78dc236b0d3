/* One file of the commit log: its header, its room, and reading it back. See log.h. */
#pragma once

#include "frame.h"
#include "weir/base/err.h"

enum { SEGMENT_HEADER_SIZE = 32, SEGMENT_NAME_SIZE = 32 };

struct segment {
    uint64_t number;
    uint64_t size;          /* bytes the file takes */
    uint64_t used;          /* bytes up to the end of the last frame */
    uint64_t filled;        /* bytes written to, zeros behind the last frame among them */
    uint64_t last_sequence; /* of its frames, 0: none */
    uint32_t salt;
    int fd; /* -1: not open */
};

bool segment_parse_name(const char *name, uint64_t *number) WEIR_MUST_CHECK;

/* A new file with size bytes taken from the file system. False leaves nothing behind. */
bool segment_create(struct segment *segment, int folder_fd, uint64_t number,
                    uint64_t size) WEIR_MUST_CHECK;
bool segment_extend(struct segment *segment, uint64_t size) WEIR_MUST_CHECK;

/* Closes and unlinks. */
void segment_remove(struct segment *segment, int folder_fd);

struct segment_scan {
    uint64_t after; /* frames up to here are checked, not applied */
    uint64_t last;  /* sequence of the last frame read, 0: none yet */
    /* The file in which the frames ended, when they ended in something else than zeros. */
    uint64_t torn_number;
    uint64_t torn_at;
    void (*apply)(void *context, struct frame *frame);
    void *context;
};

/* Reads all frames of the file and fills in the segment. */
bool segment_replay(struct segment *segment, int folder_fd, struct segment_scan *scan,
                    struct err *err) WEIR_MUST_CHECK;

/* Truncates the file behind its last frame. */
bool segment_cut(struct segment *segment, int folder_fd, struct err *err) WEIR_MUST_CHECK;
