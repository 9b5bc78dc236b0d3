/* What a PUT of a subscription says, and the hash by which another PUT is the same. The digests are
 * sha256sum's, of the texts beside them. */
#include "server/subscription_config.h"

#include <criterion/criterion.h>

static struct subscription_config parse(const char *text)
{
    struct subscription_config config = {0};
    json_t *body = json_loads(text, 0, NULL);
    cr_assert(json_is_object(body), "%s", text);
    const char *wrong = subscription_config_parse(body, true, &config);
    cr_assert_null(wrong, "%s: %s", text, wrong);
    json_decref(body);
    return config;
}

static void expect_hash(const char *text, const char *hash)
{
    struct subscription_config config = parse(text);
    cr_expect_str_eq(config.hash, hash, "%s", text);
    subscription_config_release(&config);
}

/* {"description":"d","lease_ttl_ms":30000,"pattern":"a/ **","streams":["a","b/c"],
 * "type":"webhook","wake_stream":null,"webhook":{"url":"https://worker.example/hooks"}} without the
 * spaces and the line's end. */
#define WEBHOOK "dd1227762d664a809b6fb74d7125bcb8c0d9265dd4e53bc4a165be831fbb003f"
/* {"description":null,"lease_ttl_ms":1000,"pattern":null,"streams":["a%20b"],"type":"pull-wake",
 * "wake_stream":"wake/pool","webhook":null} */
#define PULL "5871f5753e3a9d4a25161c7ea809595d24b0101034ba743b38882778b5d1cc7d"

Test(subscription_config, the_hash_is_sha256_of_the_canonical_text)
{
    expect_hash("{\"type\":\"webhook\",\"pattern\":\"a/**\",\"streams\":[\"a\",\"b/c\"],"
                "\"webhook\":{\"url\":\"https://worker.example/hooks\"},\"description\":\"d\"}",
                WEBHOOK);
    expect_hash("{\"type\":\"pull-wake\",\"streams\":[\"a b\"],\"wake_stream\":\"wake/pool\","
                "\"lease_ttl_ms\":1000}",
                PULL);
}

Test(subscription_config, what_means_the_same_has_the_same_hash)
{
    /* The order and number of streams, how paths are written, what is the default, what is of the
     * other kind of delivery, what is unknown. */
    expect_hash("{\"x\":1,\"description\":\"d\",\"webhook\":{\"y\":1,"
                "\"url\":\"https://worker.example/hooks\"},\"wake_stream\":\"w\","
                "\"lease_ttl_ms\":30000,\"type\":\"webhook\","
                "\"streams\":[\"%62/c\",\"a\",\"b/%63\",\"a\"],\"pattern\":\"%61/**\"}",
                WEBHOOK);
    expect_hash("{\"wake_stream\":\"%77ake/pool\",\"webhook\":{\"url\":\"https://a.example/\"},"
                "\"type\":\"pull-wake\",\"streams\":[\"a%20b\"],\"lease_ttl_ms\":1000}",
                PULL);
}

Test(subscription_config, each_member_counts)
{
    static const char *const others[] = {
        "{\"type\":\"pull-wake\",\"pattern\":\"a\",\"wake_stream\":\"w\"}",
        "{\"type\":\"pull-wake\",\"streams\":[\"a\"],\"wake_stream\":\"w\"}",
        "{\"type\":\"pull-wake\",\"pattern\":\"a\",\"streams\":[\"a\"],\"wake_stream\":\"w\"}",
        "{\"type\":\"pull-wake\",\"streams\":[\"a\",\"b\"],\"wake_stream\":\"w\"}",
        "{\"type\":\"pull-wake\",\"streams\":[\"a%2Fb\"],\"wake_stream\":\"w\"}",
        "{\"type\":\"pull-wake\",\"streams\":[\"a/b\"],\"wake_stream\":\"w\"}",
        "{\"type\":\"pull-wake\",\"pattern\":\"*\",\"wake_stream\":\"w\"}",
        "{\"type\":\"pull-wake\",\"pattern\":\"%2A\",\"wake_stream\":\"w\"}",
        "{\"type\":\"pull-wake\",\"pattern\":\"a\",\"wake_stream\":\"v\"}",
        "{\"type\":\"pull-wake\",\"pattern\":\"a\",\"wake_stream\":\"w\",\"lease_ttl_ms\":30001}",
        "{\"type\":\"pull-wake\",\"pattern\":\"a\",\"wake_stream\":\"w\",\"description\":\"\"}",
        "{\"type\":\"pull-wake\",\"pattern\":\"a\",\"wake_stream\":\"w\",\"description\":\"null\"}",
        "{\"type\":\"webhook\",\"pattern\":\"a\",\"webhook\":{\"url\":\"https://a.example/w\"}}",
        "{\"type\":\"webhook\",\"pattern\":\"a\",\"webhook\":{\"url\":\"https://a.example/W\"}}",
    };
    enum { COUNT = sizeof others / sizeof *others };
    struct subscription_config configs[COUNT];
    for (size_t i = 0; i < COUNT; i++) {
        configs[i] = parse(others[i]);
        for (size_t j = 0; j < i; j++)
            cr_expect_str_neq(configs[i].hash, configs[j].hash, "%s and %s", others[i], others[j]);
    }
    for (size_t i = 0; i < COUNT; i++)
        subscription_config_release(&configs[i]);
}
