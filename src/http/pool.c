#include "weir/http/pool.h"

#include "handle.h"
#include "http_internal.h"
#include "weir/base/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { POLL_MS = 250 };

struct http_pool {
    CURLM *multi;
    char *authorization; /* header line, or NULL */
    char *ca_file;
    const atomic_ullong *abort_at_ms;
};

struct http_exchange {
    struct http_pool *pool;
    void *context;
    CURL *curl;
    bool is_under_way;
    CURLcode code;
    struct curl_slist *headers;
    const struct slice *pieces;
    size_t piece_count;
    size_t piece, piece_at; /* what is sent next */
    struct buffer answer;
    size_t answer_max;
    char reason[CURL_ERROR_SIZE];
};

struct http_pool *http_pool_new(const struct http_settings *settings)
{
    http_library_init();
    struct http_pool *pool = calloc(1, sizeof *pool);
    check(pool != NULL);
    pool->abort_at_ms = settings->abort_at_ms;
    if (settings->token)
        check(asprintf(&pool->authorization, "Authorization: Bearer %s", settings->token) > 0);
    if (settings->ca_file)
        check((pool->ca_file = strdup(settings->ca_file)) != NULL);
    pool->multi = curl_multi_init();
    check(pool->multi != NULL);
    return pool;
}

void http_pool_free(struct http_pool *pool)
{
    if (!pool)
        return;
    check(curl_multi_cleanup(pool->multi) == CURLM_OK);
    if (pool->authorization)
        explicit_bzero(pool->authorization, strlen(pool->authorization));
    free(pool->authorization);
    free(pool->ca_file);
    free(pool);
}

/* ---- The body, and the answer ---- */

static size_t send_pieces(char *out, size_t size, size_t count, void *context)
{
    struct http_exchange *exchange = context;
    size_t room = size * count, len = 0;
    while (len < room && exchange->piece < exchange->piece_count) {
        struct slice piece = exchange->pieces[exchange->piece];
        size_t rest = piece.len - exchange->piece_at;
        size_t part = rest < room - len ? rest : room - len;
        memcpy(out + len, piece.data + exchange->piece_at, part);
        len += part;
        exchange->piece_at += part;
        if (exchange->piece_at == piece.len) {
            exchange->piece++;
            exchange->piece_at = 0;
        }
    }
    return len;
}

/* libcurl would send a request once more by itself, when a kept connection turns out to be gone
 * before an answer. The server may have taken it, so the caller has to know. */
static int refuse_to_rewind(void *context, curl_off_t offset, int origin)
{
    (void)context, (void)offset, (void)origin;
    return CURL_SEEKFUNC_CANTSEEK;
}

/* Twice as much is let in before the rest is moved, so that it is moved rarely. */
static size_t take_answer(char *data, size_t size, size_t count, void *context)
{
    struct http_exchange *exchange = context;
    struct buffer *answer = &exchange->answer;
    size_t len = size * count;
    buffer_add(answer, data, len);
    if (answer->len > 2 * exchange->answer_max) {
        size_t surplus = answer->len - exchange->answer_max;
        memmove(answer->data, answer->data + surplus, exchange->answer_max);
        answer->len = exchange->answer_max;
    }
    return len;
}

/* ---- One exchange ---- */

#define SET(option, value) check(curl_easy_setopt(exchange->curl, option, value) == CURLE_OK)

struct http_exchange *http_exchange_new(struct http_pool *pool, void *context)
{
    struct http_exchange *exchange = calloc(1, sizeof *exchange);
    check(exchange != NULL);
    exchange->pool = pool;
    exchange->context = context;
    struct http_settings settings = {.ca_file = pool->ca_file, .abort_at_ms = pool->abort_at_ms};
    exchange->curl = http_handle_new(&settings, exchange->reason);
    SET(CURLOPT_PRIVATE, exchange);
    SET(CURLOPT_READFUNCTION, send_pieces);
    SET(CURLOPT_READDATA, exchange);
    SET(CURLOPT_SEEKFUNCTION, refuse_to_rewind);
    SET(CURLOPT_WRITEFUNCTION, take_answer);
    SET(CURLOPT_WRITEDATA, exchange);
    return exchange;
}

static void end(struct http_exchange *exchange)
{
    if (exchange->is_under_way)
        check(curl_multi_remove_handle(exchange->pool->multi, exchange->curl) == CURLM_OK);
    exchange->is_under_way = false;
    SET(CURLOPT_HTTPHEADER, NULL);
    curl_slist_free_all(exchange->headers);
    exchange->headers = NULL;
}

void http_exchange_free(struct http_exchange *exchange)
{
    if (!exchange)
        return;
    end(exchange);
    curl_easy_cleanup(exchange->curl);
    buffer_release(&exchange->answer);
    free(exchange);
}

static void add_header(struct http_exchange *exchange, const char *line)
{
    exchange->headers = curl_slist_append(exchange->headers, line);
    check(exchange->headers != NULL);
}

static void set_headers(struct http_exchange *exchange, const struct http_request *request)
{
    char line[128];
    add_header(exchange, "Expect:"); /* or libcurl would wait for a 100 before a large body */
    if (request->content_type) {
        snprintf(line, sizeof line, "Content-Type: %s", request->content_type);
        add_header(exchange, line);
    }
    if (request->header)
        add_header(exchange, request->header);
    if (exchange->pool->authorization)
        add_header(exchange, exchange->pool->authorization);
    SET(CURLOPT_HTTPHEADER, exchange->headers);
}

static void set_method(struct http_exchange *exchange, const struct http_request *request)
{
    curl_off_t len = 0;
    for (size_t i = 0; i < request->piece_count; i++)
        len += (curl_off_t)request->pieces[i].len;
    SET(CURLOPT_CUSTOMREQUEST, NULL);
    SET(CURLOPT_NOBODY, 0L);
    SET(CURLOPT_UPLOAD, 0L);
    if (strcmp(request->method, "POST") == 0) {
        SET(CURLOPT_POST, 1L);
        SET(CURLOPT_POSTFIELDSIZE_LARGE, len);
    } else if (strcmp(request->method, "PUT") == 0) {
        SET(CURLOPT_UPLOAD, 1L);
        SET(CURLOPT_INFILESIZE_LARGE, len);
    } else if (strcmp(request->method, "HEAD") == 0) {
        SET(CURLOPT_NOBODY, 1L);
    } else if (strcmp(request->method, "DELETE") == 0) {
        SET(CURLOPT_HTTPGET, 1L);
        SET(CURLOPT_CUSTOMREQUEST, "DELETE");
    } else {
        SET(CURLOPT_HTTPGET, 1L);
    }
}

void http_exchange_begin(struct http_exchange *exchange, const struct http_request *request)
{
    check(!exchange->is_under_way);
    buffer_clear(&exchange->answer);
    exchange->answer_max = request->answer_max;
    exchange->reason[0] = '\0';
    exchange->pieces = request->pieces;
    exchange->piece_count = request->piece_count;
    exchange->piece = exchange->piece_at = 0;
    set_method(exchange, request);
    set_headers(exchange, request);
    SET(CURLOPT_URL, request->url);
    SET(CURLOPT_TIMEOUT_MS, (long)request->timeout_ms);
    check(curl_multi_add_handle(exchange->pool->multi, exchange->curl) == CURLM_OK);
    exchange->is_under_way = true;
}

static struct http_exchange *take_finished(struct http_pool *pool)
{
    int left;
    CURLMsg *message;
    struct http_exchange *exchange;
    while ((message = curl_multi_info_read(pool->multi, &left))) {
        if (message->msg != CURLMSG_DONE)
            continue;
        CURLcode code = message->data.result;
        check(curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&exchange) ==
              CURLE_OK);
        exchange->code = code;
        end(exchange);
        return exchange;
    }
    return NULL;
}

struct http_exchange *http_pool_wait(struct http_pool *pool, uint64_t timeout_ms)
{
    uint64_t until = clock_monotonic_ms() + timeout_ms;
    for (;;) {
        int running;
        check(curl_multi_perform(pool->multi, &running) == CURLM_OK);
        struct http_exchange *exchange = take_finished(pool);
        uint64_t now = clock_monotonic_ms();
        if (exchange || now >= until)
            return exchange;
        uint64_t rest = until - now < POLL_MS ? until - now : POLL_MS;
        check(curl_multi_poll(pool->multi, NULL, 0, (int)rest, NULL) == CURLM_OK);
    }
}

void *http_exchange_context(const struct http_exchange *exchange)
{
    return exchange->context;
}

long http_exchange_status(struct http_exchange *exchange, struct err *err)
{
    long status = 0;
    if (exchange->code == CURLE_OK) {
        check(curl_easy_getinfo(exchange->curl, CURLINFO_RESPONSE_CODE, &status) == CURLE_OK);
        return status;
    }
    err_set(err, "%s", exchange->reason[0] ? exchange->reason : curl_easy_strerror(exchange->code));
    return 0;
}

bool http_exchange_is_new(const struct http_exchange *exchange)
{
    long connections = 0;
    check(curl_easy_getinfo(exchange->curl, CURLINFO_NUM_CONNECTS, &connections) == CURLE_OK);
    return connections > 0;
}

struct slice http_exchange_answer(const struct http_exchange *exchange)
{
    size_t surplus = exchange->answer.len > exchange->answer_max
                         ? exchange->answer.len - exchange->answer_max
                         : 0;
    return slice_of(exchange->answer.data + surplus, exchange->answer.len - surplus);
}

const char *http_exchange_header(const struct http_exchange *exchange, const char *name)
{
    struct curl_header *header;
    CURLHcode code = curl_easy_header(exchange->curl, name, 0, CURLH_HEADER, -1, &header);
    return code == CURLHE_OK ? header->value : NULL;
}
