/* The catalog as bytes and back, and which of its relations are the same.
 *
 *   catalog   1 bytewise, 4 count, relations, and up to the last that is not empty: text hiding
 *             tables, text own operators and casts
 *   relation  8 storage id, 4 oid, text schema, text name, 4 count, columns, 4 count, 2 column of
 *             the primary key each, 1 has a column list, 1 published operations, text row filter,
 *             1 inherited from (2) or partitioned (3), 4 count, (text schema, text name, text
 *             named by) of each leaf; earlier versions wrote 1 instead of 3, and no named by
 *   column    text name, 1 not null, collation, type
 *   collation text name, 1 deterministic, 1 bytewise
 *   type      4 oid, 4 base oid, 1 kind, 1 domain, 1 delimiter, text name, 1 has an element,
 *             type of the element, 4 count, (text JSON name, type) of each field, 4 count, text
 *             of each label
 *   text      4 length, bytes */
#include "catalog_bytes.h"

#include "catalog.h"

#include "weir/base/check.h"
#include "weir/base/hash.h"
#include "weir/base/json.h"
#include "weir/base/reader.h"

#include <stdlib.h>

enum { PARTITIONED_UNNAMED = 1, HAS_HEIRS = 2, PARTITIONED = 3 };

static void save_text(struct buffer *out, struct slice text)
{
    buffer_add_u32(out, (uint32_t)text.len);
    buffer_add_slice(out, text);
}

static void save_type(struct buffer *out, const struct value_type *type)
{
    buffer_add_u32(out, type->oid);
    buffer_add_u32(out, type->base_oid);
    buffer_add_char(out, (char)type->kind);
    buffer_add_char(out, (char)type->is_domain);
    buffer_add_char(out, type->delimiter);
    save_text(out, slice_from_str(type->name));
    buffer_add_char(out, (char)(type->element != NULL));
    if (type->element)
        save_type(out, type->element);
    buffer_add_u32(out, (uint32_t)type->field_count);
    for (size_t i = 0; i < type->field_count; i++) {
        save_text(out, type->fields[i].json_name);
        save_type(out, type->fields[i].type);
    }
    buffer_add_u32(out, (uint32_t)type->label_count);
    for (size_t i = 0; i < type->label_count; i++)
        save_text(out, type->labels[i]);
}

static void save_key(struct buffer *out, const uint16_t *columns, size_t count)
{
    buffer_add_u32(out, (uint32_t)count);
    for (size_t i = 0; i < count; i++)
        buffer_add_u16(out, columns[i]);
}

/* What the stored rows depend on. Which partitions they are in is not: these come and go. */
static void save_shape(struct buffer *out, const struct relation *relation)
{
    buffer_add_u32(out, relation->oid);
    save_text(out, relation->schema);
    save_text(out, relation->name);
    buffer_add_u32(out, (uint32_t)relation->column_count);
    for (size_t i = 0; i < relation->column_count; i++) {
        const struct column *column = &relation->columns[i];
        save_text(out, column->name);
        buffer_add_char(out, (char)column->is_not_null);
        save_text(out, column->collation.name);
        buffer_add_char(out, (char)column->collation.is_deterministic);
        buffer_add_char(out, (char)column->collation.is_bytewise);
        save_type(out, column->type);
    }
    save_key(out, relation->key, relation->key_count);
    buffer_add_char(out, (char)relation->has_column_list);
    buffer_add_char(out, (char)relation->published);
    save_text(out, relation->row_filter);
    buffer_add_char(out, relation->is_partitioned ? PARTITIONED
                         : relation->has_heirs    ? HAS_HEIRS
                                                  : 0);
}

static void save_leaves(struct buffer *out, const struct relation *relation)
{
    buffer_add_u32(out, (uint32_t)relation->leaf_count);
    for (size_t i = 0; i < relation->leaf_count; i++) {
        save_text(out, relation->leaves[i].schema);
        save_text(out, relation->leaves[i].name);
        save_text(out, relation->leaves[i].named_by);
    }
}

void relation_identify(struct relation *relation)
{
    static const struct hash_key key = {0x7765697220736861ULL, 0x7065206f66207461ULL};
    struct buffer bytes = BUFFER_INIT;
    save_shape(&bytes, relation);
    /* Rows come by their table's name: under another name, or as another's, even if it has its own
     * again when it is looked at. */
    buffer_add_slice(&bytes, relation->named_by);
    /* ALTER TABLE may give a column other values and the type that it has, or put another one in
     * its place; of the rows that this changes there is nothing in the slot. */
    buffer_add_slice(&bytes, relation->shaped_by);
    relation->storage_id = hash64(&key, buffer_slice(&bytes));
    buffer_release(&bytes);
}

void catalog_save(const struct catalog *catalog, struct buffer *out)
{
    buffer_add_char(out, (char)catalog->relations.is_bytewise);
    buffer_add_u32(out, (uint32_t)catalog->relations.count);
    for (size_t i = 0; i < catalog->relations.count; i++) {
        const struct relation *relation = catalog->relations.relations[i];
        buffer_add_u64(out, relation->storage_id);
        save_shape(out, relation);
        save_leaves(out, relation->renewed ? relation->renewed : relation);
    }
    if (catalog->hiding.len || catalog->own_meanings.len)
        save_text(out, catalog->hiding);
    if (catalog->own_meanings.len)
        save_text(out, catalog->own_meanings);
}

struct restoring {
    struct reader reader;
    struct arena *arena;
    unsigned depth;
};

static struct slice restore_text(struct restoring *from)
{
    return arena_copy(from->arena, read_bytes(&from->reader, read_u32(&from->reader)));
}

/* How many items follow; none where the bytes cannot hold as many. */
static size_t restore_count(struct restoring *from, size_t least_size)
{
    size_t count = read_u32(&from->reader);
    if (count > reader_left(&from->reader) / least_size)
        from->reader.failed = true;
    return from->reader.failed ? 0 : count;
}

static const struct value_type *restore_type(struct restoring *from)
{
    struct value_type *type = arena_calloc(from->arena, 1, sizeof *type);
    type->oid = read_u32(&from->reader);
    type->base_oid = read_u32(&from->reader);
    type->kind = (enum value_kind)read_u8(&from->reader);
    type->is_domain = read_u8(&from->reader) != 0;
    type->delimiter = (char)read_u8(&from->reader);
    type->name = restore_text(from).data;
    if (++from->depth > 64)
        from->reader.failed = true;
    if (read_u8(&from->reader) && !from->reader.failed)
        type->element = restore_type(from);
    type->field_count = restore_count(from, 5);
    struct value_field *fields = arena_calloc(from->arena, type->field_count + 1, sizeof *fields);
    for (size_t i = 0; i < type->field_count && !from->reader.failed; i++) {
        fields[i].json_name = restore_text(from);
        fields[i].type = restore_type(from);
    }
    type->fields = fields;
    type->label_count = restore_count(from, 4);
    struct slice *labels = arena_calloc(from->arena, type->label_count + 1, sizeof *labels);
    for (size_t i = 0; i < type->label_count; i++)
        labels[i] = restore_text(from);
    type->labels = labels;
    from->depth--;
    return type;
}

struct slice json_name_of(struct arena *arena, struct slice name)
{
    struct buffer token = BUFFER_INIT;
    json_add_string(&token, name);
    struct slice copy = arena_copy(arena, buffer_slice(&token));
    buffer_release(&token);
    return copy;
}

static const uint16_t *restore_key(struct restoring *from, const struct relation *relation,
                                   size_t *count)
{
    *count = restore_count(from, 2);
    uint16_t *columns = arena_calloc(from->arena, *count + 1, sizeof *columns);
    for (size_t i = 0; i < *count; i++) {
        columns[i] = read_u16(&from->reader);
        if (columns[i] >= relation->column_count)
            from->reader.failed = true;
    }
    if (*count > RELATION_KEY_MAX)
        from->reader.failed = true;
    return columns;
}

static struct relation *restore_relation(struct restoring *from)
{
    struct relation *relation = arena_calloc(from->arena, 1, sizeof *relation);
    relation->storage_id = read_u64(&from->reader);
    relation->oid = read_u32(&from->reader);
    relation->schema = restore_text(from);
    relation->name = restore_text(from);
    relation->column_count = restore_count(from, 20);
    struct column *columns = arena_calloc(from->arena, relation->column_count + 1, sizeof *columns);
    for (size_t i = 0; i < relation->column_count && !from->reader.failed; i++) {
        columns[i].name = restore_text(from);
        columns[i].json_name = json_name_of(from->arena, columns[i].name);
        columns[i].is_not_null = read_u8(&from->reader) != 0;
        columns[i].collation.name = restore_text(from);
        columns[i].collation.is_deterministic = read_u8(&from->reader) != 0;
        columns[i].collation.is_bytewise = read_u8(&from->reader) != 0;
        columns[i].type = restore_type(from);
    }
    relation->columns = columns;
    relation->key = restore_key(from, relation, &relation->key_count);
    relation->has_column_list = read_u8(&from->reader) != 0;
    relation->published = read_u8(&from->reader);
    relation->row_filter = restore_text(from);
    uint8_t kind = read_u8(&from->reader);
    relation->is_partitioned = kind == PARTITIONED || kind == PARTITIONED_UNNAMED;
    relation->has_heirs = kind == HAS_HEIRS;
    relation->leaf_count = restore_count(from, 8);
    struct leaf *leaves = arena_calloc(from->arena, relation->leaf_count + 1, sizeof *leaves);
    for (size_t i = 0; i < relation->leaf_count; i++) {
        leaves[i].schema = restore_text(from);
        leaves[i].name = restore_text(from);
        if (kind == PARTITIONED)
            leaves[i].named_by = restore_text(from);
    }
    relation->leaves = leaves;
    return relation;
}

struct catalog *catalog_restore(struct slice bytes, struct err *err)
{
    struct catalog *catalog = calloc(1, sizeof *catalog);
    check(catalog != NULL);
    struct restoring from = {.reader = reader_of(bytes), .arena = &catalog->arena};
    catalog->relations.is_bytewise = read_u8(&from.reader) != 0;
    size_t count = restore_count(&from, 20);
    catalog->relations.relations = arena_calloc(from.arena, count + 1, sizeof(void *));
    catalog->row_estimates = arena_calloc(from.arena, count + 1, sizeof(double));
    for (size_t i = 0; i < count && !from.reader.failed; i++) {
        catalog->relations.relations[i] = restore_relation(&from);
        catalog->relations.count++;
    }
    if (!from.reader.failed && reader_left(&from.reader))
        catalog->hiding = restore_text(&from);
    if (!from.reader.failed && reader_left(&from.reader))
        catalog->own_meanings = restore_text(&from);
    catalog->rules = relation_set_find(&catalog->relations, SLICE("weir"), SLICE("rules"));
    if (!from.reader.failed && reader_left(&from.reader) == 0 && catalog->rules)
        return catalog;
    catalog_free(catalog);
    err_set(err, "the replica's catalog is damaged");
    err_hint(err, "remove the --state folder and start again: everything is read anew, and what "
                  "differs is appended to the streams; with a stream server other than weir serve, "
                  "also take another --slot and new streams (docs/recovery.md)");
    return NULL;
}

static struct relation *find_table(const struct catalog *catalog, uint32_t oid)
{
    for (size_t i = 0; i < catalog->relations.count; i++) {
        if (catalog->relations.relations[i]->oid == oid)
            return catalog->relations.relations[i];
    }
    return NULL;
}

static struct relation *find_same(const struct catalog *catalog, const struct relation *relation)
{
    for (size_t i = 0; i < catalog->relations.count; i++) {
        if (catalog->relations.relations[i]->storage_id == relation->storage_id)
            return catalog->relations.relations[i];
    }
    return NULL;
}

static bool is_same_leaf(const struct leaf *a, const struct leaf *b)
{
    return slice_eq(a->schema, b->schema) && slice_eq(a->name, b->name) && a->named_by.len &&
           slice_eq(a->named_by, b->named_by);
}

bool relation_has_leaf(const struct relation *relation, const struct leaf *leaf)
{
    for (size_t i = 0; i < relation->leaf_count; i++) {
        if (is_same_leaf(&relation->leaves[i], leaf))
            return true;
    }
    return false;
}

/* Both are in one order, and may be thousands. */
static bool has_leaves_of(const struct relation *relation, const struct relation *other)
{
    size_t at = 0;
    for (size_t i = 0; i < other->leaf_count; i++, at++) {
        while (at < relation->leaf_count && !is_same_leaf(&relation->leaves[at], &other->leaves[i]))
            at++;
        if (at == relation->leaf_count)
            return false;
    }
    return true;
}

enum table_change catalog_table_change(const struct catalog *now, const struct relation *before)
{
    const struct relation *same = find_same(now, before);
    if (same && same->renewed)
        same = same->renewed;
    if (!same || !has_leaves_of(same, before))
        return TABLE_OTHER;
    return same->leaf_count == before->leaf_count ? TABLE_SAME : TABLE_GROWN;
}

static bool rules_mean_the_same(const struct catalog *a, const struct catalog *b)
{
    return slice_eq(a->hiding, b->hiding) && slice_eq(a->own_meanings, b->own_meanings) &&
           !a->is_doubtful && !b->is_doubtful;
}

bool catalog_equals(const struct catalog *a, const struct catalog *b)
{
    if (a->relations.count != b->relations.count || !rules_mean_the_same(a, b))
        return false;
    for (size_t i = 0; i < a->relations.count; i++) {
        if (catalog_table_change(b, a->relations.relations[i]) != TABLE_SAME)
            return false;
    }
    return true;
}

bool catalog_shows_other_rows(const struct catalog *before, const struct catalog *now)
{
    if (!rules_mean_the_same(before, now))
        return true;
    for (size_t i = 0; i < before->relations.count; i++) {
        const struct relation *old = before->relations.relations[i];
        const struct relation *new = find_table(now, old->oid);
        if (!new || !slice_eq(old->row_filter, new->row_filter) ||
            old->has_column_list != new->has_column_list || old->published != new->published)
            return true;
    }
    return false;
}

void catalog_succeed(struct catalog *catalog, struct catalog *older)
{
    check(!catalog->older);
    catalog->older = older;
    for (size_t i = 0; i < catalog->relations.count; i++) {
        struct relation *relation = catalog->relations.relations[i];
        struct relation *same = find_same(older, relation);
        if (same) {
            same->renewed = relation;
            catalog->relations.relations[i] = same;
            continue;
        }
        struct relation *before = find_table(older, relation->oid);
        relation->predecessor = before;
        if (before)
            before->successor = relation;
    }
    catalog->rules = relation_set_find(&catalog->relations, SLICE("weir"), SLICE("rules"));
}

void catalog_renew(struct catalog *catalog)
{
    for (size_t i = 0; i < catalog->relations.count; i++) {
        struct relation *relation = catalog->relations.relations[i];
        relation->is_misfit = false;
        if (!relation->renewed)
            continue;
        relation->leaves = relation->renewed->leaves;
        relation->leaf_count = relation->renewed->leaf_count;
    }
}

void catalog_settle(struct catalog *catalog)
{
    for (size_t i = 0; i < catalog->relations.count; i++) {
        struct relation *relation = catalog->relations.relations[i];
        relation->predecessor = relation->successor = relation->renewed = NULL;
        relation->is_read_again = false;
    }
}

void catalog_mark_misfit(struct catalog *catalog, const struct relation *relation)
{
    for (size_t i = 0; i < catalog->relations.count; i++) {
        if (catalog->relations.relations[i] == relation)
            catalog->relations.relations[i]->is_misfit = true;
    }
}

bool catalog_holds(const struct catalog *catalog, const struct relation *relation)
{
    for (size_t i = 0; i < catalog->relations.count; i++) {
        if (catalog->relations.relations[i] == relation)
            return true;
    }
    return false;
}
