/* What the files of the parser show one another. */
#pragma once

#include "parse_tree.h"
#include "query.h"

typedef PgQuery__Node Node;
typedef PgQuery__SelectStmt SelectStmt;

/* The sources that a name may mean, innermost SELECT first. */
struct scope {
    struct source **sources;
    size_t source_count;
    const struct scope *outer;
};

/* parse_hint.c: these return NULL */

/* `construct` is not supported. */
void *parse_refuse(struct parse_context *context, const char *construct);
void *parse_refuse_function(struct parse_context *context, const char *name);

/* where: empty, or ` here`, where the operator is supported elsewhere. */
void *parse_refuse_operator(struct parse_context *context, const char *name, const char *where);

/* parse.c */

/* width: how many values are selected; 0 in an EXISTS, where they do not matter. */
struct query *parse_query(struct parse_context *context, const SelectStmt *select,
                          const struct scope *outer, size_t width);

/* parse_subject.c: whether the selected values may be subjects; bare constants get their type. */
bool check_subjects(struct parse_context *context, const struct query *query);

/* parse_operand.c: columns, constants, casts, || and -> */
const struct operand *parse_operand(struct parse_context *context, const Node *node,
                                    const struct scope *scope);
struct operand *column_operand(struct parse_context *context, const struct source *source,
                               int column);

/* The one column of that name in the sources [from, to), without its table's name. NULL where there
 * is none, or where there are several: then is_ambiguous and err are set. */
const struct operand *column_by_name(struct parse_context *context, const struct scope *scope,
                                     size_t from, size_t to, const char *name, bool *is_ambiguous);
bool is_operator(const PgQuery__AExpr *expression, const char *name);

/* What an expression is called that is not supported where it stands, unless by its operator. */
const char *name_of_expression(const PgQuery__AExpr *expression);

/* For a message: `=`, or `schema.=`. */
const char *written_operator(struct parse_context *context, const PgQuery__AExpr *expression);

/* parse_json.c */

/* `column ->> 'key'`. That of a json column is refused unless it is to be compared: then
 * check_json_spelling() says with what it can be. */
const struct operand *parse_json(struct parse_context *context, const Node *node,
                                 const struct scope *scope, bool is_compared);

/* `column -> 'key'`, for a NULL test. */
const struct operand *parse_json_value(struct parse_context *context, const Node *node,
                                       const struct scope *scope);
bool check_json_spelling(struct parse_context *context, enum compare_op op,
                         const struct operand *left, const struct operand *right);

/* Either side of a comparison, and what is tested for NULL. */
const struct operand *parse_compared(struct parse_context *context, const Node *node,
                                     const struct scope *scope);

/* parse_coalesce.c */

/* Where COALESCE may stand; anywhere else it is refused. */
const struct operand *parse_operand_or_coalesce(struct parse_context *context, const Node *node,
                                                const struct scope *scope);

/* The parts before it are NULL, and it is not, or it is the last. NULL where it never comes
 * to it. */
struct condition *coalesce_part_is_taken(struct parse_context *context,
                                         const struct operand *coalesce, size_t at);

/* fn's condition of whichever part is taken; bare constants come with the type of the others. */
typedef struct condition *coalesce_part_fn(struct parse_context *context,
                                           const struct operand *part, void *argument);
struct condition *coalesce_distribute(struct parse_context *context, const struct operand *coalesce,
                                      coalesce_part_fn *fn, void *argument);
struct condition *coalesce_null_test(struct parse_context *context, const struct operand *coalesce,
                                     enum condition_kind kind);
struct condition *compare_constants(struct parse_context *context, enum compare_op op,
                                    const struct operand *left, const struct operand *right);

/* parse_collation.c */

/* `operand COLLATE "C"`. */
const struct operand *parse_collation(struct parse_context *context,
                                      const PgQuery__CollateClause *clause,
                                      const struct scope *scope);

/* Whether texts that are equal by the collations of these have the same bytes; right may
 * be NULL. */
bool check_deterministic(struct parse_context *context, const struct operand *left,
                         const struct operand *right);

/* Whether < goes by the bytes; of others than texts it does not matter. */
bool check_order(struct parse_context *context, const struct operand *left,
                 const struct operand *right);

/* parse_own.c: refused where Postgres may take an operator or a cast of the application's own for a
 * use of these, of which right may be NULL. */
bool check_own_meaning(struct parse_context *context, enum value_use use,
                       const struct operand *left, const struct operand *right);

/* parse_constant.c */
const struct operand *parse_constant(struct parse_context *context,
                                     const PgQuery__AConst *constant);
const struct operand *parse_constant_cast(struct parse_context *context,
                                          const struct operand *constant,
                                          const PgQuery__TypeName *type);
bool type_name_is_text(const PgQuery__TypeName *type);
bool type_name_is_text_array(const PgQuery__TypeName *type);
bool type_name_is_builtin(const PgQuery__TypeName *type);

/* The elements' type of a builtin array type by its name; else NULL. */
const struct value_type *array_type_element(const PgQuery__TypeName *type);

/* The elements of an array literal, as constants of the type. */
bool constant_elements(struct parse_context *context, struct slice literal,
                       const struct value_type *type, const struct operand ***items,
                       size_t *count) WEIR_MUST_CHECK;

/* A constant whose type is not known yet: a bare string, number, truth value or NULL. */
bool constant_is_bare(const struct operand *operand);

/* A bare string as the text that Postgres takes it for where nothing says otherwise. */
const struct operand *constant_as_text(struct parse_context *context,
                                       const struct operand *constant);

/* The text of a value of the type that the bare constant stands for. */
bool constant_text(struct parse_context *context, const struct operand *constant,
                   const struct value_type *type, struct slice *text) WEIR_MUST_CHECK;

/* Makes the constant comparable with type: its text becomes the equality key. */
const struct operand *constant_coerce(struct parse_context *context, const struct operand *constant,
                                      const struct value_type *type);

/* parse_condition.c */

/* Whether SQL takes it for a condition by its form; a boolean column, or a function, may be one
 * too. */
bool is_condition(const Node *node);

struct condition *parse_condition(struct parse_context *context, const Node *node,
                                  const struct scope *scope);
struct condition *new_condition(struct parse_context *context, enum condition_kind kind);
void add_child(struct parse_context *context, struct condition *parent, struct condition *child);

/* NULL for NULL. */
struct condition *negated(struct parse_context *context, struct condition *condition);

/* `(condition) IS TRUE`: false where the condition is unknown, also under a NOT. */
struct condition *condition_is_true(struct parse_context *context, struct condition *condition);

/* parse_row.c: of several values at once */
bool is_row(const Node *node);
struct condition *compare_rows(struct parse_context *context, const PgQuery__AExpr *expression,
                               const struct scope *scope, enum compare_op op);
struct condition *row_in_list(struct parse_context *context, const PgQuery__AExpr *expression,
                              const struct scope *scope);
struct condition *parse_in_query(struct parse_context *context, const PgQuery__SubLink *link,
                                 const struct scope *scope);

/* parse_list.c */
struct condition *parse_in_list(struct parse_context *context, const PgQuery__AExpr *expression,
                                const struct scope *scope);

/* `x = ANY (ARRAY['a', 'b'])`, `x = ANY (column)`; negated, `x <> ALL (...)` of the same. */
struct condition *parse_any(struct parse_context *context, const PgQuery__AExpr *expression,
                            const struct scope *scope, bool is_negated);

/* parse_compare.c */

/* False where it is no operator that compares. */
bool parse_compare_op(const char *name, enum compare_op *op);

struct condition *parse_expression(struct parse_context *context, const PgQuery__AExpr *expression,
                                   const struct scope *scope);

bool check_types_match(struct parse_context *context, const struct value_type *a,
                       const struct value_type *b);
bool check_own_operators(struct parse_context *context, const struct operand *left,
                         const struct operand *right);

/* Either side may be a COALESCE. in_coalesce: both may be constants. */
struct condition *compare_parts(struct parse_context *context, enum compare_op op,
                                const struct operand *left, const struct operand *right,
                                bool in_coalesce);
struct condition *compare_any(struct parse_context *context, enum compare_op op,
                              const struct operand *left, const struct operand *right);
struct condition *compare(struct parse_context *context, enum compare_op op,
                          const struct operand *left, const struct operand *right);
bool check_comparable(struct parse_context *context, const struct operand *operand,
                      enum compare_op op);
