/* Reading one column's stored JSON value: as Postgres's text, as a key for equality, in order.
 *
 * Values are stored as to_jsonb() shows them; what SQL compares is the type's value. The functions
 * here go from the one to the other for the types that rules may compare. Pure. */
#pragma once

#include "weir/base/arena.h"
#include "weir/replica/relation.h"

static inline bool value_is_null(struct slice json)
{
    return json.len == 4 && json.data[0] == 'n';
}

/* Whether a value that value_is_null() may be JSON's null, which SQL does not take for NULL. As
 * they are stored the two are the same: who has to tell them apart must refuse the type, unless the
 * column cannot be NULL, as in a key. */
bool value_may_be_json_null(const struct value_type *type);

/* The value as `column::text` gives it. Borrowed from json where the bytes are the same, else in
 * the arena. Not for NULL; JSON's null is `null`. */
struct slice value_text(const struct value_type *type, struct slice json, struct arena *arena);

/* Bytes that are equal exactly when the values are equal in SQL (numbers without trailing zeros,
 * char(n) without trailing blanks). Only for kinds of value_is_comparable(). Not for NULL. */
struct slice value_key(const struct value_type *type, struct slice json, struct arena *arena);

/* The same key for a text as SQL literals and text() have it, such as `1.50` for a numeric. */
struct slice value_key_of_text(enum value_kind kind, struct slice text, struct arena *arena);

/* Whether rules may compare values of the type for equality at all. */
bool value_is_comparable(const struct value_type *type);

/* Whether two comparable types compare with one another by their keys. */
bool value_kinds_match(const struct value_type *a, const struct value_type *b);

/* Whether `<` and its like are supported for the type. */
bool value_is_ordered(const struct value_type *type);

/* The order of two keys of an ordered type: negative, 0, positive. Of texts that of their bytes, as
 * under collation "C"; of enums that of their labels. */
int value_key_cmp(const struct value_type *type, struct slice a, struct slice b);

/* The place of an enum's label among those of its type; their number where there is no such. */
size_t value_enum_place(const struct value_type *type, struct slice label);
