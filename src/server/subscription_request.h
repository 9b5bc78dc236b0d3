/* What the parts of the routes below __ds share. Bodies and answers are JSON, errors too. */
#pragma once

#include "subscription.h"

/* ---- subscription_route.c ---- */

/* Takes the value over. */
void subscription_reply(struct request *request, unsigned status, json_t *json);
void subscription_reply_error(struct request *request, unsigned status, const char *code,
                              const char *message);
void subscription_reply_invalid(struct request *request, const char *message);

json_t *subscription_pack_links(const struct subscription *subscription, bool with_tail);

/* ---- subscription_claim.c ---- */

void route_claim(struct request *request, struct subscription *subscription, const json_t *body);
/* Of a webhook, its callback. */
void route_acknowledge(struct request *request, struct subscription *subscription,
                       const json_t *body);
void route_release(struct request *request, struct subscription *subscription, const json_t *body);
