#include "parse_tree.h"

#include <pg_query.h>
#include <stdlib.h>

struct parse_tree {
    PgQuery__ParseResult *result;
};

struct parse_tree *parse_tree_of(const char *sql, struct err *err)
{
    PgQueryProtobufParseResult parsed = pg_query_parse_protobuf(sql);
    struct parse_tree *tree = NULL;
    if (parsed.error) {
        err_set(err, "%s at character %d of the audience", parsed.error->message,
                parsed.error->cursorpos);
    } else {
        tree = calloc(1, sizeof *tree);
        check(tree != NULL);
        tree->result = pg_query__parse_result__unpack(NULL, parsed.parse_tree.len,
                                                      (const uint8_t *)parsed.parse_tree.data);
        check(tree->result != NULL);
    }
    pg_query_free_protobuf_parse_result(parsed);
    return tree;
}

void parse_tree_free(struct parse_tree *tree)
{
    if (!tree)
        return;
    pg_query__parse_result__free_unpacked(tree->result, NULL);
    free(tree);
}

const PgQuery__SelectStmt *parse_tree_single_select(const struct parse_tree *tree)
{
    if (tree->result->n_stmts != 1)
        return NULL;
    const PgQuery__Node *statement = tree->result->stmts[0]->stmt;
    return statement->node_case == PG_QUERY__NODE__NODE_SELECT_STMT ? statement->select_stmt : NULL;
}
