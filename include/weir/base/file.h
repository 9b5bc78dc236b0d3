/* Small files that are read whole: keys and secrets. Blocks on the disk. */
#pragma once

#include "weir/base/buffer.h"
#include "weir/base/err.h"

/* Appends the file's bytes; false with err, naming the file, when it cannot be read or
 * is larger. */
bool file_read(const char *path, size_t max_bytes, struct buffer *out,
               struct err *err) WEIR_MUST_CHECK;

/* Whether a file is still the one it was: its inode, size and time of change. */
struct file_watch {
    const char *path; /* borrowed; NULL: none, which never changes */
    uint64_t inode, size;
    int64_t changed_ns;
};

/* True when it has changed since the last call; what is there now is what the next call compares. A
 * file that is gone, or not there yet, counts as one that has not changed. */
bool file_has_changed(struct file_watch *watch);

/* Makes the names of the files in a folder as durable as what is in them; what is in a file is for
 * whoever writes it to sync. */
bool folder_sync(const char *path, struct err *err) WEIR_MUST_CHECK;

enum { SECRET_MIN = 16, SECRET_MAX = 512 };

/* What programs show each other to be let in, in a file: one secret a line. The first is the one to
 * send, each is accepted, so that one can be replaced while everything runs. A secret has 16 to 512
 * visible ASCII characters. Appends them with a newline behind each; false with err, which never
 * quotes them, when the file holds none or anything else. */
bool secret_file_read(const char *path, struct buffer *lines, struct err *err) WEIR_MUST_CHECK;

/* Takes the next secret off what secret_file_read() gave. False: there is none. */
bool secret_next(struct slice *lines, struct slice *secret) WEIR_MUST_CHECK;
