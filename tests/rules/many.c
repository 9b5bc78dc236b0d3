/* Many rules on few tables, alike but for their constants, in one ruleset: what it answers against
 * what Postgres answers to all of them together, before and after writes and edits. It is what
 * proves that no rule is skipped that holds.
 *
 * A plain program: `many [ROUNDS]`. The seed is printed, and taken from WEIR_SEED. With WEIR_LONG
 * it goes on for 50 times as many rounds. */
#include "generate.h"
#include "oracle.h"

#include "weir/base/check.h"
#include "weir/base/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { RULES = 160, CHOICES = 3, STEPS = 25, ROUNDS = 4, FAILURES_SHOWN = 10 };

struct rule_case {
    size_t table;
    struct slice audience;
};

struct test {
    struct world world;
    struct random random;
    uint64_t seed;
    unsigned round;
    struct arena arena; /* of the round */
    struct rule_case cases[RULES];
    size_t case_count;
    size_t generated, compiled, asked, events, failures;
};

/* Some of the cases, compiled together. */
struct choice {
    bool holds[RULES];
    struct ruleset *rules;
};

static const struct table *table_at(const struct test *test, size_t at)
{
    return &test->world.schema.tables[at];
}

static void expect_same(struct test *test, const char *what, size_t table,
                        const struct strings *got, const struct strings *expected)
{
    const struct slice *a = got->items, *b = expected->items;
    size_t i = 0;
    while (i < got->count && i < expected->count && slice_eq(a[i], b[i]))
        i++;
    if (i == got->count && i == expected->count)
        return;
    if (test->failures++ >= FAILURES_SHOWN)
        return;
    fprintf(stderr, "seed %llu, round %u: %s differs, on %s.%s: %zu and not %zu, first %.*s\n",
            (unsigned long long)test->seed, test->round, what, test->world.schema.name,
            table_at(test, table)->name, got->count, expected->count,
            SLICE_ARG(i < got->count ? a[i] : b[i]));
}

/* Postgres's answers: all chosen rules of a table in one query, so also each pair once. */
static struct answer ask(struct test *test, const struct choice *choice, size_t table,
                         struct arena *arena)
{
    struct buffer all = BUFFER_INIT;
    for (size_t i = 0; i < test->case_count; i++) {
        if (choice->holds[i] && test->cases[i].table == table)
            buffer_printf(&all, "%s(%.*s)", all.len ? " UNION ALL " : "",
                          SLICE_ARG(test->cases[i].audience));
    }
    if (!all.len)
        buffer_add_str(&all, "SELECT NULL::text");
    struct answer answer =
        oracle_ask(&test->world, table_at(test, table), buffer_slice(&all), arena);
    buffer_release(&all);
    return answer;
}

static void ask_all(struct test *test, const struct choice *choice, struct answer *answers,
                    struct arena *arena)
{
    for (size_t i = 0; i < TABLES; i++)
        answers[i] = ask(test, choice, i, arena);
}

static void choose(struct test *test, struct choice *choice, uint32_t percent)
{
    struct rule_definition definitions[RULES] = {0};
    struct arena arena = ARENA_INIT;
    size_t count = 0;
    for (size_t i = 0; i < test->case_count; i++) {
        choice->holds[i] = random_percent(&test->random, percent);
        if (!choice->holds[i])
            continue;
        definitions[count] = world_rule(&test->world, table_at(test, test->cases[i].table)->name,
                                        test->cases[i].audience, &arena);
        definitions[count++].name = slice_from_str(arena_printf(&arena, "rule %zu", i));
    }
    choice->rules = world_compile(&test->world, definitions, count);
    for (size_t i = 0; i < count; i++)
        check(ruleset_rule_status(choice->rules, i).is_active);
    arena_release(&arena);
}

/* Whether each of some subjects sees the row. */
static void ask_visible(struct test *test, const struct choice *choice, const struct state *state,
                        const struct channel *channel, struct row row, struct slice key,
                        const struct strings *subjects, struct strings *pairs, struct arena *arena)
{
    for (size_t i = 0; i < subjects->count; i++) {
        const uint64_t *columns;
        test->asked++;
        if (ruleset_is_visible(choice->rules, state, row, channel, subjects->items[i], arena,
                               &columns))
            pairs_add(pairs, arena, key, subjects->items[i]);
    }
}

static void check_table(struct test *test, const struct choice *choice, const struct state *state,
                        size_t table, const struct answer *answer)
{
    struct arena arena = ARENA_INIT;
    struct strings pairs = {0}, visible = {0};
    const struct relation *relation = world_relation(&test->world, table_at(test, table)->name);
    const struct channel *channel = NULL;
    struct access all = {.kind = ACCESS_ALL, .relation = relation};
    struct state_read read;
    struct row row;
    state_read_begin(&read, state, &all, SLICE_NONE);
    while (state_read_next(&read, &row)) {
        struct audience audience;
        struct slice key = row_event_key(relation, row, &arena);
        audience_init(&audience, &arena);
        ruleset_audience(choice->rules, state, relation, row, &audience);
        for (size_t i = 0; i < audience.count; i++) {
            channel = audience.members[i]->channel;
            pairs_add(&pairs, &arena, key, audience.members[i]->subject);
        }
        test->asked += answer->subjects.count;
    }
    state_read_end(&read);
    state_read_begin(&read, state, &all, SLICE_NONE);
    while (channel && state_read_next(&read, &row))
        ask_visible(test, choice, state, channel, row, row_event_key(relation, row, &arena),
                    &answer->subjects, &visible, &arena);
    state_read_end(&read);
    strings_sort(&pairs);
    strings_sort(&visible);
    expect_same(test, "audience", table, &pairs, &answer->pairs);
    if (channel)
        expect_same(test, "is_visible", table, &visible, &answer->pairs);
    arena_release(&arena);
}

static void check_difference(struct test *test, struct change_set *changes, const struct choice *a,
                             const struct choice *b, const struct answer *before,
                             const struct answer *after)
{
    struct arena arena = ARENA_INIT;
    struct strings expected = {0};
    bool has_duplicates;
    struct strings got =
        deliveries_of(test->world.replica, changes, a->rules, b->rules, &arena, &has_duplicates);
    for (size_t i = 0; i < TABLES; i++)
        oracle_expect_events(&expected, &arena, table_at(test, i)->name, &before[i], &after[i]);
    strings_sort(&expected);
    expect_same(test, has_duplicates ? "the difference, with events twice," : "the difference", 0,
                &got, &expected);
    test->failures += has_duplicates;
    test->events += expected.count;
    arena_release(&arena);
}

static void write_some(struct test *test)
{
    uint32_t writes = 1 + random_below(&test->random, 5);
    for (uint32_t i = 0; i < writes; i++) {
        struct buffer sql = BUFFER_INIT;
        schema_write(&test->world.schema, &test->random, &sql);
        (void)world_try(&test->world, buffer_str(&sql));
        buffer_release(&sql);
    }
}

/* The rows change under the same rules, or the rules as well. */
static void step(struct test *test, const struct choice *choices)
{
    struct arena arena = ARENA_INIT;
    struct answer before[TABLES], after[TABLES];
    struct change_set changes;
    struct err err;
    struct state a = {test->world.replica, NULL, false}, b = {test->world.replica, &changes, false};
    const struct choice *was = &choices[random_below(&test->random, CHOICES)];
    const struct choice *is = &choices[random_below(&test->random, CHOICES)];
    ask_all(test, was, before, &arena);
    write_some(test);
    ask_all(test, is, after, &arena);
    change_set_init(&changes);
    world_collect_changes(&test->world, &changes);
    for (size_t i = 0; i < TABLES; i++) {
        check_table(test, was, &a, i, &before[i]);
        check_table(test, is, &b, i, &after[i]);
    }
    check_difference(test, &changes, was, is, before, after);
    check(change_set_apply(&changes, test->world.replica, &err));
    change_set_release(&changes);
    arena_release(&arena);
}

/* Leaves out what Postgres refuses; Weir may refuse nothing of the rest. */
static void add_rule(struct test *test)
{
    struct rule_case rule = {.table = random_below(&test->random, 2)};
    struct buffer sql = BUFFER_INIT;
    struct answer answer = {0};
    struct err err;
    generate_constant_audience(&test->world.schema, table_at(test, rule.table), &test->random,
                               &sql);
    rule.audience = arena_copy(&test->arena, buffer_slice(&sql));
    buffer_release(&sql);
    test->generated++;
    if (!oracle_ask_pairs(&test->world, table_at(test, rule.table), rule.audience, &answer,
                          &test->arena, &err)) {
        if (getenv("WEIR_VERBOSE"))
            fprintf(stderr, "Postgres: %s: %.*s\n", err.message, SLICE_ARG(rule.audience));
        return;
    }
    struct rule_definition definition =
        world_rule(&test->world, table_at(test, rule.table)->name, rule.audience, &test->arena);
    struct ruleset *rules = world_compile(&test->world, &definition, 1);
    struct rule_status status = ruleset_rule_status(rules, 0);
    if (status.is_active) {
        test->compiled++;
        test->cases[test->case_count++] = rule;
    } else if (test->failures++ < FAILURES_SHOWN) {
        fprintf(stderr, "seed %llu: refused, %s: %.*s\n", (unsigned long long)test->seed,
                status.reason, SLICE_ARG(rule.audience));
    }
    ruleset_free(rules);
}

static void run_round(struct test *test)
{
    struct change_set changes;
    struct choice choices[CHOICES];
    struct err err;
    world_open(&test->world, &test->random, test->round);
    change_set_init(&changes);
    world_collect_changes(&test->world, &changes);
    check(change_set_apply(&changes, test->world.replica, &err));
    change_set_release(&changes);
    test->case_count = 0;
    for (int i = 0; i < RULES; i++)
        add_rule(test);
    for (int i = 0; i < CHOICES; i++)
        choose(test, &choices[i], i ? 85 : 100);
    for (int i = 0; i < STEPS; i++)
        step(test, choices);
    for (int i = 0; i < CHOICES; i++)
        ruleset_free(choices[i].rules);
    world_close(&test->world);
    arena_clear(&test->arena);
}

int main(int argc, char **argv)
{
    struct test test = {.seed = (uint64_t)time(NULL) * 1000 + (uint64_t)getpid() % 1000};
    const char *seed = getenv("WEIR_SEED");
    unsigned rounds = argc > 1 ? (unsigned)atoi(argv[1]) : ROUNDS;
    if (seed)
        test.seed = strtoull(seed, NULL, 10);
    if (getenv("WEIR_LONG"))
        rounds *= 50;
    log_configure(LOG_ERROR, LOG_LOGFMT);
    printf("seed %llu\n", (unsigned long long)test.seed);
    fflush(stdout);
    test.random.state = test.seed;
    for (test.round = 0; test.round < rounds && test.failures < FAILURES_SHOWN; test.round++)
        run_round(&test);
    printf("%zu of %zu rules compiled, %zu answers compared, %zu events, %zu failures\n",
           test.compiled, test.generated, test.asked, test.events, test.failures);
    bool is_enough = test.compiled * 10 > test.generated * 9 && test.events > rounds * 20;
    if (!test.failures && !is_enough)
        fprintf(stderr, "hardly anything was compared\n");
    arena_release(&test.arena);
    return test.failures || !is_enough;
}
