/* What a PUT of a subscription says, and what must be the same for another PUT to be "the same".
 * Protocol 6.2. Everything in it is in one canonical form. Pure. */
#pragma once

#include "weir/base/check.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

enum {
    LEASE_MIN_MS = 1000,
    LEASE_MAX_MS = 600000,
    LEASE_DEFAULT_MS = 30000,
    CONFIG_HASH_SIZE = 65,
};

struct subscription_config {
    char *pattern;     /* NULL: none */
    char *streams;     /* canonical paths, sorted, with '\n' behind each */
    char *wake_stream; /* NULL: a webhook */
    char *webhook_url; /* NULL: pull-wake */
    char *description; /* NULL: none */
    uint64_t lease_ttl_ms;
    char hash[CONFIG_HASH_SIZE]; /* of all of the above */
};

/* What is wrong with the body, or NULL; fills config either way, for the caller to release. */
const char *subscription_config_parse(const json_t *body, bool has_webhooks,
                                      struct subscription_config *config) WEIR_MUST_CHECK;
void subscription_config_release(struct subscription_config *config);

/* SHA-256, in hex, over the configuration as JSON without spaces: the members that a PUT may have,
 * in the order of their names, null where there is none, and paths as an array. Stored, so it
 * stays. */
void subscription_config_hash(const struct subscription_config *config,
                              char hash[CONFIG_HASH_SIZE]);

/* The canonical form, for the caller to free; NULL when it is not a stream's path. */
char *subscription_path(const char *raw);

/* A JSON array of paths as in `streams` above, for the caller to free; NULL when something in it is
 * not a path. No array: none. */
char *subscription_paths(const json_t *list);
