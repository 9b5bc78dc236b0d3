#include "commands.h"
static int serve_main(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    return 1;
}
static const struct option_spec options[] = {{.name = NULL}};
const struct command command_serve = {"serve", "follow a slot and publish what each user may see", "", options, serve_main};
