/* Where requests may go that somebody from outside has asked for. Protocol 12.8. Pure. */
#pragma once

#include <stdbool.h>
#include <sys/socket.h>

enum http_target {
    HTTP_TARGET_REFUSED,
    HTTP_TARGET_PUBLIC,   /* https, and no local name or address */
    HTTP_TARGET_LOOPBACK, /* http://localhost or http://127.0.0.x */
};

/* By the URL alone; what its name resolves to is judged when connecting. */
enum http_target http_target_of(const char *url);

/* Whether other paths may be put behind the URL: http or https, a host, no user, no query, no
 * fragment, no '/' at the end. */
bool http_url_is_root(const char *url);

/* Whether a connection for such a target may be made to the address. */
bool http_target_allows(enum http_target target, const struct sockaddr *address);
