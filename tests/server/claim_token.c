/* Tokens of claims. The MACs are those of `openssl dgst -sha256 -hmac 0123456789abcdef`. */
#include "server/claim_token.h"

#include <criterion/criterion.h>

static const unsigned char secret[CLAIM_SECRET_SIZE + 1] = "0123456789abcdef";

#define SHORT_MAC "fd0e8fdf7802f724fb7581555b15c20d01ae8225a96ad930e1d97400cd1b7ea2"
#define LONG_MAC  "6019e170197f2a7ea0ec89d6ea7cb5f51496234fc639e88ec02d4bb013ec41b9"

static void expect_token(const struct claim_token *token, const char *expected)
{
    char text[CLAIM_TOKEN_SIZE];
    claim_token_make(secret, token, text);
    cr_expect_str_eq(text, expected);
}

static enum claim_token_result check_text(struct slice text, int64_t now_ms)
{
    struct claim_token token = {.id = "s", .created_ms = 5};
    return claim_token_check(secret, text, now_ms, &token);
}

Test(claim_token, says_whose_it_is_of_which_generation_and_until_when)
{
    const struct claim_token one = {"s", 5, 7, 1000000000};
    const struct claim_token other = {"a%2Fb", 1764000000000, 9007199254740991, 4102444800000};
    /* Of "cw.7.1000000.5", and so on: what is before the MAC, and when the subscription was made.
     */
    expect_token(&one, "cw.7.1000000." SHORT_MAC);
    expect_token(&other, "YSUyRmI.9007199254740991.4102444800." LONG_MAC);
    struct claim_token found = {.id = "s", .created_ms = 5};
    cr_expect_eq(claim_token_check(secret, SLICE("cw.7.1000000." SHORT_MAC), 0, &found),
                 CLAIM_TOKEN_OK);
    cr_expect_eq(found.generation, 7);
    cr_expect_eq(found.expires_ms, 1000000000);
}

Test(claim_token, ends)
{
    struct slice text = SLICE("cw.7.1000000." SHORT_MAC);
    cr_expect_eq(check_text(text, 1000000000 - 1), CLAIM_TOKEN_OK);
    cr_expect_eq(check_text(text, 1000000000), CLAIM_TOKEN_EXPIRED);
}

Test(claim_token, any_other_text_is_none)
{
    char text[] = "cw.7.1000000." SHORT_MAC;
    size_t len = strlen(text);
    cr_assert_eq(check_text(slice_of(text, len), 0), CLAIM_TOKEN_OK);
    for (size_t i = 0; i < len; i++) {
        for (int bit = 0; bit < 8; bit++) {
            text[i] = (char)(text[i] ^ (1 << bit));
            cr_expect_eq(check_text(slice_of(text, len), 0), CLAIM_TOKEN_INVALID, "%zu %d", i, bit);
            text[i] = (char)(text[i] ^ (1 << bit));
        }
        cr_expect_eq(check_text(slice_of(text, i), 0), CLAIM_TOKEN_INVALID, "%zu", i);
        cr_expect_eq(check_text(slice_of(text + i + 1, len - i - 1), 0), CLAIM_TOKEN_INVALID);
    }
    cr_expect_eq(check_text(SLICE_NONE, 0), CLAIM_TOKEN_INVALID);
    cr_expect_eq(check_text(SLICE("...."), 0), CLAIM_TOKEN_INVALID);
    cr_expect_eq(check_text(SLICE("cw.7.1000000." SHORT_MAC " "), 0), CLAIM_TOKEN_INVALID);
    cr_expect_eq(check_text(SLICE("cw.7.01000000." SHORT_MAC), 0), CLAIM_TOKEN_INVALID);
    cr_expect_eq(check_text(SLICE("cw.7.9007199254740991." SHORT_MAC), 0), CLAIM_TOKEN_INVALID);
}

Test(claim_token, is_of_one_subscription_and_one_server)
{
    struct slice text = SLICE("cw.7.1000000." SHORT_MAC);
    struct claim_token renamed = {.id = "t", .created_ms = 5};
    struct claim_token remade = {.id = "s", .created_ms = 6};
    struct claim_token own = {.id = "s", .created_ms = 5};
    unsigned char other[CLAIM_SECRET_SIZE] = {0};
    cr_expect_eq(claim_token_check(secret, text, 0, &renamed), CLAIM_TOKEN_INVALID);
    cr_expect_eq(claim_token_check(secret, text, 0, &remade), CLAIM_TOKEN_INVALID);
    cr_expect_eq(claim_token_check(other, text, 0, &own), CLAIM_TOKEN_INVALID);
}
