#include "access.h"

#include "weir/base/clock.h"
#include "weir/base/file.h"
#include "weir/base/log.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <strings.h>

enum { DIGEST_SIZE = 32, FILES = 5, CHECK_INTERVAL_MS = 1000 };

/* Kept as digests: comparing them tells nothing about how much of a secret was right, its length
 * included. */
struct secrets {
    unsigned char (*digests)[DIGEST_SIZE];
    size_t count;
};

struct access {
    const struct server_settings *settings;
    struct token_rules rules;
    struct token_keys *keys;
    struct secrets writers, admins;
    struct revocations *revocations;
    struct file_watch files[FILES];
    uint64_t checked_ms;
    struct request *watched; /* whose answer lives by its token */
};

/* What a reader's token gave to a request. */
struct grant {
    struct token_claims claims;
    enum { GRANT_VALID, GRANT_EXPIRED, GRANT_REVOKED } state;
    struct request *previous, *next;
};

/* ---- Files ---- */

static void digest(struct slice text, unsigned char out[DIGEST_SIZE])
{
    check(EVP_Digest(text.data ? text.data : "", text.len, out, NULL, EVP_sha256(), NULL) == 1);
}

static bool load_secrets(const char *path, struct secrets *secrets, struct err *err)
{
    struct buffer lines = BUFFER_INIT;
    struct slice rest, secret;
    if (!path)
        return true;
    bool ok = secret_file_read(path, &lines, err);
    rest = buffer_slice(&lines);
    while (ok && secret_next(&rest, &secret)) {
        secrets->digests =
            realloc(secrets->digests, (secrets->count + 1) * sizeof *secrets->digests);
        check(secrets->digests != NULL);
        digest(secret, secrets->digests[secrets->count++]);
    }
    if (lines.len)
        explicit_bzero(lines.data, lines.len);
    buffer_release(&lines);
    return ok;
}

static bool secrets_have(const struct secrets *secrets, struct slice token)
{
    unsigned char given[DIGEST_SIZE];
    bool is_one = false;
    digest(token, given);
    for (size_t i = 0; i < secrets->count; i++)
        is_one |= CRYPTO_memcmp(given, secrets->digests[i], DIGEST_SIZE) == 0;
    return is_one;
}

static void release_loaded(struct access *loaded)
{
    token_keys_free(loaded->keys);
    free(loaded->writers.digests);
    free(loaded->admins.digests);
}

/* All or nothing: what is loaded belongs together. */
static bool load(struct access *access, struct err *err)
{
    const struct server_settings *settings = access->settings;
    const struct token_key_files files = {settings->auth_secret_file,
                                          settings->auth_public_key_file, settings->auth_jwks_file};
    struct access loaded = {.keys = token_keys_load(&files, err)};
    if (!loaded.keys || !load_secrets(settings->writer_token_file, &loaded.writers, err) ||
        !load_secrets(settings->admin_token_file, &loaded.admins, err)) {
        release_loaded(&loaded);
        return false;
    }
    release_loaded(access);
    access->keys = loaded.keys;
    access->writers = loaded.writers;
    access->admins = loaded.admins;
    return true;
}

static bool check_settings(const struct server_settings *settings, struct err *err)
{
    if (!settings->auth_secret_file && !settings->auth_public_key_file &&
        !settings->auth_jwks_file) {
        err_set(err, "--auth jwt needs a key to check tokens with");
        return err_hint(err, "give it --auth-secret-file, --auth-public-key-file or "
                             "--auth-jwks-file");
    }
    if (!settings->writer_token_file) {
        err_set(err, "--auth jwt needs --writer-token-file: the secret that the bridge shows");
        return err_hint(err, "openssl rand -hex 32 > writer.token, and give the bridge the same "
                             "file as --streams-token-file");
    }
    if (settings->is_public) {
        err_set(err, "--public and --auth jwt exclude each other");
        return err_hint(err, "shared caches would keep what only some may see");
    }
    return grant_check_patterns(settings->auth_streams, err);
}

struct access *access_open(const struct server_settings *settings, struct err *err)
{
    if (!check_settings(settings, err))
        return NULL;
    struct access *access = calloc(1, sizeof *access);
    check(access != NULL);
    access->settings = settings;
    access->rules = (struct token_rules){settings->auth_issuer, settings->auth_audience,
                                         settings->auth_leeway_ms};
    const char *paths[FILES] = {settings->auth_secret_file, settings->auth_public_key_file,
                                settings->auth_jwks_file, settings->writer_token_file,
                                settings->admin_token_file};
    for (size_t i = 0; i < FILES; i++) {
        access->files[i].path = paths[i];
        (void)file_has_changed(&access->files[i]);
    }
    if (!load(access, err)) {
        free(access);
        return NULL;
    }
    access->revocations = revocations_new();
    return access;
}

void access_close(struct server *server)
{
    struct access *access = server->access;
    if (!access)
        return;
    check(!access->watched);
    revocations_free(access->revocations, server->store);
    release_loaded(access);
    free(access);
    server->access = NULL;
}

/* A file that is bad, or half written, leaves what there was. */
static void reload_if_changed(struct access *access)
{
    bool has_changed = false;
    struct err err;
    for (size_t i = 0; i < FILES; i++)
        has_changed |= file_has_changed(&access->files[i]);
    if (!has_changed)
        return;
    if (load(access, &err))
        log_event(LOG_INFO, "keys and tokens read again",
                  LOG_U("keys", token_keys_count(access->keys)));
    else
        log_err(LOG_ERROR, "the keys and tokens from before stay in use", &err);
}

/* ---- Judging a request ---- */

struct slice request_bearer_token(const struct request *request)
{
    struct slice header = request_header(request, "Authorization"), scheme = SLICE("Bearer ");
    if (header.len < scheme.len || strncasecmp(header.data, scheme.data, scheme.len) != 0)
        return SLICE_NONE;
    struct slice token = slice_of(header.data + scheme.len, header.len - scheme.len);
    while (token.len && token.data[0] == ' ')
        token = slice_of(token.data + 1, token.len - 1);
    while (token.len && token.data[token.len - 1] == ' ')
        token.len--;
    return token;
}

/* RFC 6750, section 3. */
static void refuse(struct request *request, unsigned status, const char *error, const char *why)
{
    char challenge[256] = "Bearer realm=\"weir\"";
    if (error)
        snprintf(challenge, sizeof challenge,
                 "Bearer realm=\"weir\", error=\"%s\", error_description=\"%s\"", error, why);
    reply_text(request, status, why);
    reply_header(request, "WWW-Authenticate", challenge);
}

static const char *const revoked_text = "the token has been revoked";

void reply_revoked(struct request *request)
{
    refuse(request, MHD_HTTP_UNAUTHORIZED, "invalid_token", revoked_text);
}

static bool refuse_token(struct request *request, const char *why)
{
    refuse(request, MHD_HTTP_UNAUTHORIZED, "invalid_token", why);
    return false;
}

static bool refuse_right(struct request *request, const char *why)
{
    refuse(request, MHD_HTTP_FORBIDDEN, "insufficient_scope", why);
    return false;
}

static const char *explain_right(enum right right)
{
    switch (right) {
    case RIGHT_WRITE:
        return "this takes the writer's token";
    case RIGHT_ADMIN:
        return "this takes the admin's token";
    case RIGHT_OPEN:
    case RIGHT_TOKEN:
    case RIGHT_READ:
        break;
    }
    return "the token does not allow this stream to be read";
}

static bool judge_claims(struct request *request, struct need need, struct token_claims *claims)
{
    const struct access *access = request->server->access;
    if (revocations_has(access->revocations, claims, clock_wall_ms()))
        return refuse_token(request, revoked_text);
    if (need.right != RIGHT_TOKEN &&
        (need.right != RIGHT_READ ||
         !grant_may_read(access->settings->auth_streams, claims, need.path)))
        return refuse_right(request, explain_right(need.right));
    request->grant = calloc(1, sizeof *request->grant);
    check(request->grant != NULL);
    request->grant->claims = *claims;
    *claims = (struct token_claims){0};
    return true;
}

bool access_allows(struct request *request, struct need need)
{
    const struct access *access = request->server->access;
    struct token_claims claims;
    if (!access || need.right == RIGHT_OPEN)
        return true;
    struct slice token = request_bearer_token(request);
    if (!token.len) {
        refuse(request, MHD_HTTP_UNAUTHORIZED, NULL, "this takes a bearer token");
        return false;
    }
    bool is_writer = secrets_have(&access->writers, token);
    bool is_admin = secrets_have(&access->admins, token);
    if (is_writer || is_admin) {
        bool is_allowed = need.right == RIGHT_WRITE   ? is_writer
                          : need.right == RIGHT_ADMIN ? is_admin
                                                      : true;
        return is_allowed || refuse_right(request, explain_right(need.right));
    }
    enum token_result result =
        token_check(access->keys, &access->rules, token, clock_wall_ms(), &claims);
    if (result != TOKEN_OK)
        return refuse_token(request, token_explain(result));
    bool is_allowed = judge_claims(request, need, &claims);
    token_claims_release(&claims);
    return is_allowed;
}

/* ---- Live reads ---- */

void access_watch(struct request *request)
{
    struct access *access = request->server->access;
    struct grant *grant = request->grant;
    if (!grant)
        return;
    grant->next = access->watched;
    if (access->watched)
        access->watched->grant->previous = request;
    access->watched = request;
}

void access_release(struct request *request)
{
    struct access *access = request->server->access;
    struct grant *grant = request->grant;
    if (!grant)
        return;
    if (grant->previous)
        grant->previous->grant->next = grant->next;
    else if (access->watched == request)
        access->watched = grant->next;
    if (grant->next)
        grant->next->grant->previous = grant->previous;
    token_claims_release(&grant->claims);
    free(grant);
    request->grant = NULL;
}

bool access_is_expired(const struct request *request)
{
    return request->grant && request->grant->state == GRANT_EXPIRED;
}

bool access_is_revoked(const struct request *request)
{
    return request->grant && request->grant->state == GRANT_REVOKED;
}

/* Ends with the leeway, not before: a client that came back at once with the same token would be
 * let in again. */
static void look_at(const struct access *access, struct request *request, int64_t now_ms)
{
    struct grant *grant = request->grant;
    int64_t leeway_ms = (int64_t)access->rules.leeway_ms;
    if (revocations_has(access->revocations, &grant->claims, now_ms))
        grant->state = GRANT_REVOKED;
    else if (now_ms - leeway_ms >= grant->claims.expires_ms)
        grant->state = GRANT_EXPIRED;
    if (grant->state != GRANT_VALID && request->waiting == WAITING_DATA)
        request_wake(request);
}

void access_run(struct server *server)
{
    struct access *access = server->access;
    uint64_t now_ms = clock_monotonic_ms();
    if (!access)
        return;
    bool is_due = now_ms - access->checked_ms >= CHECK_INTERVAL_MS;
    if (is_due) {
        access->checked_ms = now_ms;
        reload_if_changed(access);
    }
    if (!revocations_follow(access->revocations, server) && !is_due)
        return;
    int64_t wall_ms = clock_wall_ms();
    for (struct request *request = access->watched; request; request = request->grant->next)
        look_at(access, request, wall_ms);
}
