#include "json_oracle.h"

#include <jansson.h>

struct oracle *oracle_parse(struct slice text, bool *is_excused)
{
    json_error_t error;
    json_t *tree = json_loadb(text.data ? text.data : "", text.len,
                              JSON_DECODE_ANY | JSON_DECODE_INT_AS_REAL | JSON_ALLOW_NUL, &error);
    *is_excused = false;
    if (!tree) {
        enum json_error_code code = json_error_code(&error);
        *is_excused = code == json_error_numeric_overflow || code == json_error_null_byte_in_key ||
                      code == json_error_stack_overflow ||
                      strncmp(error.text, "invalid Unicode", 15) == 0;
    }
    return (struct oracle *)tree;
}

static const json_t *json_of(const struct oracle *node)
{
    return (const json_t *)node;
}

void oracle_free(struct oracle *tree)
{
    json_decref((json_t *)tree);
}

enum oracle_kind oracle_kind(const struct oracle *node)
{
    if (!node)
        return ORACLE_MISSING;
    switch (json_typeof(json_of(node))) {
    case JSON_OBJECT:
        return ORACLE_OBJECT;
    case JSON_ARRAY:
        return ORACLE_ARRAY;
    case JSON_STRING:
        return ORACLE_STRING;
    case JSON_INTEGER:
    case JSON_REAL:
        return ORACLE_NUMBER;
    case JSON_TRUE:
        return ORACLE_TRUE;
    case JSON_FALSE:
        return ORACLE_FALSE;
    case JSON_NULL:
        return ORACLE_NULL;
    }
    return ORACLE_MISSING;
}

struct slice oracle_text(const struct oracle *node)
{
    return slice_of(json_string_value(json_of(node)), json_string_length(json_of(node)));
}

double oracle_number(const struct oracle *node)
{
    return json_number_value(json_of(node));
}

size_t oracle_size(const struct oracle *node)
{
    const json_t *json = json_of(node);
    return json_is_object(json) ? json_object_size(json) : json_array_size(json);
}

const struct oracle *oracle_item(const struct oracle *node, size_t index)
{
    return (const struct oracle *)json_array_get(json_of(node), index);
}

const struct oracle *oracle_member(const struct oracle *node, struct slice key)
{
    void *iterator = json_object_iter((json_t *)(uintptr_t)node);
    for (; iterator; iterator = json_object_iter_next((json_t *)(uintptr_t)node, iterator)) {
        if (slice_eq_str(key, json_object_iter_key(iterator)))
            return (const struct oracle *)json_object_iter_value(iterator);
    }
    return NULL;
}
