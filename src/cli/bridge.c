#include "commands.h"
static int bridge_main(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    return 1;
}
static const struct option_spec options[] = {{.name = NULL}};
const struct command command_bridge = {"bridge", "follow a slot and publish what each user may see", "", options, bridge_main};
