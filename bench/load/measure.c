/* Time, processor time, latencies, and the content of requests. */
#include "load.h"

#include "weir/base/clock.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

static uint64_t own_us(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (uint64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000 +
           (uint64_t)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

/* utime and stime of /proc/PID/stat, fields 14 and 15; the name, field 2, may have spaces. */
static uint64_t process_us(uint64_t pid)
{
    char path[64], text[1024] = "";
    uint64_t user = 0, system = 0;
    snprintf(path, sizeof path, "/proc/%" PRIu64 "/stat", pid);
    FILE *file = pid ? fopen(path, "r") : NULL;
    if (!file)
        return 0;
    size_t len = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    const char *rest = len ? strrchr(text, ')') : NULL;
    if (!rest || sscanf(rest, ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %" SCNu64 " %" SCNu64,
                        &user, &system) != 2)
        load_fail("%s is not understood", path);
    return (user + system) * 1000000 / (uint64_t)sysconf(_SC_CLK_TCK);
}

struct span span_begin(const struct load *load)
{
    return (struct span){load->server_pid, clock_monotonic_us(), own_us(),
                         process_us(load->server_pid)};
}

double span_print(const struct span *span)
{
    double us = (double)(clock_monotonic_us() - span->started_us);
    printf("\"seconds\":%.6f,\"load_cores\":%.3f,\"server_cores\":%.3f", us / 1e6,
           (double)(own_us() - span->own_us) / us,
           (double)(process_us(span->server_pid) - span->server_us) / us);
    return us / 1e6;
}

void latencies_add(struct latencies *latencies, uint64_t us)
{
    if (latencies->count == latencies->capacity) {
        latencies->capacity = latencies->capacity ? latencies->capacity * 2 : 1 << 16;
        latencies->us = realloc(latencies->us, latencies->capacity * sizeof *latencies->us);
        check(latencies->us != NULL);
    }
    latencies->us[latencies->count++] = (uint32_t)us;
}

static int compare(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static double at_part(const struct latencies *latencies, double part)
{
    size_t index = (size_t)((double)latencies->count * part);
    return latencies->us[index < latencies->count ? index : latencies->count - 1] / 1e3;
}

void latencies_print(struct latencies *latencies)
{
    if (latencies->count == 0)
        return;
    qsort(latencies->us, latencies->count, sizeof *latencies->us, compare);
    printf(",\"p50_ms\":%.3f,\"p99_ms\":%.3f,\"max_ms\":%.3f", at_part(latencies, 0.5),
           at_part(latencies, 0.99), at_part(latencies, 1));
}

/* xorshift64* */
uint64_t random_next(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * 0x2545f4914f6cdd1dULL;
}

void event_make(struct buffer *out, uint64_t key, size_t len)
{
    size_t from = out->len;
    buffer_printf(out,
                  "{\"type\":\"items\",\"key\":\"%" PRIu64
                  "\",\"headers\":{\"operation\":\"insert\",\"txid\":\"%" PRIu64
                  "\"},\"value\":{\"id\":%" PRIu64 ",\"text\":\"%c",
                  key, key, key, MARK);
    while (out->len - from + 3 < len)
        buffer_add_char(out, (char)('a' + (out->len - from) % 26));
    buffer_add_str(out, "\"}}");
}
