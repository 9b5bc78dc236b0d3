/* Stream patterns of rules, and the channels that they make. */
#include "ruleset_internal.h"

#include "weir/base/json.h"
#include "weir/base/percent.h"

static bool only_dots(struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] != '.')
            return false;
    }
    return true;
}

/* Encodes the literal text between slashes. */
static void encode_pattern(struct buffer *out, struct slice text)
{
    const char *slash;
    while ((slash = text.len ? memchr(text.data, '/', text.len) : NULL)) {
        percent_encode_segment(out, slice_of(text.data, (size_t)(slash - text.data)));
        buffer_add_char(out, '/');
        text = slice_of(slash + 1, text.len - (size_t)(slash - text.data) - 1);
    }
    percent_encode_segment(out, text);
}

static bool split_pattern(struct slice pattern, struct slice *before, struct slice *after,
                          struct err *err)
{
    static const char mark[] = "{subject}";
    const char *at = memmem(pattern.data, pattern.len, mark, sizeof mark - 1);
    if (!at) {
        err_set(err, "the stream pattern \"%.*s\" has no {subject}", SLICE_ARG(pattern));
        return err_hint(err, "such as user/{subject}/data");
    }
    *before = slice_of(pattern.data, (size_t)(at - pattern.data));
    *after = slice_of(at + sizeof mark - 1, pattern.len - before->len - (sizeof mark - 1));
    const char *slash = before->len ? memrchr(before->data, '/', before->len) : NULL;
    struct slice head =
        slash ? slice_of(slash + 1, before->len - (size_t)(slash - before->data) - 1) : *before;
    slash = after->len ? memchr(after->data, '/', after->len) : NULL;
    struct slice tail = slash ? slice_of(after->data, (size_t)(slash - after->data)) : *after;
    /* A subject of dots must not make the segment "..", which clients fold away. */
    if ((head.len || tail.len) && only_dots(head) && only_dots(tail))
        return err_set(err, "the stream pattern \"%.*s\" puts only dots around {subject}",
                       SLICE_ARG(pattern));
    return true;
}

/* What of a channel is in the events that it leads to: their type, and where they are. */
static bool read_pattern(struct arena *arena, struct slice pattern, struct slice type,
                         struct channel *channel, struct err *err)
{
    struct slice before, after;
    if (!split_pattern(pattern, &before, &after, err))
        return false;
    struct buffer text = BUFFER_INIT;
    json_add_string(&text, type);
    channel->type_json = arena_copy(arena, buffer_slice(&text));
    buffer_clear(&text);
    encode_pattern(&text, before);
    channel->stream_prefix = arena_copy(arena, buffer_slice(&text));
    buffer_clear(&text);
    encode_pattern(&text, after);
    channel->stream_suffix = arena_copy(arena, buffer_slice(&text));
    buffer_release(&text);
    return true;
}

bool ensure_channel(struct compile_context *context, struct rule *rule, struct err *err)
{
    struct ruleset *rules = context->rules;
    struct arena *arena = &rules->arena;
    struct slice type = rule->definition.type.len ? rule->definition.type : rule->relation->name;
    struct channel channel = {.id = (uint32_t)rules->channel_count, .relation = rule->relation};
    if (!read_pattern(arena, rule->definition.stream, type, &channel, err))
        return false;
    struct buffer text = BUFFER_INIT;
    buffer_printf(&text, "%u %.*s %.*s{}%.*s", rule->relation->oid, SLICE_ARG(channel.type_json),
                  SLICE_ARG(channel.stream_prefix), SLICE_ARG(channel.stream_suffix));
    channel.identity = arena_copy(arena, buffer_slice(&text));
    buffer_release(&text);
    for (size_t i = 0; i < rules->channel_count; i++) {
        struct channel *other = rules->channels[i];
        if (slice_eq(other->identity, channel.identity)) {
            rule->channel = other;
            return true;
        }
        if (other->relation != channel.relation && slice_eq(other->type_json, channel.type_json) &&
            slice_eq(other->stream_prefix, channel.stream_prefix) &&
            slice_eq(other->stream_suffix, channel.stream_suffix)) {
            err_set(err, "rows of %.*s and of %.*s would both be of type %.*s in the same streams",
                    SLICE_ARG(channel.relation->name), SLICE_ARG(other->relation->name),
                    SLICE_ARG(channel.type_json));
            return err_hint(err, "give one of the rules another type");
        }
    }
    rule->channel = arena_alloc(arena, sizeof channel);
    *rule->channel = channel;
    rules->channels = array_append(arena, rules->channels, rules->channel_count,
                                   sizeof(struct channel *), &rule->channel);
    rules->channel_count++;
    return true;
}

/* The subject is one segment, or a part of one. */
static bool channel_leads_to(const struct channel *channel, struct slice path)
{
    struct slice prefix = channel->stream_prefix, suffix = channel->stream_suffix;
    if (path.len < prefix.len + suffix.len || !slice_starts_with(path, prefix) ||
        memcmp(path.data + path.len - suffix.len, suffix.data, suffix.len) != 0)
        return false;
    return !memchr(path.data + prefix.len, '/', path.len - prefix.len - suffix.len);
}

void note_refused_channel(struct ruleset *rules, const struct rule *rule, struct slice table)
{
    const struct rule_definition *definition = &rule->definition;
    struct channel channel = {0}, *noted;
    struct err ignored;
    if (!read_pattern(&rules->arena, definition->stream,
                      definition->type.len ? definition->type : table, &channel, &ignored))
        return;
    noted = arena_alloc(&rules->arena, sizeof channel);
    *noted = channel;
    rules->refused = array_append(&rules->arena, rules->refused, rules->refused_count,
                                  sizeof(struct channel *), &noted);
    rules->refused_count++;
}

static bool some_leads_to(struct channel *const *channels, size_t count, struct slice path,
                          struct slice type_json)
{
    for (size_t i = 0; i < count; i++) {
        if (slice_eq(channels[i]->type_json, type_json) && channel_leads_to(channels[i], path))
            return true;
    }
    return false;
}

bool ruleset_may_have_written(const struct ruleset *rules, struct slice path,
                              struct slice type_json)
{
    return some_leads_to(rules->channels, rules->channel_count, path, type_json) ||
           some_leads_to(rules->refused, rules->refused_count, path, type_json);
}

bool ruleset_hands_over_type(const struct ruleset *before, const struct ruleset *after)
{
    for (size_t i = 0; i < before->channel_count; i++) {
        for (size_t j = 0; j < after->channel_count; j++) {
            const struct channel *a = before->channels[i], *b = after->channels[j];
            if (a->relation->oid != b->relation->oid && slice_eq(a->type_json, b->type_json))
                return true;
        }
    }
    return false;
}
