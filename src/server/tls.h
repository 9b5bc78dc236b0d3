/* The certificate of the stream server, under --tls-cert and --tls-key. Loop thread. This is
 * GnuTLS's only door: libmicrohttpd speaks it, and asks here for the certificate of each new
 * connection. */
#pragma once

#include "weir/base/err.h"

struct tls;

/* NULL with err when the files are no certificate and its key. There is one in a process, as the
 * callback has no context. */
struct tls *tls_open(const char *cert_file, const char *key_file, struct err *err) WEIR_MUST_CHECK;
void tls_close(struct tls *tls); /* NULL is allowed; behind the daemon's end */

/* Reads the files again that have changed, once a second; in each turn of the loop. NULL is
 * allowed. Connections keep what they began with, and files that do not fit leave what
 * there was. */
void tls_run(struct tls *tls);

/* For MHD_OPTION_HTTPS_CERT_CALLBACK, and MHD_OPTION_HTTPS_PRIORITIES: TLS 1.2 and 1.3. */
extern void *const tls_certificate_callback;
extern const char tls_priorities[];
