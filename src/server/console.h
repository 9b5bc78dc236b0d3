/* The console: a page for people, at /console/, out of the files of console/, which are inside the
 * program. The files hold nothing that is anybody's, so they are open; what the page shows it asks
 * for under /v1/stream/ with the admin's token. Loop thread. */
#pragma once

#include "internal.h"

struct console_file {
    const char *name; /* NULL behind the last */
    const char *text;
};

extern const struct console_file console_files[];

/* By --console: "on", "off", or "auto", where only this machine reaches the listening socket. */
bool console_is_wanted(const char *setting, int listener);

/* Whether the path is the console's; never when there is none. */
bool console_has(const struct server *server, struct slice path);
void route_console(struct request *request, struct slice path);
