#include "handle.h"

#include "http_internal.h"
#include "weir/base/clock.h"

enum { CONNECT_TIMEOUT_MS = 5000 };

static int check_abort(void *context, curl_off_t down_total, curl_off_t down, curl_off_t up_total,
                       curl_off_t up)
{
    (void)down_total, (void)down, (void)up_total, (void)up;
    uint64_t abort_at = atomic_load((const atomic_ullong *)context);
    return abort_at != 0 && clock_monotonic_ms() >= abort_at;
}

#define SET(option, value) check(curl_easy_setopt(handle, option, value) == CURLE_OK)

CURL *http_handle_new(const struct http_settings *settings, char *reason)
{
    http_library_init();
    CURL *handle = curl_easy_init();
    check(handle != NULL);
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_TCP_NODELAY, 1L);
    SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    SET(CURLOPT_PROTOCOLS_STR, "http,https");
    SET(CURLOPT_FOLLOWLOCATION, 0L);
    /* The server is named by its own address; a proxy in the environment is meant for browsing. */
    SET(CURLOPT_PROXY, "");
    if (settings->ca_file)
        SET(CURLOPT_CAINFO, settings->ca_file);
    SET(CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_TIMEOUT_MS);
    SET(CURLOPT_USERAGENT, "weir/" WEIR_VERSION);
    SET(CURLOPT_ERRORBUFFER, reason);
    SET(CURLOPT_XFERINFOFUNCTION, check_abort);
    SET(CURLOPT_XFERINFODATA, settings->abort_at_ms);
    SET(CURLOPT_NOPROGRESS, 0L);
    return handle;
}
