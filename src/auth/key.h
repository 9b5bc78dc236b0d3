/* One key from inside: cjose's, and for Ed25519, which cjose does not know, OpenSSL's. */
#pragma once

#include "weir/auth/keys.h"
#include "weir/base/buffer.h"

#include <cjose/cjose.h>
#include <openssl/evp.h>

enum key_kind { KEY_SECRET, KEY_RSA, KEY_P256, KEY_P384, KEY_P521, KEY_ED25519 };

struct algorithm {
    const char *name;
    enum key_kind kind;
};

/* NULL: not known, "none" included. */
const struct algorithm *algorithm_find(const char *name);

struct token_key {
    enum key_kind kind;
    const struct algorithm *only; /* what the key says it is for; NULL: all of its kind */
    char *id;                     /* NULL: none */
    cjose_jwk_t *jwk;             /* NULL for Ed25519 */
    EVP_PKEY *ed25519;
};

struct token_keys {
    struct token_key *items;
    size_t count;
};

/* Adds the key of one JWK (a JSON object of jansson's). 'wants_private': to sign with. False with
 * err; a key of another use is passed over. */
bool token_keys_add(struct token_keys *keys, const void *jwk, bool wants_private, struct err *err);

/* Reads the PEM blocks of text as JWKs, into a jansson array. */
bool pem_read(struct slice text, bool wants_private, void *jwks, struct err *err);

bool ed25519_verify(const struct token_key *key, struct slice text, struct slice signature);
bool ed25519_sign(const struct token_key *key, struct slice text, unsigned char signature[64]);
