/* A bit that flips in the file, anywhere in the pages that hold rows and index entries: what is
 * read afterwards is right, or the process ends and names the damage. A child of its own reads
 * everything after each flip: every row, rows that are not there, every range. WEIR_SEED repeats a
 * run; WEIR_LONG flips more, and anywhere else too, of which only is told what came of it. */
#include "tables.h"

#include "weir/base/buffer.h"
#include "weir/base/fault.h"
#include "weir/replica/replica.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { ROWS = 900, GROUPS = 30, FLIPS = 400, FLIPS_LONG = 5000, PAGE = 4096, WRONG = 42 };

struct fixture {
    char directory[64], file[96], words[96];
    struct arena arena;
    uint64_t random;
    int fd;
    size_t pages;
    char *kept; /* of the pages in use */
};

/* Rows with an odd number are not there. */
static struct row row_of(struct arena *arena, size_t i)
{
    char a[24], g[48], n[24];
    snprintf(a, sizeof a, "%zu", i);
    snprintf(g, sizeof g, "\"group %zu\"", i % GROUPS);
    snprintf(n, sizeof n, "%zu", i / 7);
    return test_row(arena, a, "\"x\"", g, n);
}

static struct replica *open_replica(const struct fixture *fixture,
                                    const struct replica_index *by[2])
{
    static const uint16_t g[] = {COLUMN_G}, l[] = {COLUMN_L};
    struct replica_settings settings = {.directory = fixture->directory, .size_limit = 64 << 20};
    struct err err;
    struct replica *replica = replica_open(&settings, &err);
    if (!replica) {
        fprintf(stderr, "%s\n", err.message);
        return NULL;
    }
    by[0] = replica_ensure_index(replica, &test_relation, INDEX_OF_VALUES, g, 1, &err);
    by[1] = replica_ensure_index(replica, &test_relation, INDEX_OF_ELEMENTS, l, 1, &err);
    return replica;
}

static void begin(struct fixture *fixture)
{
    const char *seed = getenv("WEIR_SEED");
    struct err err;
    struct stat info;
    const struct replica_index *by[2];
    *fixture = (struct fixture){.random = seed ? strtoull(seed, NULL, 10) : (uint64_t)time(NULL)};
    printf("WEIR_SEED=%llu\n", (unsigned long long)fixture->random);
    snprintf(fixture->directory, sizeof fixture->directory, "/tmp/weir-damage-XXXXXX");
    cr_assert(mkdtemp(fixture->directory));
    snprintf(fixture->file, sizeof fixture->file, "%s/replica.mdb", fixture->directory);
    snprintf(fixture->words, sizeof fixture->words, "%s/words", fixture->directory);
    struct replica *replica = open_replica(fixture, by);
    cr_assert(replica && by[0] && by[1]);
    for (size_t i = 0; i < ROWS; i += 2) {
        struct row row = row_of(&fixture->arena, i);
        struct slice key = test_key(&fixture->arena, replica_hash_key(replica), row);
        cr_assert(replica_put(replica, &test_relation, key, ROW_NONE, row, &err));
    }
    cr_assert(replica_commit(replica, &err));
    replica_close(replica);
    fixture->fd = open(fixture->file, O_RDWR);
    cr_assert(fixture->fd >= 0 && fstat(fixture->fd, &info) == 0);
    fixture->pages = (size_t)info.st_size / PAGE;
    char page[PAGE];
    while (fixture->pages &&
           pread(fixture->fd, page, PAGE, (off_t)(fixture->pages - 1) * PAGE) == PAGE &&
           memcmp(page, (char[16]){0}, 16) == 0)
        fixture->pages--;
    fixture->kept = malloc(fixture->pages * PAGE);
    cr_assert(fixture->kept && pread(fixture->fd, fixture->kept, fixture->pages * PAGE, 0) ==
                                   (ssize_t)(fixture->pages * PAGE));
}

static void end(struct fixture *fixture)
{
    char command[128];
    close(fixture->fd);
    free(fixture->kept);
    arena_release(&fixture->arena);
    snprintf(command, sizeof command, "rm -rf '%s'", fixture->directory);
    cr_assert_eq(system(command), 0);
}

static size_t count_range(struct replica *replica, const struct replica_index *index,
                          struct slice prefix)
{
    struct replica_range range;
    struct slice key;
    struct row row;
    size_t count = 0;
    replica_range_begin(&range, replica, &test_relation, index, prefix);
    while (replica_range_next(&range, &key, &row))
        count++;
    replica_range_end(&range);
    return count;
}

static bool is_group_right(struct replica *replica, const struct replica_index *by[2], size_t group,
                           struct arena *arena)
{
    char json[48];
    struct buffer key = BUFFER_INIT;
    size_t expected = 0;
    for (size_t i = 0; i < ROWS; i += 2)
        expected += i % GROUPS == group;
    snprintf(json, sizeof json, "\"group %zu\"", group);
    key_add_value(&key, replica_hash_key(replica), &plain_text_type, slice_from_str(json), arena);
    bool ok = count_range(replica, by[0], buffer_slice(&key)) == expected &&
              count_range(replica, by[1], buffer_slice(&key)) == expected;
    buffer_release(&key);
    return ok;
}

static bool is_everything_right(struct replica *replica, const struct replica_index *by[2])
{
    struct arena arena = {0};
    for (size_t i = 0; i < ROWS; i++) {
        struct row row = row_of(&arena, i);
        struct slice key = test_key(&arena, replica_hash_key(replica), row);
        struct row found = replica_get(replica, &test_relation, key);
        if (row_exists(found) != (i % 2 == 0) ||
            (row_exists(found) && !slice_eq(found.record, row.record)))
            return false;
    }
    for (size_t group = 0; group < GROUPS + 3; group++) {
        if (!is_group_right(replica, by, group, &arena))
            return false;
    }
    bool ok = count_range(replica, NULL, SLICE_NONE) == ROWS / 2;
    arena_release(&arena);
    return ok;
}

static void keep_words(const struct fixture *fixture)
{
    dup2(open(fixture->words, O_WRONLY | O_CREAT | O_TRUNC, 0600), STDERR_FILENO);
}

_Noreturn static void read_everything(const struct fixture *fixture)
{
    const struct replica_index *by[2];
    keep_words(fixture);
    struct replica *replica = open_replica(fixture, by);
    if (!replica)
        _exit(1);
    _exit(by[0] && by[1] && is_everything_right(replica, by) ? 0 : WRONG);
}

enum outcome { UNHARMED, NAMED, CRASHED, HAS_WRONG, OUTCOMES };

static void read_words(const struct fixture *fixture, char words[4096])
{
    int fd = open(fixture->words, O_RDONLY);
    ssize_t len = read(fd, words, 4095);
    close(fd);
    words[len > 0 ? len : 0] = '\0';
}

static enum outcome judge(const struct fixture *fixture, int status)
{
    char words[4096];
    read_words(fixture, words);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return UNHARMED;
    if (WIFEXITED(status) && WEXITSTATUS(status) == WRONG)
        return HAS_WRONG;
    bool is_named = strstr(words, "damaged") || strstr(words, "MDB_") || strstr(words, "format of");
    if (!is_named && !WIFSIGNALED(status))
        fprintf(stderr, "%s", words);
    return is_named ? NAMED : CRASHED;
}

static enum outcome try_flip(const struct fixture *fixture, off_t at, int bit)
{
    int status;
    char is = (char)(fixture->kept[at] ^ (1 << bit));
    cr_assert_eq(pwrite(fixture->fd, &is, 1, at), 1);
    pid_t child = fork();
    if (child == 0)
        read_everything(fixture);
    cr_assert(child > 0 && waitpid(child, &status, 0) == child);
    /* All of it, as a child may have made pages of its own where it believed that there is room. */
    cr_assert_eq(pwrite(fixture->fd, fixture->kept, fixture->pages * PAGE, 0),
                 (ssize_t)(fixture->pages * PAGE));
    return judge(fixture, status);
}

/* Whether the page holds rows or index entries: a leaf whose first key begins as theirs do. The
 * records are at its end, from *from on. */
static bool holds_records(const struct fixture *fixture, size_t number, size_t *from)
{
    enum { LEAF = 2, FLAGS = 10, UPPER = 14, POINTERS = 16, NODE_HEADER = 8 };
    char page[PAGE];
    cr_assert_eq(pread(fixture->fd, page, PAGE, (off_t)number * PAGE), PAGE);
    if (load_u16(page + FLAGS) != LEAF)
        return false;
    *from = load_u16(page + UPPER);
    size_t first = load_u16(page + POINTERS);
    if (*from < POINTERS || first < *from || first + NODE_HEADER + 8 > PAGE)
        return false;
    const char *key = page + first + NODE_HEADER;
    return __builtin_bswap64(load_u64(key)) == test_relation.storage_id ||
           (__builtin_bswap32(load_u32(key)) >= 1 && __builtin_bswap32(load_u32(key)) <= 2);
}

static off_t place_of_records(struct fixture *fixture)
{
    for (;;) {
        size_t from, number = test_random(&fixture->random, (uint32_t)fixture->pages);
        if (holds_records(fixture, number, &from))
            return (off_t)(number * PAGE + from +
                           test_random(&fixture->random, (uint32_t)(PAGE - from)));
    }
}

static off_t place_of_others(struct fixture *fixture)
{
    for (;;) {
        size_t from, number = test_random(&fixture->random, (uint32_t)fixture->pages);
        size_t at = test_random(&fixture->random, PAGE);
        if (!holds_records(fixture, number, &from) || at < from)
            return (off_t)(number * PAGE + at);
    }
}

static void flip_many(struct fixture *fixture, off_t (*place)(struct fixture *), size_t count,
                      size_t outcomes[OUTCOMES])
{
    for (size_t i = 0; i < count; i++) {
        off_t at = place(fixture);
        int bit = (int)test_random(&fixture->random, 8);
        enum outcome outcome = try_flip(fixture, at, bit);
        outcomes[outcome]++;
        if (outcome == HAS_WRONG)
            printf("wrong: byte %lld bit %d\n", (long long)at, bit);
        arena_clear(&fixture->arena);
    }
    printf("unharmed %zu, named %zu, crashed %zu, wrong %zu\n", outcomes[UNHARMED], outcomes[NAMED],
           outcomes[CRASHED], outcomes[HAS_WRONG]);
}

/* What is damaged is to be removed, says the remedy: a mistake of ours must not be taken for it. */
Test(replica_damage, a_question_after_a_commit_that_failed_is_no_damage)
{
    struct fixture fixture;
    struct err err;
    const struct replica_index *by[2];
    char words[4096];
    int status;
    begin(&fixture);
    pid_t child = fork();
    if (child == 0) {
        keep_words(&fixture);
        struct replica *replica = open_replica(&fixture, by);
        if (fault_arm("replica.commit=EIO", &err) && !replica_commit(replica, &err))
            (void)replica_meta(replica, "hash");
        _exit(0);
    }
    cr_assert(child > 0 && waitpid(child, &status, 0) == child);
    read_words(&fixture, words);
    cr_assert(WIFSIGNALED(status) && strstr(words, "bug: check failed"), "%s", words);
    cr_assert_not(strstr(words, "damaged"), "%s", words);
    end(&fixture);
}

Test(replica_damage, a_flipped_bit_in_a_record_is_named_or_changes_nothing, .timeout = 900)
{
    struct fixture fixture;
    size_t outcomes[OUTCOMES] = {0};
    bool is_long = getenv("WEIR_LONG") != NULL;
    begin(&fixture);
    flip_many(&fixture, place_of_records, is_long ? FLIPS_LONG : FLIPS, outcomes);
    cr_assert_eq(outcomes[HAS_WRONG], 0);
    cr_assert_gt(outcomes[NAMED], outcomes[UNHARMED] / 4);
    if (is_long) {
        size_t others[OUTCOMES] = {0};
        printf("in what is LMDB's own: ");
        flip_many(&fixture, place_of_others, FLIPS_LONG, others);
    }
    end(&fixture);
}
