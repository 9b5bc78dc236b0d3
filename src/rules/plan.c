#include "plan.h"

#include "access.h"
#include "alike.h"
#include "distinct.h"
#include "slots.h"

enum { BUILT_PLANS_MAX = 256 };

/* One plan being built. */
struct planner {
    struct plan_context *context;
    const struct conjunct *conjunct;
    uint32_t bound;
    uint32_t open;    /* sources that have neither a step nor are in a witness's plan */
    uint32_t current; /* of open: those that conditions connect with the last step */
    uint32_t answer;  /* what is asked for */
    bool has_subject;
    bool is_question; /* whether there are such rows: the first will do */
};

static void *array_of(const struct planner *planner, size_t count)
{
    return arena_calloc(planner->context->arena, count + 1, sizeof(void *));
}

/* Filters that became testable with the row of the step; of what is given, without one. */
static void fill_filters(const struct planner *planner, struct plan_level *level,
                         const struct plan_step *step, const struct equalities *found)
{
    const struct conjunct *conjunct = planner->conjunct;
    uint32_t bound = planner->bound, before = step ? bound & ~slot_bit(step->source) : 0;
    level->filters = array_of(planner, conjunct->atom_count);
    level->filter_count = 0;
    for (size_t i = 0; i < conjunct->atom_count; i++) {
        const struct condition *atom = conjunct->atoms[i];
        uint32_t slots = atom_slots(atom);
        if ((step && !(slots & ~before)) || (slots & ~bound) ||
            (step && step_uses(step, found, atom)))
            continue;
        level->filters[level->filter_count++] = atom;
    }
}

static bool fill_level(const struct planner *planner, struct plan_level *level,
                       const struct plan_step *step, const struct equalities *found)
{
    const struct conjunct *conjunct = planner->conjunct;
    uint32_t bound = planner->bound, before = step ? bound & ~slot_bit(step->source) : 0;
    fill_filters(planner, level, step, found);
    level->negations = array_of(planner, conjunct->negation_count);
    for (size_t i = 0; i < conjunct->negation_count; i++) {
        uint32_t slots = negation_slots(conjunct->negations[i]);
        if ((step && !(slots & ~before)) || (slots & ~bound))
            continue;
        struct plan *plan = plan_build(planner->context, conjunct->negations[i], bound, false);
        if (!plan)
            return false;
        level->negations[level->negation_count++] = plan;
    }
    if (planner->has_subject) {
        uint32_t slots = operand_slots(conjunct->subject);
        level->checks_subject = !(slots & ~bound) && (!step || (slots & ~before));
    }
    return true;
}

/* The source among those of slots that is best read next. */
static const struct source *best_source(const struct planner *planner, uint32_t slots,
                                        struct equalities *found)
{
    const struct source *best = NULL;
    struct equalities each;
    for (size_t i = 0; i < planner->conjunct->source_count; i++) {
        const struct source *source = planner->conjunct->sources[i];
        if (!(slot_bit(source) & slots))
            continue;
        find_equalities(planner->conjunct, source, planner->bound, planner->has_subject, &each);
        if (!best || access_rank(source, &each) > access_rank(best, found)) {
            best = source;
            *found = each;
        }
    }
    return best;
}

static uint32_t component(const struct planner *planner, uint32_t from)
{
    return component_slots(planner->conjunct, from, planner->open, planner->has_subject);
}

/* The conjunct's part that is about the sources of slots. */
static struct conjunct *part_of(const struct planner *planner, uint32_t slots)
{
    const struct conjunct *whole = planner->conjunct;
    struct conjunct *part = arena_calloc(planner->context->arena, 1, sizeof *part);
    part->sources = array_of(planner, whole->source_count);
    part->atoms = array_of(planner, whole->atom_count);
    part->negations = array_of(planner, whole->negation_count);
    for (size_t i = 0; i < whole->source_count; i++) {
        if (slot_bit(whole->sources[i]) & slots)
            part->sources[part->source_count++] = whole->sources[i];
    }
    for (size_t i = 0; i < whole->atom_count; i++) {
        if (atom_slots(whole->atoms[i]) & slots)
            part->atoms[part->atom_count++] = whole->atoms[i];
    }
    for (size_t i = 0; i < whole->negation_count; i++) {
        if (negation_slots(whole->negations[i]) & slots)
            part->negations[part->negation_count++] = whole->negations[i];
    }
    return part;
}

static bool add_witness(const struct planner *planner, struct plan_level *level, uint32_t slots)
{
    struct conjunct *part = part_of(planner, slots);
    bool has_subject =
        planner->has_subject && (operand_slots(planner->conjunct->subject) & slots) != 0;
    if (has_subject)
        part->subject = planner->conjunct->subject;
    if (!level->witnesses)
        level->witnesses = array_of(planner, planner->conjunct->source_count);
    struct plan *plan = plan_build(planner->context, part, planner->bound, has_subject);
    level->witnesses[level->witness_count++] = plan;
    return plan != NULL;
}

/* What is left falls into parts that no condition connects. Those that hold nothing of the answer
 * need one row, whatever the others are: they are asked about here, once, the most easily found
 * first. A question keeps the last of them for its own steps. */
static bool split_witnesses(struct planner *planner, struct plan_level *level)
{
    struct equalities found;
    uint32_t others = planner->open;
    if (planner->answer & planner->open)
        others &= ~component(planner, planner->answer & planner->open);
    while (others) {
        uint32_t slots = component(planner, slot_bit(best_source(planner, others, &found)));
        if (planner->is_question && slots == planner->open)
            break;
        if (!add_witness(planner, level, slots))
            return false;
        planner->open &= ~slots;
        others &= ~slots;
    }
    return true;
}

static bool add_step(struct planner *planner, struct plan *plan)
{
    struct equalities found;
    uint32_t slots = planner->current ? planner->current : planner->open;
    struct plan_step *step = &plan->steps[plan->step_count++];
    step->source = best_source(planner, slots, &found);
    uint32_t bit = slot_bit(step->source);
    if (!planner->current)
        planner->current = component(planner, bit);
    if (!choose_access(planner->context, step, &found))
        return false;
    planner->bound |= bit;
    planner->open &= ~bit;
    if (!fill_level(planner, &step->level, step, &found) || !split_witnesses(planner, &step->level))
        return false;
    planner->current &= planner->open;
    return true;
}

static bool build_steps(struct planner *planner, struct plan *plan, uint32_t given)
{
    const struct conjunct *conjunct = planner->conjunct;
    struct arena *arena = planner->context->arena;
    plan->steps = arena_calloc(arena, conjunct->source_count + 1, sizeof *plan->steps);
    for (size_t i = 0; i < conjunct->source_count; i++)
        planner->open |= slot_bit(conjunct->sources[i]) & ~given;
    if (!planner->is_question)
        planner->answer = operand_slots(conjunct->subject) | 1u << TARGET_SLOT;
    if (!fill_level(planner, &plan->given, NULL, NULL) || !split_witnesses(planner, &plan->given))
        return false;
    while (planner->open) {
        if (!add_step(planner, plan))
            return false;
    }
    plan_find_distinct(plan, arena, given);
    return true;
}

/* One that differs in no more than what it asks of the given rows alone. */
static const struct plan *find_alike(const struct planner *planner, uint32_t given)
{
    const struct built_plans *built = planner->context->built;
    for (size_t i = 0; i < built->count && i < BUILT_PLANS_MAX; i++) {
        const struct built_plan *each = &built->items[i];
        if (each->given == given && each->has_subject == planner->has_subject &&
            conjunct_alike(each->conjunct, planner->conjunct, given))
            return each->plan;
    }
    return NULL;
}

static void keep_built(const struct planner *planner, uint32_t given, const struct plan *plan)
{
    struct built_plans *built = planner->context->built;
    struct arena *arena = planner->context->arena;
    struct conjunct *conjunct = arena_alloc(arena, sizeof *conjunct);
    *conjunct = *planner->conjunct;
    if (!built->items)
        built->items = arena_calloc(arena, BUILT_PLANS_MAX, sizeof *built->items);
    built->items[built->count++ % BUILT_PLANS_MAX] =
        (struct built_plan){conjunct, given, planner->has_subject, plan};
}

struct plan *plan_build(struct plan_context *context, const struct conjunct *conjunct,
                        uint32_t given, bool has_subject)
{
    struct plan *plan = arena_calloc(context->arena, 1, sizeof *plan);
    struct planner planner = {.context = context,
                              .conjunct = conjunct,
                              .bound = given,
                              .has_subject = has_subject,
                              .is_question = has_subject || !conjunct->subject};
    const struct plan *alike = find_alike(&planner, given);
    if (alike) {
        *plan = *alike;
        fill_filters(&planner, &plan->given, NULL, NULL);
        return plan;
    }
    plan->subject = conjunct->subject;
    plan->emits_subject = !planner.is_question;
    if (!build_steps(&planner, plan, given))
        return NULL;
    keep_built(&planner, given, plan);
    return plan;
}
