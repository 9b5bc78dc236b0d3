#include "plan_index.h"

#include "alike.h"

#include "weir/base/check.h"
#include "weir/base/hash.h"
#include "weir/replica/elements.h"
#include "weir/replica/value.h"

#include <stdlib.h>

enum { FIRST_BUCKETS = 8 };

struct constant {
    struct slice key;
    uint64_t hash;
    struct constant *next;
    uint32_t *plans; /* ascending; room for the next power of two */
    size_t plan_count;
    uint32_t first; /* plans, as long as it is one, as of most constants */
};

/* What one operand of the row is compared with, over all plans. */
struct constant_group {
    const struct operand *operand;
    bool is_array; /* constants are compared with its elements */
    struct constant **buckets;
    size_t bucket_count, constant_count, plan_count;
};

/* One condition that a plan can be filed by: `operand = constant`, IN, or `constant = ANY
 * (operand)`. */
struct filing {
    struct constant_group *group;
    const struct operand *const *constants;
    size_t constant_count;
    size_t filter; /* its place among the plan's filters */
};

static struct constant **bucket_of(const struct constant_group *group, uint64_t hash)
{
    return &group->buckets[hash & (group->bucket_count - 1)];
}

static struct constant *find_constant(const struct constant_group *group, struct slice key)
{
    uint64_t hash = hash64(hash_process_key(), key);
    struct constant *constant = *bucket_of(group, hash);
    while (constant && (constant->hash != hash || !slice_eq(constant->key, key)))
        constant = constant->next;
    return constant;
}

static void grow_buckets(struct constant_group *group, struct arena *arena)
{
    struct constant **old = group->buckets;
    size_t old_count = group->bucket_count;
    group->bucket_count = old_count ? old_count * 4 : FIRST_BUCKETS;
    group->buckets = arena_calloc(arena, group->bucket_count, sizeof(void *));
    for (size_t i = 0; i < old_count; i++) {
        while (old[i]) {
            struct constant *constant = old[i], **bucket = bucket_of(group, constant->hash);
            old[i] = constant->next;
            constant->next = *bucket;
            *bucket = constant;
        }
    }
}

static void ensure_constant(struct constant_group *group, struct arena *arena, struct slice key)
{
    if (find_constant(group, key))
        return;
    if (group->constant_count++ == group->bucket_count)
        grow_buckets(group, arena);
    struct constant *constant = arena_calloc(arena, 1, sizeof *constant);
    constant->key = arena_copy(arena, key); /* beside it */
    constant->plans = &constant->first;
    constant->hash = hash64(hash_process_key(), key);
    struct constant **bucket = bucket_of(group, constant->hash);
    constant->next = *bucket;
    *bucket = constant;
}

/* Filing */

/* Whether it can be read from the source's row, and from no other. */
static bool is_of(const struct operand *operand, const struct source *source)
{
    if (operand->kind == OPERAND_COLUMN)
        return operand->source == source;
    for (size_t i = 0; i < operand->part_count; i++) {
        if (operand->parts[i]->kind != OPERAND_CONSTANT && !is_of(operand->parts[i], source))
            return false;
    }
    return operand->part_count > 0;
}

static struct constant_group *ensure_group(struct plan_index *index, struct arena *arena,
                                           const struct operand *operand, bool is_array)
{
    for (size_t i = 0; i < index->group_count; i++) {
        struct constant_group *group = index->groups[i];
        if (group->is_array == is_array && operand_alike(group->operand, operand))
            return group;
    }
    struct constant_group **groups = arena_alloc(arena, (index->group_count + 1) * sizeof *groups);
    if (index->group_count)
        memcpy(groups, index->groups, index->group_count * sizeof *groups);
    struct constant_group *group = arena_calloc(arena, 1, sizeof *group);
    group->operand = operand;
    group->is_array = is_array;
    grow_buckets(group, arena);
    groups[index->group_count++] = group;
    index->groups = groups;
    return group;
}

/* False where the condition is of another form. */
static bool filing_of(struct plan_index *index, struct arena *arena,
                      const struct condition *condition, const struct source *source,
                      struct filing *filing)
{
    const struct operand *operand = NULL;
    *filing = (struct filing){.constant_count = 1};
    if (condition->kind == CONDITION_IN) {
        operand = condition->left;
        filing->constants = condition->list;
        filing->constant_count = condition->list_count;
    } else if (condition->kind == CONDITION_ANY && condition->left->kind == OPERAND_CONSTANT) {
        operand = condition->right;
        filing->constants = &condition->left;
    } else if (condition->kind == CONDITION_COMPARE && condition->op == COMPARE_EQ) {
        bool is_left = condition->left->kind == OPERAND_CONSTANT;
        operand = is_left ? condition->right : condition->left;
        filing->constants = is_left ? &condition->left : &condition->right;
        if (filing->constants[0]->kind != OPERAND_CONSTANT)
            return false;
    }
    if (!operand || !is_of(operand, source))
        return false;
    filing->group = ensure_group(index, arena, operand, condition->kind == CONDITION_ANY);
    return true;
}

/* The condition that leaves the plan to the fewest rows, as far as the constants tell: those it
 * asks for, of all that anybody asks for. */
static bool best_filing(struct plan_index *index, struct arena *arena, const struct plan *plan,
                        const struct source *source, struct filing *best)
{
    struct filing filing;
    bool has_any = false;
    for (size_t i = 0; i < plan->given.filter_count; i++) {
        if (!filing_of(index, arena, plan->given.filters[i], source, &filing))
            continue;
        if (has_any && filing.constant_count * best->group->constant_count >=
                           best->constant_count * filing.group->constant_count)
            continue;
        *best = filing;
        best->filter = i;
        has_any = true;
    }
    return has_any;
}

static void add_plan(struct arena *arena, uint32_t **plans, size_t *count, uint32_t plan)
{
    if (*count && (*plans)[*count - 1] == plan)
        return; /* a constant that is twice in a list */
    if ((*count & (*count - 1)) == 0 && (*count || !*plans)) {
        uint32_t *more = arena_alloc(arena, (*count ? *count * 2 : 1) * sizeof *more);
        if (*count)
            memcpy(more, *plans, *count * sizeof *more);
        *plans = more;
    }
    (*plans)[(*count)++] = plan;
}

static void leave_out(struct plan_level *level, size_t filter)
{
    level->filter_count--;
    memmove(&level->filters[filter], &level->filters[filter + 1],
            (level->filter_count - filter) * sizeof *level->filters);
}

static void file_plan(struct arena *arena, const struct filing *filing, struct plan *plan,
                      uint32_t position)
{
    for (size_t i = 0; i < filing->constant_count; i++) {
        if (filing->constants[i]->is_null)
            continue; /* which nothing equals */
        struct constant *constant = find_constant(filing->group, filing->constants[i]->text);
        add_plan(arena, &constant->plans, &constant->plan_count, position);
    }
    filing->group->plan_count++;
    leave_out(&plan->given, filing->filter);
}

static void note_constants(struct plan_index *index, struct arena *arena, const struct plan *plan,
                           const struct source *source)
{
    struct filing filing;
    for (size_t i = 0; i < plan->given.filter_count; i++) {
        if (!filing_of(index, arena, plan->given.filters[i], source, &filing))
            continue;
        for (size_t j = 0; j < filing.constant_count; j++) {
            if (!filing.constants[j]->is_null)
                ensure_constant(filing.group, arena, filing.constants[j]->text);
        }
    }
}

void plan_index_build(struct plan_index *index, struct arena *arena, struct plan *const *plans,
                      const struct source *const *given, size_t count)
{
    uint32_t *others = NULL;
    size_t other_count = 0, kept = 0;
    *index = (struct plan_index){.plan_count = count};
    for (size_t i = 0; i < count; i++)
        note_constants(index, arena, plans[i], given[i]);
    for (size_t i = 0; i < count; i++) {
        struct filing filing = {.constant_count = 0};
        if (best_filing(index, arena, plans[i], given[i], &filing))
            file_plan(arena, &filing, plans[i], (uint32_t)i);
        else
            add_plan(arena, &others, &other_count, (uint32_t)i);
    }
    for (size_t i = 0; i < index->group_count; i++) {
        if (index->groups[i]->plan_count)
            index->groups[kept++] = index->groups[i];
    }
    index->group_count = kept;
    index->others = (struct plan_list){others, other_count};
    index->found = arena_alloc(arena, (count + 1) * sizeof *index->found);
    index->last_walk = arena_calloc(arena, count + 1, sizeof *index->last_walk);
}

/* Finding */

struct finding {
    struct plan_index *index;
    struct plan_list only; /* as long as there is one list */
    size_t count;          /* in index->found, once there are several */
};

static void copy_list(struct finding *finding, struct plan_list list)
{
    struct plan_index *index = finding->index;
    for (size_t i = 0; i < list.count; i++) {
        if (index->last_walk[list.items[i]] == index->walk)
            continue; /* an array may hold several of a plan's constants */
        index->last_walk[list.items[i]] = index->walk;
        index->found[finding->count++] = list.items[i];
    }
}

static void add_list(struct finding *finding, struct plan_list list)
{
    if (!finding->only.count) {
        finding->only = list;
        return;
    }
    if (!finding->count)
        copy_list(finding, finding->only);
    copy_list(finding, list);
}

static void find_key(struct finding *finding, const struct constant_group *group, struct slice key)
{
    const struct constant *constant = find_constant(group, key);
    if (constant)
        add_list(finding, (struct plan_list){constant->plans, constant->plan_count});
}

static void find_elements(struct finding *finding, const struct constant_group *group,
                          struct evaluation *evaluation)
{
    const struct value_type *element = group->operand->type->element;
    struct array_walk walk = array_walk_of(evaluation_column(evaluation, group->operand));
    struct slice item;
    while (array_walk_next(&walk, &item)) {
        if (!value_is_null(item))
            find_key(finding, group, value_key(element, item, &evaluation->scratch));
    }
}

static void bind_row(const struct operand *operand, struct evaluation *evaluation, struct row row)
{
    if (operand->kind == OPERAND_COLUMN)
        evaluation->rows[operand->source->slot] = row;
    for (size_t i = 0; i < operand->part_count; i++)
        bind_row(operand->parts[i], evaluation, row);
}

static int by_position(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

struct plan_list plan_index_find(struct plan_index *index, struct evaluation *evaluation,
                                 struct row row)
{
    struct finding finding = {.index = index, .only = index->others};
    index->walk++;
    for (size_t i = 0; i < index->group_count; i++) {
        const struct constant_group *group = index->groups[i];
        struct slice key;
        arena_clear(&evaluation->scratch);
        bind_row(group->operand, evaluation, row);
        if (group->is_array)
            find_elements(&finding, group, evaluation);
        else if (evaluation_key(evaluation, group->operand, &key))
            find_key(&finding, group, key);
    }
    if (!finding.count)
        return finding.only;
    qsort(index->found, finding.count, sizeof *index->found, by_position);
    return (struct plan_list){index->found, finding.count};
}
