#include "weir/replica/key.h"

#include "weir/replica/value.h"

enum { COMPONENT_KEPT = 40, HASH_SIZE = 16, RANGE_COLUMNS = 3 };

static void add_escaped(struct buffer *out, struct slice bytes)
{
    const char *zero;
    while (bytes.len && (zero = memchr(bytes.data, '\0', bytes.len))) {
        size_t n = (size_t)(zero - bytes.data) + 1;
        buffer_add(out, bytes.data, n);
        buffer_add_char(out, (char)0xff);
        bytes = slice_of(bytes.data + n, bytes.len - n);
    }
    buffer_add_slice(out, bytes);
}

static void add_hash(struct buffer *out, const struct hash_key *hash, struct slice bytes)
{
    struct hash128 digest = hash128(hash, bytes);
    buffer_add(out, &digest, HASH_SIZE);
}

void key_add_component(struct buffer *out, const struct hash_key *hash, struct slice value_key)
{
    if (value_key.len <= KEY_COMPONENT_MAX) {
        add_escaped(out, value_key);
        buffer_add(out, "\0\1", 2);
        return;
    }
    add_escaped(out, slice_of(value_key.data, COMPONENT_KEPT));
    buffer_add(out, "\0\2", 2);
    add_hash(out, hash, value_key);
}

void key_add_null(struct buffer *out)
{
    buffer_add(out, "\0\3", 2);
}

void key_add_value(struct buffer *out, const struct hash_key *hash, const struct value_type *type,
                   struct slice json, struct arena *arena)
{
    if (value_is_null(json))
        key_add_null(out);
    else
        key_add_component(out, hash, value_key(type, json, arena));
}

static void fold_if_long(struct buffer *out, size_t start, const struct hash_key *hash)
{
    if (out->len - start <= ROW_KEY_MAX)
        return;
    struct hash128 digest = hash128(hash, slice_of(out->data + start, out->len - start));
    out->len = start;
    buffer_add(out, "\0\4", 2);
    buffer_add(out, &digest, HASH_SIZE);
}

void key_of_values(struct buffer *out, const struct hash_key *hash, const struct relation *relation,
                   const struct slice *key_values, struct arena *arena)
{
    size_t start = out->len;
    for (size_t i = 0; i < relation->key_count; i++) {
        const struct value_type *type = relation->columns[relation->key[i]].type;
        key_add_component(out, hash, value_text(type, key_values[i], arena));
    }
    fold_if_long(out, start, hash);
}

void key_of_row(struct buffer *out, const struct hash_key *hash, const struct relation *relation,
                struct row row, struct arena *arena)
{
    struct slice values[RELATION_KEY_MAX];
    for (size_t i = 0; i < relation->key_count; i++)
        values[i] = row_column(relation, row, relation->key[i]);
    key_of_values(out, hash, relation, values, arena);
}

bool key_has_ranges(const struct relation *relation)
{
    for (size_t i = 0; i < relation->key_count; i++) {
        enum value_kind kind = relation->columns[relation->key[i]].type->kind;
        if (kind == VALUE_NUMERIC || kind == VALUE_FLOAT)
            return false;
    }
    return relation->key_count <= RANGE_COLUMNS;
}
