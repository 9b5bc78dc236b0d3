/* Webhooks: wakes that are requests to a URL of the subscription, signed with the server's Ed25519
 * key. Protocol 6.5, 7.1 and 12.8. A wake is held from when it is issued; its request goes out when
 * the wake is durable. A request that fails is repeated after 1 to 60 s, the same wake with the
 * same snapshot, as long as the lease lasts; then it is a new wake. Loop thread; a thread of
 * src/http waits for the answers. */
#pragma once

#include "subscription.h"

struct webhooks; /* NULL: not allowed on this server */

/* Makes the key, or reads it from the store's settings. */
struct webhooks *webhooks_open(struct server *server);
void webhooks_close(struct webhooks *webhooks); /* NULL is allowed */

int webhooks_event_fd(const struct webhooks *webhooks);
bool webhook_allows(const struct webhooks *webhooks, const char *url);

/* The public key's name, and the set of keys as JSON text that the caller frees. */
const char *webhook_key_id(const struct webhooks *webhooks);
char *webhook_key_set(const struct webhooks *webhooks);
/* The root of streams as others reach it. */
const char *webhook_root(const struct webhooks *webhooks);

/* Sends what is due and takes the answers; never blocks. */
void webhooks_run(struct subscriptions *all);
