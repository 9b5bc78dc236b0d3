/* Log sequence numbers as PostgreSQL writes them: two hexadecimal halves, "16/B374D848".
 * https://www.postgresql.org/docs/15/datatype-pg-lsn.html */
#pragma once

#include "weir/base/check.h"
#include "weir/base/slice.h"

enum { LSN_TEXT_SIZE = 18 };

/* Writes the text with a NUL to out and returns out. */
const char *lsn_format(uint64_t lsn, char out[LSN_TEXT_SIZE]);
bool lsn_parse(struct slice text, uint64_t *lsn) WEIR_MUST_CHECK;
