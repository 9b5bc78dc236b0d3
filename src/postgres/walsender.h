/* struct replication as replication.c and slot.c see it. Inside src/postgres only. */
#pragma once

#include "session.h"

#include "weir/postgres/replication.h"

struct replication {
    PGconn *conn;
    char *row; /* libpq's buffer of the message last given out */
    bool has_no_slot;
};
