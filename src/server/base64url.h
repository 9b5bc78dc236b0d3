/* RFC 4648, section 5, without padding. */
#pragma once

#include <stddef.h>

/* out has room for four characters for every three bytes that were begun, and a NUL. */
void base64url_encode(const unsigned char *bytes, size_t len, char *out);
