/* Taking a token apart, in this order: form, algorithm and key, signature, and only then what it
 * says. */
#include "weir/auth/token.h"

#include "key.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The three parts of the compact form, RFC 7515 section 7.1. */
struct parts {
    struct slice header, payload, signature;
    struct slice signed_text; /* header.payload */
};

static bool is_base64url(struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.data[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              c == '-' || c == '_'))
            return false;
    }
    return text.len > 0 && text.len % 4 != 1;
}

static bool take_part(struct slice *text, struct slice *part)
{
    const char *dot = memchr(text->data, '.', text->len);
    size_t len = dot ? (size_t)(dot - text->data) : text->len;
    *part = slice_of(text->data, len);
    *text = dot ? slice_of(dot + 1, text->len - len - 1) : SLICE_NONE;
    return is_base64url(*part);
}

static bool split(struct slice token, struct parts *parts)
{
    struct slice rest = token;
    if (token.len == 0 || token.len > TOKEN_BYTES_MAX)
        return false;
    if (!take_part(&rest, &parts->header) || !rest.data || !take_part(&rest, &parts->payload) ||
        !rest.data || !take_part(&rest, &parts->signature) || rest.data)
        return false;
    parts->signed_text = slice_of(token.data, parts->header.len + 1 + parts->payload.len);
    return true;
}

static json_t *decode_object(struct slice part)
{
    unsigned char *bytes = NULL;
    size_t len = 0;
    cjose_err ignored;
    json_t *json = NULL;
    if (cjose_base64url_decode(part.data, part.len, &bytes, &len, &ignored))
        json = json_loadb((const char *)bytes, len, JSON_REJECT_DUPLICATES, NULL);
    free(bytes);
    if (json_is_object(json))
        return json;
    json_decref(json);
    return NULL;
}

/* ---- The signature ---- */

static bool verify_ed25519(const struct token_key *key, const struct parts *parts)
{
    unsigned char *signature = NULL;
    size_t len = 0;
    cjose_err ignored;
    bool ok = cjose_base64url_decode(parts->signature.data, parts->signature.len, &signature, &len,
                                     &ignored) &&
              len == 64 &&
              ed25519_verify(key, parts->signed_text, slice_of((const char *)signature, len));
    free(signature);
    return ok;
}

static bool verify_with(const struct token_key *key, struct slice token, const struct parts *parts)
{
    cjose_err ignored;
    if (key->kind == KEY_ED25519)
        return verify_ed25519(key, parts);
    cjose_jws_t *jws = cjose_jws_import(token.data, token.len, &ignored);
    bool ok = jws && cjose_jws_verify(jws, key->jwk, &ignored);
    cjose_jws_release(jws);
    return ok;
}

/* A key without an id may be meant by any. */
static bool may_be_meant(const struct token_key *key, const struct algorithm *algorithm,
                         const char *id)
{
    return key->kind == algorithm->kind && (!key->only || key->only == algorithm) &&
           (!id || !key->id || strcmp(id, key->id) == 0);
}

static enum token_result verify(const struct token_keys *keys, struct slice token,
                                const struct parts *parts, const json_t *header)
{
    const json_t *kid = json_object_get(header, "kid");
    const char *name = json_string_value(json_object_get(header, "alg"));
    /* What must be understood (RFC 7515, 4.1.11) and is not. Keys in the header are no keys. */
    if (!name || (kid && !json_is_string(kid)) || json_object_get(header, "crit"))
        return TOKEN_MALFORMED;
    const struct algorithm *algorithm = algorithm_find(name);
    enum token_result result = TOKEN_NO_KEY;
    for (size_t i = 0; algorithm && i < keys->count; i++) {
        if (!may_be_meant(&keys->items[i], algorithm, json_string_value(kid)))
            continue;
        if (verify_with(&keys->items[i], token, parts))
            return TOKEN_OK;
        result = TOKEN_BAD_SIGNATURE;
    }
    return result;
}

/* ---- What it says ---- */

/* RFC 7519, NumericDate. False: it is there and not a time. */
static bool read_time(const json_t *payload, const char *name, int64_t *ms)
{
    const double most_s = 1e12;
    const json_t *value = json_object_get(payload, name);
    if (!value)
        return true;
    double seconds = json_number_value(value);
    if (!json_is_number(value) || !isfinite(seconds))
        return false;
    *ms = (int64_t)(fmax(-most_s, fmin(seconds, most_s)) * 1000);
    return true;
}

static bool names_audience(const json_t *value, const char *audience)
{
    if (!json_is_array(value))
        return audience && json_is_string(value) && strcmp(json_string_value(value), audience) == 0;
    for (size_t i = 0; audience && i < json_array_size(value); i++) {
        const char *one = json_string_value(json_array_get(value, i));
        if (one && strcmp(one, audience) == 0)
            return true;
    }
    return false;
}

static char *copy_text(const json_t *value)
{
    char *copy = strdup(json_string_value(value));
    check(copy != NULL);
    return copy;
}

static bool read_streams(const json_t *list, struct token_claims *claims)
{
    if (!list)
        return true;
    if (!json_is_array(list) || json_array_size(list) > TOKEN_STREAMS_MAX)
        return false;
    claims->streams = calloc(json_array_size(list) + 1, sizeof *claims->streams);
    check(claims->streams != NULL);
    for (size_t i = 0; i < json_array_size(list); i++) {
        if (!json_is_string(json_array_get(list, i)))
            return false;
        claims->streams[claims->stream_count++] = copy_text(json_array_get(list, i));
    }
    return true;
}

static bool read_claims(const json_t *payload, int64_t *not_before_ms, struct token_claims *claims)
{
    const json_t *subject = json_object_get(payload, "sub"), *id = json_object_get(payload, "jti");
    size_t len = json_string_length(subject);
    claims->issued_ms = INT64_MIN;
    if (len == 0 || len > SUBJECT_BYTES_MAX || (id && !json_is_string(id)) ||
        !json_object_get(payload, "exp") || !read_time(payload, "exp", &claims->expires_ms) ||
        !read_time(payload, "nbf", not_before_ms) || !read_time(payload, "iat", &claims->issued_ms))
        return false;
    claims->subject = copy_text(subject);
    claims->id = id ? copy_text(id) : NULL;
    return read_streams(json_object_get(payload, "streams"), claims);
}

static enum token_result judge(const struct token_rules *rules, const json_t *payload,
                               int64_t now_ms, struct token_claims *claims)
{
    int64_t not_before_ms = INT64_MIN, leeway_ms = (int64_t)rules->leeway_ms;
    const json_t *issuer = json_object_get(payload, "iss");
    const json_t *audience = json_object_get(payload, "aud");
    if (!read_claims(payload, &not_before_ms, claims))
        return TOKEN_BAD_CLAIMS;
    if (now_ms - leeway_ms >= claims->expires_ms)
        return TOKEN_EXPIRED;
    if (not_before_ms > now_ms + leeway_ms || claims->issued_ms > now_ms + leeway_ms)
        return TOKEN_NOT_YET;
    if (rules->issuer &&
        (!json_is_string(issuer) || strcmp(json_string_value(issuer), rules->issuer) != 0))
        return TOKEN_WRONG_ISSUER;
    /* A token for somebody must not be taken by anybody: RFC 7519, 4.1.3. */
    if ((audience || rules->audience) && !names_audience(audience, rules->audience))
        return TOKEN_WRONG_AUDIENCE;
    return TOKEN_OK;
}

enum token_result token_check(const struct token_keys *keys, const struct token_rules *rules,
                              struct slice token, int64_t now_ms, struct token_claims *claims)
{
    struct parts parts;
    *claims = (struct token_claims){0};
    if (!split(token, &parts))
        return TOKEN_MALFORMED;
    json_t *header = decode_object(parts.header), *payload = NULL;
    enum token_result result = header ? verify(keys, token, &parts, header) : TOKEN_MALFORMED;
    if (result == TOKEN_OK) {
        payload = decode_object(parts.payload);
        result = payload ? judge(rules, payload, now_ms, claims) : TOKEN_MALFORMED;
    }
    if (result != TOKEN_OK)
        token_claims_release(claims);
    json_decref(payload);
    json_decref(header);
    return result;
}

void token_claims_release(struct token_claims *claims)
{
    for (size_t i = 0; i < claims->stream_count; i++)
        free(claims->streams[i]);
    free(claims->streams);
    free(claims->subject);
    free(claims->id);
    *claims = (struct token_claims){0};
}

const char *token_explain(enum token_result result)
{
    switch (result) {
    case TOKEN_OK:
        break;
    case TOKEN_MALFORMED:
        return "the token is not a signed JSON Web Token";
    case TOKEN_NO_KEY:
        return "the token is signed with an algorithm or a key that this server does not accept";
    case TOKEN_BAD_SIGNATURE:
        return "the token's signature is not right";
    case TOKEN_BAD_CLAIMS:
        return "the token's sub, exp or another claim is missing or not what it should be";
    case TOKEN_EXPIRED:
        return "the token has expired";
    case TOKEN_NOT_YET:
        return "the token is not valid yet";
    case TOKEN_WRONG_ISSUER:
        return "the token's iss is not the one that this server accepts";
    case TOKEN_WRONG_AUDIENCE:
        return "the token's aud does not name this server";
    }
    return "the token is fine";
}
