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

/* Dots are a name of their own only where they are a whole segment, and beside {subject} they never
 * are. */
static void encode_part(struct buffer *out, struct slice text)
{
    if (only_dots(text))
        buffer_add_slice(out, text);
    else
        percent_encode_segment(out, text);
}

/* Encodes the literal text between slashes, in front of {subject} or behind it. */
static void encode_pattern(struct buffer *out, struct slice text, bool is_behind)
{
    const char *slash;
    bool is_part = is_behind;
    while ((slash = text.len ? memchr(text.data, '/', text.len) : NULL)) {
        struct slice segment = slice_of(text.data, (size_t)(slash - text.data));
        if (is_part)
            encode_part(out, segment);
        else
            percent_encode_segment(out, segment);
        is_part = false;
        buffer_add_char(out, '/');
        text = slice_of(slash + 1, text.len - segment.len - 1);
    }
    if (is_part || !is_behind)
        encode_part(out, text);
    else
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
    encode_pattern(&text, before, false);
    channel->stream_prefix = arena_copy(arena, buffer_slice(&text));
    buffer_clear(&text);
    encode_pattern(&text, after, true);
    channel->stream_suffix = arena_copy(arena, buffer_slice(&text));
    buffer_release(&text);
    return true;
}

/* One segment of the paths that a channel leads to: head, any subject, tail; or head alone. */
struct segment {
    struct slice head, tail;
    bool has_subject;
};

/* Cuts off the text up to the next slash, and the slash; false where there is none. */
static bool cut_at_slash(struct slice *text, struct slice *cut)
{
    const char *slash = text->len ? memchr(text->data, '/', text->len) : NULL;
    *cut = slash ? slice_of(text->data, (size_t)(slash - text->data)) : *text;
    size_t taken = cut->len + (slash ? 1 : 0);
    *text = slice_of(text->data + taken, text->len - taken);
    return slash;
}

/* Takes the next segment off the rest of a pattern; false behind the last. */
static bool next_segment(struct channel *rest, bool *is_behind, struct segment *segment)
{
    *segment = (struct segment){0};
    if (*is_behind) {
        bool is_there = rest->stream_suffix.data;
        if (is_there && !cut_at_slash(&rest->stream_suffix, &segment->head))
            rest->stream_suffix = SLICE_NONE;
        return is_there;
    }
    if (cut_at_slash(&rest->stream_prefix, &segment->head))
        return true;
    *is_behind = segment->has_subject = true;
    if (!cut_at_slash(&rest->stream_suffix, &segment->tail))
        rest->stream_suffix = SLICE_NONE;
    return true;
}

/* Not within an encoded byte: %25 does not end with 5. */
static bool ends_with(struct slice text, struct slice end)
{
    if (text.len < end.len)
        return false;
    size_t at = text.len - end.len;
    return (!end.len || memcmp(text.data + at, end.data, end.len) == 0) &&
           !(end.len && at && text.data[at - 1] == '%') &&
           !(end.len && at > 1 && text.data[at - 2] == '%');
}

static bool is_of_segment(struct slice text, const struct segment *segment)
{
    return text.len >= segment->head.len + segment->tail.len &&
           slice_starts_with(text, segment->head) && ends_with(text, segment->tail);
}

static bool segments_meet(const struct segment *a, const struct segment *b)
{
    if (!a->has_subject)
        return b->has_subject ? is_of_segment(a->head, b) : slice_eq(a->head, b->head);
    if (!b->has_subject)
        return is_of_segment(b->head, a);
    return (slice_starts_with(a->head, b->head) || slice_starts_with(b->head, a->head)) &&
           (ends_with(a->tail, b->tail) || ends_with(b->tail, a->tail));
}

/* Whether there are subjects with which both lead to one stream, under one type: where it would be
 * two channels that say of one row, each for itself, that it comes and goes. */
static bool channels_meet(const struct channel *a, const struct channel *b)
{
    struct channel rest_a = *a, rest_b = *b;
    struct segment segment_a, segment_b;
    bool is_behind_a = false, is_behind_b = false, has_a, has_b;
    if (!slice_eq(a->type_json, b->type_json))
        return false;
    for (;;) {
        has_a = next_segment(&rest_a, &is_behind_a, &segment_a);
        has_b = next_segment(&rest_b, &is_behind_b, &segment_b);
        if (!has_a || !has_b)
            return has_a == has_b;
        if (!segments_meet(&segment_a, &segment_b))
            return false;
    }
}

static bool has_same_pattern(const struct channel *a, const struct channel *b)
{
    return slice_eq(a->stream_prefix, b->stream_prefix) &&
           slice_eq(a->stream_suffix, b->stream_suffix);
}

static bool refuse_meeting(const struct channel *channel, const struct channel *other,
                           struct err *err)
{
    if (has_same_pattern(channel, other)) {
        err_set(err, "rows of %.*s and of %.*s would both be of type %.*s in the same streams",
                SLICE_ARG(channel->relation->name), SLICE_ARG(other->relation->name),
                SLICE_ARG(channel->type_json));
        return err_hint(err, "give one of the rules another type");
    }
    err_set(err,
            "the streams %.*s{subject}%.*s and %.*s{subject}%.*s can be one stream, and would both "
            "have rows of type %.*s",
            SLICE_ARG(channel->stream_prefix), SLICE_ARG(channel->stream_suffix),
            SLICE_ARG(other->stream_prefix), SLICE_ARG(other->stream_suffix),
            SLICE_ARG(channel->type_json));
    return err_hint(err, "give one of the rules another type, or a stream that no subject makes "
                         "the other's");
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
        if (channels_meet(other, &channel))
            return refuse_meeting(&channel, other, err);
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

bool ruleset_hands_over(const struct ruleset *before, const struct ruleset *after)
{
    for (size_t i = 0; i < before->channel_count; i++) {
        for (size_t j = 0; j < after->channel_count; j++) {
            const struct channel *a = before->channels[i], *b = after->channels[j];
            if (!slice_eq(a->identity, b->identity) && channels_meet(a, b))
                return true;
        }
    }
    return false;
}
