/* Tokens of claims and callbacks: whose they are, of which generation, until when, and a MAC over
 * that. Protocol 7.3, 12.9. Nothing about a token is kept, so those of older generations, which are
 * fenced, are told from those that are none. Pure. */
#pragma once

#include "weir/base/check.h"
#include "weir/base/slice.h"

enum {
    CLAIM_SECRET_SIZE = 16,
    CLAIM_TOKEN_SIZE = 512,
    /* A lease may be extended for as long as its token lasts. */
    CLAIM_TOKEN_LIFETIME_MS = 24 * 60 * 60 * 1000,
};

struct claim_token {
    const char *id;     /* of the subscription, at most 200 bytes */
    int64_t created_ms; /* another one of the same name has other tokens */
    uint64_t generation;
    int64_t expires_ms;
};

/* base64url(id) "." generation "." expiry in seconds "." HMAC-SHA256 of what is before it and when
 * the subscription was made, in hex. */
void claim_token_make(const unsigned char secret[CLAIM_SECRET_SIZE],
                      const struct claim_token *token, char out[CLAIM_TOKEN_SIZE]);

enum claim_token_result { CLAIM_TOKEN_OK, CLAIM_TOKEN_INVALID, CLAIM_TOKEN_EXPIRED };

/* Whether the text is a token of the subscription that `token` names; fills in what it says unless
 * it is invalid. */
enum claim_token_result claim_token_check(const unsigned char secret[CLAIM_SECRET_SIZE],
                                          struct slice text, int64_t now_ms,
                                          struct claim_token *token) WEIR_MUST_CHECK;
