/* The stream of a replication connection: receiving and feedback. slot.c creates and starts it. */
#include "walsender.h"

#include "weir/base/clock.h"

#include <endian.h>
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>

enum pg_reach replication_try_connect(const char *conninfo, struct replication **replication,
                                      struct err *err)
{
    PGconn *conn;
    *replication = NULL;
    enum pg_reach reach = session_open(conninfo, true, &conn, err);
    if (reach != PG_CONNECTED)
        return reach;
    *replication = calloc(1, sizeof **replication);
    check(*replication != NULL);
    (*replication)->conn = conn;
    return PG_CONNECTED;
}

struct replication *replication_connect(const char *conninfo, struct err *err)
{
    struct replication *replication;
    enum pg_reach reach = replication_try_connect(conninfo, &replication, err);
    return reach == PG_CONNECTED ? replication : NULL;
}

void replication_close(struct replication *replication)
{
    if (!replication)
        return;
    PQfreemem(replication->row);
    PQfinish(replication->conn);
    free(replication);
}

static uint64_t load_big_endian(const char *at)
{
    uint64_t value;
    memcpy(&value, at, sizeof value);
    return be64toh(value);
}

static void store_big_endian(char *at, uint64_t value)
{
    value = htobe64(value);
    memcpy(at, &value, sizeof value);
}

/* XLogData: 'w', start of the record, end of WAL on the server, clock, payload.
 * Keep-alive: 'k', end of WAL on the server, clock, whether a reply is wanted. */
enum { XLOG_HEADER = 1 + 8 + 8 + 8, KEEPALIVE_SIZE = 1 + 8 + 8 + 1 };

static enum replication_event parse_row(const char *row, size_t len,
                                        struct replication_input *input, struct err *err)
{
    *input = (struct replication_input){.message = SLICE_NONE};
    if (row[0] == 'w' && len >= XLOG_HEADER) {
        input->server_lsn = load_big_endian(row + 9);
        input->message = slice_of(row + XLOG_HEADER, len - XLOG_HEADER);
        return REPLICATION_MESSAGE;
    }
    if (row[0] == 'k' && len >= KEEPALIVE_SIZE) {
        input->server_lsn = load_big_endian(row + 1);
        input->reply_requested = row[17] != 0;
        return REPLICATION_KEEPALIVE;
    }
    err_set(err, "replication stream: unknown message of %zu bytes", len);
    return REPLICATION_FAILED;
}

static enum replication_event stream_ended(struct replication *replication, struct err *err)
{
    enum replication_event event = REPLICATION_ENDED;
    PGresult *result = PQgetResult(replication->conn);
    if (PQresultStatus(result) == PGRES_FATAL_ERROR) {
        session_fail(replication->conn, result, "replication stream", NULL, err);
        event = REPLICATION_FAILED;
    }
    PQclear(result);
    return event;
}

static enum replication_event stream_failed(struct replication *replication, struct err *err)
{
    session_fail(replication->conn, NULL, "replication stream", NULL, err);
    return REPLICATION_FAILED;
}

enum fill { FILL_MAYBE, FILL_TIMEOUT, FILL_FAILED };

/* Waits until the socket may have something to read. */
static enum fill wait_for_input(struct replication *replication, int wake_fd, uint64_t deadline)
{
    uint64_t now = clock_monotonic_ms();
    uint64_t left = deadline > now ? deadline - now : 0;
    struct pollfd fds[2] = {{.fd = PQsocket(replication->conn), .events = POLLIN},
                            {.fd = wake_fd, .events = POLLIN}}; /* poll() skips an fd of -1 */
    int ready = poll(fds, 2, left > INT_MAX ? INT_MAX : (int)left);
    if (ready < 0)
        return errno == EINTR ? FILL_TIMEOUT : FILL_FAILED;
    return fds[0].revents ? FILL_MAYBE : FILL_TIMEOUT;
}

enum replication_event replication_receive(struct replication *replication, int wake_fd,
                                           uint64_t timeout_ms, struct replication_input *input,
                                           struct err *err)
{
    uint64_t deadline = 0; /* asked for only when there is reason to wait */
    for (unsigned attempt = 0;; attempt++) {
        PQfreemem(replication->row);
        replication->row = NULL;
        int len = PQgetCopyData(replication->conn, &replication->row, 1);
        if (len > 0)
            return parse_row(replication->row, (size_t)len, input, err);
        if (len == -1)
            return stream_ended(replication, err);
        if (len < 0)
            return stream_failed(replication, err);

        if (attempt == 0)
            deadline = clock_monotonic_ms() + timeout_ms;
        /* Under TLS the rest of a record may wait inside OpenSSL, where poll() does not see it; a
         * record is no more than two of libpq's reads. */
        if (attempt > 0 && !(PQsslInUse(replication->conn) && attempt % 3)) {
            enum fill fill = wait_for_input(replication, wake_fd, deadline);
            if (fill == FILL_FAILED) {
                err_set_errno(err, errno, "replication stream");
                return REPLICATION_FAILED;
            }
            if (fill == FILL_TIMEOUT)
                return REPLICATION_IDLE;
        }
        if (!PQconsumeInput(replication->conn))
            return stream_failed(replication, err);
    }
}

/* Microseconds since 2000-01-01, as the protocol counts them. */
static uint64_t postgres_clock_us(void)
{
    enum { SECONDS_1970_TO_2000 = 946684800 };
    return (uint64_t)(clock_wall_ms() - (int64_t)SECONDS_1970_TO_2000 * 1000) * 1000;
}

bool replication_confirm(struct replication *replication, uint64_t confirmed_lsn, bool want_reply,
                         struct err *err)
{
    /* 'r', written, flushed, applied, clock, whether a reply is wanted. */
    char status[1 + 8 + 8 + 8 + 8 + 1];
    status[0] = 'r';
    store_big_endian(status + 1, confirmed_lsn);
    store_big_endian(status + 9, confirmed_lsn);
    store_big_endian(status + 17, confirmed_lsn);
    store_big_endian(status + 25, postgres_clock_us());
    status[33] = want_reply;
    if (PQputCopyData(replication->conn, status, sizeof status) == 1 &&
        PQflush(replication->conn) == 0)
        return true;
    return session_fail(replication->conn, NULL, "cannot confirm to the replication slot", NULL,
                        err);
}
