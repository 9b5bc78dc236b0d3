#include "weir/http/sender.h"

#include "http_internal.h"
#include "weir/base/check.h"
#include "weir/http/target.h"

#include <curl/curl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum {
    ANSWER_MAX = 64 * 1024,
    CONNECTIONS_MAX = 128,
    CONNECTIONS_PER_HOST = 16,
    POLL_MS = 1000,
};

struct post {
    struct post *next;
    CURL *curl;
    struct curl_slist *headers;
    enum http_target target;
    struct buffer body;
    struct http_result result;
};

struct post_queue {
    struct post *first, **end;
};

struct http_sender {
    CURLM *multi; /* the thread's, but for curl_multi_wakeup() */
    pthread_t thread;
    int event_fd;
    struct post *running; /* the thread's */
    pthread_mutex_t lock; /* of what follows */
    struct post_queue waiting, finished;
    bool is_stopping;
};

static void queue_add(struct post_queue *queue, struct post *post)
{
    post->next = NULL;
    *queue->end = post;
    queue->end = &post->next;
}

static struct post *queue_take(struct post_queue *queue)
{
    struct post *post = queue->first;
    if (post)
        queue->first = post->next;
    if (!queue->first)
        queue->end = &queue->first;
    return post;
}

static void post_free(struct post *post)
{
    curl_easy_cleanup(post->curl);
    curl_slist_free_all(post->headers);
    buffer_release(&post->body);
    buffer_release(&post->result.answer);
    free(post);
}

/* ---- One POST ---- */

static size_t take_answer(char *data, size_t size, size_t count, void *context)
{
    struct post *post = context;
    size_t len = size * count;
    if (post->result.answer.len + len > ANSWER_MAX)
        return 0;
    buffer_add(&post->result.answer, data, len);
    return len;
}

/* After the name has been resolved, so a name that leads to a local address is refused too. */
static curl_socket_t open_socket(void *context, curlsocktype purpose, struct curl_sockaddr *address)
{
    const struct post *post = context;
    if (purpose != CURLSOCKTYPE_IPCXN || !http_target_allows(post->target, &address->addr))
        return CURL_SOCKET_BAD;
    return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

#define SET(option, value) check(curl_easy_setopt(post->curl, option, value) == CURLE_OK)

static void set_limits(struct post *post, uint64_t timeout_ms)
{
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    SET(CURLOPT_PROTOCOLS_STR, post->target == HTTP_TARGET_LOOPBACK ? "http" : "https");
    SET(CURLOPT_FOLLOWLOCATION, 0L);
    /* A proxy would resolve the name itself. */
    SET(CURLOPT_PROXY, "");
    SET(CURLOPT_FORBID_REUSE, 1L);
    SET(CURLOPT_TIMEOUT_MS, (long)timeout_ms);
    SET(CURLOPT_OPENSOCKETFUNCTION, open_socket);
    SET(CURLOPT_OPENSOCKETDATA, post);
    SET(CURLOPT_WRITEFUNCTION, take_answer);
    SET(CURLOPT_WRITEDATA, post);
}

static void set_request(struct post *post, const char *url, const char *header)
{
    const char *lines[] = {"Expect:", "Content-Type: application/json", header};
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        post->headers = curl_slist_append(post->headers, lines[i]);
        check(post->headers != NULL);
    }
    SET(CURLOPT_URL, url);
    SET(CURLOPT_USERAGENT, "weir/" WEIR_VERSION);
    SET(CURLOPT_HTTPHEADER, post->headers);
    SET(CURLOPT_PRIVATE, post);
    SET(CURLOPT_POST, 1L);
    SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)post->body.len);
    SET(CURLOPT_POSTFIELDS, buffer_str(&post->body));
}

void http_sender_post(struct http_sender *sender, uint64_t number, const char *url,
                      const char *header, struct slice json, uint64_t timeout_ms)
{
    struct post *post = calloc(1, sizeof *post);
    check(post != NULL);
    post->curl = curl_easy_init();
    check(post->curl != NULL);
    post->target = http_target_of(url);
    post->result.number = number;
    buffer_add_slice(&post->body, json);
    set_limits(post, timeout_ms);
    set_request(post, url, header);
    pthread_mutex_lock(&sender->lock);
    queue_add(&sender->waiting, post);
    pthread_mutex_unlock(&sender->lock);
    check(curl_multi_wakeup(sender->multi) == CURLM_OK);
}

/* ---- The thread ---- */

/* False: it is time to stop. */
static bool start_waiting(struct http_sender *sender)
{
    struct post *post;
    pthread_mutex_lock(&sender->lock);
    bool is_stopping = sender->is_stopping;
    while (!is_stopping && (post = queue_take(&sender->waiting))) {
        post->next = sender->running;
        sender->running = post;
        check(curl_multi_add_handle(sender->multi, post->curl) == CURLM_OK);
    }
    pthread_mutex_unlock(&sender->lock);
    return !is_stopping;
}

static void finish(struct http_sender *sender, CURL *curl, CURLcode code)
{
    struct post *post;
    uint64_t one = 1;
    check(curl_easy_getinfo(curl, CURLINFO_PRIVATE, (char **)&post) == CURLE_OK);
    if (code == CURLE_OK)
        check(curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &post->result.status) == CURLE_OK);
    check(curl_multi_remove_handle(sender->multi, curl) == CURLM_OK);
    struct post **at = &sender->running;
    while (*at != post)
        at = &(*at)->next;
    *at = post->next;
    pthread_mutex_lock(&sender->lock);
    queue_add(&sender->finished, post);
    pthread_mutex_unlock(&sender->lock);
    check(write(sender->event_fd, &one, sizeof one) == (ssize_t)sizeof one);
}

static void *run(void *context)
{
    struct http_sender *sender = context;
    while (start_waiting(sender)) {
        int count;
        CURLMsg *message;
        check(curl_multi_perform(sender->multi, &count) == CURLM_OK);
        while ((message = curl_multi_info_read(sender->multi, &count))) {
            if (message->msg == CURLMSG_DONE)
                finish(sender, message->easy_handle, message->data.result);
        }
        check(curl_multi_poll(sender->multi, NULL, 0, POLL_MS, NULL) == CURLM_OK);
    }
    return NULL;
}

/* ---- The owner ---- */

struct http_sender *http_sender_new(void)
{
    http_library_init();
    struct http_sender *sender = calloc(1, sizeof *sender);
    check(sender != NULL);
    sender->waiting.end = &sender->waiting.first;
    sender->finished.end = &sender->finished.first;
    sender->event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    sender->multi = curl_multi_init();
    check(sender->event_fd >= 0 && sender->multi != NULL);
    curl_multi_setopt(sender->multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, (long)CONNECTIONS_MAX);
    curl_multi_setopt(sender->multi, CURLMOPT_MAX_HOST_CONNECTIONS, (long)CONNECTIONS_PER_HOST);
    check(pthread_mutex_init(&sender->lock, NULL) == 0);
    check(pthread_create(&sender->thread, NULL, run, sender) == 0);
    return sender;
}

static void free_queue(struct post_queue *queue)
{
    struct post *post;
    while ((post = queue_take(queue)))
        post_free(post);
}

void http_sender_free(struct http_sender *sender)
{
    pthread_mutex_lock(&sender->lock);
    sender->is_stopping = true;
    pthread_mutex_unlock(&sender->lock);
    check(curl_multi_wakeup(sender->multi) == CURLM_OK);
    check(pthread_join(sender->thread, NULL) == 0);
    while (sender->running) {
        struct post *post = sender->running;
        sender->running = post->next;
        check(curl_multi_remove_handle(sender->multi, post->curl) == CURLM_OK);
        post_free(post);
    }
    free_queue(&sender->waiting);
    free_queue(&sender->finished);
    curl_multi_cleanup(sender->multi);
    close(sender->event_fd);
    pthread_mutex_destroy(&sender->lock);
    free(sender);
}

int http_sender_event_fd(const struct http_sender *sender)
{
    return sender->event_fd;
}

void http_sender_clear(struct http_sender *sender)
{
    uint64_t count;
    ssize_t len = read(sender->event_fd, &count, sizeof count);
    check(len == (ssize_t)sizeof count || len < 0);
}

bool http_sender_take(struct http_sender *sender, struct http_result *result)
{
    pthread_mutex_lock(&sender->lock);
    struct post *post = queue_take(&sender->finished);
    pthread_mutex_unlock(&sender->lock);
    if (!post)
        return false;
    *result = post->result;
    post->result.answer = BUFFER_INIT;
    post_free(post);
    return true;
}
