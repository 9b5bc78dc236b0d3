/* What a PUT of a subscription says. Protocol 6.2. */
#include "subscription.h"

#include "weir/base/path.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>

void subscription_config_release(struct subscription_config *config)
{
    free(config->pattern);
    free(config->streams);
    free(config->wake_stream);
    free(config->webhook_url);
    free(config->description);
    *config = (struct subscription_config){0};
}

/* ---- Hashing ---- */

static json_t *pack_streams(const struct subscription_config *config)
{
    json_t *list = json_array();
    const char *line = config->streams;
    while (*line) {
        size_t len = strcspn(line, "\n");
        json_array_append_new(list, json_stringn(line, len));
        line += len + 1;
    }
    return list;
}

static json_t *pack_webhook(const struct subscription_config *config)
{
    return config->webhook_url ? json_pack("{s:s}", "url", config->webhook_url) : json_null();
}

void subscription_config_hash(const struct subscription_config *config, char hash[CONFIG_HASH_SIZE])
{
    unsigned char digest[(CONFIG_HASH_SIZE - 1) / 2];
    json_t *json = json_pack(
        "{s:s, s:s?, s:o, s:o, s:s?, s:I, s:s?}", "type",
        config->webhook_url ? "webhook" : "pull-wake", "pattern", config->pattern, "streams",
        pack_streams(config), "webhook", pack_webhook(config), "wake_stream", config->wake_stream,
        "lease_ttl_ms", (json_int_t)config->lease_ttl_ms, "description", config->description);
    char *text = json_dumps(json, JSON_COMPACT | JSON_SORT_KEYS);
    check(json != NULL && text != NULL);
    check(EVP_Digest(text, strlen(text), digest, NULL, EVP_sha256(), NULL) == 1);
    for (size_t i = 0; i < sizeof digest; i++)
        snprintf(hash + 2 * i, 3, "%02x", digest[i]);
    free(text);
    json_decref(json);
}

/* ---- Parsing ---- */

static char *take_text(struct buffer *buffer)
{
    char *text = strdup(buffer_str(buffer));
    check(text != NULL);
    buffer_release(buffer);
    return text;
}

char *subscription_path(const char *raw)
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

char *subscription_paths(const json_t *list)
{
    size_t count = json_array_size(list), good = 0;
    char **texts = calloc(count + 1, sizeof *texts);
    check(texts != NULL);
    for (; good < count; good++) {
        const char *raw = json_string_value(json_array_get(list, good));
        texts[good] = raw ? subscription_path(raw) : NULL;
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

/* NULL for what is null, too: as many libraries write what is not there, and as we do. */
static json_t *member(const json_t *body, const char *name)
{
    json_t *value = json_object_get(body, name);
    return json_is_null(value) ? NULL : value;
}

static bool is_text_or_none(const json_t *value)
{
    return !value || json_is_string(value);
}

static const char *parse(const json_t *body, bool has_webhooks, struct subscription_config *config)
{
    const char *type = json_string_value(json_object_get(body, "type"));
    const char *pattern = json_string_value(json_object_get(body, "pattern"));
    const char *wake_stream = json_string_value(json_object_get(body, "wake_stream"));
    const char *description = json_string_value(json_object_get(body, "description"));
    const json_t *streams = member(body, "streams");
    const json_t *lease = member(body, "lease_ttl_ms");
    json_int_t lease_ms = lease ? json_integer_value(lease) : LEASE_DEFAULT_MS;
    bool is_webhook = type && strcmp(type, "webhook") == 0;
    const char *url = json_string_value(json_object_get(json_object_get(body, "webhook"), "url"));
    if (is_webhook && !has_webhooks)
        return "webhook subscriptions are not enabled on this server";
    if (!is_webhook && (!type || strcmp(type, "pull-wake") != 0))
        return "type is neither webhook nor pull-wake";
    if (streams && !json_is_array(streams))
        return "streams is not an array";
    if (!is_text_or_none(member(body, "pattern")) || !is_text_or_none(member(body, "description")))
        return "the pattern or the description is not a string";
    if (!pattern && json_array_size(streams) == 0)
        return "a pattern or streams are missing";
    if (lease_ms < LEASE_MIN_MS || lease_ms > LEASE_MAX_MS)
        return "lease_ttl_ms is not between 1000 and 600000";
    config->lease_ttl_ms = (uint64_t)lease_ms;
    config->pattern = pattern ? parse_pattern(pattern) : NULL;
    config->streams = subscription_paths(streams);
    config->webhook_url = is_webhook && url ? strdup(url) : NULL;
    config->wake_stream = wake_stream && !is_webhook ? subscription_path(wake_stream) : NULL;
    config->description = description ? strdup(description) : NULL;
    if (pattern && !config->pattern)
        return "the pattern is not a path with * and **";
    if (!config->streams)
        return "streams has something that is not a stream's path";
    if (is_webhook)
        return config->webhook_url ? NULL : "a webhook needs a url";
    return config->wake_stream ? NULL : "pull-wake needs a wake_stream";
}

const char *subscription_config_parse(const json_t *body, bool has_webhooks,
                                      struct subscription_config *config)
{
    const char *wrong = parse(body, has_webhooks, config);
    if (!wrong)
        subscription_config_hash(config, config->hash);
    return wrong;
}
