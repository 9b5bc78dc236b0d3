#include "key.h"

#include "weir/base/file.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

enum { KEYS_MAX = 64, KEY_FILE_MAX = 256 * 1024, RSA_BITS_MIN = 2048, SECRET_BYTES_MIN = 32 };

static const struct algorithm algorithms[] = {
    {"HS256", KEY_SECRET},  {"HS384", KEY_SECRET}, {"HS512", KEY_SECRET}, {"RS256", KEY_RSA},
    {"RS384", KEY_RSA},     {"RS512", KEY_RSA},    {"PS256", KEY_RSA},    {"PS384", KEY_RSA},
    {"PS512", KEY_RSA},     {"ES256", KEY_P256},   {"ES384", KEY_P384},   {"ES512", KEY_P521},
    {"EdDSA", KEY_ED25519},
};

const struct algorithm *algorithm_find(const char *name)
{
    for (size_t i = 0; i < sizeof algorithms / sizeof *algorithms; i++) {
        if (strcmp(algorithms[i].name, name) == 0)
            return &algorithms[i];
    }
    return NULL;
}

static const char *text_of(const json_t *jwk, const char *name)
{
    return json_string_value(json_object_get(jwk, name));
}

static bool text_is(const json_t *jwk, const char *name, const char *text)
{
    const char *value = text_of(jwk, name);
    return value && strcmp(value, text) == 0;
}

/* ---- One key ---- */

static EVP_PKEY *import_ed25519(const json_t *jwk, bool wants_private)
{
    const char *text = text_of(jwk, wants_private ? "d" : "x");
    unsigned char *bytes = NULL;
    size_t len = 0;
    cjose_err ignored;
    EVP_PKEY *key = NULL;
    if (text && cjose_base64url_decode(text, strlen(text), &bytes, &len, &ignored) && len == 32)
        key = wants_private ? EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, bytes, len)
                            : EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, bytes, len);
    free(bytes);
    return key;
}

static cjose_jwk_t *import_jwk(const json_t *jwk, size_t *bits)
{
    cjose_err ignored;
    char *text = json_dumps(jwk, JSON_COMPACT);
    check(text != NULL);
    cjose_jwk_t *key = cjose_jwk_import(text, strlen(text), &ignored);
    explicit_bzero(text, strlen(text));
    free(text);
    *bits = key ? cjose_jwk_get_keysize(key, &ignored) : 0;
    return key;
}

static bool kind_of(const json_t *jwk, enum key_kind *kind)
{
    static const struct {
        const char *kty, *crv;
        enum key_kind kind;
    } kinds[] = {{"oct", NULL, KEY_SECRET}, {"RSA", NULL, KEY_RSA},
                 {"EC", "P-256", KEY_P256}, {"EC", "P-384", KEY_P384},
                 {"EC", "P-521", KEY_P521}, {"OKP", "Ed25519", KEY_ED25519}};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        *kind = kinds[i].kind;
        if (text_is(jwk, "kty", kinds[i].kty) &&
            (!kinds[i].crv || text_is(jwk, "crv", kinds[i].crv)))
            return true;
    }
    return false;
}

static bool import_key(struct token_key *key, const json_t *jwk, bool wants_private,
                       struct err *err)
{
    size_t bits = 0;
    if (key->kind == KEY_ED25519)
        key->ed25519 = import_ed25519(jwk, wants_private);
    else
        key->jwk = import_jwk(jwk, &bits);
    if (!key->ed25519 && !key->jwk)
        return err_set(err, "a key is damaged");
    if (key->kind == KEY_RSA && bits < RSA_BITS_MIN)
        return err_set(err, "an RSA key has less than %d bits", RSA_BITS_MIN);
    if (key->kind == KEY_SECRET && bits < SECRET_BYTES_MIN * 8)
        return err_set(err, "a secret has less than %d bytes", SECRET_BYTES_MIN);
    return true;
}

/* For encryption, or of a kind that is not known here: a set may hold such keys beside ours. */
static bool is_for_others(const json_t *jwk, enum key_kind *kind)
{
    const char *use = text_of(jwk, "use"), *alg = text_of(jwk, "alg");
    const struct algorithm *only = alg ? algorithm_find(alg) : NULL;
    return !kind_of(jwk, kind) || (use && strcmp(use, "sig") != 0) || (alg && !only) ||
           (only && only->kind != *kind);
}

bool token_keys_add(struct token_keys *keys, const void *context, bool wants_private,
                    struct err *err)
{
    const json_t *jwk = context;
    const char *alg = text_of(jwk, "alg"), *id = text_of(jwk, "kid");
    struct token_key *key = &keys->items[keys->count];
    *key = (struct token_key){.only = alg ? algorithm_find(alg) : NULL};
    if (is_for_others(jwk, &key->kind))
        return true;
    if (!wants_private && key->kind != KEY_SECRET && json_object_get(jwk, "d"))
        return err_set(err, "it holds a private key, which the server has no use for");
    if (keys->count == KEYS_MAX)
        return err_set(err, "there are more than %d keys", KEYS_MAX);
    if (id)
        check((key->id = strdup(id)) != NULL);
    keys->count++; /* what is half made is released with the rest */
    return import_key(key, jwk, wants_private, err);
}

bool ed25519_verify(const struct token_key *key, struct slice text, struct slice signature)
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    check(context != NULL);
    bool ok = EVP_DigestVerifyInit(context, NULL, NULL, NULL, key->ed25519) == 1 &&
              EVP_DigestVerify(context, (const unsigned char *)signature.data, signature.len,
                               (const unsigned char *)text.data, text.len) == 1;
    EVP_MD_CTX_free(context);
    return ok;
}

bool ed25519_sign(const struct token_key *key, struct slice text, unsigned char signature[64])
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    size_t len = 64;
    check(context != NULL);
    bool ok =
        EVP_DigestSignInit(context, NULL, NULL, NULL, key->ed25519) == 1 &&
        EVP_DigestSign(context, signature, &len, (const unsigned char *)text.data, text.len) == 1;
    EVP_MD_CTX_free(context);
    return ok;
}

/* ---- Files ---- */

static struct token_keys *keys_new(void)
{
    struct token_keys *keys = calloc(1, sizeof *keys);
    check(keys != NULL);
    /* One more than the most: the place where the next one is looked at. */
    keys->items = calloc(KEYS_MAX + 1, sizeof *keys->items);
    check(keys->items != NULL);
    return keys;
}

void token_keys_free(struct token_keys *keys)
{
    if (!keys)
        return;
    for (size_t i = 0; i < keys->count; i++) {
        cjose_jwk_release(keys->items[i].jwk);
        EVP_PKEY_free(keys->items[i].ed25519);
        free(keys->items[i].id);
    }
    free(keys->items);
    free(keys);
}

size_t token_keys_count(const struct token_keys *keys)
{
    return keys->count;
}

static bool add_all(struct token_keys *keys, const json_t *jwks, bool wants_private,
                    struct err *err)
{
    size_t before = keys->count;
    for (size_t i = 0; i < json_array_size(jwks); i++) {
        if (!token_keys_add(keys, json_array_get(jwks, i), wants_private, err))
            return false;
    }
    return keys->count > before || err_set(err, "it holds no key to check tokens with");
}

/* The whole file but a line end at its end: what `openssl rand -hex 32 > FILE` writes. */
static bool add_secret(struct token_keys *keys, struct slice text, bool wants_private,
                       struct err *err)
{
    char *encoded = NULL;
    size_t len;
    cjose_err ignored;
    while (text.len && (text.data[text.len - 1] == '\n' || text.data[text.len - 1] == '\r'))
        text.len--;
    /* Public text as a secret would let everybody sign. */
    if (text.len >= 10 && memmem(text.data, text.len, "-----BEGIN", 10)) {
        err_set(err, "it holds a key in PEM form, not a secret");
        return err_hint(err, "a public key is for --auth-public-key-file");
    }
    if (text.len < SECRET_BYTES_MIN) {
        err_set(err, "the secret has less than %d bytes", SECRET_BYTES_MIN);
        return err_hint(err, "openssl rand -hex 32");
    }
    check(cjose_base64url_encode((const unsigned char *)text.data, text.len, &encoded, &len,
                                 &ignored));
    json_t *jwk = json_pack("{s:s, s:s%}", "kty", "oct", "k", encoded, len);
    bool ok = token_keys_add(keys, jwk, wants_private, err);
    json_decref(jwk);
    explicit_bzero(encoded, len);
    free(encoded);
    return ok;
}

static bool add_pem(struct token_keys *keys, struct slice text, bool wants_private, struct err *err)
{
    json_t *jwks = json_array();
    bool ok = pem_read(text, wants_private, jwks, err) && add_all(keys, jwks, wants_private, err);
    json_decref(jwks);
    return ok;
}

static bool add_jwks(struct token_keys *keys, struct slice text, bool wants_private,
                     struct err *err)
{
    json_t *set = json_loadb(text.data ? text.data : "", text.len, JSON_REJECT_DUPLICATES, NULL);
    const json_t *list = json_object_get(set, "keys");
    bool ok = json_is_array(list) ? add_all(keys, list, wants_private, err)
                                  : err_set(err, "it is not a JSON Web Key Set, {\"keys\": [...]}");
    json_decref(set);
    return ok;
}

typedef bool add_fn(struct token_keys *keys, struct slice text, bool wants_private,
                    struct err *err);

static bool add_file(struct token_keys *keys, const char *path, add_fn *add, bool wants_private,
                     struct err *err)
{
    struct buffer text = BUFFER_INIT;
    if (!path)
        return true;
    bool ok = file_read(path, KEY_FILE_MAX, &text, err);
    if (ok) {
        ok = add(keys, buffer_slice(&text), wants_private, err);
        if (!ok)
            err_prefix(err, "%s", path);
    }
    if (text.len)
        explicit_bzero(text.data, text.len);
    buffer_release(&text);
    return ok;
}

struct token_keys *token_keys_load(const struct token_key_files *files, struct err *err)
{
    struct token_keys *keys = keys_new();
    if (add_file(keys, files->secret, add_secret, false, err) &&
        add_file(keys, files->public_key, add_pem, false, err) &&
        add_file(keys, files->jwks, add_jwks, false, err))
        return keys;
    token_keys_free(keys);
    return NULL;
}

struct token_keys *token_keys_load_private(const char *secret_file, const char *private_key_file,
                                           struct err *err)
{
    struct token_keys *keys = keys_new();
    if (add_file(keys, secret_file, add_secret, true, err) &&
        add_file(keys, private_key_file, add_pem, true, err) &&
        (keys->count == 1 ||
         err_set(err, "there is not one key to sign with, but %zu", keys->count)))
        return keys;
    token_keys_free(keys);
    return NULL;
}
