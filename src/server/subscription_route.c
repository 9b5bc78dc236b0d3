/* Requests below __ds. Protocol 6 and 7. */
#include "subscription_request.h"
#include "webhook.h"

#include "weir/base/percent.h"

#include <stdlib.h>

void subscription_reply(struct request *request, unsigned status, json_t *json)
{
    char *text = json_dumps(json, JSON_COMPACT);
    check(json != NULL && text != NULL);
    reply_json(request, status, slice_from_str(text));
    free(text);
    json_decref(json);
}

void subscription_reply_error(struct request *request, unsigned status, const char *code,
                              const char *message)
{
    subscription_reply(request, status,
                       json_pack("{s:{s:s, s:s}}", "error", "code", code, "message", message));
}

void subscription_reply_invalid(struct request *request, const char *message)
{
    subscription_reply_error(request, MHD_HTTP_BAD_REQUEST, "INVALID_REQUEST", message);
}

static json_t *pack_offset(uint64_t position)
{
    char text[OFFSET_TEXT_SIZE];
    format_offset(position, text);
    return json_string(text);
}

static json_t *pack_link(const struct link *link, bool with_tail)
{
    json_t *json = json_pack("{s:s, s:s, s:o}", "path", link->path, "link_type",
                             link->is_explicit ? "explicit" : "glob", "acked_offset",
                             pack_offset(link->acked));
    if (with_tail) {
        json_object_set_new(json, "tail_offset", pack_offset(link->tail));
        json_object_set_new(json, "has_pending", json_boolean(link->tail > link->acked));
    }
    return json;
}

json_t *subscription_pack_links(const struct subscription *subscription, bool with_tail)
{
    json_t *list = json_array();
    for (size_t i = 0; i < subscription->link_count; i++)
        json_array_append_new(list, pack_link(&subscription->links[i], with_tail));
    return list;
}

static json_t *pack_webhook(const struct subscriptions *all,
                            const struct subscription_config *config)
{
    if (!config->webhook_url)
        return NULL;
    json_t *json = json_pack("{s:s}", "url", config->webhook_url);
    if (all->webhooks) {
        json_t *set = json_sprintf("%s/__ds/jwks.json", webhook_root(all->webhooks));
        json_object_set_new(json, "signing",
                            json_pack("{s:s, s:s, s:o}", "alg", "ed25519", "kid",
                                      webhook_key_id(all->webhooks), "jwks_url", set));
    }
    return json;
}

static json_t *pack_subscription(const struct subscriptions *all,
                                 const struct subscription *subscription)
{
    char created[TIME_TEXT_SIZE];
    const struct subscription_config *config = &subscription->config;
    format_time(subscription->created_ms, created);
    return json_pack(
        "{s:s, s:s, s:s, s:s?, s:o, s:o*, s:s?, s:I, s:s, s:s, s:s?}", "id", subscription->id,
        "subscription_id", subscription->id, "type", config->webhook_url ? "webhook" : "pull-wake",
        "pattern", config->pattern, "streams", subscription_pack_links(subscription, false),
        "webhook", pack_webhook(all, config), "wake_stream", config->wake_stream, "lease_ttl_ms",
        (json_int_t)config->lease_ttl_ms, "created_at", created, "status",
        subscription->failures ? "failed" : "active", "description", config->description);
}

/* ---- Creating ---- */

static void create(struct request *request, struct slice id, struct subscription_config *config)
{
    struct subscriptions *all = request->server->subscriptions;
    struct subscription *subscription = subscription_find(all, id);
    if (subscription) {
        if (strcmp(subscription->config.hash, config->hash) == 0)
            subscription_reply(request, MHD_HTTP_OK, pack_subscription(all, subscription));
        else
            subscription_reply_error(request, MHD_HTTP_CONFLICT, "SUBSCRIPTION_ALREADY_EXISTS",
                                     "the subscription exists with another configuration");
        return;
    }
    switch (subscription_create(all, id, config, &subscription)) {
    case SUBSCRIPTION_OK:
        subscription_reply(request, MHD_HTTP_CREATED, pack_subscription(all, subscription));
        break;
    case SUBSCRIPTION_TOO_MUCH:
        subscription_reply_error(request, MHD_HTTP_TOO_MANY_REQUESTS, "TOO_MANY",
                                 "there are too many subscriptions, or streams for this one");
        break;
    case SUBSCRIPTION_NO_ROOM:
        reply_no_room(request);
        break;
    }
}

static void put(struct request *request, struct slice id, const json_t *body)
{
    struct subscription_config config = {0};
    const struct webhooks *webhooks = request->server->subscriptions->webhooks;
    const char *wrong = subscription_config_parse(body, webhooks != NULL, &config);
    if (wrong)
        subscription_reply_invalid(request, wrong);
    else if (config.webhook_url && !webhook_allows(webhooks, config.webhook_url))
        subscription_reply_error(request, MHD_HTTP_BAD_REQUEST, "WEBHOOK_URL_REJECTED",
                                 "the webhook's url is not https, or leads to a local network");
    else
        create(request, id, &config);
    subscription_config_release(&config);
}

/* ---- Streams ---- */

static void add_streams(struct request *request, struct subscription *subscription,
                        const json_t *body)
{
    struct subscriptions *all = request->server->subscriptions;
    const json_t *list = json_object_get(body, "streams");
    char *streams = json_array_size(list) ? subscription_paths(list) : NULL;
    bool ok = true;
    if (!streams) {
        subscription_reply_invalid(request, "streams is not an array of streams' paths");
        return;
    }
    for (const char *line = streams; *line && ok; line += strcspn(line, "\n") + 1)
        ok = subscription_link(all, subscription, slice_of(line, strcspn(line, "\n")));
    free(streams);
    if (ok)
        reply_empty(request, MHD_HTTP_NO_CONTENT);
    else
        subscription_reply_error(request, MHD_HTTP_TOO_MANY_REQUESTS, "TOO_MANY",
                                 "the subscription has too many streams");
}

static void remove_stream(struct request *request, struct subscription *subscription,
                          struct slice encoded)
{
    struct buffer decoded = BUFFER_INIT;
    bool ok = percent_decode(&decoded, encoded);
    char *path = ok ? subscription_path(buffer_str(&decoded)) : NULL;
    buffer_release(&decoded);
    if (path) {
        subscription_unlink(request->server->subscriptions, subscription, slice_from_str(path));
        reply_empty(request, MHD_HTTP_NO_CONTENT);
    } else {
        subscription_reply_invalid(request, "that is not a stream's path");
    }
    free(path);
}

/* ---- Routing ---- */

static void show(struct request *request, struct subscription *subscription)
{
    subscription_reply(request, MHD_HTTP_OK,
                       pack_subscription(request->server->subscriptions, subscription));
}

static void delete(struct request *request, struct subscription *subscription)
{
    if (subscription)
        subscription_delete(request->server->subscriptions, subscription);
    reply_empty(request, MHD_HTTP_NO_CONTENT);
}

static bool is_read(const struct request *request)
{
    return request->method == METHOD_GET || request->method == METHOD_HEAD;
}

static bool is_below_streams(struct slice action)
{
    struct slice streams = SLICE("streams/");
    return action.len > streams.len && memcmp(action.data, streams.data, streams.len) == 0;
}

static void refuse_action(struct request *request, struct slice action, bool is_webhook)
{
    bool is_of_pull = slice_eq_str(action, "claim") || slice_eq_str(action, "ack") ||
                      slice_eq_str(action, "release");
    if (action.len == 0)
        reply_not_allowed(request, "GET, HEAD, PUT, DELETE, OPTIONS",
                          "a subscription has no such method");
    else if (is_below_streams(action))
        reply_not_allowed(request, "DELETE, OPTIONS", "a subscription's stream has DELETE");
    else if (is_of_pull && is_webhook)
        subscription_reply_invalid(request, "the subscription is a webhook's, and not pull-wake");
    else if (!is_webhook && slice_eq_str(action, "callback"))
        subscription_reply_invalid(request, "the subscription is pull-wake, and no webhook's");
    else if (is_of_pull || slice_eq_str(action, "callback") || slice_eq_str(action, "streams"))
        reply_not_allowed(request, "POST, OPTIONS", "this has POST");
    else
        reply_text(request, MHD_HTTP_NOT_FOUND, "there is no such control path");
}

static void route_action(struct request *request, struct subscription *subscription,
                         struct slice action, const json_t *body)
{
    bool is_post = request->method == METHOD_POST;
    bool is_webhook = subscription->config.webhook_url != NULL;
    if (action.len == 0 && is_read(request))
        show(request, subscription);
    else if (is_post && slice_eq_str(action, "streams"))
        add_streams(request, subscription, body);
    else if (is_post && !is_webhook && slice_eq_str(action, "claim"))
        route_claim(request, subscription, body);
    else if (is_post && slice_eq_str(action, is_webhook ? "callback" : "ack"))
        route_acknowledge(request, subscription, body);
    else if (is_post && !is_webhook && slice_eq_str(action, "release"))
        route_release(request, subscription, body);
    else if (request->method == METHOD_DELETE && is_below_streams(action))
        remove_stream(request, subscription,
                      slice_of(action.data + strlen("streams/"), action.len - strlen("streams/")));
    else
        refuse_action(request, action, is_webhook);
}

/* What the token of a claim is shown for. */
static bool is_fenced(const struct request *request, struct slice action)
{
    return request->method == METHOD_POST &&
           (slice_eq_str(action, "ack") || slice_eq_str(action, "callback") ||
            slice_eq_str(action, "release"));
}

/* Anybody may ask with such a token, so whether there is a subscription must not show. */
static bool hides(const struct request *request, const struct subscription *subscription,
                  struct slice action)
{
    bool is_webhook = subscription && subscription->config.webhook_url;
    return request->server->access && is_fenced(request, action) &&
           (!subscription || is_webhook != slice_eq_str(action, "callback"));
}

static void route_with_body(struct request *request, struct slice id, struct slice action,
                            const json_t *body)
{
    struct subscription *subscription = subscription_find(request->server->subscriptions, id);
    bool is_base = action.len == 0;
    if ((request->method == METHOD_PUT || request->method == METHOD_POST) && !json_is_object(body))
        subscription_reply_invalid(request, "the body is not a JSON object");
    else if (is_base && request->method == METHOD_PUT)
        put(request, id, body);
    else if (is_base && request->method == METHOD_DELETE)
        delete (request, subscription);
    else if (hides(request, subscription, action))
        subscription_reply_error(request, MHD_HTTP_UNAUTHORIZED, "TOKEN_INVALID",
                                 "the token is not valid");
    else if (!subscription)
        subscription_reply_error(request, MHD_HTTP_NOT_FOUND, "SUBSCRIPTION_NOT_FOUND",
                                 "there is no such subscription");
    else
        route_action(request, subscription, action, body);
}

/* Room for whatever one request may change; the bodies' streams are the greatest part. */
static bool has_room(const struct request *request)
{
    enum { PER_STREAM = 4 };
    return is_read(request) || subscription_has_room(request->server->subscriptions,
                                                     (size_t)LINKS_MAX * (STORE_KEY_MAX + 256) +
                                                         request->body.len * PER_STREAM);
}

static void show_keys(struct request *request, const struct webhooks *webhooks)
{
    if (!is_read(request)) {
        reply_not_allowed(request, "GET, HEAD, OPTIONS", "the keys have GET and HEAD");
        return;
    }
    char *text = webhook_key_set(webhooks);
    reply_response(request, MHD_HTTP_OK,
                   MHD_create_response_from_buffer(strlen(text), text, MHD_RESPMEM_MUST_FREE));
    reply_header(request, "Content-Type", "application/jwk-set+json");
    reply_header(request, "Cache-Control", "public, max-age=300");
    reply_after(request, store_staged(request->server->store));
}

static const struct slice prefix = {"__ds/subscriptions/", 19};

/* Splits what stands behind the prefix. */
static void split_path(struct slice path, struct slice *id, struct slice *action)
{
    *id = slice_of(path.data + prefix.len, path.len - prefix.len);
    *action = SLICE("");
    const char *slash = memchr(id->data, '/', id->len);
    if (slash) {
        *action = slice_of(slash + 1, id->len - (size_t)(slash - id->data) - 1);
        id->len = (size_t)(slash - id->data);
    }
}

static bool is_of_subscription(struct slice path)
{
    return path.len > prefix.len && memcmp(path.data, prefix.data, prefix.len) == 0;
}

bool subscription_is_open(const struct request *request, struct slice path)
{
    struct slice id, action;
    if (is_read(request) && slice_eq_str(path, "__ds/jwks.json"))
        return true;
    if (!is_of_subscription(path))
        return false;
    split_path(path, &id, &action);
    return is_fenced(request, action);
}

void route_subscription(struct request *request, struct slice path)
{
    enum { ID_BYTES_MAX = 200 };
    struct server *server = request->server;
    const struct webhooks *webhooks = server->subscriptions->webhooks;
    if (webhooks && slice_eq_str(path, "__ds/jwks.json")) {
        show_keys(request, webhooks);
        return;
    }
    if (!is_of_subscription(path)) {
        reply_text(request, MHD_HTTP_NOT_FOUND, "there is no such control path");
        return;
    }
    struct slice id, action;
    split_path(path, &id, &action);
    if (!is_read(request) && !request_may_write(request))
        return;
    if (id.len > ID_BYTES_MAX || request->body.len > CONFIG_BYTES_MAX) {
        subscription_reply_invalid(request, "the id or the body is too long");
        return;
    }
    if (!has_room(request)) {
        reply_no_room(request);
        return;
    }
    json_t *body =
        json_loadb(request->body.data ? request->body.data : "", request->body.len, 0, NULL);
    route_with_body(request, id, action, body);
    json_decref(body);
    reply_after(request, store_staged(server->store));
}
