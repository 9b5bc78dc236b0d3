/* weir token: a signed token for one user, for development. Production's come from the
 * application's own backend: docs/access.md. */
#include "commands.h"

#include "weir/auth/token.h"
#include "weir/base/clock.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

struct settings {
    const char *subject, *secret_file, *private_key_file, *streams, *issuer, *audience, *id;
    uint64_t lifetime_ms;
};

#define FIELD(name) offsetof(struct settings, name)

static const struct option_spec options[] = {
    {"sub", OPTION_STRING, FIELD(subject), NULL, "SUBJECT", "the user: a subject of the rules",
     true},
    {"auth-secret-file", OPTION_STRING, FIELD(secret_file), NULL, "FILE",
     "the secret to sign with (HS256)", false},
    {"private-key-file", OPTION_STRING, FIELD(private_key_file), NULL, "FILE",
     "or the private key (PEM: RSA, EC, Ed25519)", false},
    {"lifetime", OPTION_DURATION, FIELD(lifetime_ms), "1h", "TIME", "when it expires", false},
    {"allow", OPTION_STRING, FIELD(streams), NULL, "PATTERNS",
     "what it may read besides: patterns of paths, separated by commas", false},
    {"jti", OPTION_STRING, FIELD(id), NULL, "TEXT", "an id of this token", false},
    {"auth-issuer", OPTION_STRING, FIELD(issuer), NULL, "TEXT", "its iss", false},
    {"auth-audience", OPTION_STRING, FIELD(audience), NULL, "TEXT", "its aud", false},
    {.name = NULL},
};

static json_t *split_patterns(const char *text)
{
    json_t *list = json_array();
    while (*text) {
        size_t len = strcspn(text, ",");
        json_array_append_new(list, json_stringn(text, len));
        text += len + (text[len] == ',');
    }
    return list;
}

static char *make_payload(const struct settings *settings)
{
    json_int_t now_s = (json_int_t)(clock_wall_ms() / 1000);
    json_t *payload =
        json_pack("{s:s, s:I, s:I, s:s*, s:s*, s:s*}", "sub", settings->subject, "iat", now_s,
                  "exp", now_s + (json_int_t)(settings->lifetime_ms / 1000), "jti", settings->id,
                  "iss", settings->issuer, "aud", settings->audience);
    if (payload && settings->streams)
        json_object_set_new(payload, "streams", split_patterns(settings->streams));
    char *text = payload ? json_dumps(payload, JSON_COMPACT) : NULL;
    json_decref(payload);
    return text;
}

static bool print_token(const struct settings *settings, struct err *err)
{
    struct buffer token = BUFFER_INIT;
    bool has_one = !settings->secret_file != !settings->private_key_file;
    if (!has_one)
        return err_set(err, "give --auth-secret-file or --private-key-file, one of them");
    char *payload = make_payload(settings);
    if (!payload)
        return err_set(err, "a value is not UTF-8");
    struct token_keys *keys =
        token_keys_load_private(settings->secret_file, settings->private_key_file, err);
    bool ok = keys && token_sign(keys, slice_from_str(payload), &token, err);
    if (ok)
        puts(buffer_str(&token));
    buffer_release(&token);
    token_keys_free(keys);
    free(payload);
    return ok;
}

static int token_main(int argc, char **argv)
{
    enum { EXIT_FAILED = 1, EXIT_USAGE = 2 };
    struct settings settings = {.subject = NULL};
    struct err err = {.message = ""};
    int code = EXIT_USAGE;
    switch (option_parse(&command_token, argc, argv, &settings, &err)) {
    case OPTION_HELP:
        option_help(&command_token, stdout);
        return 0;
    case OPTION_INVALID:
        break;
    case OPTION_OK:
        if (print_token(&settings, &err))
            return 0;
        code = EXIT_FAILED;
    }
    fprintf(stderr, "weir token: %s\n", err.message);
    if (err.hint[0])
        fprintf(stderr, "hint: %s\n", err.hint);
    return code;
}

const struct command command_token = {
    .name = "token",
    .summary = "print a signed token for one user, for development",
    .usage = "--sub SUBJECT --auth-secret-file FILE [--lifetime 1h]",
    .options = options,
    .run = token_main,
};
