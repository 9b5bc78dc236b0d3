/* The Ed25519 key that signs webhooks, and how it is published. */
#pragma once

#include "weir/base/slice.h"

enum {
    SIGNATURE_SEED_SIZE = 32,
    SIGNATURE_TEXT_SIZE = 88, /* 64 bytes in base64url, and a NUL */
    KEY_TEXT_SIZE = 48,       /* 32 bytes in base64url, and a NUL */
};

struct signature_key;

/* Aborts when OpenSSL refuses. */
struct signature_key *signature_key_new(const unsigned char seed[SIGNATURE_SEED_SIZE]);
void signature_key_free(struct signature_key *key);

const char *signature_key_x(const struct signature_key *key);  /* "x" of its JWK */
const char *signature_key_id(const struct signature_key *key); /* by its RFC 7638 thumbprint */

void signature_make(const struct signature_key *key, struct slice text,
                    char out[SIGNATURE_TEXT_SIZE]);
