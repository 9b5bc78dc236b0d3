/* Whether parts of two rules mean the same: names, and which rule it is, do not matter. Pure. */
#pragma once

#include "query.h"

/* Whether both are the same value of the same rows. */
bool operand_alike(const struct operand *a, const struct operand *b);

/* But for the atoms that are about the rows of `given` alone (a bit set of slots). */
bool conjunct_alike(const struct conjunct *a, const struct conjunct *b, uint32_t given);
