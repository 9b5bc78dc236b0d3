/* The files of sql/ as they were when the program was built, in the order of their names. Made by
 * cmake/embed.cmake. */
#pragma once

struct sql_file {
    const char *name; /* "1_schema.sql"; NULL behind the last */
    const char *text;
};

extern const struct sql_file install_sql[];
