#include "tls.h"

#include "weir/base/clock.h"
#include "weir/base/file.h"
#include "weir/base/log.h"

#include <gnutls/abstract.h>
#include <stdlib.h>
#include <string.h>

enum { CHAIN_MAX = 16, FILE_MAX = 1 << 20, KEY_ID_SIZE = 32, CHECK_INTERVAL_MS = 1000 };

/* A chain and its key. GnuTLS borrows them for the time of a handshake, which may outlast many
 * turns of the loop, so those that were replaced stay until the end: one for each change of the
 * files. */
struct certificate {
    gnutls_pcert_st chain[CHAIN_MAX];
    unsigned length;
    gnutls_privkey_t key;
    struct certificate *replaced;
};

struct tls {
    struct file_watch cert_file, key_file;
    struct certificate *certificate;
    uint64_t checked_ms;
};

static struct tls *the_tls;

const char tls_priorities[] = "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2";

static int give_certificate(gnutls_session_t session, const gnutls_datum_t *names, int name_count,
                            const gnutls_pk_algorithm_t *algorithms, int algorithm_count,
                            gnutls_pcert_st **chain, unsigned *length, gnutls_privkey_t *key)
{
    (void)session, (void)names, (void)name_count, (void)algorithms, (void)algorithm_count;
    *chain = the_tls->certificate->chain;
    *length = the_tls->certificate->length;
    *key = the_tls->certificate->key;
    return 0;
}

void *const tls_certificate_callback = (void *)(uintptr_t)give_certificate;

static void certificate_free(struct certificate *certificate)
{
    while (certificate) {
        struct certificate *next = certificate->replaced;
        for (unsigned i = 0; i < certificate->length; i++)
            gnutls_pcert_deinit(&certificate->chain[i]);
        gnutls_privkey_deinit(certificate->key);
        free(certificate);
        certificate = next;
    }
}

/* The identities of the public keys on both sides. */
static bool is_pair(const struct certificate *certificate)
{
    unsigned char ids[2][KEY_ID_SIZE];
    size_t sizes[2] = {KEY_ID_SIZE, KEY_ID_SIZE};
    gnutls_pubkey_t of_key;
    check(gnutls_pubkey_init(&of_key) == 0);
    bool ok = gnutls_pubkey_import_privkey(of_key, certificate->key, 0, 0) == 0 &&
              gnutls_pubkey_get_key_id(of_key, GNUTLS_KEYID_USE_SHA256, ids[0], &sizes[0]) == 0 &&
              gnutls_pubkey_get_key_id(certificate->chain[0].pubkey, GNUTLS_KEYID_USE_SHA256,
                                       ids[1], &sizes[1]) == 0;
    gnutls_pubkey_deinit(of_key);
    return ok && sizes[0] == sizes[1] && memcmp(ids[0], ids[1], sizes[0]) == 0;
}

static gnutls_datum_t datum_of(const struct buffer *text)
{
    return (gnutls_datum_t){(unsigned char *)text->data, (unsigned)text->len};
}

static bool import(struct certificate *certificate, const struct tls *tls,
                   const struct buffer *cert_text, const struct buffer *key_text, struct err *err)
{
    gnutls_datum_t cert = datum_of(cert_text), key = datum_of(key_text);
    unsigned length = CHAIN_MAX;
    int code = gnutls_pcert_list_import_x509_raw(certificate->chain, &length, &cert,
                                                 GNUTLS_X509_FMT_PEM, 0);
    if (code < 0 || length == 0) {
        err_set(err, "--tls-cert %s holds no certificates in PEM form", tls->cert_file.path);
        return err_hint(err, "the server's own certificate first, then those that vouch for it");
    }
    certificate->length = length;
    code = gnutls_privkey_import_x509_raw(certificate->key, &key, GNUTLS_X509_FMT_PEM, NULL, 0);
    if (code < 0) {
        err_set(err, "--tls-key %s holds no private key in PEM form", tls->key_file.path);
        return err_hint(err, "without a passphrase: openssl pkey -in FILE -out NEW takes it off");
    }
    if (is_pair(certificate))
        return true;
    err_set(err, "the certificate in %s is not one of the key in %s", tls->cert_file.path,
            tls->key_file.path);
    return err_hint(err, "give --tls-cert and --tls-key of one pair, its own certificate first");
}

static struct certificate *load(const struct tls *tls, struct err *err)
{
    struct buffer cert = BUFFER_INIT, key = BUFFER_INIT;
    struct certificate *certificate = calloc(1, sizeof *certificate);
    check(certificate != NULL && gnutls_privkey_init(&certificate->key) == 0);
    bool ok = file_read(tls->cert_file.path, FILE_MAX, &cert, err) &&
              file_read(tls->key_file.path, FILE_MAX, &key, err) &&
              import(certificate, tls, &cert, &key, err);
    if (key.len)
        explicit_bzero(key.data, key.len);
    buffer_release(&key);
    buffer_release(&cert);
    if (ok)
        return certificate;
    certificate_free(certificate);
    return NULL;
}

struct tls *tls_open(const char *cert_file, const char *key_file, struct err *err)
{
    struct tls *tls = calloc(1, sizeof *tls);
    check(tls != NULL && !the_tls);
    tls->cert_file.path = cert_file;
    tls->key_file.path = key_file;
    (void)file_has_changed(&tls->cert_file);
    (void)file_has_changed(&tls->key_file);
    tls->certificate = load(tls, err);
    if (!tls->certificate) {
        free(tls);
        return NULL;
    }
    return the_tls = tls;
}

void tls_close(struct tls *tls)
{
    if (!tls)
        return;
    certificate_free(tls->certificate);
    free(tls);
    the_tls = NULL;
}

void tls_run(struct tls *tls)
{
    struct err err;
    uint64_t now_ms = clock_monotonic_ms();
    if (!tls || now_ms - tls->checked_ms < CHECK_INTERVAL_MS)
        return;
    tls->checked_ms = now_ms;
    bool has_changed = file_has_changed(&tls->cert_file);
    has_changed |= file_has_changed(&tls->key_file);
    struct certificate *certificate = has_changed ? load(tls, &err) : NULL;
    if (certificate) {
        certificate->replaced = tls->certificate;
        tls->certificate = certificate;
        log_event(LOG_INFO, "the certificate was read again");
    } else if (has_changed) {
        log_err(LOG_ERROR, "the certificate from before stays in use", &err);
    }
}
