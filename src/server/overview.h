/* What the console and `weir status` show, as JSON. docs/protocol-extensions.md, "Overview". */
#pragma once

#include "internal.h"

/* GET __weir/overview: the server's figures, the bridges' reports, the last hour. */
void route_overview(struct request *request);

/* GET __weir/streams?search=TEXT: streams whose path holds the text, at most 200. */
void route_streams(struct request *request);
