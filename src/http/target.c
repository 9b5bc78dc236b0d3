#include "weir/http/target.h"

#include "weir/base/check.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

/* Everything that is not for one host of the public Internet. */
static const struct {
    uint32_t network;
    unsigned bits;
} local_v4[] = {
    {0x00000000, 8},  {0x0a000000, 8},  {0x64400000, 10}, {0x7f000000, 8},  {0xa9fe0000, 16},
    {0xac100000, 12}, {0xc0000000, 24}, {0xc0000200, 24}, {0xc0586300, 24}, {0xc0a80000, 16},
    {0xc6120000, 15}, {0xc6336400, 24}, {0xcb007100, 24}, {0xe0000000, 3},
};

static bool is_public_v4(uint32_t address)
{
    for (size_t i = 0; i < sizeof local_v4 / sizeof *local_v4; i++) {
        if ((address ^ local_v4[i].network) >> (32 - local_v4[i].bits) == 0)
            return false;
    }
    return true;
}

/* Global unicast is 2000::/3; in it, tunnels to IPv4 addresses and documentation are left out. */
static bool is_public_v6(const unsigned char b[16])
{
    bool is_special = b[0] == 0x20 && b[1] == 0x01 && (b[2] & 0xfe) == 0;
    bool is_documentation = b[0] == 0x20 && b[1] == 0x01 && b[2] == 0x0d && b[3] == 0xb8;
    bool is_6to4 = b[0] == 0x20 && b[1] == 0x02;
    return (b[0] & 0xe0) == 0x20 && !is_special && !is_documentation && !is_6to4;
}

bool http_target_allows(enum http_target target, const struct sockaddr *address)
{
    if (address->sa_family == AF_INET) {
        uint32_t v4 = ntohl(((const struct sockaddr_in *)(const void *)address)->sin_addr.s_addr);
        return target == HTTP_TARGET_LOOPBACK ? v4 >> 8 == 0x7f0000
                                              : target == HTTP_TARGET_PUBLIC && is_public_v4(v4);
    }
    if (address->sa_family != AF_INET6)
        return false;
    const struct in6_addr *v6 = &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr;
    return target == HTTP_TARGET_LOOPBACK
               ? IN6_IS_ADDR_LOOPBACK(v6)
               : target == HTTP_TARGET_PUBLIC && is_public_v6(v6->s6_addr);
}

static bool is_localhost(const char *host)
{
    size_t len = strlen(host), name_len = strlen("localhost");
    if (len > 0 && host[len - 1] == '.')
        len--;
    return len >= name_len && strncasecmp(host + len - name_len, "localhost", name_len) == 0 &&
           (len == name_len || host[len - name_len - 1] == '.');
}

/* An address in the URL is judged as if it were connected to. */
static bool is_allowed_host(enum http_target target, const char *host)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
    char inner[INET6_ADDRSTRLEN] = "";
    size_t len = strlen(host);
    if (inet_pton(AF_INET, host, &v4.sin_addr) == 1)
        return http_target_allows(target, (const struct sockaddr *)(const void *)&v4);
    if (host[0] == '[') {
        if (target == HTTP_TARGET_LOOPBACK || len < 3 || len - 2 >= sizeof inner)
            return false;
        memcpy(inner, host + 1, len - 2);
        return inet_pton(AF_INET6, inner, &v6.sin6_addr) == 1 &&
               http_target_allows(target, (const struct sockaddr *)(const void *)&v6);
    }
    if (target == HTTP_TARGET_LOOPBACK)
        return strcasecmp(host, "localhost") == 0;
    return !is_localhost(host);
}

static enum http_target judge(CURLU *parts)
{
    char *scheme = NULL, *host = NULL, *user = NULL, *password = NULL;
    enum http_target target = HTTP_TARGET_REFUSED;
    if (curl_url_get(parts, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK &&
        curl_url_get(parts, CURLUPART_HOST, &host, 0) == CURLUE_OK &&
        curl_url_get(parts, CURLUPART_USER, &user, 0) == CURLUE_NO_USER &&
        curl_url_get(parts, CURLUPART_PASSWORD, &password, 0) == CURLUE_NO_PASSWORD) {
        if (strcmp(scheme, "https") == 0)
            target = HTTP_TARGET_PUBLIC;
        else if (strcmp(scheme, "http") == 0)
            target = HTTP_TARGET_LOOPBACK;
        if (!is_allowed_host(target, host))
            target = HTTP_TARGET_REFUSED;
    }
    curl_free(scheme);
    curl_free(host);
    curl_free(user);
    curl_free(password);
    return target;
}

enum http_target http_target_of(const char *url)
{
    CURLU *parts = curl_url();
    check(parts != NULL);
    enum http_target target = HTTP_TARGET_REFUSED;
    if (curl_url_set(parts, CURLUPART_URL, url, 0) == CURLUE_OK)
        target = judge(parts);
    curl_url_cleanup(parts);
    return target;
}

static bool has_part(CURLU *parts, CURLUPart part)
{
    char *text = NULL;
    bool is_there = curl_url_get(parts, part, &text, 0) == CURLUE_OK;
    curl_free(text);
    return is_there;
}

bool http_url_is_root(const char *url)
{
    CURLU *parts = curl_url();
    size_t len = strlen(url);
    check(parts != NULL);
    bool is_http = strncasecmp(url, "http://", 7) == 0 || strncasecmp(url, "https://", 8) == 0;
    bool ok = is_http && url[len - 1] != '/' && !strpbrk(url, "?# \"\\") &&
              curl_url_set(parts, CURLUPART_URL, url, 0) == CURLUE_OK &&
              !has_part(parts, CURLUPART_USER) && !has_part(parts, CURLUPART_PASSWORD);
    curl_url_cleanup(parts);
    return ok;
}
