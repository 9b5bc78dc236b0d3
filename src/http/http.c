#include "handle.h"
#include "http_internal.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    ANSWER_MAX = 4 * 1024 * 1024, /* `skipped` may name every stream of a batch */
    GET_MAX = 256 * 1024 * 1024,  /* a page of a stream holds one append at least */
    UPLOAD_BUFFER = 512 * 1024,
};

struct http {
    CURL *curl;
    char *authorization; /* header line, or NULL */
    struct buffer answer;
    size_t answer_max;
    char reason[CURL_ERROR_SIZE];
};

static void global_init(void)
{
    check(curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK);
}

void http_library_init(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    check(pthread_once(&once, global_init) == 0);
}

static size_t take_answer(char *data, size_t size, size_t count, void *context)
{
    struct http *http = context;
    size_t len = size * count;
    if (http->answer.len + len > http->answer_max)
        return 0;
    buffer_add(&http->answer, data, len);
    return len;
}

#define SET(option, value) check(curl_easy_setopt(http->curl, option, value) == CURLE_OK)

struct http *http_new(const struct http_settings *settings)
{
    struct http *http = calloc(1, sizeof *http);
    check(http != NULL);
    if (settings->token)
        check(asprintf(&http->authorization, "Authorization: Bearer %s", settings->token) > 0);
    http->curl = http_handle_new(settings, http->reason);
    SET(CURLOPT_UPLOAD_BUFFERSIZE, (long)UPLOAD_BUFFER);
    SET(CURLOPT_WRITEFUNCTION, take_answer);
    SET(CURLOPT_WRITEDATA, http);
    return http;
}

void http_free(struct http *http)
{
    if (!http)
        return;
    curl_easy_cleanup(http->curl);
    buffer_release(&http->answer);
    if (http->authorization)
        explicit_bzero(http->authorization, strlen(http->authorization));
    free(http->authorization);
    free(http);
}

static struct curl_slist *make_headers(const struct http *http, const char *content_type)
{
    char line[128];
    snprintf(line, sizeof line, "Content-Type: %s", content_type);
    /* Without "Expect:" libcurl would wait up to a second for a 100 before a large body. */
    struct curl_slist *headers = curl_slist_append(NULL, "Expect:");
    headers = curl_slist_append(headers, line);
    if (http->authorization)
        headers = curl_slist_append(headers, http->authorization);
    check(headers != NULL);
    return headers;
}

static bool perform(struct http *http, const char *url, struct curl_slist *headers,
                    uint64_t timeout_ms, long *status, struct slice *answer, struct err *err)
{
    buffer_clear(&http->answer);
    http->reason[0] = '\0';
    SET(CURLOPT_URL, url);
    SET(CURLOPT_HTTPHEADER, headers);
    SET(CURLOPT_TIMEOUT_MS, (long)timeout_ms);
    CURLcode code = curl_easy_perform(http->curl);
    SET(CURLOPT_HTTPHEADER, NULL);
    curl_slist_free_all(headers);
    if (code != CURLE_OK)
        return err_set(err, "%s: %s", url,
                       http->reason[0] ? http->reason : curl_easy_strerror(code));
    check(curl_easy_getinfo(http->curl, CURLINFO_RESPONSE_CODE, status) == CURLE_OK);
    *answer = buffer_slice(&http->answer);
    return true;
}

const char *http_answer_header(struct http *http, const char *name)
{
    struct curl_header *header;
    return curl_easy_header(http->curl, name, 0, CURLH_HEADER, -1, &header) == CURLHE_OK
               ? header->value
               : "";
}

bool http_get(struct http *http, const char *url, uint64_t timeout_ms, long *status,
              struct slice *answer, struct err *err)
{
    SET(CURLOPT_HTTPGET, 1L);
    http->answer_max = GET_MAX;
    return perform(http, url, make_headers(http, "application/json"), timeout_ms, status, answer,
                   err);
}

bool http_post(struct http *http, const char *url, const char *content_type, struct slice body,
               uint64_t timeout_ms, long *status, struct slice *answer, struct err *err)
{
    SET(CURLOPT_POST, 1L);
    http->answer_max = ANSWER_MAX;
    SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body.len);
    SET(CURLOPT_POSTFIELDS, body.len ? body.data : "");
    bool ok = perform(http, url, make_headers(http, content_type), timeout_ms, status, answer, err);
    SET(CURLOPT_POSTFIELDS, NULL);
    return ok;
}
