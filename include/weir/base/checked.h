/* Records with a checksum behind them, for stores that have none of their own (LMDB).
 *
 * It is over the record's key as well, as what is in another's place is as wrong, and begins with a
 * seed, where several tables are in one file. */
#pragma once

#include "weir/base/buffer.h"
#include "weir/base/err.h"
#include "weir/base/hash.h"

enum { CHECKED_CRC_SIZE = 4 };

/* Writes the record with its checksum to room for both. */
void checked_write(char *room, uint32_t seed, struct slice key, struct slice record);

/* What is in front of the checksum; false: it is damaged. */
WEIR_MUST_CHECK static inline bool checked_read(uint32_t seed, struct slice key,
                                                struct slice stored, struct slice *record)
{
    if (stored.len < CHECKED_CRC_SIZE)
        return false;
    *record = slice_of(stored.data, stored.len - CHECKED_CRC_SIZE);
    return load_u32(record->data + record->len) == crc32c_2(seed, key, *record);
}

/* Says why and ends the process: going on would show somebody what nobody wrote. */
_Noreturn void damage_stop(const struct err *err);
