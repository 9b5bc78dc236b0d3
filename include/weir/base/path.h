/* Stream paths in their one canonical form: docs/protocol-extensions.md. Pure. */
#pragma once

#include "weir/base/buffer.h"
#include "weir/base/check.h"

enum { PATH_BYTES_MAX = 2000 };

/* The one stream below a reserved segment: the bridge writes it, and the server reads it for itself
 * (who has been revoked). */
#define PATH_REVOKED SLICE("__weir/revoked")

enum path_result {
    PATH_OK,
    PATH_EMPTY,      /* no segment, or an empty one */
    PATH_BAD_ESCAPE, /* '%' without two hexadecimal digits */
    PATH_BAD_TEXT,   /* not UTF-8, or a control character */
    PATH_DOTS,       /* a segment "." or ".." */
    PATH_TOO_LONG,
};

/* raw is what stands behind the root and its '/', still encoded. Appends the canonical form. */
enum path_result path_canonical(struct slice raw, struct buffer *out);

/* As path_canonical(), for a path that is only looked at: *canonical lies in raw where that is
 * canonical already, as nearly all are, and in out otherwise. */
enum path_result path_find_canonical(struct slice raw, struct buffer *out, struct slice *canonical);

/* Whether the bytes are a canonical path that a stream may have. */
bool path_is_canonical(struct slice path);

/* As path_is_canonical(), or PATH_REVOKED: what a batch may write to. */
bool path_is_for_batches(struct slice path);

/* What is wrong, for people. */
const char *path_explain(enum path_result result);
