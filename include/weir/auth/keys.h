/* struct token_keys: what bearer tokens are signed with, from files. RFC 7517, 7518, 8037.
 *
 * Every key has one kind, and a token is only ever checked by an algorithm of its key's kind: what
 * the token says about itself chooses among keys, and never how a key is used. Reading blocks on
 * the disk; otherwise pure. */
#pragma once

#include "weir/base/err.h"

#include <stddef.h>

struct token_keys;

/* Each may be NULL. Keys of several files are all accepted. */
struct token_key_files {
    const char *secret;     /* a secret shared with who signs: HS256, HS384, HS512 */
    const char *public_key; /* PEM, "PUBLIC KEY", several one after the other: RSA, EC, Ed25519 */
    const char *jwks;       /* a JSON Web Key Set */
};

/* NULL with err, which names the file and never quotes it: it cannot be read, holds no key or a bad
 * one, or a private key where a public one belongs. */
struct token_keys *token_keys_load(const struct token_key_files *files,
                                   struct err *err) WEIR_MUST_CHECK;
void token_keys_free(struct token_keys *keys); /* NULL is allowed */
size_t token_keys_count(const struct token_keys *keys);

/* To sign with: a secret's file or a private key's (PEM), the other one NULL. One key. */
struct token_keys *token_keys_load_private(const char *secret_file, const char *private_key_file,
                                           struct err *err) WEIR_MUST_CHECK;
