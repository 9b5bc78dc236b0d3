/* struct transaction: the row changes of one Postgres transaction, gathered into a change set.
 *
 * Turns decoded wal2json changes into rows as the replica stores them: finds the table, converts
 * the values, fills unchanged TOAST columns in from the row that is there. A change that does not
 * fit the replica (a column that is not known, an update of a row that is not there) means that the
 * table is not what it was: src/bridge/resync.c reads it again. */
#pragma once

#include "casts.h"
#include "catalog.h"
#include "waiting_rows.h"

#include "weir/replica/change_set.h"
#include "weir/wal2json/decode.h"

struct transaction {
    const struct catalog *catalog;
    const struct relation *misfit; /* of the change that did not fit; NULL: the replica failed */
    struct replica *replica;
    struct casts *casts;
    struct change_set changes;
    struct waiting_rows waiting; /* whose keys others still have */
    size_t memory;               /* how much the changes may take */
    bool is_cut_short;           /* the change has not wholly been added: spill the changes, and add
                                  * it again */
    size_t last_relation;        /* index; changes come in runs */
    struct buffer values, record, key, scratch;
    struct slice *columns;     /* JSON value of each column of the row at hand */
    size_t *columns_in_values; /* offset + 1 in values, where the value was converted there */
    struct slice key_values[RELATION_KEY_MAX]; /* of the primary key, or of the identity */
    uint16_t *identity_columns;                /* of the change at hand */
    struct arena arena;
};

void transaction_init(struct transaction *transaction, const struct catalog *catalog,
                      struct replica *replica, size_t memory);
void transaction_release(struct transaction *transaction);

/* Adds a row change or TRUNCATE; tables that are not followed are passed over. False with err and
 * misfit where the change does not fit the rows or the columns that are known. See is_cut_short. */
bool transaction_add(struct transaction *transaction, const struct change *change,
                     struct err *err) WEIR_MUST_CHECK;

/* Takes all rows of the table away; may be cut short as well. */
bool transaction_remove_all(struct transaction *transaction, const struct relation *relation,
                            struct err *err) WEIR_MUST_CHECK;

/* Whether all its changes fit together; ask at its end. False as transaction_add(). */
bool transaction_is_whole(struct transaction *transaction, struct err *err) WEIR_MUST_CHECK;

/* Whether the changes have to be spilled. */
bool transaction_is_large(const struct transaction *transaction);

/* Forgets the changes; from the replica too, where they are spilled and have not been applied. */
void transaction_clear(struct transaction *transaction);
