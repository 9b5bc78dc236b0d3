/* Making tokens: for development, and for tests. */
#include "weir/auth/token.h"

#include "key.h"

#include <stdlib.h>

static const char *algorithm_of(enum key_kind kind)
{
    switch (kind) {
    case KEY_SECRET:
        return "HS256";
    case KEY_RSA:
        return "RS256";
    case KEY_P256:
        return "ES256";
    case KEY_P384:
        return "ES384";
    case KEY_P521:
        return "ES512";
    case KEY_ED25519:
        break;
    }
    return "EdDSA";
}

static void add_base64url(struct buffer *out, struct slice bytes)
{
    char *text = NULL;
    size_t len;
    cjose_err ignored;
    check(cjose_base64url_encode((const unsigned char *)bytes.data, bytes.len, &text, &len,
                                 &ignored));
    buffer_add(out, text, len);
    free(text);
}

static bool sign_ed25519(const struct token_key *key, struct slice payload, struct buffer *out)
{
    unsigned char signature[64];
    size_t start = out->len;
    add_base64url(out, SLICE("{\"alg\":\"EdDSA\",\"typ\":\"JWT\"}"));
    buffer_add_char(out, '.');
    add_base64url(out, payload);
    bool ok = ed25519_sign(key, slice_of(out->data + start, out->len - start), signature);
    buffer_add_char(out, '.');
    add_base64url(out, slice_of((const char *)signature, sizeof signature));
    return ok;
}

static bool sign_jws(const struct token_key *key, struct slice payload, struct buffer *out)
{
    cjose_err ignored;
    const char *text;
    cjose_header_t *header = cjose_header_new(&ignored);
    check(header != NULL);
    bool ok = cjose_header_set(header, "alg", algorithm_of(key->kind), &ignored) &&
              cjose_header_set(header, "typ", "JWT", &ignored);
    cjose_jws_t *jws =
        ok ? cjose_jws_sign(key->jwk, header, (const uint8_t *)payload.data, payload.len, &ignored)
           : NULL;
    ok = jws && cjose_jws_export(jws, &text, &ignored);
    if (ok)
        buffer_add_str(out, text);
    cjose_jws_release(jws);
    cjose_header_release(header);
    return ok;
}

bool token_sign(const struct token_keys *keys, struct slice payload, struct buffer *out,
                struct err *err)
{
    const struct token_key *key = &keys->items[0];
    check(keys->count == 1);
    if (key->kind == KEY_ED25519 ? sign_ed25519(key, payload, out) : sign_jws(key, payload, out))
        return true;
    return err_set(err, "the key does not sign");
}
