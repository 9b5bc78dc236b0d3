#include "weir/base/bus_error.h"

#include <signal.h>
#include <stddef.h>
#include <unistd.h>

static const char text[] =
    "level=error msg=\"stopping: a mapped file cannot be read or has no room\" "
    "hint=\"the disk of the data or state folder is failing or full; what was acknowledged is safe, "
    "start again when the disk is well\"\n";

/* Only the first time; when it returns, the same instruction meets SIGBUS again and ends the
 * process. */
static void explain(int number)
{
    (void)number;
    ssize_t ignored = write(STDERR_FILENO, text, sizeof text - 1);
    (void)ignored;
}

void bus_error_explain(void)
{
    struct sigaction action = {.sa_handler = explain, .sa_flags = (int)SA_RESETHAND};
    sigemptyset(&action.sa_mask);
    sigaction(SIGBUS, &action, NULL);
}
