/* What the files of transaction.h share. */
#pragma once

#include "transaction.h"

/* NULL where the table is not followed. */
const struct relation *transaction_find_relation(struct transaction *transaction,
                                                 const struct change *change);

bool transaction_publishes(const struct relation *relation, enum change_kind kind);

/* Where the publication leaves out operations, a row may be there that is not there in Postgres,
 * and the other way round: as with a subscription, an insert then replaces it, and an update or
 * delete of a row that never came is none. */
static inline bool sees_everything(const struct relation *relation)
{
    return relation->published == PUBLISH_ALL;
}
