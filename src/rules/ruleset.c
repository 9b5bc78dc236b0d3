/* Compiling rules. */
#include "ruleset_internal.h"

#include "weir/base/check.h"
#include "weir/base/json.h"

#include <stdlib.h>

static int by_relation(const void *a, const void *b)
{
    uintptr_t x = (uintptr_t)(*(struct relation_rules *const *)a)->relation;
    uintptr_t y = (uintptr_t)(*(struct relation_rules *const *)b)->relation;
    return (x > y) - (x < y);
}

struct relation_rules *rules_of(const struct ruleset *rules, const struct relation *relation)
{
    struct relation_rules wanted = {.relation = relation}, *key = &wanted;
    struct relation_rules **found =
        bsearch(&key, rules->by_address, rules->relation_count, sizeof key, by_relation);
    return found ? *found : NULL;
}

uint64_t *new_column_bits(struct arena *arena, const struct relation *relation)
{
    return arena_calloc(arena, relation->column_count / 64 + 1, sizeof(uint64_t));
}

void set_column_bit(uint64_t *bits, size_t column)
{
    bits[column / 64] |= (uint64_t)1 << column % 64;
}

bool columns_differ(const struct relation *relation, const uint64_t *bits, struct row a,
                    struct row b)
{
    for (size_t i = 0; i < relation->column_count; i++) {
        if (bits[i / 64] >> i % 64 & 1 &&
            !slice_eq(row_column(relation, a, i), row_column(relation, b, i)))
            return true;
    }
    return false;
}

/* What a rule names */

/* `name`, `"Name"`, schema.name, as regclass prints them. */
static bool parse_identifier(const char **at, const char *end, struct buffer *out)
{
    buffer_clear(out);
    if (*at < end && **at == '"') {
        for (++*at; *at < end; ++*at) {
            if (**at == '"' && (*at + 1 == end || (*at)[1] != '"')) {
                ++*at;
                return true;
            }
            *at += **at == '"';
            buffer_add_char(out, **at);
        }
        return false;
    }
    while (*at < end && **at != '.')
        buffer_add_char(out, *(*at)++);
    return out->len > 0;
}

static bool parse_name(struct slice name, struct buffer *schema, struct buffer *table)
{
    const char *at = name.data, *end = name.data + name.len;
    return parse_identifier(&at, end, schema) && at < end && *at++ == '.' &&
           parse_identifier(&at, end, table) && at == end;
}

static const struct relation *find_target(const struct compile_context *context, struct slice name)
{
    struct buffer schema = BUFFER_INIT, table = BUFFER_INIT;
    const struct relation *relation = NULL;
    if (parse_name(name, &schema, &table))
        relation =
            relation_set_find(context->relations, buffer_slice(&schema), buffer_slice(&table));
    buffer_release(&schema);
    buffer_release(&table);
    return relation;
}

static bool parse_columns(struct compile_context *context, struct rule *rule, struct err *err)
{
    struct json_scan scan = json_scan_of(rule->definition.columns);
    struct json_value item;
    enum json_step step;
    if (!json_array_begin(&scan))
        return true; /* null: all columns */
    uint64_t *bits = new_column_bits(&context->rules->arena, rule->relation);
    struct buffer scratch = BUFFER_INIT;
    bool first = true, ok = true;
    while (ok && (step = json_array_next(&scan, first, &item)) == JSON_STEP_ITEM) {
        struct slice name = json_text(item.raw, &scratch);
        int column = item.kind == JSON_STRING ? relation_find_column(rule->relation, name) : -1;
        if (column >= 0) {
            set_column_bit(bits, (size_t)column);
        } else {
            err_set(err, "column \"%.*s\" of %.*s is not published", SLICE_ARG(name),
                    SLICE_ARG(rule->relation->name));
            ok = err_hint(err, "write the rule's columns anew; or where the table still has it, "
                               "include it in the publication's column list");
        }
        first = false;
    }
    buffer_release(&scratch);
    rule->columns = bits;
    return ok;
}

/* Rules */

static bool add_branch(struct compile_context *context, struct rule *rule,
                       const struct conjunct *conjunct, const struct source *target)
{
    struct plan_context planning = {&context->rules->arena, context->replica,
                                    &context->rules->built, context->err};
    struct rule_branch *branch = &rule->branches[rule->branch_count++];
    uint32_t given = 1u << TARGET_SLOT;
    branch->by_target = plan_build(&planning, conjunct, given, false);
    branch->by_subject = plan_build(&planning, conjunct, given, true);
    if (!branch->by_target || !branch->by_subject)
        return false;
    struct relation_rules *own = rules_of(context->rules, rule->relation);
    conjunct_columns(conjunct, target, own->target_columns);
    return add_dependencies(context, rule, conjunct, target);
}

/* Everything that can be refused; refusals go to err. */
static bool analyse(struct compile_context *context, struct rule *rule,
                    struct parse_context *parsing, struct conjunct_list *conjuncts, struct err *err)
{
    rule->relation = rule->definition.relation_oid
                         ? relation_set_by_oid(context->relations, rule->definition.relation_oid)
                         : find_target(context, rule->definition.relation);
    if (!rule->relation) {
        err_set(err, "table %.*s is not in the publication", SLICE_ARG(rule->definition.relation));
        return err_hint(err,
                        "ALTER PUBLICATION ... ADD TABLE %.*s; where it is in it, weir doctor says "
                        "why it is left out",
                        SLICE_ARG(rule->definition.relation));
    }
    if (rule->relation->has_heirs) {
        err_set(err,
                "table %.*s has tables that inherit from it, whose rows cannot be followed as its "
                "own",
                SLICE_ARG(rule->definition.relation));
        return err_hint(err, "ALTER TABLE ... NO INHERIT %.*s; -- or partition it",
                        SLICE_ARG(rule->definition.relation));
    }
    *parsing = (struct parse_context){.arena = &context->rules->arena,
                                      .relations = context->relations,
                                      .target = rule->relation,
                                      .literals = context->literals,
                                      .err = err};
    struct query *query = rule_query_parse(parsing, rule->definition.audience);
    return query && rule_query_normalize(parsing, query, conjuncts) &&
           parse_columns(context, rule, err) && ensure_channel(context, rule, err);
}

static void refuse(struct compile_context *context, struct rule *rule, const struct err *refusal)
{
    struct arena *arena = &context->rules->arena;
    struct buffer schema = BUFFER_INIT, table = BUFFER_INIT;
    rule->reason = arena_strdup(arena, refusal->message);
    rule->hint = refusal->hint[0] ? arena_strdup(arena, refusal->hint) : NULL;
    if (rule->relation)
        note_refused_channel(context->rules, rule, rule->relation->name);
    else if (parse_name(rule->definition.relation, &schema, &table))
        note_refused_channel(context->rules, rule, buffer_slice(&table));
    buffer_release(&schema);
    buffer_release(&table);
}

static bool compile_rule(struct compile_context *context, struct rule *rule)
{
    struct arena *arena = &context->rules->arena;
    struct parse_context parsing;
    struct conjunct_list conjuncts = {0};
    struct err refusal = {0};
    if (context->literals && context->literals->begin_rule)
        context->literals->begin_rule(context->literals->context, &rule->definition);
    if (!analyse(context, rule, &parsing, &conjuncts, &refusal)) {
        refuse(context, rule, &refusal);
        return true;
    }
    rule->branches = arena_calloc(arena, conjuncts.count + 1, sizeof *rule->branches);
    rule->target = parsing.target_source;
    rule->reads = arena_copy(arena, slice_of((const char *)parsing.reads, sizeof parsing.reads));
    for (size_t i = 0; i < conjuncts.count; i++) {
        if (!add_branch(context, rule, conjuncts.items[i], parsing.target_source))
            return false;
    }
    struct relation_rules *own = rules_of(context->rules, rule->relation);
    for (size_t i = 0; i < rule->branch_count; i++) {
        const struct rule_branch *branch = &rule->branches[i];
        struct shown_branch shown = {branch->by_target, rule->channel, rule->columns, branch, rule};
        own->branches = array_append(arena, own->branches, own->branch_count, sizeof shown, &shown);
        own->branch_count++;
    }
    rule->channel->has_column_lists |= rule->columns != NULL;
    rule->is_active = true;
    return true;
}

static struct rule_definition copy_definition(struct arena *arena,
                                              const struct rule_definition *from)
{
    return (struct rule_definition){
        .name = arena_copy(arena, from->name),
        .relation = arena_copy(arena, from->relation),
        .relation_oid = from->relation_oid,
        .audience = arena_copy(arena, from->audience),
        .columns = arena_copy(arena, from->columns),
        .type = arena_copy(arena, from->type),
        .stream = arena_copy(arena, from->stream),
    };
}

static void index_plans(struct arena *arena, struct relation_rules *relation)
{
    size_t most = relation->branch_count > relation->dependency_count ? relation->branch_count
                                                                      : relation->dependency_count;
    struct plan **plans = arena_alloc(arena, (most + 1) * sizeof *plans);
    const struct source **given = arena_alloc(arena, (most + 1) * sizeof *given);
    for (size_t i = 0; i < relation->branch_count; i++) {
        plans[i] = relation->branches[i].branch->by_target;
        given[i] = relation->branches[i].rule->target;
    }
    plan_index_build(&relation->branch_index, arena, plans, given, relation->branch_count);
    for (size_t i = 0; i < relation->dependency_count; i++) {
        plans[i] = relation->dependencies[i].plan;
        given[i] = relation->dependencies[i].source;
    }
    plan_index_build(&relation->dependency_index, arena, plans, given, relation->dependency_count);
}

/* Of what same_definition() compares. */
static uint64_t definition_hash(const struct rule *rule)
{
    const struct hash_key *key = hash_process_key();
    const struct slice parts[] = {rule->definition.audience, rule->definition.columns,
                                  rule->definition.type, rule->definition.stream};
    uint64_t hash = 0;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        hash = hash * 31 + hash64(key, parts[i]);
    return hash;
}

bool ruleset_compile(const struct rule_definition *definitions, size_t definition_count,
                     const struct relation_set *relations, struct replica *replica,
                     const struct rule_literals *literals, struct ruleset **out, struct err *err)
{
    struct ruleset *rules = calloc(1, sizeof *rules);
    check(rules != NULL);
    struct compile_context context = {rules, relations, replica, literals, err};
    rules->relation_count = relations->count;
    rules->relations = arena_calloc(&rules->arena, relations->count + 1, sizeof *rules->relations);
    rules->by_address = arena_alloc(&rules->arena, (relations->count + 1) * sizeof(void *));
    for (size_t i = 0; i < relations->count; i++) {
        rules->by_address[i] = &rules->relations[i];
        rules->relations[i].relation = relations->relations[i];
        rules->relations[i].target_columns =
            new_column_bits(&rules->arena, relations->relations[i]);
    }
    qsort(rules->by_address, relations->count, sizeof(void *), by_relation);
    rules->rules = arena_calloc(&rules->arena, definition_count + 1, sizeof *rules->rules);
    for (size_t i = 0; i < definition_count; i++) {
        struct rule *rule = &rules->rules[rules->rule_count++];
        rule->definition = copy_definition(&rules->arena, &definitions[i]);
        if (!compile_rule(&context, rule)) {
            ruleset_free(rules);
            return false;
        }
        rule->hash = definition_hash(rule);
    }
    for (size_t i = 0; i < rules->relation_count; i++)
        index_plans(&rules->arena, &rules->relations[i]);
    *out = rules;
    return true;
}

void ruleset_free(struct ruleset *rules)
{
    if (!rules)
        return;
    evaluation_release(&rules->evaluation);
    arena_release(&rules->arena);
    free(rules);
}

size_t ruleset_rule_count(const struct ruleset *rules)
{
    return rules->rule_count;
}

struct rule_status ruleset_rule_status(const struct ruleset *rules, size_t index)
{
    const struct rule *rule = &rules->rules[index];
    return (struct rule_status){rule->definition.name, rule->is_active, rule->reason, rule->hint};
}
