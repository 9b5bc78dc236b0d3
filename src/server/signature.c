#include "signature.h"

#include "base64url.h"

#include "weir/base/check.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct signature_key {
    EVP_PKEY *key;
    char x[KEY_TEXT_SIZE];
    char id[KEY_TEXT_SIZE];
};

static void name_key(struct signature_key *key)
{
    unsigned char digest[32];
    char text[128], encoded[KEY_TEXT_SIZE];
    int len =
        snprintf(text, sizeof text, "{\"crv\":\"Ed25519\",\"kty\":\"OKP\",\"x\":\"%s\"}", key->x);
    check(EVP_Digest(text, (size_t)len, digest, NULL, EVP_sha256(), NULL) == 1);
    base64url_encode(digest, sizeof digest, encoded);
    snprintf(key->id, sizeof key->id, "ds_%.43s", encoded);
}

struct signature_key *signature_key_new(const unsigned char seed[SIGNATURE_SEED_SIZE])
{
    unsigned char public[32];
    size_t len = sizeof public;
    struct signature_key *key = calloc(1, sizeof *key);
    check(key != NULL);
    key->key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed, SIGNATURE_SEED_SIZE);
    check(key->key != NULL && EVP_PKEY_get_raw_public_key(key->key, public, &len) == 1);
    base64url_encode(public, len, key->x);
    name_key(key);
    return key;
}

void signature_key_free(struct signature_key *key)
{
    EVP_PKEY_free(key->key);
    free(key);
}

const char *signature_key_x(const struct signature_key *key)
{
    return key->x;
}

const char *signature_key_id(const struct signature_key *key)
{
    return key->id;
}

void signature_make(const struct signature_key *key, struct slice text,
                    char out[SIGNATURE_TEXT_SIZE])
{
    unsigned char bytes[64];
    size_t len = sizeof bytes;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    check(ctx != NULL && EVP_DigestSignInit(ctx, NULL, NULL, NULL, key->key) == 1);
    check(EVP_DigestSign(ctx, bytes, &len, (const unsigned char *)text.data, text.len) == 1);
    EVP_MD_CTX_free(ctx);
    base64url_encode(bytes, len, out);
}
