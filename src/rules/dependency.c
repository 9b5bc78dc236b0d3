/* Which tables a rule reads besides the one it is about, and what a row of theirs leads back to. */
#include "ruleset_internal.h"

static void operand_columns(const struct operand *operand, const struct source *source,
                            uint64_t *bits)
{
    if (!operand)
        return;
    if (operand->kind == OPERAND_COLUMN && operand->source == source)
        set_column_bit(bits, operand->column);
    for (size_t i = 0; i < operand->part_count; i++)
        operand_columns(operand->parts[i], source, bits);
}

void conjunct_columns(const struct conjunct *conjunct, const struct source *source, uint64_t *bits)
{
    operand_columns(conjunct->subject, source, bits);
    for (size_t i = 0; i < conjunct->atom_count; i++) {
        operand_columns(conjunct->atoms[i]->left, source, bits);
        operand_columns(conjunct->atoms[i]->right, source, bits);
    }
    for (size_t i = 0; i < conjunct->negation_count; i++)
        conjunct_columns(conjunct->negations[i], source, bits);
}

static void add_reader(struct compile_context *context, struct relation_rules *read,
                       const struct relation *reader)
{
    for (size_t i = 0; i < read->reader_count; i++) {
        if (read->readers[i] == reader)
            return;
    }
    read->readers = array_append(&context->rules->arena, read->readers, read->reader_count,
                                 sizeof reader, &reader);
    read->reader_count++;
}

/* reads: the conjunct whose columns matter, with its negations, even where the plan is without. */
static bool add_dependency(struct compile_context *context, const struct rule *rule,
                           const struct conjunct *conjunct, const struct conjunct *reads,
                           const struct source *source, bool is_exact)
{
    struct arena *arena = &context->rules->arena;
    struct plan_context planning = {arena, context->replica, &context->rules->built, context->err};
    uint64_t *columns = new_column_bits(arena, source->relation);
    conjunct_columns(reads, source, columns);
    struct dependency dependency = {
        .rule = rule, .source = source, .columns = columns, .is_exact = is_exact};
    dependency.plan = plan_build(&planning, conjunct, 1u << source->slot, false);
    if (!dependency.plan)
        return false;
    struct relation_rules *read = rules_of(context->rules, source->relation);
    read->dependencies = array_append(arena, read->dependencies, read->dependency_count,
                                      sizeof dependency, &dependency);
    read->dependency_count++;
    add_reader(context, read, rule->relation);
    return true;
}

/* a and b as one, without negations: all that may be affected, and more. */
static struct conjunct *relaxed(struct arena *arena, const struct conjunct *a,
                                const struct conjunct *b)
{
    struct conjunct *both = arena_calloc(arena, 1, sizeof *both);
    both->sources = arena_alloc(arena, (a->source_count + b->source_count + 1) * sizeof(void *));
    both->atoms = arena_alloc(arena, (a->atom_count + b->atom_count + 1) * sizeof(void *));
    const struct conjunct *parts[2] = {a, b};
    for (int i = 0; i < 2; i++) {
        for (size_t j = 0; j < parts[i]->source_count; j++)
            both->sources[both->source_count++] = parts[i]->sources[j];
        for (size_t j = 0; j < parts[i]->atom_count; j++)
            both->atoms[both->atom_count++] = parts[i]->atoms[j];
    }
    both->subject = a->subject;
    return both;
}

static bool add_negation_dependencies(struct compile_context *context, const struct rule *rule,
                                      const struct conjunct *outer, const struct conjunct *negation)
{
    struct conjunct *both = relaxed(&context->rules->arena, outer, negation);
    for (size_t i = 0; i < negation->source_count; i++) {
        if (!add_dependency(context, rule, both, negation, negation->sources[i], false))
            return false;
    }
    for (size_t i = 0; i < negation->negation_count; i++) {
        if (!add_negation_dependencies(context, rule, both, negation->negations[i]))
            return false;
    }
    return true;
}

bool add_dependencies(struct compile_context *context, const struct rule *rule,
                      const struct conjunct *conjunct, const struct source *target)
{
    struct arena *arena = &context->rules->arena;
    struct conjunct with_target = *conjunct;
    with_target.sources = arena_alloc(arena, (conjunct->source_count + 1) * sizeof(void *));
    if (conjunct->source_count)
        memcpy(with_target.sources, conjunct->sources, conjunct->source_count * sizeof(void *));
    with_target.sources[with_target.source_count++] = target;
    for (size_t i = 0; i < conjunct->source_count; i++) {
        if (!add_dependency(context, rule, &with_target, conjunct, conjunct->sources[i], true))
            return false;
    }
    for (size_t i = 0; i < conjunct->negation_count; i++) {
        if (!add_negation_dependencies(context, rule, &with_target, conjunct->negations[i]))
            return false;
    }
    return true;
}
