#include "commands.h"
static int install_main(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    return 1;
}
static const struct option_spec options[] = {{.name = NULL}};
const struct command command_install = {"install", "install", "", options, install_main};
