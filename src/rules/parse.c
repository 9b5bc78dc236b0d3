/* SQL to query: names resolved as Postgres resolves them, everything outside the subset refused by
 * name. Postgres has planned the same text when the rule was written, so that types agree and names
 * are unambiguous; what is checked here is whether Weir can follow it. */
#include "parse_internal.h"

#include "weir/base/check.h"
#include "weir/replica/value.h"

#include <stdlib.h>

const struct value_type text_type = {
    .oid = 25, .base_oid = 25, .kind = VALUE_TEXT, .delimiter = ',', .name = "text"};

static struct slice copy_str(struct parse_context *context, const char *str)
{
    return arena_copy(context->arena, slice_from_str(str));
}

/* Sources */

static void add_quoted(struct buffer *out, struct slice name)
{
    buffer_add_char(out, '"');
    for (size_t i = 0; i < name.len; i++) {
        if (name.data[i] == '"')
            buffer_add_char(out, '"');
        buffer_add_char(out, name.data[i]);
    }
    buffer_add_char(out, '"');
}

/* Whether the target's schema has a table of that name, though none that is published: Postgres
 * then means that one, and not the one in public. Where it cannot say, it may have. */
static bool hides_public(struct parse_context *context, const char *name)
{
    struct slice schema = context->target->schema;
    if (slice_eq_str(schema, "public") || !context->literals || !context->literals->has_table)
        return false;
    struct buffer qualified = BUFFER_INIT;
    struct err none;
    bool has = true;
    add_quoted(&qualified, schema);
    buffer_add_char(&qualified, '.');
    add_quoted(&qualified, slice_from_str(name));
    bool is_known = context->literals->has_table(context->literals->context,
                                                 buffer_slice(&qualified), &has, &none);
    buffer_release(&qualified);
    return has || !is_known;
}

static const struct relation *find_relation(struct parse_context *context, const char *schema,
                                            const char *name)
{
    const struct relation *relation = NULL;
    if (schema && *schema)
        relation =
            relation_set_find(context->relations, slice_from_str(schema), slice_from_str(name));
    if (!schema || !*schema) {
        /* The search path that sql/ pins for the trigger: the target's schema, public. */
        relation =
            relation_set_find(context->relations, context->target->schema, slice_from_str(name));
        const struct relation *in_public =
            relation_set_find(context->relations, SLICE("public"), slice_from_str(name));
        if (!relation && in_public && !hides_public(context, name))
            relation = in_public;
    }
    if (!relation) {
        err_set(context->err, "table %s%s%s is not in the publication, so it cannot be followed",
                schema ? schema : "", schema && *schema ? "." : "", name);
        err_hint(context->err, "ALTER PUBLICATION ... ADD TABLE %s%s%s", schema ? schema : "",
                 schema && *schema ? "." : "", name);
    }
    return relation;
}

/* In SQL the rows of tables that inherit from it are its own, but for ONLY; here they are not. */
static bool check_heirs(struct parse_context *context, const struct relation *relation,
                        bool inherits)
{
    if (inherits && relation->has_heirs) {
        err_set(context->err,
                "table %.*s.%.*s has tables that inherit from it, whose rows cannot be followed as "
                "its own",
                SLICE_ARG(relation->schema), SLICE_ARG(relation->name));
        return err_hint(context->err, "FROM ONLY %.*s reads what is in the table itself",
                        SLICE_ARG(relation->name));
    }
    if (!inherits && relation->is_partitioned)
        return parse_refuse(context, "ONLY of a partitioned table");
    return true;
}

static struct source *add_source(struct parse_context *context, struct scope *scope,
                                 const struct relation *relation, const char *alias)
{
    if (context->slot_count == SLOTS_MAX)
        return parse_refuse(context, "more than 31 tables");
    struct source *source = arena_calloc(context->arena, 1, sizeof *source);
    source->relation = relation;
    source->alias = alias ? copy_str(context, alias) : relation->name;
    source->schema = alias ? SLICE_NONE : relation->schema;
    source->slot = context->slot_count++;
    context->reads[source->slot] = relation->oid;
    scope->sources[scope->source_count++] = source;
    return source;
}

static bool parse_from_item(struct parse_context *context, const Node *node, struct scope *scope,
                            struct condition *conditions);

static const struct operand *find_joined_column(struct parse_context *context,
                                                const struct scope *scope, size_t from, size_t to,
                                                const char *name)
{
    bool is_ambiguous;
    const struct operand *found = column_by_name(context, scope, from, to, name, &is_ambiguous);
    if (!found && !is_ambiguous)
        err_set(context->err, "column %s in USING is not published", name);
    return found;
}

/* Without its table's name, the column is the one of the left side from now on. */
static void merge_column(struct parse_context *context, const struct scope *scope,
                         const struct operand *right)
{
    struct source *source = scope->sources[0];
    for (size_t i = 0; source != right->source; i++)
        source = scope->sources[i];
    if (!source->merged)
        source->merged = arena_calloc(context->arena, source->relation->column_count / 64 + 1,
                                      sizeof *source->merged);
    source->merged[right->column / 64] |= UINT64_C(1) << right->column % 64;
}

static bool parse_using(struct parse_context *context, const PgQuery__JoinExpr *join,
                        const struct scope *scope, size_t from, size_t middle,
                        struct condition *conditions)
{
    for (size_t i = 0; i < join->n_using_clause; i++) {
        const char *name = join->using_clause[i]->string->sval;
        const struct operand *left = find_joined_column(context, scope, from, middle, name);
        const struct operand *right =
            find_joined_column(context, scope, middle, scope->source_count, name);
        struct condition *equal = left && right ? compare(context, COMPARE_EQ, left, right) : NULL;
        if (!equal)
            return false;
        add_child(context, conditions, equal);
        merge_column(context, scope, right);
    }
    return true;
}

static bool parse_join(struct parse_context *context, const PgQuery__JoinExpr *join,
                       struct scope *scope, struct condition *conditions)
{
    if (join->jointype != PG_QUERY__JOIN_TYPE__JOIN_INNER)
        return parse_refuse(context, "an outer join");
    if (join->is_natural)
        return parse_refuse(context, "NATURAL JOIN");
    if (join->alias || join->join_using_alias)
        return parse_refuse(context, "an alias for a join");
    size_t from = scope->source_count;
    if (!parse_from_item(context, join->larg, scope, conditions))
        return false;
    size_t middle = scope->source_count;
    if (!parse_from_item(context, join->rarg, scope, conditions) ||
        !parse_using(context, join, scope, from, middle, conditions))
        return false;
    if (join->quals) {
        /* ON sees the two sides of its join, and what is outside of this SELECT. */
        struct scope sides = {scope->sources + from, scope->source_count - from, scope->outer};
        struct condition *on = parse_condition(context, join->quals, &sides);
        if (!on)
            return false;
        add_child(context, conditions, on);
    }
    return true;
}

static bool parse_from_item(struct parse_context *context, const Node *node, struct scope *scope,
                            struct condition *conditions)
{
    if (node->node_case == PG_QUERY__NODE__NODE_JOIN_EXPR)
        return parse_join(context, node->join_expr, scope, conditions);
    if (node->node_case != PG_QUERY__NODE__NODE_RANGE_VAR)
        return parse_refuse(context, node->node_case == PG_QUERY__NODE__NODE_RANGE_SUBSELECT
                                         ? "a subquery in FROM"
                                         : "anything but tables and joins in FROM");
    const PgQuery__RangeVar *table = node->range_var;
    if (table->alias && table->alias->n_colnames)
        return parse_refuse(context, "an alias with column names");
    if (scope->source_count == SLOTS_MAX)
        return parse_refuse(context, "more than 31 tables");
    const struct relation *relation = find_relation(context, table->schemaname, table->relname);
    return relation && check_heirs(context, relation, table->inh) &&
           add_source(context, scope, relation, table->alias ? table->alias->aliasname : NULL);
}

/* Queries */

/* LIMIT 1 says nothing in an EXISTS, and neither does an order. */
static bool is_one_or_more(const SelectStmt *select)
{
    const Node *limit = select->limit_count;
    if (limit->node_case != PG_QUERY__NODE__NODE_A_CONST)
        return false;
    const PgQuery__AConst *constant = limit->a_const;
    return constant->isnull ||
           (constant->val_case == PG_QUERY__A__CONST__VAL_IVAL && constant->ival->ival > 0);
}

static bool check_clauses(struct parse_context *context, const SelectStmt *select, bool needs_value)
{
    if (select->n_values_lists)
        return parse_refuse(context, "VALUES");
    if (select->n_distinct_clause && select->distinct_clause[0]->node_case != 0)
        return parse_refuse(context, "DISTINCT ON");
    if (select->n_group_clause || select->having_clause)
        return parse_refuse(context, "GROUP BY and HAVING");
    if (select->n_window_clause)
        return parse_refuse(context, "WINDOW");
    if (select->n_sort_clause && needs_value)
        return parse_refuse(context, "ORDER BY");
    if (select->limit_offset || (select->limit_count && (needs_value || !is_one_or_more(select))))
        return parse_refuse(context, "LIMIT and OFFSET");
    if (select->n_locking_clause)
        return parse_refuse(context, "FOR UPDATE and its like");
    if (select->with_clause)
        return parse_refuse(context, "WITH");
    if (select->into_clause)
        return parse_refuse(context, "SELECT INTO");
    return true;
}

/* In an EXISTS the selected values do not matter, but an aggregate would always give a row. */
static bool check_exists_targets(struct parse_context *context, const SelectStmt *select)
{
    for (size_t i = 0; i < select->n_target_list; i++) {
        const Node *value = select->target_list[i]->res_target->val;
        if (value->node_case != PG_QUERY__NODE__NODE_A_CONST &&
            value->node_case != PG_QUERY__NODE__NODE_COLUMN_REF)
            return parse_refuse(context,
                                "EXISTS (SELECT ...) of anything but columns and constants");
    }
    return true;
}

static bool parse_values(struct parse_context *context, const SelectStmt *statement,
                         const struct scope *scope, size_t width, struct select *select)
{
    if (statement->n_target_list != width) {
        parse_refuse(context, "selecting anything but one column");
        return false;
    }
    if (width == 1) {
        const Node *value = statement->target_list[0]->res_target->val;
        select->value = parse_operand_or_coalesce(context, value, scope);
        return select->value != NULL;
    }
    select->row = arena_calloc(context->arena, width, sizeof *select->row);
    for (size_t i = 0; i < width; i++) {
        const Node *value = statement->target_list[i]->res_target->val;
        if (!(select->row[i] = parse_operand(context, value, scope)))
            return false;
    }
    return true;
}

static bool refuse_filter(struct parse_context *context, const struct relation *relation)
{
    struct err *err = context->err;
    err_prefix(err, "the publication's row filter of %.*s.%.*s cannot be followed",
               SLICE_ARG(relation->schema), SLICE_ARG(relation->name));
    return err_hint(err,
                    "publish the table without the filter, and put the condition into its "
                    "rules: ALTER PUBLICATION ... DROP TABLE %.*s.%.*s, then ADD TABLE",
                    SLICE_ARG(relation->schema), SLICE_ARG(relation->name));
}

/* A row outside of its table's row filter is not there. The filter knows no name but
 * the columns'. */
static bool add_row_filter(struct parse_context *context, struct source *source,
                           struct condition *conditions)
{
    const struct relation *relation = source->relation;
    if (!relation->row_filter.len)
        return true;
    const char *sql =
        arena_printf(context->arena, "SELECT WHERE %.*s", SLICE_ARG(relation->row_filter));
    struct parse_tree *tree = parse_tree_of(sql, context->err);
    struct scope scope = {&source, 1, NULL};
    context->is_in_row_filter = true;
    struct condition *filter =
        tree ? parse_condition(context, parse_tree_single_select(tree)->where_clause, &scope)
             : NULL;
    context->is_in_row_filter = false;
    if (tree)
        parse_tree_free(tree);
    if (!filter)
        return refuse_filter(context, relation);
    add_child(context, conditions, filter);
    return true;
}

static struct select *parse_select(struct parse_context *context, const SelectStmt *statement,
                                   const struct scope *outer, size_t width)
{
    struct scope scope = {arena_calloc(context->arena, SLOTS_MAX, sizeof(struct source *)), 0,
                          outer};
    if (!check_clauses(context, statement, width > 0))
        return NULL;
    struct select *select = arena_calloc(context->arena, 1, sizeof *select);
    struct condition *conditions = new_condition(context, CONDITION_AND);
    for (size_t i = 0; i < statement->n_from_clause; i++) {
        if (!parse_from_item(context, statement->from_clause[i], &scope, conditions))
            return NULL;
    }
    for (size_t i = 0; i < scope.source_count; i++) {
        if (!add_row_filter(context, scope.sources[i], conditions))
            return NULL;
    }
    if (statement->where_clause) {
        struct condition *where = parse_condition(context, statement->where_clause, &scope);
        if (!where)
            return NULL;
        add_child(context, conditions, where);
    }
    if (width ? !parse_values(context, statement, &scope, width, select)
              : !check_exists_targets(context, statement))
        return NULL;
    select->sources = scope.sources;
    select->source_count = scope.source_count;
    select->where = conditions;
    return select;
}

static void add_select(struct parse_context *context, struct query *query, struct select *select)
{
    struct select **selects =
        arena_alloc(context->arena, (query->select_count + 1) * sizeof *selects);
    if (query->select_count)
        memcpy(selects, query->selects, query->select_count * sizeof *selects);
    selects[query->select_count++] = select;
    query->selects = selects;
}

/* One SELECT for each part of the COALESCE that it is of. */
static void add_coalesce_selects(struct parse_context *context, struct query *query,
                                 const struct select *select)
{
    const struct operand *coalesce = select->value;
    for (size_t i = 0; i < coalesce->part_count; i++) {
        struct condition *taken = coalesce_part_is_taken(context, coalesce, i);
        if (!taken)
            return;
        const struct operand *part = coalesce->parts[i];
        if (part->kind == OPERAND_CONSTANT && part->is_null && i + 1 < coalesce->part_count)
            continue;
        struct select *branch = arena_alloc(context->arena, sizeof *branch);
        *branch = *select;
        branch->value = part;
        branch->where = taken;
        add_child(context, taken, select->where);
        add_select(context, query, branch);
    }
}

/* Appends the SELECTs of a UNION tree to query. */
static bool parse_selects(struct parse_context *context, const SelectStmt *statement,
                          const struct scope *outer, size_t width, struct query *query)
{
    if (statement->op == PG_QUERY__SET_OPERATION__SETOP_UNION) {
        query->is_distinct |= !statement->all;
        return check_clauses(context, statement, width > 0) &&
               parse_selects(context, statement->larg, outer, width, query) &&
               parse_selects(context, statement->rarg, outer, width, query);
    }
    if (statement->op != PG_QUERY__SET_OPERATION__SETOP_NONE)
        return parse_refuse(context, "INTERSECT and EXCEPT");
    query->is_distinct |= statement->n_distinct_clause > 0;
    struct select *select = parse_select(context, statement, outer, width);
    if (!select)
        return false;
    if (select->value && select->value->kind == OPERAND_COALESCE)
        add_coalesce_selects(context, query, select);
    else
        add_select(context, query, select);
    return true;
}

struct query *parse_query(struct parse_context *context, const SelectStmt *select,
                          const struct scope *outer, size_t width)
{
    struct query *query = arena_calloc(context->arena, 1, sizeof *query);
    return parse_selects(context, select, outer, width, query) ? query : NULL;
}

struct query *rule_query_parse(struct parse_context *context, struct slice audience)
{
    struct query *query = NULL;
    const char *sql = arena_copy(context->arena, audience).data;
    struct parse_tree *tree = parse_tree_of(sql, context->err);
    if (!tree)
        return NULL;
    const SelectStmt *select = parse_tree_single_select(tree);
    context->target_source = arena_calloc(context->arena, 1, sizeof *context->target_source);
    *context->target_source = (struct source){.relation = context->target,
                                              .alias = context->target->name,
                                              .schema = context->target->schema,
                                              .slot = TARGET_SLOT};
    context->slot_count = TARGET_SLOT + 1;
    struct scope target_scope = {&context->target_source, 1, NULL};
    if (select)
        query = parse_query(context, select, &target_scope, 1);
    else
        parse_refuse(context, "anything but one SELECT");
    for (size_t i = 0; query && i < query->select_count; i++) {
        if (!add_row_filter(context, context->target_source, query->selects[i]->where))
            query = NULL;
    }
    if (query && !check_subjects(context, query))
        query = NULL;
    parse_tree_free(tree);
    return query;
}
