/* How far transactions may have been sent, for a stream server that cannot say: noted before they
 * are. It is written and never synced, so it outlives a process that is killed, and is not believed
 * once the kernel has been started anew. */
#pragma once

#include "weir/base/err.h"

#include <stdbool.h>
#include <stdint.h>

struct sent_note {
    bool is_open;
    int fd;
    char boot_id[64]; /* which start of the kernel this is; empty where it does not say */
};

/* What a process before this one, or this one, has noted in the state folder; UINT64_MAX where that
 * is not known. */
uint64_t sent_note_read(const char *state);

bool sent_note_write(struct sent_note *note, const char *state, uint64_t lsn,
                     struct err *err) WEIR_MUST_CHECK;
void sent_note_close(struct sent_note *note);
