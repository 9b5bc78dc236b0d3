/* Makes a state folder one of a program that understood rules otherwise: other_version DIR LANGUAGE
 * sets the rule language's number, or for "none" takes it away, and forgets what Postgres was
 * asked, as the other one asked in other words. */
#include "weir/replica/replica.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(int argc, char **argv)
{
    struct err err = {.message = ""};
    if (argc != 3)
        return 64;
    struct replica_settings settings = {argv[1], (uint64_t)4 << 30, 0};
    struct replica *replica = replica_open(&settings, &err);
    uint32_t number = (uint32_t)strtoul(argv[2], NULL, 10);
    bool has_number = strcmp(argv[2], "none") != 0;
    struct slice language = has_number ? slice_of((const char *)&number, sizeof number) : SLICE("");
    bool ok = replica && replica_set_meta(replica, "rule language", language, &err) &&
              replica_set_meta(replica, "answers", SLICE(""), &err) &&
              replica_commit(replica, &err);
    if (!ok)
        fprintf(stderr, "%s: %s\n", argv[1], err.message);
    replica_close(replica);
    return ok ? 0 : 1;
}
