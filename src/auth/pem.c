/* PEM to JWK: one form for all that follows. */
#include "key.h"

#include <jansson.h>
#include <openssl/core_names.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>

static bool set_bytes(json_t *jwk, const char *name, const unsigned char *bytes, size_t len)
{
    char *text = NULL;
    size_t text_len;
    cjose_err ignored;
    if (!cjose_base64url_encode(bytes, len, &text, &text_len, &ignored))
        return false;
    json_object_set_new(jwk, name, json_stringn(text, text_len));
    free(text);
    return true;
}

/* width 0: as few bytes as it takes. */
static bool set_number(json_t *jwk, const char *name, const EVP_PKEY *key, const char *parameter,
                       int width)
{
    BIGNUM *number = NULL;
    unsigned char bytes[1024];
    bool ok = EVP_PKEY_get_bn_param(key, parameter, &number) == 1;
    int len = width;
    if (ok && !len)
        len = BN_num_bytes(number);
    ok = ok && len <= (int)sizeof bytes && BN_bn2binpad(number, bytes, len) == len &&
         set_bytes(jwk, name, bytes, (size_t)len);
    BN_clear_free(number);
    OPENSSL_cleanse(bytes, sizeof bytes);
    return ok;
}

static bool set_rsa(json_t *jwk, const EVP_PKEY *key, bool wants_private)
{
    json_object_set_new(jwk, "kty", json_string("RSA"));
    return set_number(jwk, "n", key, OSSL_PKEY_PARAM_RSA_N, 0) &&
           set_number(jwk, "e", key, OSSL_PKEY_PARAM_RSA_E, 0) &&
           (!wants_private || (set_number(jwk, "d", key, OSSL_PKEY_PARAM_RSA_D, 0) &&
                               set_number(jwk, "p", key, OSSL_PKEY_PARAM_RSA_FACTOR1, 0) &&
                               set_number(jwk, "q", key, OSSL_PKEY_PARAM_RSA_FACTOR2, 0) &&
                               set_number(jwk, "dp", key, OSSL_PKEY_PARAM_RSA_EXPONENT1, 0) &&
                               set_number(jwk, "dq", key, OSSL_PKEY_PARAM_RSA_EXPONENT2, 0) &&
                               set_number(jwk, "qi", key, OSSL_PKEY_PARAM_RSA_COEFFICIENT1, 0)));
}

static bool set_ec(json_t *jwk, const EVP_PKEY *key, bool wants_private)
{
    static const struct {
        const char *group, *name;
        int width;
    } curves[] = {
        {"prime256v1", "P-256", 32}, {"secp384r1", "P-384", 48}, {"secp521r1", "P-521", 66}};
    char group[64];
    if (EVP_PKEY_get_utf8_string_param(key, OSSL_PKEY_PARAM_GROUP_NAME, group, sizeof group,
                                       NULL) != 1)
        return false;
    for (size_t i = 0; i < sizeof curves / sizeof *curves; i++) {
        if (strcmp(group, curves[i].group) != 0)
            continue;
        int width = curves[i].width;
        json_object_set_new(jwk, "kty", json_string("EC"));
        json_object_set_new(jwk, "crv", json_string(curves[i].name));
        return set_number(jwk, "x", key, OSSL_PKEY_PARAM_EC_PUB_X, width) &&
               set_number(jwk, "y", key, OSSL_PKEY_PARAM_EC_PUB_Y, width) &&
               (!wants_private || set_number(jwk, "d", key, OSSL_PKEY_PARAM_PRIV_KEY, width));
    }
    return false;
}

static bool set_ed25519(json_t *jwk, const EVP_PKEY *key, bool wants_private)
{
    unsigned char bytes[32];
    size_t len = sizeof bytes;
    json_object_set_new(jwk, "kty", json_string("OKP"));
    json_object_set_new(jwk, "crv", json_string("Ed25519"));
    if (EVP_PKEY_get_raw_public_key(key, bytes, &len) != 1 || !set_bytes(jwk, "x", bytes, len))
        return false;
    len = sizeof bytes;
    bool ok = !wants_private || (EVP_PKEY_get_raw_private_key(key, bytes, &len) == 1 &&
                                 set_bytes(jwk, "d", bytes, len));
    OPENSSL_cleanse(bytes, sizeof bytes);
    return ok;
}

static bool add_key(json_t *jwks, const EVP_PKEY *key, bool wants_private, struct err *err)
{
    json_t *jwk = json_object();
    int kind = key ? EVP_PKEY_get_base_id(key) : EVP_PKEY_NONE;
    bool ok = kind == EVP_PKEY_RSA       ? set_rsa(jwk, key, wants_private)
              : kind == EVP_PKEY_EC      ? set_ec(jwk, key, wants_private)
              : kind == EVP_PKEY_ED25519 ? set_ed25519(jwk, key, wants_private)
                                         : false;
    if (ok)
        json_array_append(jwks, jwk);
    else
        err_set(err, "a key is neither RSA, nor EC on P-256, P-384 or P-521, nor Ed25519");
    json_decref(jwk);
    return ok;
}

static bool add_block(json_t *jwks, const char *name, const unsigned char *der, long len,
                      bool wants_private, struct err *err)
{
    bool is_private = strstr(name, "PRIVATE KEY") != NULL;
    if (strcmp(name, "EC PARAMETERS") == 0)
        return true;
    if (is_private && !wants_private) {
        err_set(err, "it holds a private key, which the server has no use for");
        return err_hint(err, "openssl pkey -in PRIVATE.pem -pubout -out PUBLIC.pem");
    }
    if (!is_private && (wants_private || strcmp(name, "PUBLIC KEY") != 0)) {
        err_set(err, "it holds a %s, not a %s KEY", name, wants_private ? "PRIVATE" : "PUBLIC");
        return err_hint(err, wants_private ? "openssl genpkey -algorithm ed25519"
                                           : "of a certificate: openssl x509 -pubkey -noout");
    }
    EVP_PKEY *key = is_private ? d2i_AutoPrivateKey(NULL, &der, len) : d2i_PUBKEY(NULL, &der, len);
    bool ok = add_key(jwks, key, wants_private, err);
    EVP_PKEY_free(key);
    return ok;
}

bool pem_read(struct slice text, bool wants_private, void *jwks, struct err *err)
{
    BIO *bio = BIO_new_mem_buf(text.data, (int)text.len);
    char *name = NULL, *header = NULL;
    unsigned char *der = NULL;
    long len;
    bool ok = true;
    check(bio != NULL);
    while (ok && PEM_read_bio(bio, &name, &header, &der, &len) == 1) {
        ok = add_block(jwks, name, der, len, wants_private, err);
        OPENSSL_free(name);
        OPENSSL_free(header);
        OPENSSL_clear_free(der, (size_t)len);
    }
    BIO_free(bio);
    if (ok && json_array_size(jwks) == 0)
        ok = err_set(err, "it holds no key in PEM form");
    return ok;
}
