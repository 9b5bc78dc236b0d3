/* Random rules on random rows: what the ruleset answers against what Postgres answers to the same
 * SQL, and the difference of two states against the difference of Postgres's two answers; of each
 * rule by itself, and of many rules of which some come and go with the rows.
 *
 * A plain program: `differential [ROUNDS]`. The seed is printed, and taken from WEIR_SEED. With
 * WEIR_LONG it goes on for 50 times as many rounds. */
#include "generate.h"
#include "oracle.h"

#include "weir/base/check.h"
#include "weir/base/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { RULES = 24, STEPS = 5, ROUNDS = 80, FAILURES_SHOWN = 10 };

struct rule_case {
    size_t table;
    struct slice audience;
    struct ruleset *rules;
    const struct channel *channel; /* once it was seen */
};

struct test {
    struct world world;
    struct random random;
    uint64_t seed;
    unsigned round;
    struct arena arena; /* of the round */
    struct rule_case cases[RULES];
    size_t case_count;
    size_t compiled, generated, pairs, events, failures;
};

static const char *table_name(const struct test *test, const struct rule_case *rule)
{
    return test->world.schema.tables[rule->table].name;
}

static void print_all(const char *head, const struct strings *strings)
{
    fprintf(stderr, "  %s:", head);
    for (size_t i = 0; i < strings->count; i++)
        fprintf(stderr, " [%.*s]", SLICE_ARG(strings->items[i]));
    fprintf(stderr, "\n");
}

static void fail_case(struct test *test, const struct rule_case *rule, const char *what)
{
    if (test->failures++ < FAILURES_SHOWN)
        fprintf(stderr, "seed %llu, round %u: %s differs, on %s.%s\n  %.*s\n",
                (unsigned long long)test->seed, test->round, what, test->world.schema.name,
                test->world.schema.tables[rule->table].name, SLICE_ARG(rule->audience));
}

static bool expect_same(struct test *test, const struct rule_case *rule, const char *what,
                        const struct strings *got, const struct strings *expected)
{
    bool same = got->count == expected->count;
    for (size_t i = 0; same && i < got->count; i++)
        same = slice_eq(got->items[i], expected->items[i]);
    if (!same) {
        fail_case(test, rule, what);
        if (test->failures <= FAILURES_SHOWN) {
            print_all("got", got);
            print_all("expected", expected);
        }
    }
    return same;
}

static struct answer ask(struct test *test, const struct rule_case *rule, struct arena *arena)
{
    return oracle_ask(&test->world, &test->world.schema.tables[rule->table], rule->audience, arena);
}

/* Weir's answers */

static struct strings audiences(struct test *test, struct rule_case *rule,
                                const struct state *state, struct arena *arena)
{
    struct strings pairs = {0};
    const struct relation *relation = world_relation(&test->world, table_name(test, rule));
    struct access all = {.kind = ACCESS_ALL, .relation = relation};
    struct state_read read;
    struct row row;
    state_read_begin(&read, state, &all, SLICE_NONE);
    while (state_read_next(&read, &row)) {
        struct audience audience;
        audience_init(&audience, arena);
        ruleset_audience(rule->rules, state, relation, row, &audience);
        for (size_t i = 0; i < audience.count; i++) {
            rule->channel = audience.members[i]->channel;
            pairs_add(&pairs, arena, row_event_key(relation, row, arena),
                      audience.members[i]->subject);
        }
    }
    state_read_end(&read);
    strings_sort(&pairs);
    return pairs;
}

/* Asks of every row and subject, and of some subjects that nobody is. */
static void check_visible(struct test *test, struct rule_case *rule, const struct state *state,
                          const struct answer *answer, struct arena *arena)
{
    struct strings subjects = {0}, pairs = {0};
    const struct relation *relation = world_relation(&test->world, table_name(test, rule));
    if (!rule->channel)
        return;
    for (size_t i = 0; i < answer->subjects.count && i < 40; i++)
        strings_add(&subjects, arena, answer->subjects.items[i]);
    static const char *const others[] = {"nobody", "",   "1",          "01",   "1.0", "1.00",
                                         "a",      "a ", "2026-01-01", "true", "NaN", "u/"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        strings_add(&subjects, arena, slice_from_str(others[i]));
    strings_sort(&subjects);
    struct access all = {.kind = ACCESS_ALL, .relation = relation};
    struct state_read read;
    struct row row;
    state_read_begin(&read, state, &all, SLICE_NONE);
    while (state_read_next(&read, &row)) {
        for (size_t i = 0; i < subjects.count; i++) {
            const uint64_t *columns;
            if (ruleset_is_visible(rule->rules, state, row, rule->channel, subjects.items[i], arena,
                                   &columns))
                pairs_add(&pairs, arena, row_event_key(relation, row, arena), subjects.items[i]);
        }
    }
    state_read_end(&read);
    strings_sort(&pairs);
    struct strings expected = {0};
    for (size_t i = 0; i < answer->pairs.count; i++) {
        struct slice key, subject;
        pair_split(answer->pairs.items[i], &key, &subject);
        if (strings_hold(&subjects, subject))
            strings_add(&expected, arena, answer->pairs.items[i]);
    }
    strings_sort(&expected);
    expect_same(test, rule, "is_visible", &pairs, &expected);
}

static void check_state(struct test *test, struct rule_case *rule, const struct state *state,
                        const struct answer *answer)
{
    struct arena arena = ARENA_INIT;
    struct strings pairs = audiences(test, rule, state, &arena);
    if (expect_same(test, rule, "audience", &pairs, &answer->pairs))
        check_visible(test, rule, state, answer, &arena);
    test->pairs += answer->pairs.count;
    arena_release(&arena);
}

/* The difference */

static struct strings run_difference(struct test *test, struct change_set *changes,
                                     struct ruleset *rules_a, struct ruleset *rules_b,
                                     const struct rule_case *blame, struct arena *arena)
{
    bool has_duplicates;
    struct strings events =
        deliveries_of(test->world.replica, changes, rules_a, rules_b, arena, &has_duplicates);
    if (has_duplicates)
        fail_case(test, blame, "an event delivered twice");
    return events;
}

static void check_difference(struct test *test, struct rule_case *rule, struct change_set *changes,
                             const struct answer *a, const struct answer *b)
{
    struct arena arena = ARENA_INIT;
    struct strings expected = {0};
    struct strings got = run_difference(test, changes, rule->rules, rule->rules, rule, &arena);
    oracle_expect_events(&expected, &arena, table_name(test, rule), a, b);
    strings_sort(&expected);
    expect_same(test, rule, "difference", &got, &expected);
    test->events += expected.count;
    arena_release(&arena);
}

/* Several rules together */

static struct ruleset *compile_some(struct test *test, uint32_t chosen, struct arena *arena)
{
    struct rule_definition definitions[RULES];
    size_t count = 0;
    for (size_t i = 0; i < test->case_count; i++) {
        if (!(chosen >> i & 1))
            continue;
        definitions[count] = world_rule(&test->world, table_name(test, &test->cases[i]),
                                        test->cases[i].audience, arena);
        definitions[count].name = slice_from_str(arena_printf(arena, "rule %zu", i));
        count++;
    }
    return world_compile(&test->world, definitions, count);
}

/* What the chosen rules on the table say together. */
static struct answer joined(struct test *test, size_t table, uint32_t chosen,
                            const struct answer *answers, struct arena *arena)
{
    struct answer all = {0};
    for (size_t i = 0; i < test->case_count; i++) {
        if (test->cases[i].table != table)
            continue;
        all.rows = answers[i].rows;
        for (size_t j = 0; (chosen >> i & 1) && j < answers[i].pairs.count; j++)
            strings_add(&all.pairs, arena, answers[i].pairs.items[j]);
    }
    strings_sort(&all.pairs);
    return all;
}

/* From some rules on the rows as they were to others on the rows as they are; half of the rules
 * stay, and sometimes all do. */
static void check_edit(struct test *test, struct change_set *changes, const struct answer *before,
                       const struct answer *after)
{
    struct arena arena = ARENA_INIT;
    uint32_t all = ((uint32_t)1 << test->case_count) - 1;
    uint32_t in_a = random_below(&test->random, UINT32_MAX) & all, in_b = in_a;
    if (random_percent(&test->random, 70))
        in_b ^=
            random_below(&test->random, UINT32_MAX) & random_below(&test->random, UINT32_MAX) & all;
    struct ruleset *rules_a = compile_some(test, in_a, &arena);
    struct ruleset *rules_b = in_b == in_a ? rules_a : compile_some(test, in_b, &arena);
    struct strings expected = {0};
    struct strings got = run_difference(test, changes, rules_a, rules_b, &test->cases[0], &arena);
    for (size_t i = 0; i < TABLES; i++) {
        struct answer a = joined(test, i, in_a, before, &arena);
        struct answer b = joined(test, i, in_b, after, &arena);
        oracle_expect_events(&expected, &arena, test->world.schema.tables[i].name, &a, &b);
    }
    strings_sort(&expected);
    expect_same(test, &test->cases[0], "the difference of many rules, this one among them,", &got,
                &expected);
    test->events += expected.count;
    if (rules_b != rules_a)
        ruleset_free(rules_b);
    ruleset_free(rules_a);
    arena_release(&arena);
}

/* Rounds */

static void add_rule(struct test *test)
{
    struct rule_case rule = {.table = random_below(&test->random, TABLES)};
    struct buffer sql = BUFFER_INIT;
    struct answer answer = {0};
    struct err err;
    generate_audience(&test->world.schema, &test->world.schema.tables[rule.table], &test->random,
                      &sql);
    rule.audience = arena_copy(&test->arena, buffer_slice(&sql));
    buffer_release(&sql);
    test->generated++;
    if (!oracle_ask_pairs(&test->world, &test->world.schema.tables[rule.table], rule.audience,
                          &answer, &test->arena, &err)) {
        if (getenv("WEIR_VERBOSE"))
            fprintf(stderr, "Postgres: %s: %.*s\n", err.message, SLICE_ARG(rule.audience));
        return;
    }
    struct rule_definition definition =
        world_rule(&test->world, table_name(test, &rule), rule.audience, &test->arena);
    rule.rules = world_compile(&test->world, &definition, 1);
    struct rule_status status = ruleset_rule_status(rule.rules, 0);
    if (!status.is_active) {
        if (!strstr(status.reason, "alternatives")) {
            fail_case(test, &rule, "what is refused");
            fprintf(stderr, "  %s\n", status.reason);
        }
        ruleset_free(rule.rules);
        return;
    }
    test->compiled++;
    test->cases[test->case_count++] = rule;
}

static void step(struct test *test)
{
    struct arena arena = ARENA_INIT;
    struct answer before[RULES], after[RULES];
    struct change_set changes;
    struct err err;
    struct replica *replica = test->world.replica;
    for (size_t i = 0; i < test->case_count; i++)
        before[i] = ask(test, &test->cases[i], &arena);
    uint32_t writes = 1 + random_below(&test->random, 4);
    for (uint32_t i = 0; i < writes; i++) {
        struct buffer sql = BUFFER_INIT;
        schema_write(&test->world.schema, &test->random, &sql);
        (void)world_try(&test->world, buffer_str(&sql));
        buffer_release(&sql);
    }
    change_set_init(&changes);
    /* Most of the changes in memory, some of them in the replica from the beginning. */
    if (random_percent(&test->random, 15))
        check(replica_commit(replica, &err) && change_set_spill(&changes, replica, &err));
    world_collect_changes(&test->world, &changes);
    struct state a = state_before(replica, &changes), b = state_after(replica, &changes);
    for (size_t i = 0; i < test->case_count; i++) {
        after[i] = ask(test, &test->cases[i], &arena);
        check_state(test, &test->cases[i], &a, &before[i]);
        check_state(test, &test->cases[i], &b, &after[i]);
        check_difference(test, &test->cases[i], &changes, &before[i], &after[i]);
    }
    if (test->case_count)
        check_edit(test, &changes, before, after);
    check(change_set_apply(&changes, replica, &err));
    change_set_release(&changes);
    scratch_clear(replica_scratch(replica));
    arena_release(&arena);
}

static void run_round(struct test *test)
{
    struct change_set changes;
    struct err err;
    world_open(&test->world, &test->random, test->round);
    change_set_init(&changes);
    world_collect_changes(&test->world, &changes);
    check(change_set_apply(&changes, test->world.replica, &err));
    change_set_release(&changes);
    test->case_count = 0;
    for (int i = 0; i < RULES; i++)
        add_rule(test);
    for (int i = 0; i < STEPS; i++)
        step(test);
    for (size_t i = 0; i < test->case_count; i++)
        ruleset_free(test->cases[i].rules);
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
    for (; test.round < rounds && test.failures < FAILURES_SHOWN; test.round++)
        run_round(&test);
    printf("%zu rules of %zu generated, %zu rights, %zu events, %zu failures\n", test.compiled,
           test.generated, test.pairs, test.events, test.failures);
    /* Without this, a generator that Postgres understands no more would pass. */
    bool is_enough = test.compiled * 10 >= test.generated * 8 && test.events > test.compiled;
    if (!is_enough)
        fprintf(stderr, "too few rules or events to say anything\n");
    arena_release(&test.arena);
    return test.failures || !is_enough;
}
