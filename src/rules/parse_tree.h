/* libpg_query: SQL text to Postgres's own parse tree. The only file that calls the library; the
 * tree's types are those of pg_query.pb-c.h. */
#pragma once

#include "weir/base/err.h"

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wstrict-prototypes"
#include <pg_query/pg_query.pb-c.h>
#pragma GCC diagnostic pop

struct parse_tree;

/* NULL with Postgres's syntax error in err. Free with parse_tree_free(). */
struct parse_tree *parse_tree_of(const char *sql, struct err *err) WEIR_MUST_CHECK;
void parse_tree_free(struct parse_tree *tree);

/* The SELECT, if the text is one statement and that a SELECT; else NULL. */
const PgQuery__SelectStmt *parse_tree_single_select(const struct parse_tree *tree);
