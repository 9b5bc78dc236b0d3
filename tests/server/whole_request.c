/* libFuzzer: what comes in on a connection, to a whole server that runs in a thread of this
 * process, with a store of its own. Bounds are small and times short, so that they are reached.
 * What one input has written, others find: the server must stand whatever there is, so an input
 * that ends it may need those before it (-seed, -runs). Now and then all connections and requests
 * must be over, and at its end the server stops as on SIGTERM, so that what it has not freed then
 * is a leak. */
#include "weir/base/blob.h"
#include "weir/base/check.h"
#include "weir/base/clock.h"
#include "weir/base/log.h"
#include "weir/server/server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ftw.h>
#include <openssl/crypto.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct sockaddr_in address = {.sin_family = AF_INET};
static char folder[] = "/tmp/weir-fuzz-XXXXXX";
static pthread_t server_thread;
static atomic_bool is_stopping;

static int remove_one(const char *path, const struct stat *stat, int flag, struct FTW *walk)
{
    (void)stat;
    (void)flag;
    (void)walk;
    return remove(path);
}

/* Of a run that has not crashed. */
static void stop_server(void)
{
    is_stopping = true;
    check(pthread_kill(server_thread, SIGTERM) == 0 && pthread_join(server_thread, NULL) == 0);
    nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static void *serve(void *listen)
{
    struct err err;
    char data[sizeof folder + 8];
    snprintf(data, sizeof data, "%s/data", folder);
    struct server_settings settings = {
        .listen = listen,
        .data = data,
        .auth = "none",
        .console = "on",
        .webhook_key_lifetime_ms = 0,
        .long_poll_timeout_ms = 1,
        .sse_lifetime_ms = 1,
        .heartbeat_ms = 1,
        .idle_timeout_ms = 1000,
        .drain_timeout_ms = 10000,
        .max_body = 8192,
        .page_bytes = 64,
        .cache_bytes = 64 << 10,
        .checkpoint_ms = 50,
        .connection_bytes = 5 << 10,
        .max_streams = 200,
        .max_connections = 100,
        .ready_lag_ms = 1000,
    };
    if (!server_run(&settings, &err))
        log_err(LOG_ERROR, "the server has ended", &err);
    check(is_stopping);
    return NULL;
}

/* Returns the socket, or -1 where nobody listens. libFuzzer's alarm (-timeout) interrupts. */
static int connect_once(void)
{
    int error;
    do {
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        check(fd >= 0);
        if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0)
            return fd;
        error = errno;
        close(fd);
    } while (error == EINTR);
    return -1;
}

static bool has_more(int fd, int quiet_ms)
{
    struct pollfd poller = {.fd = fd, .events = POLLIN};
    int count;
    while ((count = poll(&poller, 1, quiet_ms)) < 0)
        check(errno == EINTR);
    return count == 1;
}

static void find_port(void)
{
    socklen_t len = sizeof address;
    int probe = socket(AF_INET, SOCK_STREAM, 0);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    check(probe >= 0 && bind(probe, (struct sockaddr *)&address, sizeof address) == 0);
    check(getsockname(probe, (struct sockaddr *)&address, &len) == 0);
    close(probe);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    static char listen[32];
    (void)argc;
    (void)argv;
    log_configure(LOG_ERROR, LOG_LOGFMT);
    signal(SIGPIPE, SIG_IGN);
    check(mkdtemp(folder) != NULL);
    find_port();
    snprintf(listen, sizeof listen, "127.0.0.1:%u", ntohs(address.sin_port));
    check(pthread_create(&server_thread, NULL, serve, listen) == 0);
    int fd;
    while ((fd = connect_once()) < 0) /* until it listens */
        sched_yield();
    close(fd);
    /* What OpenSSL does at exit has to come after the server's end, so it is registered before. */
    check(OPENSSL_init_crypto(OPENSSL_INIT_LOAD_CONFIG, NULL) == 1 && atexit(stop_server) == 0);
    return 0;
}

/* What comes back until the server closes, or has said nothing for a while: one that waits for the
 * rest of a request says nothing. */
static size_t exchange(struct slice request, char *answer, size_t size, int quiet_ms)
{
    size_t len = 0;
    ssize_t count = 1;
    int fd = connect_once();
    check(fd >= 0);
    struct linger at_once = {1, 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    (void)!send(fd, request.data, request.len, MSG_NOSIGNAL);
    shutdown(fd, SHUT_WR);
    while (count > 0 && len < size && has_more(fd, quiet_ms)) {
        count = recv(fd, answer + len, size - len, 0);
        len += count > 0 ? (size_t)count : 0;
    }
    close(fd);
    return len;
}

/* A metric in an answer; -1: none. */
static long metric(const char *answer, const char *name)
{
    char line[64];
    snprintf(line, sizeof line, "\n%s ", name);
    const char *found = strstr(answer, line);
    return found ? atol(found + strlen(line)) : -1;
}

/* It answers, and before long the connection that asks and its request are all there is. */
static void check_server(void)
{
    enum { PATIENT_MS = 10000 };
    struct slice ask = SLICE("GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    static char answer[64 << 10];
    uint64_t begin_ms = clock_monotonic_ms(), waited_ms;
    long connections, requests;
    do {
        size_t len = exchange(ask, answer, sizeof answer - 1, PATIENT_MS);
        answer[len] = '\0';
        connections = metric(answer, "weir_connections");
        requests = metric(answer, "weir_requests_active");
        waited_ms = clock_monotonic_ms() - begin_ms;
    } while (connections > 1 && waited_ms < PATIENT_MS);
    bool is_well = strncmp(answer, "HTTP/1.1 200", 12) == 0 && connections == 1 && requests == 1;
    if (!is_well)
        fprintf(stderr, "after %llu ms there are %ld requests on %ld connections: %s\n",
                (unsigned long long)waited_ms, requests, connections, answer);
    check(is_well);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    enum { QUIET_MS = 3, OFTEN = 64 };
    static char answer[64 << 10];
    static unsigned runs;
    size_t len = exchange(slice_of((const char *)data, size), answer, sizeof answer, QUIET_MS);
    check(len == 0 || len >= 9);
    check(len == 0 || memcmp(answer, "HTTP/1.", 7) == 0);
    if (++runs % OFTEN == 0)
        check_server();
    return 0;
}
