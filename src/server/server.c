/* Starting, the loop, and stopping. One turn of the loop: the store takes in what its threads have
 * finished and hands over what is there, whoever waited for that is woken, timers expire;
 * libmicrohttpd runs who was woken and what the sockets have; the store hands over what was decided
 * on meanwhile, if the commit thread is idle. */
#include "access.h"
#include "connection.h"
#include "console.h"
#include "history.h"
#include "internal.h"
#include "report.h"
#include "subscription.h"
#include "tls.h"
#include "webhook.h"

#include "weir/base/clock.h"
#include "weir/base/log.h"
#include "weir/http/target.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

enum { TICK_MS = 500, LISTEN_BACKLOG = 1024 };

/* ---- Listening ---- */

static bool split_address(const char *listen, char *host, size_t host_size, const char **port)
{
    const char *colon = strrchr(listen, ':');
    if (!colon || colon == listen || !colon[1])
        return false;
    size_t len = (size_t)(colon - listen);
    if (listen[0] == '[' && colon[-1] == ']') {
        listen++;
        len -= 2;
    }
    if (len >= host_size)
        return false;
    memcpy(host, listen, len);
    host[len] = '\0';
    *port = colon + 1;
    return true;
}

static bool is_loopback(const struct sockaddr *address)
{
    if (address->sa_family == AF_INET) {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)(const void *)address;
        return ntohl(v4->sin_addr.s_addr) >> 24 == 127;
    }
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)(const void *)address;
    return IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr);
}

static int bind_socket(const struct addrinfo *address, const char *listen_on, struct err *err)
{
    int fd = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int on = 1;
    if (fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
        bind(fd, address->ai_addr, address->ai_addrlen) == 0 && listen(fd, LISTEN_BACKLOG) == 0)
        return fd;
    err_set_errno(err, errno, "cannot listen on %s", listen_on);
    if (errno == EADDRINUSE)
        err_hint(err, "another program has this port; choose one with --listen");
    if (fd >= 0)
        close(fd);
    return -1;
}

/* Everybody may do everything only where everybody is this machine, unless it is said twice. */
static bool may_listen(const struct server_settings *settings, bool is_loopback_only,
                       struct err *err)
{
    bool has_auth = strcmp(settings->auth, "none") != 0;
    if (is_loopback_only || has_auth || settings->is_insecure)
        return true;
    err_set(err,
            "%s can be reached from other machines, and --auth none lets everybody read and write "
            "every stream",
            settings->listen);
    return err_hint(err, "use --auth jwt, or listen on 127.0.0.1 behind a proxy that checks users; "
                         "--insecure-no-auth, if everybody who reaches it may do everything");
}

static int open_listener(const struct server_settings *settings, struct err *err)
{
    char host[256];
    const char *port;
    struct addrinfo *found = NULL,
                    hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    if (!split_address(settings->listen, host, sizeof host, &port)) {
        err_set(err, "--listen %s is not an address and a port", settings->listen);
        err_hint(err, "for example 127.0.0.1:4437 or [::1]:4437");
        return -1;
    }
    int code = getaddrinfo(host, port, &hints, &found);
    if (code) {
        err_set(err, "--listen %s: %s", settings->listen, gai_strerror(code));
        return -1;
    }
    int fd = -1;
    if (may_listen(settings, is_loopback(found->ai_addr), err))
        fd = bind_socket(found, settings->listen, err);
    freeaddrinfo(found);
    return fd;
}

/* ---- libmicrohttpd ---- */

/* Paths are taken apart by the server's own rules, so nothing is decoded before. */
static size_t leave_escaped(void *context, struct MHD_Connection *connection, char *text)
{
    (void)context;
    (void)connection;
    return strlen(text);
}

static void log_daemon(void *context, const char *fmt, va_list args) WEIR_PRINTF(2, 0);
static void log_daemon(void *context, const char *fmt, va_list args)
{
    char text[256];
    (void)context;
    vsnprintf(text, sizeof text, fmt, args);
    text[strcspn(text, "\n")] = '\0';
    log_event(LOG_DEBUG, "http", LOG_STR("text", text));
}

static bool start_daemon(struct server *server, int listener, struct err *err)
{
    const struct server_settings *settings = server->settings;
    struct MHD_OptionItem tls[] = {
        {MHD_OPTION_HTTPS_CERT_CALLBACK, 0, tls_certificate_callback},
        {MHD_OPTION_HTTPS_PRIORITIES, 0, (void *)(uintptr_t)tls_priorities},
        {MHD_OPTION_END, 0, NULL},
    };
    if (!server->tls)
        tls[0].option = MHD_OPTION_END;
    server->daemon = MHD_start_daemon(
        MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG |
            (server->tls ? MHD_USE_TLS : 0),
        0, NULL, NULL, request_handle, server, MHD_OPTION_ARRAY, tls, MHD_OPTION_EXTERNAL_LOGGER,
        log_daemon, NULL, MHD_OPTION_LISTEN_SOCKET, listener, MHD_OPTION_URI_LOG_CALLBACK,
        request_new, server, MHD_OPTION_UNESCAPE_CALLBACK, leave_escaped, NULL,
        MHD_OPTION_NOTIFY_COMPLETED, request_done, server, MHD_OPTION_NOTIFY_CONNECTION,
        connection_notify, server, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        (size_t)settings->connection_bytes, MHD_OPTION_CONNECTION_LIMIT,
        (unsigned)settings->max_connections, MHD_OPTION_PER_IP_CONNECTION_LIMIT,
        (unsigned)settings->max_connections_per_address, MHD_OPTION_CONNECTION_TIMEOUT,
        (unsigned)((settings->idle_timeout_ms + 999) / 1000), MHD_OPTION_END);
    if (!server->daemon)
        return err_set(err, "the HTTP library does not start");
    return true;
}

/* ---- The loop ---- */

struct loop {
    int epoll_fd, signal_fd;
};

static bool watch_fd(const struct loop *loop, int fd, struct err *err)
{
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0)
        return true;
    return err_set_errno(err, errno, "epoll");
}

static bool open_loop(struct loop *loop, struct server *server, struct err *err)
{
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    loop->signal_fd = signalfd(-1, &signals, SFD_NONBLOCK | SFD_CLOEXEC);
    server->hang_ups_fd = epoll_create1(EPOLL_CLOEXEC);
    if (loop->epoll_fd < 0 || loop->signal_fd < 0 || server->hang_ups_fd < 0)
        return err_set_errno(err, errno, "cannot set up the loop");
    const union MHD_DaemonInfo *info =
        MHD_get_daemon_info(server->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    check(info != NULL);
    const struct webhooks *webhooks = server->subscriptions->webhooks;
    if (webhooks && !watch_fd(loop, webhooks_event_fd(webhooks), err))
        return false;
    return watch_fd(loop, loop->signal_fd, err) && watch_fd(loop, info->epoll_fd, err) &&
           watch_fd(loop, server->hang_ups_fd, err) &&
           watch_fd(loop, store_event_fd(server->store), err);
}

static uint64_t earliest(uint64_t at_ms, const struct timer_list *list)
{
    return list->first && list->first->deadline_ms < at_ms ? list->first->deadline_ms : at_ms;
}

static int sleep_ms(struct server *server)
{
    uint64_t now_ms = clock_monotonic_ms(), until_ms = now_ms + TICK_MS;
    MHD_UNSIGNED_LONG_LONG http_ms;
    if (server->has_woken)
        return 0;
    /* To libmicrohttpd those that wait for a commit are ready to go on, so it is not asked: the end
     * of the commit ends the sleep. */
    bool is_committing = server->asked_again != 0;
    if (is_committing && server->has_moved)
        return 0;
    if (is_committing)
        until_ms = now_ms + ASKED_AGAIN_FOR_MS;
    until_ms = earliest(until_ms, &server->long_polls);
    until_ms = earliest(until_ms, &server->heartbeats);
    until_ms = earliest(until_ms, &server->lifetimes);
    if (!is_committing && MHD_get_timeout(server->daemon, &http_ms) == MHD_YES &&
        now_ms + http_ms < until_ms)
        until_ms = now_ms + http_ms;
    return until_ms > now_ms ? (int)(until_ms - now_ms) : 0;
}

static void begin_drain(struct server *server)
{
    if (server->is_draining)
        return;
    log_event(LOG_INFO, "stopping", LOG_U("requests", server->active_requests));
    server->is_draining = true;
    server->drain_deadline_ms = clock_monotonic_ms() + server->settings->drain_timeout_ms;
    int listener = MHD_quiesce_daemon(server->daemon);
    if (listener >= 0)
        close(listener);
    live_drain(server);
}

static void wake_waiting(struct server *server)
{
    uint64_t durable = store_durable(server->store);
    while (server->waiting_commit.first && server->waiting_commit.first->ticket <= durable)
        request_wake(server->waiting_commit.first);
    if (!server->waiting_room.first || store_readiness(server->store) == STORE_BUSY)
        return;
    struct request *last = server->waiting_room.last, *next = server->waiting_room.first, *request;
    do {
        request = next;
        next = request->next;
        request_wake(request);
    } while (request != last);
}

static bool is_drained(const struct server *server)
{
    return server->is_draining &&
           (server->active_requests == 0 || clock_monotonic_ms() >= server->drain_deadline_ms);
}

/* What libmicrohttpd and the store have is looked for in every turn anyway. */
static void wait_for_events(struct server *server, const struct loop *loop)
{
    struct epoll_event events[8];
    struct signalfd_siginfo signal;
    int count = epoll_wait(loop->epoll_fd, events, 8, sleep_ms(server));
    server->has_woken = server->has_moved = false;
    server->turn_ms = clock_monotonic_ms();
    for (int i = 0; i < count; i++) {
        if (events[i].data.fd == server->hang_ups_fd)
            connections_take_hang_ups(server);
        if (events[i].data.fd == loop->signal_fd &&
            read(loop->signal_fd, &signal, sizeof signal) == (ssize_t)sizeof signal)
            begin_drain(server);
    }
}

/* Who is woken decides on an answer in one run, which is sent in the next. */
static void run_http(struct server *server)
{
    bool has_woken = server->has_woken;
    server->has_woken = false;
    check(MHD_run(server->daemon) == MHD_YES);
    if (has_woken)
        check(MHD_run(server->daemon) == MHD_YES);
}

static void run_loop(struct server *server, const struct loop *loop)
{
    while (!is_drained(server)) {
        wait_for_events(server, loop);
        store_turn(server->store);
        tls_run(server->tls);
        access_run(server);
        subscriptions_run(server);
        wake_waiting(server);
        live_expire(server, server->turn_ms);
        connections_expire(server, server->turn_ms);
        history_tick(server->history, server, server->turn_ms);
        run_http(server);
        store_hand_over(server->store);
    }
}

/* What still waits is let go without what it waits for: suspended connections keep the daemon from
 * stopping. */
static void stop_daemon(struct server *server)
{
    struct request_list *lists[] = {&server->waiting_commit, &server->waiting_room,
                                    &server->waiting_data};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        while (lists[i]->first)
            request_wake(lists[i]->first);
    }
    MHD_stop_daemon(server->daemon);
}

/* ---- Running ---- */

static void block_signals(void)
{
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    signal(SIGPIPE, SIG_IGN);
}

static bool serve(struct server *server, int listener, struct err *err)
{
    struct loop loop = {-1, -1};
    if (!start_daemon(server, listener, err))
        return false;
    bool ok = open_loop(&loop, server, err);
    if (ok) {
        log_event(LOG_INFO, "listening", LOG_STR("address", server->settings->listen),
                  LOG_STR("scheme", server->tls ? "https" : "http"));
        run_loop(server, &loop);
    }
    stop_daemon(server);
    if (server->hang_ups_fd >= 0)
        close(server->hang_ups_fd);
    if (loop.epoll_fd >= 0)
        close(loop.epoll_fd);
    if (loop.signal_fd >= 0)
        close(loop.signal_fd);
    return ok;
}

static bool check_public_url(const char *url, struct err *err)
{
    if (!url || http_url_is_root(url))
        return true;
    err_set(err, "--public-url is not an http or https URL without '/' at its end");
    return err_hint(err, "for example https://streams.example.com/v1/stream");
}

bool server_run(const struct server_settings *settings, struct err *err)
{
    struct server server = {.settings = settings, .hang_ups_fd = -1};
    struct store_settings store_settings = store_settings_default(settings->data);
    /* Before any thread is made, so that only the loop sees them. */
    block_signals();
    store_settings.cache_bytes = settings->cache_bytes;
    store_settings.streams_max = settings->max_streams;
    store_settings.checkpoint_ms = settings->checkpoint_ms;
    store_settings.on_change = live_on_change;
    store_settings.on_append = subscriptions_on_append;
    store_settings.context = &server;
    if (!check_public_url(settings->public_url, err))
        return false;
    bool has_auth = strcmp(settings->auth, "none") != 0;
    server.access = has_auth ? access_open(settings, err) : NULL;
    bool is_ready = server.access || !has_auth;
    if (is_ready && settings->tls_cert_file)
        is_ready = (server.tls = tls_open(settings->tls_cert_file, settings->tls_key_file, err));
    int listener = is_ready ? open_listener(settings, err) : -1;
    server.store = listener >= 0 ? store_open(&store_settings, err) : NULL;
    if (!server.store) {
        if (listener >= 0)
            close(listener);
        tls_close(server.tls);
        access_close(&server);
        return false;
    }
    server.has_console = console_is_wanted(settings->console, listener);
    server.pages = page_cache_new();
    server.reports = reports_new();
    server.history = history_new();
    server.started_ms = clock_wall_ms();
    /* Before the first request: who is revoked, stays so. */
    access_run(&server);
    subscriptions_open(&server);
    bool ok = serve(&server, listener, err);
    subscriptions_close(server.subscriptions);
    reply_plain_release(&server);
    requests_release(&server);
    page_cache_free(server.pages);
    reports_free(server.reports);
    history_free(server.history);
    access_close(&server);
    tls_close(server.tls);
    struct err closing;
    if (!store_close(server.store, &closing))
        log_err(LOG_WARN, "the last checkpoint failed; the log has everything", &closing);
    if (ok)
        log_event(LOG_INFO, "stopped");
    return ok;
}
