#include "claim_token.h"

#include "base64url.h"
#include "internal.h"

#include <inttypes.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>

enum { MAC_SIZE = 32, ID_MAX = 200 };

void claim_token_make(const unsigned char secret[CLAIM_SECRET_SIZE],
                      const struct claim_token *token, char out[CLAIM_TOKEN_SIZE])
{
    char id[(ID_MAX + 2) / 3 * 4 + 1], text[CLAIM_TOKEN_SIZE];
    unsigned char mac[MAC_SIZE];
    check(strlen(token->id) <= ID_MAX);
    base64url_encode((const unsigned char *)token->id, strlen(token->id), id);
    int len = snprintf(out, CLAIM_TOKEN_SIZE, "%s.%" PRIu64 ".%" PRId64, id, token->generation,
                       token->expires_ms / 1000);
    int text_len = snprintf(text, sizeof text, "%s.%" PRId64, out, token->created_ms);
    check(len > 0 && text_len < (int)sizeof text);
    check(HMAC(EVP_sha256(), secret, CLAIM_SECRET_SIZE, (unsigned char *)text, (size_t)text_len,
               mac, NULL) != NULL);
    out[len++] = '.';
    for (size_t i = 0; i < sizeof mac; i++)
        len += snprintf(out + len, (size_t)(CLAIM_TOKEN_SIZE - len), "%02x", mac[i]);
}

/* Takes what stands behind the last point off the text. */
static struct slice take_last(struct slice *text)
{
    const char *point = text->len ? memrchr(text->data, '.', text->len) : NULL;
    if (!point)
        return SLICE_NONE;
    struct slice rest = *text;
    *text = slice_of(rest.data, (size_t)(point - rest.data));
    return slice_of(point + 1, rest.len - text->len - 1);
}

enum claim_token_result claim_token_check(const unsigned char secret[CLAIM_SECRET_SIZE],
                                          struct slice text, int64_t now_ms,
                                          struct claim_token *token)
{
    char expected[CLAIM_TOKEN_SIZE];
    struct slice rest = text;
    uint64_t expires_s;
    take_last(&rest);
    if (!parse_whole_number(take_last(&rest), &expires_s) ||
        !parse_whole_number(take_last(&rest), &token->generation))
        return CLAIM_TOKEN_INVALID;
    token->expires_ms = (int64_t)expires_s * 1000;
    claim_token_make(secret, token, expected);
    if (text.len != strlen(expected) || CRYPTO_memcmp(text.data, expected, text.len) != 0)
        return CLAIM_TOKEN_INVALID;
    return token->expires_ms <= now_ms ? CLAIM_TOKEN_EXPIRED : CLAIM_TOKEN_OK;
}
