/* Who may do what, under --auth jwt. Loop thread.
 *
 * A request is judged by its head alone, before its body is read and before the store is asked
 * anything: who may not read a stream does not learn whether it exists. There are three kinds of
 * tokens: the writer's and the admin's, which are secrets in files, and readers', which are JSON
 * Web Tokens (weir/auth/token.h). A reader's token that a live read hangs on is looked at again
 * every second, and whenever something has been revoked. */
#pragma once

#include "internal.h"

#include "weir/auth/token.h"

enum right {
    RIGHT_OPEN,  /* anybody */
    RIGHT_TOKEN, /* any token that is valid */
    RIGHT_READ,  /* the stream: whoever's token names it, the writer, the admin */
    RIGHT_WRITE, /* the writer */
    RIGHT_ADMIN,
};

/* The path below the root that a request is for, canonical; what it takes. */
struct need {
    enum right right;
    struct slice path; /* for RIGHT_READ */
};

/* NULL with err when keys or secrets cannot be read. settings->auth is jwt. */
struct access *access_open(const struct server_settings *settings, struct err *err) WEIR_MUST_CHECK;
void access_close(struct server *server);

/* False: the request has its answer, 401 or 403. True for everything without --auth jwt. */
bool access_allows(struct request *request, struct need need) WEIR_MUST_CHECK;

/* What the request shows, whatever it is worth; data NULL: nothing. RFC 6750, 2.1. */
struct slice request_bearer_token(const struct request *request);

/* 401 for a token that was valid when the request began. */
void reply_revoked(struct request *request);

/* Reads files again that have changed, takes in what has been revoked, and ends live reads whose
 * token is not valid any more; in each turn of the loop, behind store_turn(). */
void access_run(struct server *server);

/* The request's answer lives by its token from now on, until access_release(), which every request
 * ends with. */
void access_watch(struct request *request);
void access_release(struct request *request);

/* Whether a request that is watched may not go on. One that has expired ends where it stands, and
 * its reader comes back; one that is revoked gets nothing more. */
bool access_is_expired(const struct request *request);
bool access_is_revoked(const struct request *request);

/* ---- grant.c: paths of a token. Pure. ---- */

/* Comma-separated patterns as subscriptions have them, with {sub} in a segment for the subject as a
 * whole segment or part of one. False: malformed. */
bool grant_check_patterns(const char *patterns, struct err *err) WEIR_MUST_CHECK;

/* Whether the patterns, for the token's subject, or those that the token names match the canonical
 * path. */
bool grant_may_read(const char *patterns, const struct token_claims *claims, struct slice path);

/* ---- revocation.c: what weir.revoked says ---- */

struct revocations *revocations_new(void);
void revocations_free(struct revocations *all, struct store *store);

/* One State event. What cannot be understood revokes more rather than less. */
void revocations_apply(struct revocations *all, struct slice event);

/* Reads on in the stream that the bridge writes. True when something has changed. */
bool revocations_follow(struct revocations *all, struct server *server);
bool revocations_has(const struct revocations *all, const struct token_claims *claims,
                     int64_t now_ms);
