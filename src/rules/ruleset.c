/* Compiling rules, and answering by running their plans. */
#include "audience.h"
#include "plan_index.h"

#include "weir/base/check.h"
#include "weir/base/json.h"
#include "weir/base/percent.h"

#include <stdlib.h>

/* One conjunct of a rule with the plans that do not start from another table. */
struct rule_branch {
    struct plan *by_target;  /* who sees this row? */
    struct plan *by_subject; /* does the subject see this row? */
};

struct rule {
    struct rule_definition definition;
    uint64_t hash; /* of what same_definition() compares */
    bool is_active;
    bool is_edited; /* set by ruleset_affected_by_edit() */
    char *reason, *hint;
    const struct relation *relation;
    struct channel *channel;
    const uint64_t *columns; /* bit set; NULL: all */
    struct rule_branch *branches;
    size_t branch_count;
    const struct source *target; /* the row that is shown, in the branches */
};

/* A table that a rule reads: what a change of its row affects. */
struct dependency {
    const struct rule *rule;
    const struct source *source;
    const uint64_t *columns; /* of the source that matter */
    struct plan *plan;       /* from the source's row to target rows and subjects */
    bool is_exact;           /* what the plan finds is visible; else only candidates */
};

/* One branch of an active rule that shows the relation. */
struct shown_branch {
    struct rule *rule;
    const struct rule_branch *branch;
};

struct relation_rules {
    const struct relation *relation;
    struct shown_branch *branches; /* in the order of their rules */
    size_t branch_count;
    struct plan_index branch_index;
    uint64_t *target_columns; /* that decide a row's own audience */
    struct dependency *dependencies; /* of rules that read the relation */
    size_t dependency_count;
    struct plan_index dependency_index;
    const struct relation **readers; /* the relations that those rules show, each once */
    size_t reader_count;
};

struct ruleset {
    struct arena arena;
    struct rule *rules;
    size_t rule_count;
    struct channel **channels;
    size_t channel_count;
    struct relation_rules *relations; /* as in the relation_set: what depends on their order is
                                         the same in every process */
    struct relation_rules **by_address; /* of their relation, to find them */
    size_t relation_count;
    struct evaluation evaluation;
};

struct compile_context {
    struct ruleset *rules;
    const struct relation_set *relations;
    struct replica *replica;
    const struct rule_literals *literals;
    struct err *err; /* of the replica */
};

/* Growing arrays in the ruleset's arena, with room for the next power of two. */
static void *append(struct arena *arena, void *items, size_t count, size_t item_size,
                    const void *item)
{
    char *grown = items;
    if ((count & (count - 1)) == 0) {
        grown = arena_alloc(arena, (count ? count * 2 : 1) * item_size);
        if (count)
            memcpy(grown, items, count * item_size);
    }
    memcpy(grown + count * item_size, item, item_size);
    return grown;
}

static int by_relation(const void *a, const void *b)
{
    uintptr_t x = (uintptr_t)(*(struct relation_rules *const *)a)->relation;
    uintptr_t y = (uintptr_t)(*(struct relation_rules *const *)b)->relation;
    return (x > y) - (x < y);
}

static struct relation_rules *rules_of(const struct ruleset *rules,
                                       const struct relation *relation)
{
    struct relation_rules wanted = {.relation = relation}, *key = &wanted;
    struct relation_rules **found =
        bsearch(&key, rules->by_address, rules->relation_count, sizeof key, by_relation);
    return found ? *found : NULL;
}

static uint64_t *new_column_bits(struct arena *arena, const struct relation *relation)
{
    return arena_calloc(arena, relation->column_count / 64 + 1, sizeof(uint64_t));
}

static void set_bit(uint64_t *bits, size_t column)
{
    bits[column / 64] |= (uint64_t)1 << column % 64;
}

/* Names and patterns */

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

static const struct relation *find_target(const struct compile_context *context,
                                          struct slice name)
{
    struct buffer schema = BUFFER_INIT, table = BUFFER_INIT;
    const char *at = name.data, *end = name.data + name.len;
    const struct relation *relation = NULL;
    if (parse_identifier(&at, end, &schema) && at < end && *at++ == '.' &&
        parse_identifier(&at, end, &table) && at == end)
        relation = relation_set_find(context->relations, buffer_slice(&schema),
                                     buffer_slice(&table));
    buffer_release(&schema);
    buffer_release(&table);
    return relation;
}

static bool only_dots(struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] != '.')
            return false;
    }
    return true;
}

/* Encodes the literal text between slashes. */
static void encode_pattern(struct buffer *out, struct slice text)
{
    const char *slash;
    while ((slash = text.len ? memchr(text.data, '/', text.len) : NULL)) {
        percent_encode_segment(out, slice_of(text.data, (size_t)(slash - text.data)));
        buffer_add_char(out, '/');
        text = slice_of(slash + 1, text.len - (size_t)(slash - text.data) - 1);
    }
    percent_encode_segment(out, text);
}

static bool split_pattern(struct slice pattern, struct slice *before, struct slice *after,
                          struct err *err)
{
    static const char mark[] = "{subject}";
    const char *at = memmem(pattern.data, pattern.len, mark, sizeof mark - 1);
    if (!at) {
        err_set(err, "the stream pattern \"%.*s\" has no {subject}", SLICE_ARG(pattern));
        return err_hint(err, "such as user/{subject}/data");
    }
    *before = slice_of(pattern.data, (size_t)(at - pattern.data));
    *after = slice_of(at + sizeof mark - 1, pattern.len - before->len - (sizeof mark - 1));
    const char *slash = before->len ? memrchr(before->data, '/', before->len) : NULL;
    struct slice head = slash ? slice_of(slash + 1, before->len - (size_t)(slash - before->data) - 1)
                              : *before;
    slash = after->len ? memchr(after->data, '/', after->len) : NULL;
    struct slice tail = slash ? slice_of(after->data, (size_t)(slash - after->data)) : *after;
    /* A subject of dots must not make the segment "..", which clients fold away. */
    if ((head.len || tail.len) && only_dots(head) && only_dots(tail))
        return err_set(err, "the stream pattern \"%.*s\" puts only dots around {subject}",
                       SLICE_ARG(pattern));
    return true;
}

static bool ensure_channel(struct compile_context *context, struct rule *rule, struct err *err)
{
    struct ruleset *rules = context->rules;
    struct arena *arena = &rules->arena;
    struct slice type =
        rule->definition.type.len ? rule->definition.type : rule->relation->name;
    struct slice before, after;
    if (!split_pattern(rule->definition.stream, &before, &after, err))
        return false;
    struct channel channel = {.id = (uint32_t)rules->channel_count, .relation = rule->relation};
    struct buffer text = BUFFER_INIT;
    json_add_string(&text, type);
    channel.type_json = arena_copy(arena, buffer_slice(&text));
    buffer_clear(&text);
    encode_pattern(&text, before);
    channel.stream_prefix = arena_copy(arena, buffer_slice(&text));
    buffer_clear(&text);
    encode_pattern(&text, after);
    channel.stream_suffix = arena_copy(arena, buffer_slice(&text));
    buffer_clear(&text);
    buffer_printf(&text, "%u %.*s %.*s{}%.*s", rule->relation->oid, SLICE_ARG(channel.type_json),
                  SLICE_ARG(channel.stream_prefix), SLICE_ARG(channel.stream_suffix));
    channel.identity = arena_copy(arena, buffer_slice(&text));
    buffer_release(&text);
    for (size_t i = 0; i < rules->channel_count; i++) {
        struct channel *other = rules->channels[i];
        if (slice_eq(other->identity, channel.identity)) {
            rule->channel = other;
            return true;
        }
        if (other->relation != channel.relation && slice_eq(other->type_json, channel.type_json) &&
            slice_eq(other->stream_prefix, channel.stream_prefix) &&
            slice_eq(other->stream_suffix, channel.stream_suffix)) {
            err_set(err, "rows of %.*s and of %.*s would both be of type %.*s in the same streams",
                    SLICE_ARG(channel.relation->name), SLICE_ARG(other->relation->name),
                    SLICE_ARG(channel.type_json));
            return err_hint(err, "give one of the rules another type");
        }
    }
    rule->channel = arena_alloc(arena, sizeof channel);
    *rule->channel = channel;
    rules->channels = append(arena, rules->channels, rules->channel_count, sizeof(struct channel *),
                             &rule->channel);
    rules->channel_count++;
    return true;
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
        if (column >= 0)
            set_bit(bits, (size_t)column);
        else
            ok = err_set(err, "column \"%.*s\" of %.*s is not published", SLICE_ARG(name),
                         SLICE_ARG(rule->relation->name));
        first = false;
    }
    buffer_release(&scratch);
    rule->columns = bits;
    return ok;
}

/* Which columns of a source a conjunct looks at */

static void operand_columns(const struct operand *operand, const struct source *source,
                            uint64_t *bits)
{
    if (!operand)
        return;
    if (operand->kind == OPERAND_COLUMN && operand->source == source)
        set_bit(bits, operand->column);
    for (size_t i = 0; i < operand->part_count; i++)
        operand_columns(operand->parts[i], source, bits);
}

static void conjunct_columns(const struct conjunct *conjunct, const struct source *source,
                             uint64_t *bits)
{
    operand_columns(conjunct->subject, source, bits);
    for (size_t i = 0; i < conjunct->atom_count; i++) {
        operand_columns(conjunct->atoms[i]->left, source, bits);
        operand_columns(conjunct->atoms[i]->right, source, bits);
    }
    for (size_t i = 0; i < conjunct->negation_count; i++)
        conjunct_columns(conjunct->negations[i], source, bits);
}

/* Dependencies */

static void add_reader(struct compile_context *context, struct relation_rules *read,
                       const struct relation *reader)
{
    for (size_t i = 0; i < read->reader_count; i++) {
        if (read->readers[i] == reader)
            return;
    }
    read->readers = append(&context->rules->arena, read->readers, read->reader_count,
                           sizeof reader, &reader);
    read->reader_count++;
}

/* reads: the conjunct whose columns matter, with its negations, even where the plan is without. */
static bool add_dependency(struct compile_context *context, const struct rule *rule,
                           const struct conjunct *conjunct, const struct conjunct *reads,
                           const struct source *source, bool is_exact)
{
    struct arena *arena = &context->rules->arena;
    struct plan_context planning = {arena, context->replica, context->err};
    uint64_t *columns = new_column_bits(arena, source->relation);
    conjunct_columns(reads, source, columns);
    struct dependency dependency = {
        .rule = rule, .source = source, .columns = columns, .is_exact = is_exact};
    dependency.plan = plan_build(&planning, conjunct, 1u << source->slot, false);
    if (!dependency.plan)
        return false;
    struct relation_rules *read = rules_of(context->rules, source->relation);
    read->dependencies = append(arena, read->dependencies, read->dependency_count,
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
                                      const struct conjunct *outer,
                                      const struct conjunct *negation)
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

static bool add_dependencies(struct compile_context *context, const struct rule *rule,
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

/* Rules */

static bool add_branch(struct compile_context *context, struct rule *rule,
                       const struct conjunct *conjunct, const struct source *target)
{
    struct plan_context planning = {&context->rules->arena, context->replica, context->err};
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
                    struct parse_context *parsing, struct conjunct_list *conjuncts,
                    struct err *err)
{
    rule->relation = rule->definition.relation_oid
                         ? relation_set_by_oid(context->relations, rule->definition.relation_oid)
                         : find_target(context, rule->definition.relation);
    if (!rule->relation) {
        err_set(err, "table %.*s is not in the publication", SLICE_ARG(rule->definition.relation));
        return err_hint(err, "ALTER PUBLICATION ... ADD TABLE %.*s",
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

static bool compile_rule(struct compile_context *context, struct rule *rule)
{
    struct arena *arena = &context->rules->arena;
    struct parse_context parsing;
    struct conjunct_list conjuncts = {0};
    struct err refusal = {0};
    if (!analyse(context, rule, &parsing, &conjuncts, &refusal)) {
        rule->reason = arena_strdup(arena, refusal.message);
        rule->hint = refusal.hint[0] ? arena_strdup(arena, refusal.hint) : NULL;
        return true;
    }
    rule->branches = arena_calloc(arena, conjuncts.count + 1, sizeof *rule->branches);
    rule->target = parsing.target_source;
    for (size_t i = 0; i < conjuncts.count; i++) {
        if (!add_branch(context, rule, conjuncts.items[i], parsing.target_source))
            return false;
    }
    struct relation_rules *own = rules_of(context->rules, rule->relation);
    for (size_t i = 0; i < rule->branch_count; i++) {
        struct shown_branch shown = {rule, &rule->branches[i]};
        own->branches = append(arena, own->branches, own->branch_count, sizeof shown, &shown);
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
    const struct plan **plans = arena_alloc(arena, (most + 1) * sizeof *plans);
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
    plan_index_build(&relation->dependency_index, arena, plans, given,
                     relation->dependency_count);
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
    rules->relations =
        arena_calloc(&rules->arena, relations->count + 1, sizeof *rules->relations);
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

/* Questions */

struct audience_collection {
    struct audience *audience;
    const struct rule *rule;
};

static bool collect_member(struct evaluation *evaluation, struct slice subject)
{
    struct audience_collection *collection = evaluation->context;
    audience_add(collection->audience, collection->rule->channel, subject,
                 collection->rule->columns);
    return true;
}

void ruleset_audience(struct ruleset *rules, const struct state *state,
                      const struct relation *relation, struct row row, struct audience *audience)
{
    struct relation_rules *own = rules_of(rules, relation);
    struct evaluation *evaluation = &rules->evaluation;
    struct audience_collection collection = {audience, NULL};
    if (!own)
        return;
    evaluation->state = state;
    evaluation->emit = collect_member;
    evaluation->context = &collection;
    struct plan_list possible = plan_index_find(&own->branch_index, evaluation, row);
    for (size_t i = 0; i < possible.count; i++) {
        const struct shown_branch *shown = &own->branches[possible.items[i]];
        collection.rule = shown->rule;
        evaluation->rows[TARGET_SLOT] = row;
        plan_run(shown->branch->by_target, evaluation);
    }
    evaluation->context = NULL;
}

static bool note_found(struct evaluation *evaluation, struct slice subject)
{
    (void)subject;
    *(bool *)evaluation->context = true;
    return false;
}

static bool branch_shows(struct ruleset *rules, const struct rule_branch *branch, struct row row)
{
    bool found = false;
    rules->evaluation.context = &found;
    rules->evaluation.rows[TARGET_SLOT] = row;
    plan_run(branch->by_subject, &rules->evaluation);
    rules->evaluation.context = NULL;
    return found;
}

bool ruleset_is_visible(struct ruleset *rules, const struct state *state, struct row row,
                        const struct channel *channel, struct slice subject, struct arena *arena,
                        const uint64_t **columns)
{
    struct relation_rules *own = rules_of(rules, channel->relation);
    const struct rule *shown_by = NULL; /* the last one that was found to show it */
    if (!own)
        return false;
    rules->evaluation.state = state;
    rules->evaluation.emit = note_found;
    rules->evaluation.subject = subject;
    struct plan_list possible = plan_index_find(&own->branch_index, &rules->evaluation, row);
    for (size_t i = 0; i < possible.count; i++) {
        const struct shown_branch *shown = &own->branches[possible.items[i]];
        if (shown->rule == shown_by || !slice_eq(shown->rule->channel->identity, channel->identity))
            continue;
        if (!branch_shows(rules, shown->branch, row))
            continue;
        *columns = shown_by ? columns_union(arena, channel->relation, *columns, shown->rule->columns)
                            : shown->rule->columns;
        shown_by = shown->rule;
        if (!*columns)
            return true;
    }
    return shown_by != NULL;
}

/* The subject is one segment, or a part of one. */
static bool channel_leads_to(const struct channel *channel, struct slice path)
{
    struct slice prefix = channel->stream_prefix, suffix = channel->stream_suffix;
    if (path.len < prefix.len + suffix.len || !slice_starts_with(path, prefix) ||
        memcmp(path.data + path.len - suffix.len, suffix.data, suffix.len) != 0)
        return false;
    return !memchr(path.data + prefix.len, '/', path.len - prefix.len - suffix.len);
}

bool ruleset_may_write(const struct ruleset *rules, struct slice path, struct slice type_json)
{
    for (size_t i = 0; i < rules->channel_count; i++) {
        if (slice_eq(rules->channels[i]->type_json, type_json) &&
            channel_leads_to(rules->channels[i], path))
            return true;
    }
    return false;
}

bool ruleset_has_channels(const struct ruleset *rules, const struct relation *relation)
{
    const struct relation_rules *own = rules_of(rules, relation);
    return own && own->branch_count > 0;
}

static bool columns_differ(const struct relation *relation, const uint64_t *bits, struct row a,
                           struct row b)
{
    for (size_t i = 0; i < relation->column_count; i++) {
        if (bits[i / 64] >> i % 64 & 1 &&
            !slice_eq(row_column(relation, a, i), row_column(relation, b, i)))
            return true;
    }
    return false;
}

bool ruleset_target_columns_differ(const struct ruleset *rules, const struct relation *relation,
                                   struct row a, struct row b)
{
    const struct relation_rules *own = rules_of(rules, relation);
    return own && columns_differ(relation, own->target_columns, a, b);
}

bool ruleset_reads(const struct ruleset *rules, const struct relation *target,
                   const struct relation *other)
{
    const struct relation_rules *read = rules_of(rules, other);
    for (size_t i = 0; read && i < read->reader_count; i++) {
        if (read->readers[i] == target)
            return true;
    }
    return false;
}

struct affected_collection {
    const struct rule *rule;
    bool is_visible;
    ruleset_affected_fn *fn;
    void *context;
};

static bool report_affected(struct evaluation *evaluation, struct slice subject)
{
    struct affected_collection *collection = evaluation->context;
    collection->fn(collection->context, collection->rule->channel, evaluation->rows[TARGET_SLOT],
                   subject, collection->is_visible);
    return true;
}

void ruleset_affected(struct ruleset *rules, const struct state *state,
                      const struct relation *relation, struct row row, struct row other,
                      ruleset_affected_fn *fn, void *context)
{
    struct relation_rules *read = rules_of(rules, relation);
    struct evaluation *evaluation = &rules->evaluation;
    struct affected_collection collection = {NULL, false, fn, context};
    if (!read)
        return;
    evaluation->state = state;
    evaluation->emit = report_affected;
    evaluation->context = &collection;
    struct plan_list possible = plan_index_find(&read->dependency_index, evaluation, row);
    for (size_t i = 0; i < possible.count; i++) {
        const struct dependency *dependency = &read->dependencies[possible.items[i]];
        if (row_exists(other) && !columns_differ(relation, dependency->columns, row, other))
            continue;
        collection.rule = dependency->rule;
        collection.is_visible = dependency->is_exact;
        evaluation->rows[dependency->source->slot] = row;
        plan_run(dependency->plan, evaluation);
    }
    evaluation->context = NULL;
}

static bool same_definition(const struct rule *a, const struct rule *b)
{
    return a->is_active && b->is_active && a->hash == b->hash && a->relation == b->relation &&
           slice_eq(a->definition.audience, b->definition.audience) &&
           slice_eq(a->definition.columns, b->definition.columns) &&
           slice_eq(a->definition.type, b->definition.type) &&
           slice_eq(a->definition.stream, b->definition.stream);
}

static bool holds_rule(const struct ruleset *rules, const struct rule *rule)
{
    for (size_t i = 0; i < rules->rule_count; i++) {
        if (same_definition(&rules->rules[i], rule))
            return true;
    }
    return false;
}

static bool shows_edited(const struct relation_rules *own)
{
    for (size_t i = 0; i < own->branch_count; i++) {
        if (own->branches[i].rule->is_edited)
            return true;
    }
    return false;
}

/* One walk over the table for all its edited rules. */
static void report_edited(struct ruleset *rules, struct relation_rules *own,
                          const struct state *state)
{
    struct evaluation *evaluation = &rules->evaluation;
    struct affected_collection *collection = evaluation->context;
    struct access all = {.kind = ACCESS_ALL, .relation = own->relation};
    struct state_read read;
    struct row row;
    state_read_begin(&read, state, &all, SLICE_NONE);
    while (state_read_next(&read, &row)) {
        struct plan_list possible = plan_index_find(&own->branch_index, evaluation, row);
        for (size_t i = 0; i < possible.count; i++) {
            const struct shown_branch *shown = &own->branches[possible.items[i]];
            if (!shown->rule->is_edited)
                continue;
            collection->rule = shown->rule;
            evaluation->rows[TARGET_SLOT] = row;
            plan_run(shown->branch->by_target, evaluation);
        }
    }
    state_read_end(&read);
}

void ruleset_affected_by_edit(struct ruleset *rules, const struct ruleset *other,
                              const struct state *state, ruleset_affected_fn *fn, void *context)
{
    struct evaluation *evaluation = &rules->evaluation;
    struct affected_collection collection = {NULL, true, fn, context};
    evaluation->state = state;
    evaluation->emit = report_affected;
    evaluation->context = &collection;
    for (size_t i = 0; i < rules->rule_count; i++) {
        struct rule *rule = &rules->rules[i];
        rule->is_edited = rule->is_active && !holds_rule(other, rule);
    }
    for (size_t i = 0; i < rules->relation_count; i++) {
        if (shows_edited(&rules->relations[i]))
            report_edited(rules, &rules->relations[i], state);
    }
    evaluation->context = NULL;
}
