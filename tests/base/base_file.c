#include "weir/base/file.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static char path[] = "/tmp/weir-file-XXXXXX";

static void write_file(const char *text, size_t len)
{
    strcpy(path + strlen(path) - 6, "XXXXXX");
    int fd = mkstemp(path);
    cr_assert(fd >= 0 && write(fd, text, len) == (ssize_t)len);
    close(fd);
}

static bool read_secrets(const char *text, struct buffer *lines, struct err *err)
{
    write_file(text, strlen(text));
    bool ok = secret_file_read(path, lines, err);
    unlink(path);
    return ok;
}

Test(base_file, a_file_is_read_whole_or_refused)
{
    struct buffer out = BUFFER_INIT;
    struct err err;
    char large[9000];
    memset(large, 'x', sizeof large);
    write_file(large, sizeof large);
    cr_assert(file_read(path, sizeof large, &out, &err), "%s", err.message);
    cr_assert(out.len == sizeof large && memcmp(out.data, large, sizeof large) == 0);
    cr_assert(!file_read(path, sizeof large - 1, &out, &err));
    cr_assert(strstr(err.message, path) && strstr(err.message, "8999"));
    unlink(path);
    cr_assert(!file_read(path, 10, &out, &err));
    cr_assert(strstr(err.message, path) && strstr(err.message, "No such file"));
    buffer_release(&out);
}

Test(base_file, secrets_are_lines)
{
    struct buffer lines = BUFFER_INIT;
    struct err err;
    struct slice rest, secret;
    cr_assert(read_secrets("\n0123456789abcdef \r\n\nsecond-0123456789", &lines, &err));
    rest = buffer_slice(&lines);
    cr_assert(secret_next(&rest, &secret) && slice_eq_str(secret, "0123456789abcdef"));
    cr_assert(secret_next(&rest, &secret) && slice_eq_str(secret, "second-0123456789"));
    cr_assert(!secret_next(&rest, &secret));
    buffer_release(&lines);
}

Test(base_file, what_is_no_secret_is_refused_and_not_quoted)
{
    static const char *const bad[] = {"",
                                      "\n \n",
                                      "short",
                                      "0123456789abcdef\nshort\n",
                                      "0123456789 abcdefgh",
                                      "0123456789abcdef\x01",
                                      "0123456789abcd\xc3\xa9"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct buffer lines = BUFFER_INIT;
        struct err err;
        cr_assert(!read_secrets(bad[i], &lines, &err), "%zu", i);
        cr_assert(strstr(err.message, path) && strstr(err.hint, "openssl rand"), "%zu", i);
        cr_assert(!strstr(err.message, "0123") && !strstr(err.message, "short"));
        cr_assert_eq(lines.len, 0);
        buffer_release(&lines);
    }
}
