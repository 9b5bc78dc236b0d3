#include "base64url.h"

#include <openssl/evp.h>
#include <string.h>

void base64url_encode(const unsigned char *bytes, size_t len, char *out)
{
    EVP_EncodeBlock((unsigned char *)out, bytes, (int)len);
    out[strcspn(out, "=")] = '\0';
    for (; *out; out++)
        *out = *out == '+' ? '-' : *out == '/' ? '_' : *out;
}
