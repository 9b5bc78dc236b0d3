/* Which rows an expression needs: sets of slots, as bits. Pure. */
#pragma once

#include "query.h"

uint32_t slot_bit(const struct source *source);
uint32_t operand_slots(const struct operand *operand); /* NULL: none */
uint32_t atom_slots(const struct condition *atom);

/* Those that a negation needs from outside. */
uint32_t negation_slots(const struct conjunct *negation);

/* Whether the operand's rows are all bound. */
bool is_known(const struct operand *operand, uint32_t bound);

/* The slots of open that conditions connect with those of from, directly or by other open ones.
 * has_subject: the subject is asked about, so what it is made of is connected too. */
uint32_t component_slots(const struct conjunct *conjunct, uint32_t from, uint32_t open,
                         bool has_subject);
