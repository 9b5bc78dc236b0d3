/* Requests below __ds. Protocol 6 and 7. Bodies and answers are JSON, errors too.
 */
#include "subscription.h"
#include "webhook.h"

#include "weir/base/percent.h"
#include "weir/base/path.h"

#include <jansson.h>
#include <stdlib.h>

static void reply_value(struct request *request, unsigned status, json_t *json)
{
    char *text = json_dumps(json, JSON_COMPACT);
    check(json != NULL && text != NULL);
    reply_json(request, status, slice_from_str(text));
    free(text);
    json_decref(json);
}

static void reply_error(struct request *request, unsigned status, const char *code,
                        const char *message)
{
    reply_value(request, status,
                json_pack("{s:{s:s, s:s}}", "error", "code", code, "message", message));
}

static void reply_invalid(struct request *request, const char *message)
{
    reply_error(request, MHD_HTTP_BAD_REQUEST, "INVALID_REQUEST", message);
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

static json_t *pack_links(const struct subscription *subscription, bool with_tail)
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
        "pattern", config->pattern, "streams", pack_links(subscription, false), "webhook",
        pack_webhook(all, config), "wake_stream", config->wake_stream, "lease_ttl_ms",
        (json_int_t)config->lease_ttl_ms, "created_at", created, "status",
        subscription->failures ? "failed" : "active", "description", config->description);
}

/* ---- Creating ---- */

static char *take_text(struct buffer *buffer)
{
    char *text = strdup(buffer_str(buffer));
    check(text != NULL);
    buffer_release(buffer);
    return text;
}

/* NULL when it is not a path. */
static char *canonical_text(const char *raw)
{
    struct buffer out = BUFFER_INIT;
    bool ok = path_canonical(slice_from_str(raw), &out) == PATH_OK;
    char *text = take_text(&out);
    if (ok && path_is_canonical(slice_from_str(text)))
        return text;
    free(text);
    return NULL;
}

static int compare_texts(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Sorted, each once, '\n' behind each. */
static char *join_sorted(char **texts, size_t count)
{
    struct buffer out = BUFFER_INIT;
    if (count)
        qsort(texts, count, sizeof *texts, compare_texts);
    for (size_t i = 0; i < count; i++) {
        if (i && strcmp(texts[i - 1], texts[i]) == 0)
            continue;
        buffer_add_str(&out, texts[i]);
        buffer_add_char(&out, '\n');
    }
    return take_text(&out);
}

/* NULL when something in the list is not a path. */
static char *parse_streams(const json_t *list)
{
    size_t count = json_array_size(list), good = 0;
    char **texts = calloc(count + 1, sizeof *texts);
    check(texts != NULL);
    for (; good < count; good++) {
        const char *raw = json_string_value(json_array_get(list, good));
        texts[good] = raw ? canonical_text(raw) : NULL;
        if (!texts[good])
            break;
    }
    char *joined = good == count ? join_sorted(texts, count) : NULL;
    for (size_t i = 0; i < good; i++)
        free(texts[i]);
    free(texts);
    return joined;
}

static char *parse_pattern(const char *raw)
{
    struct buffer out = BUFFER_INIT;
    bool ok = glob_canonical(slice_from_str(raw), &out);
    char *text = take_text(&out);
    if (ok)
        return text;
    free(text);
    return NULL;
}

/* What is wrong, or NULL; fills config either way. */
static const char *parse_config(const json_t *body, bool has_webhooks,
                                struct subscription_config *config)
{
    const char *type = json_string_value(json_object_get(body, "type"));
    const char *pattern = json_string_value(json_object_get(body, "pattern"));
    const char *wake_stream = json_string_value(json_object_get(body, "wake_stream"));
    const char *description = json_string_value(json_object_get(body, "description"));
    const json_t *streams = json_object_get(body, "streams");
    const json_t *lease = json_object_get(body, "lease_ttl_ms");
    json_int_t lease_ms = lease ? json_integer_value(lease) : LEASE_DEFAULT_MS;
    bool is_webhook = type && strcmp(type, "webhook") == 0;
    const char *url = json_string_value(json_object_get(json_object_get(body, "webhook"), "url"));
    if (is_webhook && !has_webhooks)
        return "webhook subscriptions are not enabled on this server";
    if (!is_webhook && (!type || strcmp(type, "pull-wake") != 0))
        return "type is neither webhook nor pull-wake";
    if (streams && !json_is_array(streams))
        return "streams is not an array";
    if (!pattern && json_array_size(streams) == 0)
        return "a pattern or streams are missing";
    if (lease_ms < LEASE_MIN_MS || lease_ms > LEASE_MAX_MS)
        return "lease_ttl_ms is not between 1000 and 600000";
    config->lease_ttl_ms = (uint64_t)lease_ms;
    config->pattern = pattern ? parse_pattern(pattern) : NULL;
    config->streams = parse_streams(streams);
    config->webhook_url = is_webhook && url ? strdup(url) : NULL;
    config->wake_stream = wake_stream && !is_webhook ? canonical_text(wake_stream) : NULL;
    config->description = description ? strdup(description) : NULL;
    if (pattern && !config->pattern)
        return "the pattern is not a path with * and **";
    if (!config->streams)
        return "streams has something that is not a stream's path";
    if (is_webhook)
        return config->webhook_url ? NULL : "a webhook needs a url";
    return config->wake_stream ? NULL : "pull-wake needs a wake_stream";
}

static void create(struct request *request, struct slice id, struct subscription_config *config)
{
    struct subscriptions *all = request->server->subscriptions;
    struct subscription *subscription = subscription_find(all, id);
    if (subscription) {
        if (subscription_config_eq(&subscription->config, config))
            reply_value(request, MHD_HTTP_OK, pack_subscription(all, subscription));
        else
            reply_error(request, MHD_HTTP_CONFLICT, "SUBSCRIPTION_ALREADY_EXISTS",
                        "the subscription exists with another configuration");
        return;
    }
    switch (subscription_create(all, id, config, &subscription)) {
    case SUBSCRIPTION_OK:
        reply_value(request, MHD_HTTP_CREATED, pack_subscription(all, subscription));
        break;
    case SUBSCRIPTION_TOO_MUCH:
        reply_error(request, MHD_HTTP_TOO_MANY_REQUESTS, "TOO_MANY",
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
    const char *wrong = parse_config(body, webhooks != NULL, &config);
    if (wrong)
        reply_invalid(request, wrong);
    else if (config.webhook_url && !webhook_allows(webhooks, config.webhook_url))
        reply_error(request, MHD_HTTP_BAD_REQUEST, "WEBHOOK_URL_REJECTED",
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
    char *streams = json_array_size(list) ? parse_streams(list) : NULL;
    bool ok = true;
    if (!streams) {
        reply_invalid(request, "streams is not an array of streams' paths");
        return;
    }
    for (const char *line = streams; *line && ok; line += strcspn(line, "\n") + 1)
        ok = subscription_link(all, subscription, slice_of(line, strcspn(line, "\n")));
    free(streams);
    if (ok)
        reply_empty(request, MHD_HTTP_NO_CONTENT);
    else
        reply_error(request, MHD_HTTP_TOO_MANY_REQUESTS, "TOO_MANY",
                    "the subscription has too many streams");
}

static void remove_stream(struct request *request, struct subscription *subscription,
                          struct slice encoded)
{
    struct buffer decoded = BUFFER_INIT;
    bool ok = percent_decode(&decoded, encoded);
    char *path = ok ? canonical_text(buffer_str(&decoded)) : NULL;
    buffer_release(&decoded);
    if (path) {
        subscription_unlink(request->server->subscriptions, subscription, slice_from_str(path));
        reply_empty(request, MHD_HTTP_NO_CONTENT);
    } else {
        reply_invalid(request, "that is not a stream's path");
    }
    free(path);
}

/* ---- Claims ---- */

static void claim(struct request *request, struct subscription *subscription, const json_t *body)
{
    struct subscriptions *all = request->server->subscriptions;
    const char *worker = json_string_value(json_object_get(body, "worker"));
    char token[TOKEN_SIZE];
    if (!worker || !*worker || strlen(worker) > UINT8_MAX) {
        reply_invalid(request, "worker is missing or too long");
        return;
    }
    if (subscription->holder) {
        reply_value(request, MHD_HTTP_CONFLICT,
                    json_pack("{s:{s:s, s:s, s:I}}", "error", "code", "ALREADY_CLAIMED",
                              "current_holder", subscription->holder, "generation",
                              (json_int_t)subscription->generation));
        return;
    }
    subscription_refresh(all, subscription);
    if (!subscription_is_pending(subscription)) {
        reply_error(request, MHD_HTTP_CONFLICT, "NO_PENDING_WORK", "there is nothing to do");
        return;
    }
    subscription_claim(all, subscription, worker);
    subscription_token(all, subscription, subscription->generation, token);
    reply_value(request, MHD_HTTP_OK,
                json_pack("{s:s, s:I, s:s, s:o, s:I}", "wake_id", subscription->wake_id,
                          "generation", (json_int_t)subscription->generation, "token", token,
                          "streams", pack_links(subscription, true), "lease_ttl_ms",
                          (json_int_t)subscription->config.lease_ttl_ms));
}

/* Compares all bytes, whatever the first difference. */
static bool is_same_secret(struct slice a, struct slice b)
{
    unsigned difference = a.len != b.len;
    for (size_t i = 0; i < a.len && i < b.len; i++)
        difference |= (unsigned char)a.data[i] ^ (unsigned char)b.data[i];
    return difference == 0;
}

/* Protocol 7.3. Answers unless the request belongs to the current wake. */
static bool check_fence(struct request *request, const struct subscription *subscription,
                        const json_t *body)
{
    struct slice header = request_header(request, "Authorization"), prefix = SLICE("Bearer ");
    char token[TOKEN_SIZE];
    bool has_token = header.len > prefix.len && memcmp(header.data, prefix.data, prefix.len) == 0;
    struct slice given =
        has_token ? slice_of(header.data + prefix.len, header.len - prefix.len) : SLICE("");
    uint64_t generation = has_token ? strtoull(given.data, NULL, 10) : 0;
    subscription_token(request->server->subscriptions, subscription, generation, token);
    if (!is_same_secret(given, slice_from_str(token))) {
        reply_error(request, MHD_HTTP_UNAUTHORIZED, "TOKEN_INVALID", "the token is not valid");
        return false;
    }
    const char *wake_id = json_string_value(json_object_get(body, "wake_id"));
    json_int_t named = json_integer_value(json_object_get(body, "generation"));
    if (generation == subscription->generation && named == (json_int_t)generation && wake_id &&
        subscription->holder && strcmp(wake_id, subscription->wake_id) == 0)
        return true;
    reply_error(request, MHD_HTTP_CONFLICT, "FENCED", "the wake is not the current one");
    return false;
}

/* The link and position that an entry of "acks" names; what is wrong, or NULL. */
static const char *parse_ack(struct subscription *subscription, const json_t *ack,
                             struct link **link, uint64_t *position)
{
    const char *stream = json_string_value(json_object_get(ack, "stream"));
    const char *offset = json_string_value(json_object_get(ack, "offset"));
    char *path = stream ? canonical_text(stream) : NULL;
    *link = path ? subscription_find_link(subscription, slice_from_str(path)) : NULL;
    free(path);
    if (!*link)
        return "an ack names a stream that is not of this subscription";
    if (!offset || parse_offset(slice_from_str(offset), position) != OFFSET_POSITION)
        return "an ack has no offset";
    if (*position < (*link)->acked)
        return "an ack goes back";
    return *position > (*link)->tail ? "an ack lies behind the end of its stream" : NULL;
}

/* All or none. */
static bool apply_acks(struct request *request, struct subscription *subscription,
                       const json_t *acks)
{
    struct subscriptions *all = request->server->subscriptions;
    size_t count = json_array_size(acks);
    struct link *link;
    uint64_t position;
    subscription_refresh(all, subscription);
    for (size_t i = 0; i < count; i++) {
        const char *wrong = parse_ack(subscription, json_array_get(acks, i), &link, &position);
        if (wrong) {
            reply_error(request, MHD_HTTP_CONFLICT, "INVALID_OFFSET", wrong);
            return false;
        }
    }
    for (size_t i = 0; i < count; i++) {
        /* A stream named twice may go back by its second ack, and then keeps the first. */
        if (!parse_ack(subscription, json_array_get(acks, i), &link, &position))
            subscription_acknowledge(all, subscription, link, position);
    }
    return true;
}

static void acknowledge(struct request *request, struct subscription *subscription,
                        const json_t *body)
{
    struct subscriptions *all = request->server->subscriptions;
    bool is_woken = false;
    if (!check_fence(request, subscription, body) ||
        !apply_acks(request, subscription, json_object_get(body, "acks")))
        return;
    if (subscription->config.webhook_url)
        subscription_set_delivered(subscription);
    if (json_is_true(json_object_get(body, "done")))
        is_woken = subscription_end_claim(all, subscription);
    else
        subscription_extend(all, subscription);
    reply_value(request, MHD_HTTP_OK, json_pack("{s:b, s:b}", "ok", true, "next_wake", is_woken));
}

static void release(struct request *request, struct subscription *subscription, const json_t *body)
{
    if (!check_fence(request, subscription, body))
        return;
    subscription_end_claim(request->server->subscriptions, subscription);
    reply_empty(request, MHD_HTTP_NO_CONTENT);
}

/* ---- Routing ---- */

static void show(struct request *request, struct subscription *subscription)
{
    reply_value(request, MHD_HTTP_OK,
                pack_subscription(request->server->subscriptions, subscription));
}

static void delete (struct request *request, struct subscription *subscription)
{
    if (subscription)
        subscription_delete(request->server->subscriptions, subscription);
    reply_empty(request, MHD_HTTP_NO_CONTENT);
}

static void route_action(struct request *request, struct subscription *subscription,
                         struct slice action, const json_t *body)
{
    struct slice streams = SLICE("streams/");
    bool is_post = request->method == METHOD_POST;
    bool is_webhook = subscription->config.webhook_url != NULL;
    if (action.len == 0 && request->method == METHOD_GET)
        show(request, subscription);
    else if (is_post && slice_eq_str(action, "streams"))
        add_streams(request, subscription, body);
    else if (is_post && !is_webhook && slice_eq_str(action, "claim"))
        claim(request, subscription, body);
    else if (is_post && slice_eq_str(action, is_webhook ? "callback" : "ack"))
        acknowledge(request, subscription, body);
    else if (is_post && !is_webhook && slice_eq_str(action, "release"))
        release(request, subscription, body);
    else if (request->method == METHOD_DELETE && action.len > streams.len &&
             memcmp(action.data, streams.data, streams.len) == 0)
        remove_stream(request, subscription,
                      slice_of(action.data + streams.len, action.len - streams.len));
    else
        reply_text(request, MHD_HTTP_METHOD_NOT_ALLOWED, "a subscription has no such request");
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
        reply_invalid(request, "the body is not a JSON object");
    else if (is_base && request->method == METHOD_PUT)
        put(request, id, body);
    else if (is_base && request->method == METHOD_DELETE)
        delete (request, subscription);
    else if (hides(request, subscription, action))
        reply_error(request, MHD_HTTP_UNAUTHORIZED, "TOKEN_INVALID", "the token is not valid");
    else if (!subscription)
        reply_error(request, MHD_HTTP_NOT_FOUND, "SUBSCRIPTION_NOT_FOUND",
                    "there is no such subscription");
    else
        route_action(request, subscription, action, body);
}

/* Room for whatever one request may change; the bodies' streams are the greatest part. */
static bool has_room(const struct request *request)
{
    enum { PER_STREAM = 4 };
    return request->method == METHOD_GET ||
           subscription_has_room(request->server->subscriptions,
                                 (size_t)LINKS_MAX * (STORE_KEY_MAX + 256) +
                                     request->body.len * PER_STREAM);
}

static void show_keys(struct request *request, const struct webhooks *webhooks)
{
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
    if (request->method == METHOD_GET && slice_eq_str(path, "__ds/jwks.json"))
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
    if (webhooks && request->method == METHOD_GET && slice_eq_str(path, "__ds/jwks.json")) {
        show_keys(request, webhooks);
        return;
    }
    if (!is_of_subscription(path)) {
        reply_text(request, MHD_HTTP_NOT_FOUND, "there is no such control path");
        return;
    }
    struct slice id, action;
    split_path(path, &id, &action);
    if (request->method != METHOD_GET && !request_may_write(request))
        return;
    if (id.len > ID_BYTES_MAX || request->body.len > CONFIG_BYTES_MAX) {
        reply_invalid(request, "the id or the body is too long");
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
