/* The files of sql/ as they were at build time, in the order of their names. Made by
 * embed_sql.cmake. */
#pragma once

#include <stddef.h>

struct sql_file {
    const char *name; /* 10_schema.sql */
    const char *text;
};

extern const struct sql_file install_sql_files[];
extern const size_t install_sql_file_count;
