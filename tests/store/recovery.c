/* Logs that end in the middle, and logs that are damaged. */
#include "folder.h"

#include "weir/base/buffer.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { FRAMES = 4, HEADER = 32 };

struct log_copy {
    char name[128];
    struct buffer bytes;
    size_t frame_at[FRAMES + 1]; /* where each frame begins, and where the last one ends */
};

/* The name of the only file in log/. */
static void find_log(const struct folder *folder, char name[128])
{
    char path[80];
    snprintf(path, sizeof path, "%s/log", folder->path);
    DIR *dir = opendir(path);
    cr_assert_not_null(dir);
    int count = 0;
    for (struct dirent *item; (item = readdir(dir));) {
        if (item->d_name[0] == '.')
            continue;
        snprintf(name, 128, "%.79s/%.40s", path, item->d_name);
        count++;
    }
    closedir(dir);
    cr_assert_eq(count, 1);
}

static void read_file(const char *name, struct buffer *bytes)
{
    int fd = open(name, O_RDONLY);
    struct stat status;
    cr_assert(fd >= 0 && fstat(fd, &status) == 0);
    ssize_t len = read(fd, buffer_reserve(bytes, (size_t)status.st_size), (size_t)status.st_size);
    cr_assert_eq(len, status.st_size);
    bytes->len = (size_t)len;
    close(fd);
}

static void write_file(const char *name, struct slice bytes)
{
    int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    cr_assert(fd >= 0);
    cr_assert_eq(write(fd, bytes.data, bytes.len), (ssize_t)bytes.len);
    close(fd);
}

/* One frame for each of "0", "1", "2", "3", written by a process that does not come to its end. */
static void write_log(const struct folder *folder, struct log_copy *copy)
{
    pid_t child = fork();
    if (child == 0) {
        struct store *store = folder_open(folder, false);
        struct stream *stream = make_stream(store, "a", "application/json");
        for (int i = 0; i < FRAMES; i++) {
            char text[16];
            snprintf(text, sizeof text, "%d", i);
            append_text(store, stream, text);
            store_settle(store);
        }
        _exit(0);
    }
    int status;
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    *copy = (struct log_copy){.bytes = BUFFER_INIT};
    find_log(folder, copy->name);
    read_file(copy->name, &copy->bytes);
    size_t at = HEADER;
    for (int i = 0; i < FRAMES; i++) {
        copy->frame_at[i] = at;
        at += HEADER + load_u32(copy->bytes.data + at + 4);
    }
    copy->frame_at[FRAMES] = at;
}

static void expect_content(const struct folder *folder, const char *content, size_t where)
{
    struct stream *stream;
    struct store *store = folder_open(folder, false);
    cr_assert_eq(store_find(store, SLICE("a"), &stream), FIND_OK);
    cr_expect_str_eq(read_all(store, stream, 0, 100), content, "at %zu", where);
    /* It goes on, and what it writes now is there afterwards. */
    append_text(store, stream, "9");
    store_end(store);
    store = folder_open(folder, false);
    cr_assert_eq(store_find(store, SLICE("a"), &stream), FIND_OK);
    char expected[32];
    snprintf(expected, sizeof expected, "%s,9", content);
    cr_expect_str_eq(read_all(store, stream, 0, 100), expected, "at %zu", where);
    store_end(store);
}

static void start_over(const struct folder *folder, const struct log_copy *copy, struct slice bytes)
{
    char path[96];
    folder_remove(folder);
    cr_assert_eq(mkdir(folder->path, 0700), 0);
    snprintf(path, sizeof path, "%s/log", folder->path);
    cr_assert_eq(mkdir(path, 0700), 0);
    write_file(copy->name, bytes);
}

Test(recovery, a_last_frame_torn_at_any_byte_is_cut_off)
{
    struct folder folder = folder_make();
    struct log_copy copy;
    write_log(&folder, &copy);
    size_t begin = copy.frame_at[FRAMES - 1], end = copy.frame_at[FRAMES];
    for (size_t cut = begin; cut <= end; cut++) {
        const char *content = cut == end ? "0,1,2,3" : "0,1,2";
        start_over(&folder, &copy, slice_of(copy.bytes.data, cut));
        expect_content(&folder, content, cut);
    }
    buffer_release(&copy.bytes);
    folder_remove(&folder);
}

Test(recovery, a_last_frame_torn_in_a_file_that_keeps_its_length_is_cut_off)
{
    struct folder folder = folder_make();
    struct log_copy copy;
    write_log(&folder, &copy);
    size_t begin = copy.frame_at[FRAMES - 1], end = copy.frame_at[FRAMES];
    struct buffer torn = BUFFER_INIT;
    for (size_t cut = begin; cut < end; cut += 3) {
        buffer_clear(&torn);
        buffer_add_slice(&torn, buffer_slice(&copy.bytes));
        /* Other bytes than before; a byte that was zero would be no tear. */
        for (size_t i = cut; i < end; i++)
            torn.data[i] = (char)~torn.data[i];
        start_over(&folder, &copy, buffer_slice(&torn));
        expect_content(&folder, "0,1,2", cut);
    }
    buffer_release(&torn);
    buffer_release(&copy.bytes);
    folder_remove(&folder);
}

Test(recovery, a_flipped_bit_before_the_last_frame_refuses_to_start)
{
    struct folder folder = folder_make();
    struct log_copy copy;
    write_log(&folder, &copy);
    for (size_t at = 0; at < copy.frame_at[FRAMES - 1]; at++) {
        struct err err = {0};
        struct store_settings settings = folder_settings(&folder, false);
        copy.bytes.data[at] ^= 4;
        start_over(&folder, &copy, buffer_slice(&copy.bytes));
        cr_assert_null(store_open(&settings, &err), "byte %zu", at);
        copy.bytes.data[at] ^= 4;
        size_t frame = 0;
        while (at >= HEADER && copy.frame_at[frame + 1] <= at)
            frame++;
        char place[64];
        snprintf(place, sizeof place,
                 ".log is damaged at byte %zu:", at < HEADER ? 0 : copy.frame_at[frame]);
        cr_expect(strstr(err.message, place), "byte %zu: %s", at, err.message);
    }
    buffer_release(&copy.bytes);
    folder_remove(&folder);
}

Test(recovery, a_missing_file_refuses_to_start)
{
    struct folder folder = folder_make();
    struct store_settings settings = folder_settings(&folder, false);
    struct err err = {0};
    pid_t child = fork();
    if (child == 0) {
        struct store *store = folder_open(&folder, false);
        struct stream *stream = make_stream(store, "a", "text/plain");
        static char text[30000];
        memset(text, 'x', sizeof text - 1);
        for (int i = 0; i < 6; i++) {
            append_text(store, stream, text);
            store_settle(store);
        }
        _exit(0);
    }
    cr_assert_eq(waitpid(child, NULL, 0), child);
    char name[128];
    snprintf(name, sizeof name, "%s/log/%016x.log", folder.path, 2);
    cr_assert_eq(unlink(name), 0);
    cr_expect_null(store_open(&settings, &err));
    cr_expect(strstr(err.message, "a frame is missing"), "%s", err.message);
    folder_remove(&folder);
}

enum { CUT_STREAMS = 20 };

static void append_to_each(struct store *store, const char *text)
{
    for (int i = 0; i < CUT_STREAMS; i++) {
        char path[16];
        struct stream *stream;
        snprintf(path, sizeof path, "s%d", i);
        if (store_find(store, slice_from_str(path), &stream) != FIND_OK)
            stream = make_stream(store, path, "application/json");
        append_text(store, stream, text);
    }
}

/* The first checkpoint is cut behind "0", copied one stream a turn, and ends; the second does not.
 */
static void change_while_a_checkpoint_is_copied(const struct folder *folder)
{
    struct store *store = folder_open(folder, true);
    append_to_each(store, "0");
    store_turn(store);
    append_to_each(store, "1");
    store_await_checkpoints(store, 1);
    _exit(store_counters(store).checkpoints == 1 ? 0 : 1);
}

Test(recovery, what_changes_while_a_checkpoint_is_copied_is_there_once)
{
    struct folder folder = folder_make();
    int status;
    pid_t child = fork();
    if (child == 0)
        change_while_a_checkpoint_is_copied(&folder);
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    struct store *store = folder_open(&folder, false);
    for (int i = 0; i < CUT_STREAMS; i++) {
        char path[16];
        struct stream *stream;
        snprintf(path, sizeof path, "s%d", i);
        cr_assert_eq(store_find(store, slice_from_str(path), &stream), FIND_OK);
        cr_expect_str_eq(read_all(store, stream, 0, 100), "0,1", "%s", path);
    }
    store_end(store);
    folder_remove(&folder);
}
