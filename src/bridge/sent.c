#include "sent.h"

#include "weir/base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { BOOT_ID_SIZE = 64, NOTE_SIZE = 96, PATH_SIZE = 600 };

static void read_boot_id(char boot_id[BOOT_ID_SIZE])
{
    struct buffer text = BUFFER_INIT;
    if (file_read("/proc/sys/kernel/random/boot_id", BOOT_ID_SIZE, &text, NULL))
        sscanf(buffer_str(&text), "%63s", boot_id);
    buffer_release(&text);
}

static void name_file(char path[PATH_SIZE], const char *state)
{
    snprintf(path, PATH_SIZE, "%s/sent", state);
}

uint64_t sent_note_read(const char *state)
{
    char path[PATH_SIZE], boot_id[BOOT_ID_SIZE] = "", noted_boot_id[BOOT_ID_SIZE] = "";
    struct buffer text = BUFFER_INIT;
    uint64_t lsn, known = UINT64_MAX;
    read_boot_id(boot_id);
    name_file(path, state);
    if (boot_id[0] && file_read(path, NOTE_SIZE, &text, NULL) &&
        sscanf(buffer_str(&text), "%63s %16" SCNx64, noted_boot_id, &lsn) == 2 &&
        strcmp(boot_id, noted_boot_id) == 0)
        known = lsn;
    buffer_release(&text);
    return known;
}

/* Always of the same length and in one write, so that what is there is a whole note. */
bool sent_note_write(struct sent_note *note, const char *state, uint64_t lsn, struct err *err)
{
    char path[PATH_SIZE], text[NOTE_SIZE];
    name_file(path, state);
    if (!note->is_open) {
        note->fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        if (note->fd < 0)
            return err_set_errno(err, errno, "cannot open %s", path);
        note->is_open = true;
        read_boot_id(note->boot_id);
    }
    int len = snprintf(text, sizeof text, "%-63s %016" PRIx64 "\n", note->boot_id, lsn);
    if (pwrite(note->fd, text, (size_t)len, 0) != len)
        return err_set_errno(err, errno, "cannot write %s", path);
    return true;
}

void sent_note_close(struct sent_note *note)
{
    if (note->is_open)
        close(note->fd);
    note->is_open = false;
}
