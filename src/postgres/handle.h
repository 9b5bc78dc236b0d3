/* struct pg_connection as connection.c and copy.c see it. Inside src/postgres only. */
#pragma once

#include "session.h"

enum { FIELDS_AT_FIRST = 64 };

struct pg_connection {
    PGconn *conn;
    char sqlstate[SQLSTATE_SIZE];
    char *copy_row;       /* libpq's buffer of the row last given out */
    struct slice *fields; /* of that row; grows */
    size_t field_capacity;
};
