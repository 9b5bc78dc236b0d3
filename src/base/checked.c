#include "weir/base/checked.h"

#include "weir/base/log.h"

#include <stdlib.h>

void checked_write(char *room, uint32_t seed, struct slice key, struct slice record)
{
    if (record.len)
        memcpy(room, record.data, record.len);
    store_u32(room + record.len, crc32c_2(seed, key, record));
}

_Noreturn void damage_stop(const struct err *err)
{
    log_err(LOG_ERROR, "stopping", err);
    abort();
}
