/* weir: finds the subcommand and runs it. Options belong to the commands. */
#include "commands.h"

#include "weir/base/bus_error.h"
#include "weir/base/fault.h"

#include <stdlib.h>
#include <string.h>

static const struct command *const commands[] = {
    &command_serve,  &command_bridge, &command_install,
    &command_doctor, &command_status, &command_token,
};

enum { COMMAND_COUNT = sizeof commands / sizeof *commands, EXIT_USAGE = 2 };

static void print_help(FILE *out)
{
    fputs("weir: live, per-user copies of the rows in Postgres that each user may see\n\n"
          "usage: weir COMMAND [--option VALUE ...]\n\n",
          out);
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        fprintf(out, "  %-10s %s\n", commands[i]->name, commands[i]->summary);
    fputs("\nweir COMMAND --help lists the options of a command.\n", out);
}

/* docs/configuration.md is made by this; a test compares the two. */
static void print_markdown(void)
{
    puts("# Configuration\n\nMade from the option table by `weir --markdown`. An option on the "
         "command line wins over the environment,\nwhich wins over the default.\n");
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        option_markdown(commands[i], stdout);
}

/* What every page ends with. */
static void print_see_also(const char *name)
{
    puts(".SH SEE ALSO");
    if (strcmp(name, "weir") != 0)
        puts(".BR weir (1),");
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        if (strcmp(name, commands[i]->name) != 0)
            printf(".BR weir\\-%s (1)%s\n", commands[i]->name, i + 1 < COMMAND_COUNT ? "," : "");
    }
    puts(".PP\nThe documentation is in /usr/share/doc/weir, or the folder docs of the sources.");
}

static void print_own_manual(void)
{
    puts(
        ".SH NAME\nweir \\- live, per\\-user copies of the rows in Postgres that each user may see\n"
        ".SH SYNOPSIS\n\\fBweir\\fR \\fICOMMAND\\fR [\\fIOPTION\\fR ...]\n.SH COMMANDS");
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        printf(".TP\n.BR weir\\-%s (1)\n", commands[i]->name);
        option_manual_text(commands[i]->summary, stdout);
        putchar('\n');
    }
}

/* A manual page: of a command, or of "weir". */
static int print_manual(const char *name)
{
    const struct command *command = NULL;
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        if (strcmp(name, commands[i]->name) == 0)
            command = commands[i];
    }
    if (!command && strcmp(name, "weir") != 0)
        return EXIT_USAGE;
    printf(".TH WEIR%s%s 1 \"\" \"weir " WEIR_VERSION "\"\n.ad l\n.nh\n", command ? "\\-" : "",
           command ? name : "");
    if (command)
        option_manual(command, stdout);
    else
        print_own_manual();
    print_see_also(name);
    return 0;
}

int main(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : "--help";
    struct err err;
    bus_error_explain();
    if (!fault_arm(getenv("WEIR_FAULT"), &err)) {
        fprintf(stderr, "weir: %s\nhint: %s\n", err.message, err.hint);
        return EXIT_USAGE;
    }
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        if (strcmp(name, commands[i]->name) == 0)
            return commands[i]->run(argc - 1, argv + 1);
    }
    if (strcmp(name, "--version") == 0) {
        puts("weir " WEIR_VERSION);
        return 0;
    }
    if (strcmp(name, "--manual") == 0)
        return print_manual(argc > 2 ? argv[2] : "weir");
    if (strcmp(name, "--markdown") == 0) {
        print_markdown();
        return 0;
    }
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0) {
        print_help(argc > 1 ? stdout : stderr);
        return argc > 1 ? 0 : EXIT_USAGE;
    }
    fprintf(stderr, "weir: unknown command \"%s\"\nhint: see weir --help\n", name);
    return EXIT_USAGE;
}
