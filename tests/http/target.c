/* Where requests for others may go. */
#include "weir/http/target.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <netinet/in.h>

static bool allows(enum http_target target, const char *address)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
    if (inet_pton(AF_INET, address, &v4.sin_addr) == 1)
        return http_target_allows(target, (const struct sockaddr *)(const void *)&v4);
    cr_assert_eq(inet_pton(AF_INET6, address, &v6.sin6_addr), 1, "%s", address);
    return http_target_allows(target, (const struct sockaddr *)(const void *)&v6);
}

Test(target, public_urls)
{
    cr_assert_eq(http_target_of("https://worker.example/hooks"), HTTP_TARGET_PUBLIC);
    cr_assert_eq(http_target_of("https://8.8.8.8:8443/"), HTTP_TARGET_PUBLIC);
}

Test(target, loopback_urls)
{
    cr_assert_eq(http_target_of("http://localhost:3000/hook"), HTTP_TARGET_LOOPBACK);
    cr_assert_eq(http_target_of("http://127.0.0.9/hook"), HTTP_TARGET_LOOPBACK);
}

Test(target, refused_urls)
{
    const char *urls[] = {
        "http://worker.example/",  "http://10.0.0.1/",      "https://10.0.0.1/",
        "https://localhost/",      "https://a.localhost./", "https://127.0.0.1/",
        "https://0x7f.1/",         "https://2130706433/",   "https://169.254.169.254/",
        "https://192.168.1.1/",    "https://172.31.0.1/",   "https://[::1]/",
        "https://[fe80::1]/",      "https://[fd00::1]/",    "https://[::ffff:10.0.0.1]/",
        "https://user:pw@a.test/", "ftp://localhost/",      "http://127.1.0.1/",
        "http://[::1]/",           "http://localhost.x/",   "",
    };
    for (size_t i = 0; i < sizeof urls / sizeof *urls; i++)
        cr_expect_eq(http_target_of(urls[i]), HTTP_TARGET_REFUSED, "%s", urls[i]);
}

/* What a name resolves to: a public name may lead inside. */
Test(target, addresses_when_connecting)
{
    const char *local[] = {"10.1.2.3",
                           "100.64.0.1",
                           "127.0.0.1",
                           "169.254.0.1",
                           "172.16.0.1",
                           "192.168.0.1",
                           "0.0.0.0",
                           "224.0.0.1",
                           "255.255.255.255",
                           "::1",
                           "::",
                           "fe80::1",
                           "fc00::1",
                           "::ffff:127.0.0.1",
                           "64:ff9b::a00:1",
                           "2002:a00:1::1",
                           "2001::1"};
    for (size_t i = 0; i < sizeof local / sizeof *local; i++)
        cr_expect(!allows(HTTP_TARGET_PUBLIC, local[i]), "%s", local[i]);
    cr_expect(allows(HTTP_TARGET_PUBLIC, "1.1.1.1"));
    cr_expect(allows(HTTP_TARGET_PUBLIC, "2606:4700::1111"));
    cr_expect(allows(HTTP_TARGET_LOOPBACK, "127.0.0.1"));
    cr_expect(allows(HTTP_TARGET_LOOPBACK, "::1"));
    cr_expect(!allows(HTTP_TARGET_LOOPBACK, "127.1.0.1"));
    cr_expect(!allows(HTTP_TARGET_LOOPBACK, "1.1.1.1"));
    cr_expect(!allows(HTTP_TARGET_REFUSED, "1.1.1.1"));
}
