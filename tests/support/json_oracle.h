/* jansson as an oracle for the scanner of weir/base/json.h.
 *
 * Behind a wrapper, as jansson.h and weir/base/json.h both name JSON_STRING and so on. A node is
 * borrowed from the tree; NULL stands for a missing one everywhere. */
#pragma once

#include "weir/base/slice.h"

struct oracle; /* a json_t */

enum oracle_kind {
    ORACLE_OBJECT,
    ORACLE_ARRAY,
    ORACLE_STRING,
    ORACLE_NUMBER,
    ORACLE_TRUE,
    ORACLE_FALSE,
    ORACLE_NULL,
    ORACLE_MISSING,
};

/* NULL when jansson refuses the text; *is_excused then says whether it is for a reason of its own
 * and not because the text is no JSON: a number beyond a double, a NUL in a key, a lone surrogate,
 * its own limit of nesting. */
struct oracle *oracle_parse(struct slice text, bool *is_excused);
void oracle_free(struct oracle *tree);

enum oracle_kind oracle_kind(const struct oracle *node);
struct slice oracle_text(const struct oracle *node);
double oracle_number(const struct oracle *node); /* 0 for a missing one */
size_t oracle_size(const struct oracle *node);   /* items or members */
const struct oracle *oracle_item(const struct oracle *node, size_t index);
const struct oracle *oracle_member(const struct oracle *node, struct slice key);
