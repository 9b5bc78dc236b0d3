/* Bearer tokens: JSON Web Tokens, signed and not encrypted. RFC 7515, 7519, 8725.
 *
 * What a token must have: `sub`, a text, and `exp`. What it may have: `nbf`, `iat`, `iss`, `aud`,
 * `jti`, and `streams`, a list of patterns of paths. Nothing here knows what a path means. */
#pragma once

#include "weir/auth/keys.h"
#include "weir/base/buffer.h"

#include <stdint.h>

enum {
    TOKEN_BYTES_MAX = 16 * 1024,
    SUBJECT_BYTES_MAX = 512,
    TOKEN_STREAMS_MAX = 64,
};

struct token_rules {
    const char *issuer;   /* what `iss` must be; NULL: anything */
    const char *audience; /* what `aud` must name; NULL: there must be no `aud` */
    uint64_t leeway_ms;   /* by which clocks may differ */
};

struct token_claims {
    char *subject;
    char *id;           /* `jti`; NULL: none */
    int64_t issued_ms;  /* INT64_MIN: it does not say */
    int64_t expires_ms; /* without the leeway */
    char **streams;
    size_t stream_count;
};

void token_claims_release(struct token_claims *claims);

enum token_result {
    TOKEN_OK,
    TOKEN_MALFORMED,
    TOKEN_NO_KEY, /* none of its kind and kid */
    TOKEN_BAD_SIGNATURE,
    TOKEN_BAD_CLAIMS, /* sub, exp or streams are missing, or not what they should be */
    TOKEN_EXPIRED,
    TOKEN_NOT_YET, /* nbf or iat lie in the future */
    TOKEN_WRONG_ISSUER,
    TOKEN_WRONG_AUDIENCE,
};

/* Fills claims only with TOKEN_OK; the caller releases them. */
enum token_result token_check(const struct token_keys *keys, const struct token_rules *rules,
                              struct slice token, int64_t now_ms,
                              struct token_claims *claims) WEIR_MUST_CHECK;

/* What is wrong, for the one who sent it. */
const char *token_explain(enum token_result result);

/* Appends a token over the payload, a JSON object, signed with the only key. */
bool token_sign(const struct token_keys *private_keys, struct slice payload, struct buffer *out,
                struct err *err) WEIR_MUST_CHECK;
