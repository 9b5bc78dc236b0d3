/* The parts of the library of disk.c: which calls fail (calls.c), what is durable (durable.c), the
 * files below the root (files.c), and what is written and synced (writing.c). Nothing here is seen
 * outside of it. */
#pragma once

#include <limits.h>
#include <pthread.h>
#include <stdbool.h>
#include <sys/types.h>

enum { PAGE = 4096 };

extern char disk_root[PATH_MAX];
extern size_t disk_root_len;      /* 0: there is none, and every call is the system's */
extern pthread_mutex_t disk_lock; /* of the tables of files, of maps and of what is durable */

_Noreturn void disk_give_up(const char *what);

/* ---- calls.c ---- */

enum kind { OPEN, WRITE, SYNC, TRUNCATE, MMAP, UNLINK, MALLOC, KINDS };

/* Of WEIR_DISK_FAIL. */
void calls_read(const char *text);

/* Counts a call of this kind; when it is one that fails, errno is set. */
bool call_must_fail(enum kind kind);

/* ---- durable.c ---- */

/* Goes on with the folder's journal, or begins it with what is below the root. */
void durable_begin(const char *folder);

bool durable_is_kept(void);

/* A line of the journal of names. */
__attribute__((format(printf, 1, 2))) void durable_note(const char *format, ...);

/* With the lock. */
unsigned durable_new_id(ino_t inode);
unsigned durable_id_of(ino_t inode); /* 0: none */

/* The file's bytes in [from, to) are durable from now on. With the lock. */
void durable_keep(int fd, off_t from, off_t to);

/* ---- files.c ---- */

struct open_file {
    ino_t inode; /* 0: not of the root */
    bool is_dsync, is_folder;
};

/* NULL: not of the root. */
const struct open_file *file_of_root(int fd);
