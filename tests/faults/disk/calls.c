/* Which calls fail, and with what; those for memory, which may fail too. */
#include "disk.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static const char *const kind_names[KINDS] = {"open", "write",  "sync",  "truncate",
                                              "mmap", "unlink", "malloc"};

static struct {
    enum kind kind;
    unsigned long at;
    bool from_there_on;
    int errno_value;
} failing = {.kind = KINDS};
static unsigned long calls;

bool call_must_fail(enum kind kind)
{
    if (failing.kind != kind)
        return false;
    unsigned long number = __atomic_add_fetch(&calls, 1, __ATOMIC_RELAXED);
    if (failing.from_there_on ? number < failing.at : number != failing.at)
        return false;
    if (number == failing.at) {
        char line[100];
        int len =
            snprintf(line, sizeof line, "disk.c: call %lu of %s fails\n", number, kind_names[kind]);
        syscall(SYS_write, 2, line, (size_t)len);
    }
    errno = failing.errno_value;
    return true;
}

void calls_read(const char *text)
{
    static const struct {
        const char *name;
        int value;
    } errors[] = {
        {"EIO", EIO}, {"ENOSPC", ENOSPC}, {"EROFS", EROFS}, {"ENOMEM", ENOMEM}, {"EMFILE", EMFILE}};
    char kind[20], error[20], plus[2] = "";
    unsigned long at;
    if (sscanf(text, "%19[a-z]:%lu%1[+]=%19s", kind, &at, plus, error) != 4 &&
        sscanf(text, "%19[a-z]:%lu=%19s", kind, &at, error) != 3)
        disk_give_up("WEIR_DISK_FAIL");
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++) {
        if (strcmp(error, errors[i].name) == 0)
            failing.errno_value = errors[i].value;
    }
    failing.at = at;
    failing.from_there_on = plus[0] != 0;
    for (int i = 0; i < KINDS; i++) {
        if (strcmp(kind, kind_names[i]) == 0)
            failing.kind = (enum kind)i;
    }
    if (failing.kind == KINDS || !failing.errno_value)
        disk_give_up("WEIR_DISK_FAIL");
}

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *old, size_t size);

#ifndef WITHOUT_MALLOC
/* What stands before the program's own; the rest of the library is nobody's business. */
#pragma GCC visibility push(default)

void *malloc(size_t size)
{
    return call_must_fail(MALLOC) ? NULL : __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
    return call_must_fail(MALLOC) ? NULL : __libc_calloc(count, size);
}

void *realloc(void *old, size_t size)
{
    return call_must_fail(MALLOC) ? NULL : __libc_realloc(old, size);
}
#pragma GCC visibility pop
#endif
