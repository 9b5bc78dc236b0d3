#include "weir/postgres/replication.h"

#include <criterion/criterion.h>
#include <stdlib.h>

Test(pg_wal_level, a_server_that_does_not_write_enough_wal_is_named)
{
    struct replication_slot created;
    struct err err;
    struct replication *replication = replication_connect(getenv("WEIR_TEST_DB"), &err);
    cr_assert(replication, "%s", err.message);
    cr_assert_not(replication_create_slot(replication, "weir", 1000, &created, &err));
    cr_assert(strstr(err.message, "wal_level is replica"), "%s", err.message);
    cr_assert(strstr(err.hint, "ALTER SYSTEM SET wal_level = logical;"), "%s", err.hint);
    replication_close(replication);
}
