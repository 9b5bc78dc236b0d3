/* Which plans are found for a row: no more than those that its values ask for. */
#include "rules/plan_index.h"

#include <criterion/criterion.h>

enum { PLANS = 1000 };

static const struct value_type integer_type = {.kind = VALUE_INTEGER, .name = "int"};
static const struct value_type array_type = {.kind = VALUE_ARRAY, .element = &integer_type};

#define COLUMN(text, its_type) \
    {.name = {text, sizeof(text) - 1}, \
     .json_name = {"\"" text "\"", sizeof(text) + 1}, \
     .type = &(its_type)}

static const struct column columns[] = {COLUMN("n", integer_type), COLUMN("a", array_type)};
static const struct relation relation = {.columns = columns, .column_count = 2};
static const struct source target = {.relation = &relation};
static const struct operand n = {
    .kind = OPERAND_COLUMN, .type = &integer_type, .source = &target, .column = 0};
static const struct operand a = {
    .kind = OPERAND_COLUMN, .type = &array_type, .source = &target, .column = 1};

struct fixture {
    struct arena arena;
    struct plan plans[PLANS];
    struct plan *pointers[PLANS];
    const struct source *given[PLANS];
    size_t count;
    struct plan_index index;
    struct evaluation evaluation;
};

static const struct operand *constant(struct fixture *fixture, int value)
{
    struct operand *operand = arena_calloc(&fixture->arena, 1, sizeof *operand);
    operand->kind = OPERAND_CONSTANT;
    operand->text = slice_from_str(arena_printf(&fixture->arena, "%d", value));
    return operand;
}

static void add_plan(struct fixture *fixture, struct condition condition)
{
    struct plan *plan = &fixture->plans[fixture->count];
    struct condition *copy = arena_alloc(&fixture->arena, sizeof *copy);
    *copy = condition;
    plan->given.filters = arena_calloc(&fixture->arena, 1, sizeof(void *));
    plan->given.filters[plan->given.filter_count++] = copy;
    fixture->pointers[fixture->count] = plan;
    fixture->given[fixture->count++] = &target;
}

static struct condition n_is(struct fixture *fixture, int value)
{
    return (struct condition){
        .kind = CONDITION_COMPARE, .left = &n, .right = constant(fixture, value)};
}

static void build(struct fixture *fixture)
{
    plan_index_build(&fixture->index, &fixture->arena, fixture->pointers, fixture->given,
                     fixture->count);
}

static struct plan_list find(struct fixture *fixture, const char *n_json, const char *a_json)
{
    struct slice values[] = {slice_from_str(n_json), slice_from_str(a_json)};
    struct buffer record = BUFFER_INIT;
    row_build(&record, &relation, values);
    struct row row = {arena_copy(&fixture->arena, buffer_slice(&record))};
    buffer_release(&record);
    return plan_index_find(&fixture->index, &fixture->evaluation, row);
}

static void expect(struct plan_list found, size_t count, const uint32_t *plans)
{
    cr_assert_eq(found.count, count, "%zu plans", found.count);
    for (size_t i = 0; i < count; i++)
        cr_assert_eq(found.items[i], plans[i], "plan %u at %zu", found.items[i], i);
}

static void end(struct fixture *fixture)
{
    evaluation_release(&fixture->evaluation);
    arena_release(&fixture->arena);
}

Test(plan_index, one_of_a_thousand_constants_finds_one_plan)
{
    struct fixture fixture = {0};
    for (int i = 0; i < PLANS; i++)
        add_plan(&fixture, n_is(&fixture, i));
    build(&fixture);
    expect(find(&fixture, "17", "null"), 1, (uint32_t[]){17});
    expect(find(&fixture, "1000", "null"), 0, NULL);
    expect(find(&fixture, "null", "null"), 0, NULL);
    cr_assert_eq(fixture.plans[17].given.filter_count, 0, "it holds for all rows that are found");
    end(&fixture);
}

Test(plan_index, plans_of_several_lists_come_once_and_in_order)
{
    struct fixture fixture = {0};
    const struct operand *list[] = {constant(&fixture, 1), constant(&fixture, 2),
                                    constant(&fixture, 1)};
    const struct operand null = {.kind = OPERAND_CONSTANT, .is_null = true};
    add_plan(&fixture, (struct condition){.kind = CONDITION_NOT_NULL, .left = &n});
    add_plan(&fixture, n_is(&fixture, 1));
    add_plan(&fixture,
             (struct condition){.kind = CONDITION_ANY, .left = constant(&fixture, 5), .right = &a});
    add_plan(&fixture,
             (struct condition){.kind = CONDITION_IN, .left = &n, .list = list, .list_count = 3});
    add_plan(&fixture, (struct condition){.kind = CONDITION_COMPARE, .left = &n, .right = &null});
    add_plan(&fixture, (struct condition){.kind = CONDITION_COMPARE,
                                          .op = COMPARE_NE,
                                          .left = &n,
                                          .right = constant(&fixture, 1)});
    build(&fixture);
    expect(find(&fixture, "1", "[5,null,5]"), 5, (uint32_t[]){0, 1, 2, 3, 5});
    expect(find(&fixture, "2", "[6]"), 3, (uint32_t[]){0, 3, 5});
    expect(find(&fixture, "null", "null"), 2, (uint32_t[]){0, 5});
    end(&fixture);
}

Test(plan_index, a_plan_is_filed_by_what_tells_it_from_the_others)
{
    struct fixture fixture = {0};
    const struct operand *list[] = {constant(&fixture, 1), constant(&fixture, 2)};
    for (int i = 0; i < 100; i++) {
        add_plan(&fixture, (struct condition){
                               .kind = CONDITION_IN, .left = &n, .list = list, .list_count = 2});
        struct plan *plan = &fixture.plans[i];
        const struct condition **both = arena_calloc(&fixture.arena, 2, sizeof(void *));
        struct condition *any = arena_calloc(&fixture.arena, 1, sizeof *any);
        any->kind = CONDITION_ANY;
        any->left = constant(&fixture, i);
        any->right = &a;
        both[0] = plan->given.filters[0];
        both[1] = any;
        plan->given.filters = both;
        plan->given.filter_count = 2;
    }
    build(&fixture);
    expect(find(&fixture, "1", "[[7],[3]]"), 2, (uint32_t[]){3, 7});
    end(&fixture);
}
