#include "weir/base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static bool read_whole(int fd, const char *path, size_t max_bytes, struct buffer *out,
                       struct err *err)
{
    enum { STEP = 4096 };
    size_t before = out->len;
    for (;;) {
        ssize_t count = read(fd, buffer_reserve(out, STEP), STEP);
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0)
            return err_set_errno(err, errno, "cannot read %s", path);
        if (count == 0)
            return true;
        out->len += (size_t)count;
        if (out->len - before > max_bytes)
            return err_set(err, "%s is larger than %zu bytes", path, max_bytes);
    }
}

bool file_read(const char *path, size_t max_bytes, struct buffer *out, struct err *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return err_set_errno(err, errno, "cannot open %s", path);
    bool ok = read_whole(fd, path, max_bytes, out, err);
    close(fd);
    return ok;
}

bool folder_sync(const char *path, struct err *err)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool ok = fd >= 0 && fsync(fd) == 0;
    if (!ok)
        err_set_errno(err, errno, "cannot sync the folder %s", path);
    if (fd >= 0)
        close(fd);
    return ok;
}

enum { SECRET_FILE_MAX = 16 * 1024 };

bool file_has_changed(struct file_watch *watch)
{
    struct stat now;
    if (!watch->path || stat(watch->path, &now) < 0)
        return false;
    struct file_watch before = *watch;
    watch->inode = (uint64_t)now.st_ino;
    watch->size = (uint64_t)now.st_size;
    watch->changed_ns = (int64_t)now.st_ctim.tv_sec * 1000000000 + now.st_ctim.tv_nsec;
    return watch->inode != before.inode || watch->size != before.size ||
           watch->changed_ns != before.changed_ns;
}

static bool is_visible(struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] <= ' ' || text.data[i] > '~')
            return false;
    }
    return true;
}

bool secret_next(struct slice *lines, struct slice *secret)
{
    const char *end = lines->len ? memchr(lines->data, '\n', lines->len) : NULL;
    if (!end)
        return false;
    size_t len = (size_t)(end - lines->data);
    *secret = slice_of(lines->data, len);
    *lines = slice_of(end + 1, lines->len - len - 1);
    return true;
}

static struct slice trim(struct slice line)
{
    while (line.len && strchr(" \t\r", line.data[line.len - 1]))
        line.len--;
    return line;
}

bool secret_file_read(const char *path, struct buffer *lines, struct err *err)
{
    struct buffer text = BUFFER_INIT;
    bool ok = file_read(path, SECRET_FILE_MAX, &text, err);
    size_t before = lines->len;
    buffer_add_char(&text, '\n');
    struct slice rest = buffer_slice(&text), line;
    while (ok && secret_next(&rest, &line)) {
        line = trim(line);
        if (!line.len)
            continue;
        if (line.len < SECRET_MIN || line.len > SECRET_MAX || !is_visible(line)) {
            ok = err_set(err, "%s has a line that is not a secret of %d to %d visible characters",
                         path, SECRET_MIN, SECRET_MAX);
            err_hint(err, "openssl rand -hex 32 > %s", path);
            break;
        }
        buffer_add_slice(lines, line);
        buffer_add_char(lines, '\n');
    }
    if (ok && lines->len == before) {
        ok = err_set(err, "%s holds no secret", path);
        err_hint(err, "openssl rand -hex 32 > %s", path);
    }
    if (!ok)
        lines->len = before;
    /* The copy does not outlive its use. */
    explicit_bzero(text.data, text.len);
    buffer_release(&text);
    return ok;
}
