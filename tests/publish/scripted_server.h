/* A tiny HTTP server in a thread of the test, on a free port of the loopback: it answers each
 * request with the next line of a script and keeps what was asked. */
#pragma once

#include "weir/base/slice.h"

struct scripted_answer {
    int status; /* 0: close the connection without an answer */
    const char *body;
};

struct scripted_server;

/* The script is borrowed. Requests behind its end are never answered. */
struct scripted_server *scripted_server_start(const struct scripted_answer *script, size_t count);
void scripted_server_stop(struct scripted_server *server);

/* "http://127.0.0.1:PORT/v1/stream"; the server's until it stops. */
const char *scripted_server_url(const struct scripted_server *server);

/* Requests seen so far, and the head ("POST /path HTTP/1.1\r\n..." up to the blank line) and body
 * of the i-th; the server's until it stops. Connections: how many were accepted. */
size_t scripted_server_request_count(struct scripted_server *server);
size_t scripted_server_connection_count(struct scripted_server *server);
const char *scripted_server_head(struct scripted_server *server, size_t index);
struct slice scripted_server_body(struct scripted_server *server, size_t index);

/* Waits (10 s at most) until that many requests have come; false when they have not. */
bool scripted_server_wait(struct scripted_server *server, size_t count);
