#include "transaction_internal.h"

#include "weir/base/check.h"
#include "weir/events/convert.h"
#include "weir/replica/value.h"

#include <stdlib.h>

void transaction_init(struct transaction *transaction, const struct catalog *catalog,
                      struct replica *replica, size_t memory)
{
    *transaction = (struct transaction){.catalog = catalog, .replica = replica, .memory = memory};
    transaction->columns = calloc(RELATION_COLUMNS_MAX, sizeof *transaction->columns);
    transaction->columns_in_values =
        calloc(RELATION_COLUMNS_MAX, sizeof *transaction->columns_in_values);
    transaction->identity_columns =
        calloc(RELATION_COLUMNS_MAX, sizeof *transaction->identity_columns);
    check(transaction->columns && transaction->columns_in_values && transaction->identity_columns);
    change_set_init(&transaction->changes);
}

void transaction_release(struct transaction *transaction)
{
    change_set_release(&transaction->changes);
    waiting_rows_release(&transaction->waiting);
    buffer_release(&transaction->values);
    buffer_release(&transaction->record);
    buffer_release(&transaction->key);
    buffer_release(&transaction->scratch);
    arena_release(&transaction->arena);
    free(transaction->columns);
    free(transaction->columns_in_values);
    free(transaction->identity_columns);
}

void transaction_clear(struct transaction *transaction)
{
    change_set_clear(&transaction->changes);
    waiting_rows_clear(&transaction->waiting, NULL);
}

bool transaction_is_large(const struct transaction *transaction)
{
    return !change_set_is_spilled(&transaction->changes) &&
           change_set_memory(&transaction->changes) > transaction->memory;
}

static bool out_of_step(const struct relation *relation, const char *what, struct err *err)
{
    return err_set(err, "table %.*s.%.*s: %s", SLICE_ARG(relation->schema),
                   SLICE_ARG(relation->name), what);
}

static bool columns_changed(const struct relation *relation, struct err *err)
{
    return err_set(err, "table %.*s.%.*s has changed its columns", SLICE_ARG(relation->schema),
                   SLICE_ARG(relation->name));
}

/* The column that a name token means, tried first at `expected`: they come in order. */
static int find_column(struct transaction *transaction, const struct relation *relation,
                       struct slice token, size_t expected)
{
    if (expected < relation->column_count && slice_eq(relation->columns[expected].json_name, token))
        return (int)expected;
    return relation_find_column(relation, json_text(token, &transaction->scratch));
}

/* A label that was added, or a new name of one, comes before it is known that the type has changed.
 * Rules may go by its order. */
static bool knows_label(struct transaction *transaction, const struct value_type *type,
                        const struct json_value *token)
{
    return type->kind != VALUE_ENUM || token->kind != JSON_STRING ||
           value_enum_place(type, json_text(token->raw, &transaction->scratch)) < type->label_count;
}

static bool convert(struct transaction *transaction, const struct relation *relation, size_t column,
                    const struct json_value *token, struct slice *value, size_t *in_values,
                    struct err *err)
{
    size_t start = transaction->values.len;
    if (!knows_label(transaction, relation->columns[column].type, token))
        return out_of_step(relation, "an enum has a label that is not known", err);
    if (!convert_token(&transaction->values, relation->columns[column].type, token,
                       &transaction->scratch, value, &transaction->casts->asking, err))
        return err_prefix(err, "column %.*s of %.*s.%.*s",
                          SLICE_ARG(relation->columns[column].name), SLICE_ARG(relation->schema),
                          SLICE_ARG(relation->name));
    *in_values = transaction->values.len > start ? start + 1 : 0;
    return true;
}

/* Reads a row's values into columns; those that are absent stay without data. */
static bool read_columns(struct transaction *transaction, const struct relation *relation,
                         const struct change_column *values, size_t count, struct err *err)
{
    memset(transaction->columns, 0, relation->column_count * sizeof *transaction->columns);
    memset(transaction->columns_in_values, 0,
           relation->column_count * sizeof *transaction->columns_in_values);
    buffer_clear(&transaction->values);
    size_t expected = 0;
    for (size_t i = 0; i < count; i++) {
        const struct change_column *from = &values[i];
        int column = find_column(transaction, relation, from->name, expected);
        if (column < 0) {
            if (relation->has_column_list)
                continue;
            return columns_changed(relation, err);
        }
        expected = (size_t)column + 1;
        if (!convert(transaction, relation, (size_t)column, &from->value,
                     &transaction->columns[column], &transaction->columns_in_values[column], err))
            return false;
    }
    /* The buffer no longer grows, so that values in it have their places now. */
    for (size_t i = 0; i < relation->column_count; i++) {
        if (transaction->columns_in_values[i])
            transaction->columns[i].data =
                transaction->values.data + transaction->columns_in_values[i] - 1;
    }
    return true;
}

static struct slice key_of(struct transaction *transaction, const struct relation *relation)
{
    buffer_clear(&transaction->key);
    arena_clear(&transaction->arena);
    key_of_values(&transaction->key, replica_hash_key(transaction->replica), relation,
                  transaction->key_values, &transaction->arena);
    return buffer_slice(&transaction->key);
}

static bool is_number(const struct column *column)
{
    return column->type->kind == VALUE_NUMERIC || column->type->kind == VALUE_FLOAT;
}

/* NaN and the infinities, which wal2json 2.5 writes as null; the key is in key_values. Where a
 * column may be NULL, they cannot be told from it. */
static bool mend_numbers(struct transaction *transaction, const struct relation *relation,
                         struct err *err)
{
    for (size_t i = 0; i < relation->column_count; i++) {
        const struct column *column = &relation->columns[i];
        if (column->is_not_null && is_number(column) && value_is_null(transaction->columns[i]) &&
            !casts_ask_number(transaction->casts, relation, i, transaction->key_values,
                              &transaction->columns[i], err))
            return false;
    }
    return true;
}

/* A key cannot be NULL, so this is NaN or infinite, and which row it is only its table knows; in
 * JSON it is a null as good as any other value. */
static bool key_has_null(const struct transaction *transaction, const struct relation *relation)
{
    for (size_t i = 0; i < relation->key_count; i++) {
        if (value_is_null(transaction->key_values[i]) &&
            !value_may_be_json_null(relation->columns[relation->key[i]].type))
            return true;
    }
    return false;
}

static bool refuse_null_key(const struct relation *relation, struct err *err)
{
    return out_of_step(relation, "a number in a primary key came as null", err);
}

/* The key of the row in `columns`. */
static bool new_key(struct transaction *transaction, const struct relation *relation,
                    struct slice *key, struct err *err)
{
    for (size_t i = 0; i < relation->key_count; i++) {
        transaction->key_values[i] = transaction->columns[relation->key[i]];
        if (!transaction->key_values[i].data)
            return out_of_step(relation, "an update came without its primary key", err);
    }
    if (key_has_null(transaction, relation))
        return refuse_null_key(relation, err);
    *key = key_of(transaction, relation);
    return true;
}

static struct change_entry *touch(struct transaction *transaction, const struct relation *relation,
                                  struct slice key)
{
    return change_set_touch(&transaction->changes, transaction->replica, relation, key);
}

/* The columns that the identity of a change consists of, in identity_columns; those that are not
 * published are left out. */
static size_t find_identity(struct transaction *transaction, const struct relation *relation,
                            const struct change *change)
{
    size_t count = 0;
    for (size_t i = 0; i < change->identity_count; i++) {
        int column = find_column(transaction, relation, change->identity[i].name, i);
        if (column >= 0)
            transaction->identity_columns[count++] = (uint16_t)column;
    }
    return count;
}

static bool holds_column(const uint16_t *columns, size_t count, uint16_t column)
{
    for (size_t i = 0; i < count; i++) {
        if (columns[i] == column)
            return true;
    }
    return false;
}

/* Converts those of the identity's columns that are among the wanted ones, to values in that order.
 * Every one of them is there. */
static bool read_identity(struct transaction *transaction, const struct relation *relation,
                          const struct change *change, const uint16_t *wanted, size_t count,
                          struct slice *values, struct err *err)
{
    size_t in_values[RELATION_KEY_MAX];
    buffer_clear(&transaction->values);
    for (size_t i = 0; i < change->identity_count; i++) {
        const struct change_column *from = &change->identity[i];
        int column = find_column(transaction, relation, from->name, i);
        for (size_t k = 0; column >= 0 && k < count; k++) {
            if (wanted[k] == column && !convert(transaction, relation, (size_t)column, &from->value,
                                                &values[k], &in_values[k], err))
                return false;
        }
    }
    for (size_t k = 0; k < count; k++) {
        if (in_values[k])
            values[k].data = transaction->values.data + in_values[k] - 1;
    }
    return true;
}

/* The entry of the row that the identity names: by the primary key where that is in it, as under
 * REPLICA IDENTITY DEFAULT and FULL, else by what is in it. NULL where it is empty, or names no
 * row. */
static bool touch_old(struct transaction *transaction, const struct relation *relation,
                      const struct change *change, struct change_entry **entry, struct err *err)
{
    struct slice *values = transaction->key_values;
    size_t count = find_identity(transaction, relation, change);
    bool has_key = count > 0;
    *entry = NULL;
    for (size_t k = 0; has_key && k < relation->key_count; k++)
        has_key = holds_column(transaction->identity_columns, count, relation->key[k]);
    if (has_key) {
        if (!read_identity(transaction, relation, change, relation->key, relation->key_count,
                           values, err))
            return false;
        if (key_has_null(transaction, relation))
            return refuse_null_key(relation, err);
        *entry = touch(transaction, relation, key_of(transaction, relation));
        return true;
    }
    if (!count || count > RELATION_KEY_MAX)
        return true;
    struct row_identity identity = {transaction->identity_columns, values, count};
    if (!read_identity(transaction, relation, change, identity.columns, count, values, err))
        return false;
    if (change_set_touch_identified(&transaction->changes, transaction->replica, relation,
                                    &identity, entry, err))
        return true;
    transaction->misfit = NULL;
    return false;
}

static struct row build_row(struct transaction *transaction, const struct relation *relation)
{
    buffer_clear(&transaction->record);
    row_build(&transaction->record, relation, transaction->columns);
    return (struct row){buffer_slice(&transaction->record)};
}

static bool put(struct transaction *transaction, struct change_entry *entry, struct row row,
                struct err *err)
{
    bool ok = change_set_put(&transaction->changes, entry, row, err);
    if (row.record.data == transaction->record.data)
        buffer_clear(&transaction->record); /* it has been copied, and may be large */
    if (!ok)
        transaction->misfit = NULL;
    return ok;
}

/* A key that is deferrable may be another row's for now: then the row waits until that has gone. */
static bool place(struct transaction *transaction, const struct relation *relation,
                  struct slice key, struct row row, struct err *err)
{
    struct change_entry *entry = touch(transaction, relation, key);
    if (!row_exists(entry->new_row) || !sees_everything(relation))
        return put(transaction, entry, row, err);
    if (transaction->waiting.memory + row.record.len > transaction->memory)
        return out_of_step(relation, "too many rows took keys of others", err);
    waiting_rows_add(&transaction->waiting, relation, key, row);
    buffer_clear(&transaction->record);
    return true;
}

/* What waits for the key of a row that goes takes its place. */
static bool take_away(struct transaction *transaction, struct change_entry *entry,
                      struct waiting_row *waiting, struct err *err)
{
    if (!waiting) {
        waiting = waiting_rows_find(&transaction->waiting, entry->relation, entry->key);
        if (!put(transaction, entry, waiting ? waiting->row : ROW_NONE, err))
            return false;
    }
    if (waiting)
        waiting_rows_remove(&transaction->waiting, waiting);
    return true;
}

/* Whether it is the row whose identity is in `columns`, of a table whose rows are named by all of
 * their columns. */
static bool is_identified(const struct transaction *transaction, const struct relation *relation,
                          struct row row)
{
    for (size_t i = 0; i < relation->column_count; i++) {
        struct slice value = row_column(relation, row, i), named = transaction->columns[i];
        if (named.data ? !slice_eq(named, value) : !value_is_null(value))
            return false;
    }
    return true;
}

static bool names_key(const struct transaction *transaction, const struct relation *relation)
{
    for (size_t i = 0; i < relation->key_count; i++) {
        if (!transaction->columns[relation->key[i]].data)
            return false;
    }
    return true;
}

/* Of the rows with the entry's key, the one that the change is of: one that waits, or NULL. Where
 * an index names rows, the entry has been found by what it says. */
static bool find_waiting(struct transaction *transaction, const struct relation *relation,
                         const struct change *change, const struct change_entry *entry,
                         struct waiting_row **found, struct err *err)
{
    struct waiting_row *row =
        entry ? waiting_rows_find(&transaction->waiting, relation, entry->key) : NULL;
    *found = NULL;
    if (!row)
        return true;
    if (!read_columns(transaction, relation, change->identity, change->identity_count, err))
        return false;
    if (!names_key(transaction, relation) || is_identified(transaction, relation, entry->new_row))
        return true;
    while (row && !is_identified(transaction, relation, row->row))
        row = waiting_rows_next(row);
    *found = row;
    return row || out_of_step(relation, "a row changed that does not have its key", err);
}

bool transaction_is_whole(struct transaction *transaction, struct err *err)
{
    const struct relation *relation = waiting_rows_relation(&transaction->waiting);
    transaction->misfit = relation;
    return !relation || out_of_step(relation, "a row took the key of another", err);
}

static bool add_insert(struct transaction *transaction, const struct relation *relation,
                       const struct change *change, struct err *err)
{
    struct slice key;
    if (!read_columns(transaction, relation, change->columns, change->column_count, err))
        return false;
    for (size_t i = 0; i < relation->column_count; i++) {
        if (!transaction->columns[i].data)
            return columns_changed(relation, err);
    }
    if (!new_key(transaction, relation, &key, err) || !mend_numbers(transaction, relation, err))
        return false;
    return place(transaction, relation, key, build_row(transaction, relation), err);
}

static bool add_update(struct transaction *transaction, const struct relation *relation,
                       const struct change *change, struct err *err)
{
    struct slice key;
    struct change_entry *old_entry;
    struct waiting_row *waiting;
    if (!touch_old(transaction, relation, change, &old_entry, err) ||
        !find_waiting(transaction, relation, change, old_entry, &waiting, err) ||
        !read_columns(transaction, relation, change->columns, change->column_count, err))
        return false;
    if (!old_entry && change->identity_count == 0) {
        if (!new_key(transaction, relation, &key, err))
            return false;
        old_entry = touch(transaction, relation, key);
    }
    if (!old_entry || !row_exists(old_entry->new_row))
        return !sees_everything(relation) ||
               out_of_step(relation, "a row was updated that is not there", err);

    struct row old_row = waiting ? waiting->row : old_entry->new_row;
    /* What is absent is TOAST that did not change. */
    for (size_t i = 0; i < relation->column_count; i++) {
        if (!transaction->columns[i].data)
            transaction->columns[i] = row_column(relation, old_row, i);
    }
    if (!new_key(transaction, relation, &key, err) || !mend_numbers(transaction, relation, err))
        return false;
    struct row row = build_row(transaction, relation);
    if (!waiting && slice_eq(old_entry->key, key))
        return put(transaction, old_entry, row, err);
    return take_away(transaction, old_entry, waiting, err) &&
           place(transaction, relation, key, row, err);
}

static bool add_delete(struct transaction *transaction, const struct relation *relation,
                       const struct change *change, struct err *err)
{
    struct change_entry *entry;
    struct waiting_row *waiting;
    if (!touch_old(transaction, relation, change, &entry, err) ||
        !find_waiting(transaction, relation, change, entry, &waiting, err))
        return false;
    if (!entry || !row_exists(entry->new_row))
        return !sees_everything(relation) ||
               out_of_step(relation, "a row was deleted that is not there", err);
    return take_away(transaction, entry, waiting, err);
}

/* What the transaction itself has put there. */
static bool remove_changed(struct transaction *transaction, const struct relation *relation,
                           struct err *err)
{
    const struct changed_relation *changed = change_set_of(&transaction->changes, relation);
    struct change_walk walk;
    const struct change_entry *entry;
    bool ok = true;
    if (!changed)
        return true;
    change_walk_begin(&walk, &transaction->changes, changed);
    while (ok && (entry = change_walk_next(&walk)))
        ok = put(transaction, touch(transaction, relation, entry->key), ROW_NONE, err);
    change_walk_end(&walk);
    return ok;
}

bool transaction_remove_all(struct transaction *transaction, const struct relation *relation,
                            struct err *err)
{
    struct replica_range range;
    struct slice key;
    struct row row;
    bool ok = true;
    waiting_rows_clear(&transaction->waiting, relation);
    if (change_set_is_spilled(&transaction->changes))
        replica_range_begin_before(&range, transaction->replica, relation, NULL, SLICE_NONE);
    else
        replica_range_begin(&range, transaction->replica, relation, NULL, SLICE_NONE);
    transaction->is_cut_short = false;
    while (ok && !transaction->is_cut_short && replica_range_next(&range, &key, &row)) {
        ok = put(transaction, touch(transaction, relation, key), ROW_NONE, err);
        transaction->is_cut_short = transaction_is_large(transaction);
    }
    replica_range_end(&range);
    return ok && remove_changed(transaction, relation, err);
}

bool transaction_add(struct transaction *transaction, const struct change *change, struct err *err)
{
    if (change->kind == CHANGE_MESSAGE)
        return true;
    const struct relation *relation = transaction_find_relation(transaction, change);
    if (!relation || relation->is_read_again || !transaction_publishes(relation, change->kind))
        return true;
    transaction->misfit = relation;
    transaction->is_cut_short = false;
    switch (change->kind) {
    case CHANGE_INSERT:
        return add_insert(transaction, relation, change, err);
    case CHANGE_UPDATE:
        return add_update(transaction, relation, change, err);
    case CHANGE_DELETE:
        return add_delete(transaction, relation, change, err);
    case CHANGE_TRUNCATE:
        /* Which of the rows were in the partition cannot be told. */
        if (relation->is_partitioned)
            return out_of_step(relation, "a partition was truncated", err);
        return transaction_remove_all(transaction, relation, err);
    default:
        return err_set(err, "a message of another kind where a row change was expected");
    }
}
