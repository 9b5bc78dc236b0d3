/* URLs of the stream server's extensions. */
#pragma once

/* root without its last slashes, path, and the segment encoded; segment NULL: none. The caller
 * frees. */
char *url_make(const char *root, const char *path, const char *segment);
