/* The replica and the two states against plain arrays: random puts, commits, reopenings that lose
 * what was not committed, and reads by every kind of access. The seed is printed, and taken from
 * WEIR_SEED. */
#include "tables.h"

#include "weir/replica/state.h"
#include "weir/replica/value.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { AS = 6, BS = 5, ROWS = AS * BS, STEPS = 3000 };

static const char *const b_values[BS] = {"\"\"", "\"x\"", "\"x y\"", "\"\\u0001\"", "\"é\""};
static const char *const g_values[] = {"null", "\"\"", "\"g\"", "\"gg\"",
                                       ("\"a long text that is more than sixty-four bytes, so that "
                                        "its key is folded into a hash\"")};
static const char *const n_values[] = {"null", "1", "1.0", "1.00", "2", "-1.5"};

/* What each row is: an index into the values above, or absent. */
struct model {
    struct {
        bool exists;
        uint8_t g, n;
    } rows[ROWS];
};

struct fixture {
    char directory[64];
    struct replica *replica;
    struct arena arena;
    uint64_t random;
    struct model now, committed;
    const struct replica_index *by_g, *by_n_g, *by_l;
};

static void open_replica(struct fixture *fixture)
{
    static const uint16_t g[] = {COLUMN_G}, n_g[] = {COLUMN_N, COLUMN_G}, l[] = {COLUMN_L};
    struct replica_settings settings = {.directory = fixture->directory, .size_limit = 64 << 20};
    struct err err;
    fixture->replica = replica_open(&settings, &err);
    cr_assert(fixture->replica, "%s", err.message);
    struct replica *replica = fixture->replica;
    fixture->by_g = replica_ensure_index(replica, &test_relation, INDEX_OF_VALUES, g, 1, &err);
    fixture->by_n_g = replica_ensure_index(replica, &test_relation, INDEX_OF_VALUES, n_g, 2, &err);
    fixture->by_l = replica_ensure_index(replica, &test_relation, INDEX_OF_ELEMENTS, l, 1, &err);
    cr_assert(fixture->by_g && fixture->by_n_g && fixture->by_l);
}

static void begin(struct fixture *fixture)
{
    const char *seed = getenv("WEIR_SEED");
    *fixture = (struct fixture){.random = seed ? strtoull(seed, NULL, 10) : (uint64_t)time(NULL)};
    printf("seed %llu\n", (unsigned long long)fixture->random);
    fflush(stdout);
    snprintf(fixture->directory, sizeof fixture->directory, "/tmp/weir-replica-XXXXXX");
    cr_assert(mkdtemp(fixture->directory));
    open_replica(fixture);
}

static void end(struct fixture *fixture)
{
    char command[128];
    replica_close(fixture->replica);
    arena_release(&fixture->arena);
    snprintf(command, sizeof command, "rm -rf '%s'", fixture->directory);
    cr_assert_eq(system(command), 0);
}

static struct row model_row(struct fixture *fixture, const struct model *model, size_t at)
{
    char a[24];
    if (!model->rows[at].exists)
        return ROW_NONE;
    snprintf(a, sizeof a, "%zu", at / BS);
    return test_row(&fixture->arena, a, b_values[at % BS], g_values[model->rows[at].g],
                    n_values[model->rows[at].n]);
}

static struct slice model_key(struct fixture *fixture, size_t at)
{
    struct model all = {0};
    all.rows[at].exists = true;
    return test_key(&fixture->arena, replica_hash_key(fixture->replica),
                    model_row(fixture, &all, at));
}

static void change_one(struct fixture *fixture, struct model *model, size_t *at)
{
    *at = test_random(&fixture->random, ROWS);
    model->rows[*at].exists = test_random(&fixture->random, 3) > 0;
    model->rows[*at].g = (uint8_t)test_random(&fixture->random, 5);
    model->rows[*at].n = (uint8_t)test_random(&fixture->random, 6);
}

/* Reads */

struct expectation {
    bool (*matches)(const struct model *model, size_t at, size_t wanted, size_t also);
    size_t wanted, also;
};

static bool any_row(const struct model *model, size_t at, size_t wanted, size_t also)
{
    (void)wanted, (void)also;
    return model->rows[at].exists;
}

static bool has_a(const struct model *model, size_t at, size_t wanted, size_t also)
{
    (void)also;
    return model->rows[at].exists && at / BS == wanted;
}

static bool is_row(const struct model *model, size_t at, size_t wanted, size_t also)
{
    (void)also;
    return model->rows[at].exists && at == wanted;
}

static bool has_g(const struct model *model, size_t at, size_t wanted, size_t also)
{
    (void)also;
    return model->rows[at].exists && model->rows[at].g == wanted;
}

/* 1, 1.0 and 1.00 are equal. */
static size_t n_class(size_t n)
{
    return n >= 1 && n <= 3 ? 1 : n;
}

static bool has_n(const struct model *model, size_t at, size_t wanted, size_t also)
{
    (void)also;
    return model->rows[at].exists && n_class(model->rows[at].n) == n_class(wanted);
}

static bool has_n_and_g(const struct model *model, size_t at, size_t wanted, size_t also)
{
    return has_n(model, at, wanted, 0) && model->rows[at].g == also;
}

static void expect_read(struct fixture *fixture, const struct state *state,
                        const struct model *model, const struct access *access,
                        struct slice components, struct expectation expected)
{
    bool seen[ROWS] = {false};
    struct state_read read;
    struct row row;
    state_read_begin(&read, state, access, components);
    while (state_read_next(&read, &row)) {
        size_t at = 0;
        while (at < ROWS && !slice_eq(row.record, model_row(fixture, model, at).record))
            at++;
        cr_assert(at < ROWS, "a row that is not there");
        cr_assert_not(seen[at], "a row twice");
        seen[at] = true;
    }
    state_read_end(&read);
    for (size_t at = 0; at < ROWS; at++)
        cr_assert_eq(seen[at], expected.matches(model, at, expected.wanted, expected.also),
                     "row %zu by access %d", at, access->kind);
}

static void add_value(struct fixture *fixture, struct buffer *components, size_t column,
                      const char *json)
{
    key_add_value(components, replica_hash_key(fixture->replica),
                  test_relation.columns[column].type, slice_from_str(json), &fixture->arena);
}

static void check_reads(struct fixture *fixture, const struct state *state,
                        const struct model *model)
{
    struct buffer key = BUFFER_INIT;
    char a[24];
    size_t at = test_random(&fixture->random, ROWS), g = 1 + test_random(&fixture->random, 4);
    size_t n = 1 + test_random(&fixture->random, 5);
    struct access access = {.kind = ACCESS_ALL, .relation = &test_relation};
    expect_read(fixture, state, model, &access, SLICE_NONE, (struct expectation){any_row, 0, 0});

    snprintf(a, sizeof a, "%zu", at / BS);
    add_value(fixture, &key, COLUMN_A, a);
    access = (struct access){ACCESS_KEY_RANGE, &test_relation, NULL, {COLUMN_A}, 1};
    expect_read(fixture, state, model, &access, buffer_slice(&key),
                (struct expectation){has_a, at / BS, 0});

    add_value(fixture, &key, COLUMN_B, b_values[at % BS]);
    access = (struct access){ACCESS_KEY, &test_relation, NULL, {COLUMN_A, COLUMN_B}, 2};
    expect_read(fixture, state, model, &access, buffer_slice(&key),
                (struct expectation){is_row, at, 0});

    buffer_clear(&key);
    add_value(fixture, &key, COLUMN_G, g_values[g]);
    access = (struct access){ACCESS_INDEX, &test_relation, fixture->by_g, {COLUMN_G}, 1};
    expect_read(fixture, state, model, &access, buffer_slice(&key),
                (struct expectation){has_g, g, 0});

    buffer_clear(&key);
    add_value(fixture, &key, COLUMN_N, n_values[n]);
    access = (struct access){ACCESS_INDEX, &test_relation, fixture->by_n_g, {COLUMN_N}, 1};
    expect_read(fixture, state, model, &access, buffer_slice(&key),
                (struct expectation){has_n, n, 0});

    add_value(fixture, &key, COLUMN_G, g_values[g]);
    access =
        (struct access){ACCESS_INDEX, &test_relation, fixture->by_n_g, {COLUMN_N, COLUMN_G}, 2};
    expect_read(fixture, state, model, &access, buffer_slice(&key),
                (struct expectation){has_n_and_g, n, g});

    buffer_clear(&key);
    add_value(fixture, &key, COLUMN_G, g_values[g]);
    access = (struct access){ACCESS_INDEX, &test_relation, fixture->by_l, {COLUMN_L}, 1};
    expect_read(fixture, state, model, &access, buffer_slice(&key),
                (struct expectation){has_g, g, 0});
    buffer_release(&key);
}

/* Steps */

static void put_one(struct fixture *fixture)
{
    struct model before = fixture->now;
    struct err err;
    size_t at;
    change_one(fixture, &fixture->now, &at);
    if (!before.rows[at].exists && !fixture->now.rows[at].exists)
        return;
    cr_assert(replica_put(fixture->replica, &test_relation, model_key(fixture, at),
                          model_row(fixture, &before, at), model_row(fixture, &fixture->now, at),
                          &err));
}

static void change_some(struct fixture *fixture, struct change_set *changes, struct model *after,
                        uint32_t count)
{
    struct err err;
    for (uint32_t i = 0; i < count; i++) {
        size_t at;
        change_one(fixture, after, &at);
        struct change_entry *entry =
            change_set_touch(changes, fixture->replica, &test_relation, model_key(fixture, at));
        cr_assert_eq(row_exists(entry->old_row), fixture->now.rows[at].exists);
        cr_assert(change_set_put(changes, entry, model_row(fixture, after, at), &err));
    }
}

/* The entries are the rows that were touched, each with what it was and is. */
static void check_entries(struct fixture *fixture, struct change_set *changes,
                          const struct model *after)
{
    const struct changed_relation *changed = change_set_of(changes, &test_relation);
    struct change_walk walk;
    const struct change_entry *entry;
    size_t count = 0, differing = 0, expected = 0;
    if (changed) {
        change_walk_begin(&walk, changes, changed);
        while ((entry = change_walk_next(&walk))) {
            struct change_entry looked;
            cr_assert(change_set_look(changes, &test_relation, entry->key, &looked));
            cr_assert(slice_eq(looked.new_row.record, entry->new_row.record));
            differing += !change_entry_is_noop(entry);
            count++;
        }
        change_walk_end(&walk);
        cr_assert_eq(count, changed->count);
    }
    for (size_t at = 0; at < ROWS; at++) {
        struct row was = model_row(fixture, &fixture->now, at), is = model_row(fixture, after, at);
        expected += row_exists(was) != row_exists(is) || !slice_eq(was.record, is.record);
    }
    cr_assert_eq(differing, expected);
}

/* Several changes, some of the same row, some back and forth; then both states are read. The set is
 * complete before it is read, as its indexes are not kept. Some sets are spilled, at first or on
 * the way; and some are given up. */
static void change_many(struct fixture *fixture, struct change_set *changes)
{
    struct model after = fixture->now;
    struct replica *replica = fixture->replica;
    struct err err;
    uint32_t count = test_random(&fixture->random, 20) ? test_random(&fixture->random, 12) : 200;
    bool is_spilled = test_random(&fixture->random, 2);
    change_set_clear(changes);
    scratch_clear(replica_scratch(replica));
    if (is_spilled) {
        cr_assert(replica_commit(replica, &err));
        fixture->committed = fixture->now;
    }
    change_some(fixture, changes, &after, is_spilled ? test_random(&fixture->random, 10) : count);
    if (is_spilled) {
        cr_assert(change_set_spill(changes, replica, &err));
        change_some(fixture, changes, &after, count);
    }
    struct state a = state_before(replica, changes), b = state_after(replica, changes);
    check_reads(fixture, &a, &fixture->now);
    check_reads(fixture, &b, &after);
    check_entries(fixture, changes, &after);
    if (test_random(&fixture->random, 4) == 0) {
        change_set_clear(changes);
        return;
    }
    cr_assert(change_set_apply(changes, replica, &err));
    if (is_spilled)
        change_set_clear(changes);
    fixture->now = after;
}

static void reopen(struct fixture *fixture)
{
    replica_close(fixture->replica);
    fixture->now = fixture->committed;
    open_replica(fixture);
}

Test(replica_model, reads_what_arrays_hold_and_loses_only_what_was_not_committed)
{
    struct fixture fixture;
    struct change_set changes;
    struct err err;
    begin(&fixture);
    change_set_init(&changes);
    for (int i = 0; i < STEPS; i++) {
        struct state state = {.replica = fixture.replica};
        arena_clear(&fixture.arena);
        switch (test_random(&fixture.random, 12)) {
        case 0:
            cr_assert(replica_commit(fixture.replica, &err));
            cr_assert_not(replica_is_dirty(fixture.replica));
            fixture.committed = fixture.now;
            break;
        case 1:
            change_set_clear(&changes); /* its rows point into the replica */
            reopen(&fixture);
            state.replica = fixture.replica;
            break;
        case 2:
        case 3:
        case 4:
        case 5:
            change_many(&fixture, &changes);
            break;
        default:
            put_one(&fixture);
        }
        check_reads(&fixture, &state, &fixture.now);
    }
    change_set_release(&changes);
    end(&fixture);
}

Test(replica_model, an_index_made_later_holds_what_is_there)
{
    static const uint16_t columns[] = {COLUMN_N};
    struct fixture fixture;
    struct err err;
    struct buffer key = BUFFER_INIT;
    begin(&fixture);
    for (int i = 0; i < 100; i++)
        put_one(&fixture);
    const struct replica_index *index =
        replica_ensure_index(fixture.replica, &test_relation, INDEX_OF_VALUES, columns, 1, &err);
    cr_assert(index);
    struct state state = {.replica = fixture.replica};
    struct access access = {ACCESS_INDEX, &test_relation, index, {COLUMN_N}, 1};
    add_value(&fixture, &key, COLUMN_N, "1.000");
    expect_read(&fixture, &state, &fixture.now, &access, buffer_slice(&key),
                (struct expectation){has_n, 1, 0});
    buffer_release(&key);
    end(&fixture);
}

Test(replica_model, meta_and_rows_of_a_wiped_replica_are_gone)
{
    struct fixture fixture;
    struct err err;
    begin(&fixture);
    for (int i = 0; i < 100; i++)
        put_one(&fixture);
    cr_assert(replica_set_meta(fixture.replica, "position", SLICE("7"), &err));
    cr_assert(slice_eq_str(replica_meta(fixture.replica, "position"), "7"));
    struct hash_key hash = *replica_hash_key(fixture.replica);
    cr_assert(replica_wipe(fixture.replica, &err));
    cr_assert(replica_commit(fixture.replica, &err));
    replica_close(fixture.replica);
    fixture.now = fixture.committed = (struct model){0};
    open_replica(&fixture);
    struct state state = {.replica = fixture.replica};
    check_reads(&fixture, &state, &fixture.now);
    cr_assert_null(replica_meta(fixture.replica, "position").data);
    cr_assert_eq(memcmp(&hash, replica_hash_key(fixture.replica), sizeof hash), 0);
    end(&fixture);
}

Test(replica_model, a_second_process_is_refused)
{
    struct fixture fixture;
    struct err err = {.message = ""};
    begin(&fixture);
    struct replica_settings settings = {.directory = fixture.directory, .size_limit = 64 << 20};
    cr_assert_null(replica_open(&settings, &err));
    cr_assert(strstr(err.message, fixture.directory), "%s", err.message);
    end(&fixture);
}
