/* Random operations on the store and on plain arrays, with checkpoints, reopening, and processes
 * that are killed: the two must stay the same. The seed is printed; WEIR_SEED repeats a run. */
#include "folder.h"

#include "weir/base/buffer.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { PATHS = 6, STREAMS_MAX = 4000, MESSAGES_MAX = 400, MESSAGE_SIZE = 12 };

struct model_stream {
    bool is_json, is_closed, is_deleted, is_gone;
    int source; /* -1: none */
    int fork_count;
    size_t count;
    char messages[MESSAGES_MAX][MESSAGE_SIZE];
    bool ends[MESSAGES_MAX];
};

struct model {
    int at_path[PATHS]; /* index of the stream, -1: none */
    int count;
    struct model_stream *streams;
    unsigned random;
    unsigned text;
};

static unsigned draw(struct model *model, unsigned below)
{
    model->random = model->random * 1664525u + 1013904223u;
    return (model->random >> 8) % below;
}

static void model_init(struct model *model, unsigned seed)
{
    *model = (struct model){.random = seed};
    model->streams = calloc(STREAMS_MAX, sizeof *model->streams);
    cr_assert_not_null(model->streams);
    for (int i = 0; i < PATHS; i++)
        model->at_path[i] = -1;
}

static struct slice path_of(int index)
{
    static char text[PATHS][16];
    snprintf(text[index], sizeof text[index], "p/%d", index);
    return slice_from_str(text[index]);
}

static uint64_t model_len(const struct model_stream *stream, size_t count)
{
    uint64_t len = 0;
    for (size_t i = 0; i < count; i++)
        len += strlen(stream->messages[i]);
    return len;
}

static void model_delete(struct model *model, int index)
{
    struct model_stream *stream = &model->streams[index];
    stream->is_deleted = true;
    if (stream->fork_count)
        return;
    stream->is_gone = true;
    for (int i = 0; i < PATHS; i++) {
        if (model->at_path[i] == index)
            model->at_path[i] = -1;
    }
    if (stream->source < 0)
        return;
    struct model_stream *source = &model->streams[stream->source];
    if (--source->fork_count == 0 && source->is_deleted)
        model_delete(model, stream->source);
}

/* ---- Operations, each on the model and, unless store is NULL, on the store ---- */

static void do_create(struct model *model, struct store *store, int path)
{
    bool is_json = draw(model, 2);
    struct stream *stream;
    if (store) {
        struct create_request request = {.path = path_of(path),
                                         .content_type = is_json ? SLICE("application/json")
                                                                 : SLICE("text/plain")};
        cr_assert_eq(store_create(store, &request, &stream), CREATE_NEW);
    }
    model->at_path[path] = model->count;
    model->streams[model->count++] = (struct model_stream){.is_json = is_json, .source = -1};
}

/* At an append boundary, and some messages (JSON) or bytes behind it. */
static void do_fork(struct model *model, struct store *store, int path, int from)
{
    int source = model->at_path[from];
    const struct model_stream *old = &model->streams[source];
    size_t boundary = draw(model, (unsigned)old->count + 1);
    while (boundary && !old->ends[boundary - 1])
        boundary--;
    size_t behind = boundary;
    while (behind < old->count && (behind == boundary || !old->ends[behind - 1]))
        behind++;
    size_t taken = boundary + draw(model, (unsigned)(behind - boundary) + 1);
    uint64_t offset = model_len(old, boundary);
    struct stream *stream;
    if (store) {
        struct create_request request = {
            .path = path_of(path),
            .fork = {path_of(from), true, offset,
                     old->is_json ? taken - boundary : model_len(old, taken) - offset}};
        cr_assert_eq(store_create(store, &request, &stream), CREATE_NEW);
    }
    struct model_stream *fork = &model->streams[model->count];
    *fork = *old;
    fork->is_closed = fork->is_deleted = false;
    fork->fork_count = 0;
    fork->source = source;
    fork->count = taken;
    if (taken)
        fork->ends[taken - 1] = true;
    model->streams[source].fork_count++;
    model->at_path[path] = model->count++;
}

static void do_append(struct model *model, struct store *store, int path)
{
    struct model_stream *stream = &model->streams[model->at_path[path]];
    size_t count = stream->is_json ? 1 + draw(model, 3) : 1;
    bool closes = draw(model, 30) == 0;
    struct buffer body = BUFFER_INIT;
    if (stream->count + count > MESSAGES_MAX)
        return;
    for (size_t i = 0; i < count; i++) {
        char *text = stream->messages[stream->count];
        snprintf(text, MESSAGE_SIZE, "%u", model->text++ * 7919u % 100000u);
        stream->ends[stream->count++] = i + 1 == count;
        buffer_add_str(&body, i ? "," : stream->is_json ? "[" : "");
        buffer_add_str(&body, text);
    }
    buffer_add_str(&body, stream->is_json ? "]" : "");
    stream->is_closed = closes;
    if (store) {
        struct stream *real;
        struct append_answer answer;
        cr_assert_eq(store_find(store, path_of(path), &real), FIND_OK);
        struct append_request request = {.body = buffer_slice(&body),
                                         .content_type = stream_content_type(real),
                                         .closes = closes};
        cr_assert_eq(store_append(store, real, &request, &answer), APPEND_OK);
        cr_assert_eq(answer.tail, model_len(stream, stream->count));
    }
    buffer_release(&body);
}

static void do_delete(struct model *model, struct store *store, int path)
{
    struct stream *real;
    if (store) {
        cr_assert_eq(store_find(store, path_of(path), &real), FIND_OK);
        cr_assert(store_delete(store, real));
    }
    model_delete(model, model->at_path[path]);
}

static void step(struct model *model, struct store *store)
{
    int path = (int)draw(model, PATHS), other = (int)draw(model, PATHS);
    int index = model->at_path[path];
    unsigned kind = draw(model, 100);
    if (model->count == STREAMS_MAX)
        return;
    if (index < 0) {
        int source = model->at_path[other];
        if (kind < 60 && source >= 0 && !model->streams[source].is_deleted)
            do_fork(model, store, path, other);
        else
            do_create(model, store, path);
    } else if (model->streams[index].is_deleted) {
        return;
    } else if (kind < 8) {
        do_delete(model, store, path);
    } else if (!model->streams[index].is_closed) {
        do_append(model, store, path);
    }
}

/* ---- Comparing ---- */

static bool same_stream(struct model *model, struct store *store, struct stream *real,
                        const struct model_stream *stream)
{
    uint64_t position = 0, len = model_len(stream, stream->count);
    size_t at = 0, within = 0;
    struct page page;
    if (stream_tail(real) != len || stream_is_closed(real) != stream->is_closed)
        return false;
    do {
        cr_assert_eq(store_read(store, real, position, 1 + draw(model, 60), &page), READ_OK);
        for (size_t i = 0; i < page.count; i++) {
            struct slice got = page.messages[i];
            const char *wanted = stream->messages[at] + within;
            if (got.len > strlen(wanted) || memcmp(got.data, wanted, got.len) != 0)
                return false;
            within += got.len;
            if (within == strlen(stream->messages[at])) {
                at++;
                within = 0;
            }
        }
        /* A page ends where an append does. */
        if (within || (at && !stream->ends[at - 1]))
            return false;
        position = page.end;
    } while (!page.is_at_tail);
    return at == stream->count;
}

static bool same_paths(struct model *model, struct store *store)
{
    for (int path = 0; path < PATHS; path++) {
        int index = model->at_path[path];
        struct stream *real;
        enum find_result found = store_find(store, path_of(path), &real);
        enum find_result wanted = index < 0                          ? FIND_MISSING
                                  : model->streams[index].is_deleted ? FIND_SOFT_DELETED
                                                                     : FIND_OK;
        if (found != wanted)
            return false;
        if (found == FIND_OK && !same_stream(model, store, real, &model->streams[index]))
            return false;
    }
    return true;
}

/* Draws for itself: the operations that follow must not depend on how often it is asked. */
static bool same(struct model *model, struct store *store)
{
    unsigned random = model->random;
    bool is_same = same_paths(model, store);
    model->random = random;
    return is_same;
}

static unsigned seed(void)
{
    const char *given = getenv("WEIR_SEED");
    unsigned value = given ? (unsigned)strtoul(given, NULL, 10) : (unsigned)time(NULL);
    fprintf(stderr, "WEIR_SEED=%u\n", value);
    return value;
}

Test(model, the_store_does_what_arrays_do)
{
    struct folder folder = folder_make();
    struct model model;
    model_init(&model, seed());
    for (int round = 0; round < 30; round++) {
        struct store *store = folder_open(&folder, round % 3 != 0);
        for (int i = 0; i < 100; i++) {
            step(&model, store);
            if (draw(&model, 4) == 0)
                store_settle(store);
        }
        store_settle(store);
        cr_assert(same(&model, store), "round %d", round);
        store_end(store);
    }
    free(model.streams);
    folder_remove(&folder);
}

/* Tells each operation that has become durable, until it is killed. */
static void run_child(const struct folder *folder, struct model *model, int fd)
{
    struct store *store = folder_open(folder, draw(model, 2));
    for (;;) {
        step(model, store);
        store_settle(store);
        if (write(fd, ".", 1) != 1)
            _exit(1);
    }
}

static void kill_after(const struct folder *folder, struct model *model, unsigned steps,
                       unsigned *acknowledged)
{
    int ends[2];
    char byte;
    cr_assert_eq(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0) {
        close(ends[0]);
        run_child(folder, model, ends[1]);
    }
    close(ends[1]);
    *acknowledged = 0;
    while (*acknowledged < steps && read(ends[0], &byte, 1) == 1)
        ++*acknowledged;
    kill(child, SIGKILL);
    while (read(ends[0], &byte, 1) == 1)
        ++*acknowledged;
    close(ends[0]);
    waitpid(child, NULL, 0);
}

Test(model, a_killed_process_loses_nothing_and_repeats_nothing)
{
    struct folder folder = folder_make();
    struct model model;
    unsigned acknowledged;
    model_init(&model, seed());
    for (int round = 0; round < 20; round++) {
        kill_after(&folder, &model, 1 + draw(&model, 60), &acknowledged);
        draw(&model, 2); /* as the child did when it opened the store */
        for (unsigned i = 0; i < acknowledged; i++)
            step(&model, NULL);
        /* The operation in hand when the process died may have been written or not. */
        struct store *store = folder_open(&folder, false);
        if (!same(&model, store)) {
            step(&model, NULL);
            cr_assert(same(&model, store), "round %d", round);
        }
        store_end(store);
    }
    free(model.streams);
    folder_remove(&folder);
}
