/* Keys in the replica: rows by primary key, index entries by column values.
 *
 *   component   the value's equality key (weir/replica/value.h), 0x00 as 0x00 0xFF, then 0x00 0x01;
 *               longer than 64 bytes: its first 40 bytes so escaped, 0x00 0x02, 16 bytes SipHash;
 *               NULL: 0x00 0x03
 *   row key     the components of the primary key, by text and not by equality key, as the event's
 *               key is the text (1.0 and 1.00 are two keys); more than 240 bytes: 0x00 0x04, 16
 *               bytes SipHash
 *
 * No component is a prefix of another, so a range of keys with the same first components is
 * contiguous. Hashes are keyed per replica, so that nobody can choose two keys that collide; the
 * 128 bits then make a collision a matter of 2^-64 for billions of rows. Pure. */
#pragma once

#include "weir/base/arena.h"
#include "weir/base/buffer.h"
#include "weir/base/hash.h"
#include "weir/replica/row.h"

enum { KEY_COMPONENT_MAX = 64, ROW_KEY_MAX = 240, INDEX_COLUMNS_MAX = 3 };

void key_add_component(struct buffer *out, const struct hash_key *hash, struct slice value_key);
void key_add_null(struct buffer *out);

/* The component of one column's stored value, by equality. */
void key_add_value(struct buffer *out, const struct hash_key *hash, const struct value_type *type,
                   struct slice json, struct arena *arena);

/* The row key, made of a JSON value for each key column, in key order. */
void key_of_values(struct buffer *out, const struct hash_key *hash, const struct relation *relation,
                   const struct slice *key_values, struct arena *arena);

void key_of_row(struct buffer *out, const struct hash_key *hash, const struct relation *relation,
                struct row row, struct arena *arena);

/* Whether the first columns of the primary key can be looked up as a range of row keys: the keys
 * are never folded into one hash, and equal values have equal texts. */
bool key_has_ranges(const struct relation *relation);
