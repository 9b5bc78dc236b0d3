#include "weir/base/hash.h"

#include "weir/base/buffer.h"
#include "weir/base/check.h"

#include <pthread.h>
#include <sys/random.h>

static struct hash_key process_key;
static pthread_once_t process_key_once = PTHREAD_ONCE_INIT;

static void process_key_draw(void)
{
    check(getrandom(&process_key, sizeof process_key, 0) == (ssize_t)sizeof process_key);
}

const struct hash_key *hash_process_key(void)
{
    pthread_once(&process_key_once, process_key_draw);
    return &process_key;
}

static inline uint64_t rotate(uint64_t x, int bits)
{
    return (x << bits) | (x >> (64 - bits));
}

struct sip {
    uint64_t v0, v1, v2, v3;
};

static inline void sip_round(struct sip *s)
{
    s->v0 += s->v1;
    s->v1 = rotate(s->v1, 13) ^ s->v0;
    s->v0 = rotate(s->v0, 32);
    s->v2 += s->v3;
    s->v3 = rotate(s->v3, 16) ^ s->v2;
    s->v0 += s->v3;
    s->v3 = rotate(s->v3, 21) ^ s->v0;
    s->v2 += s->v1;
    s->v1 = rotate(s->v1, 17) ^ s->v2;
    s->v2 = rotate(s->v2, 32);
}

static void sip_absorb(struct sip *s, struct slice bytes)
{
    size_t whole = bytes.len / 8;
    for (size_t i = 0; i < whole; i++) {
        uint64_t m = load_u64(bytes.data + i * 8);
        s->v3 ^= m;
        sip_round(s);
        sip_round(s);
        s->v0 ^= m;
    }
    uint64_t last = (uint64_t)bytes.len << 56;
    for (size_t i = whole * 8, shift = 0; i < bytes.len; i++, shift += 8)
        last |= (uint64_t)(uint8_t)bytes.data[i] << shift;
    s->v3 ^= last;
    sip_round(s);
    sip_round(s);
    s->v0 ^= last;
}

static struct sip sip_start(const struct hash_key *key)
{
    return (struct sip){0x736f6d6570736575ULL ^ key->k0, 0x646f72616e646f6dULL ^ key->k1,
                        0x6c7967656e657261ULL ^ key->k0, 0x7465646279746573ULL ^ key->k1};
}

static uint64_t sip_finish(struct sip *s)
{
    for (int i = 0; i < 4; i++)
        sip_round(s);
    return s->v0 ^ s->v1 ^ s->v2 ^ s->v3;
}

uint64_t hash64(const struct hash_key *key, struct slice bytes)
{
    struct sip s = sip_start(key);
    sip_absorb(&s, bytes);
    s.v2 ^= 0xff;
    return sip_finish(&s);
}

struct hash128 hash128(const struct hash_key *key, struct slice bytes)
{
    struct sip s = sip_start(key);
    s.v1 ^= 0xee;
    sip_absorb(&s, bytes);
    s.v2 ^= 0xee;
    struct hash128 out;
    out.low = sip_finish(&s);
    s.v1 ^= 0xdd;
    out.high = sip_finish(&s);
    return out;
}

static uint32_t crc_table[256];
static pthread_once_t crc_once = PTHREAD_ONCE_INIT;

static void crc_prepare(void)
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t c = i;
        for (int bit = 0; bit < 8; bit++)
            c = c & 1 ? (c >> 1) ^ 0x82f63b78u : c >> 1;
        crc_table[i] = c;
    }
}

static uint32_t crc32c_table(uint32_t crc, const unsigned char *data, size_t len)
{
    pthread_once(&crc_once, crc_prepare);
    crc = ~crc;
    for (size_t i = 0; i < len; i++)
        crc = crc_table[(crc ^ data[i]) & 0xff] ^ (crc >> 8);
    return ~crc;
}

#ifdef __x86_64__
__attribute__((target("sse4.2"), always_inline)) static inline uint64_t
add_sse(uint64_t c, const unsigned char *data, size_t len)
{
    for (; len >= 32; data += 32, len -= 32) {
        c = __builtin_ia32_crc32di(c, load_u64(data));
        c = __builtin_ia32_crc32di(c, load_u64(data + 8));
        c = __builtin_ia32_crc32di(c, load_u64(data + 16));
        c = __builtin_ia32_crc32di(c, load_u64(data + 24));
    }
    for (; len >= 8; data += 8, len -= 8)
        c = __builtin_ia32_crc32di(c, load_u64(data));
    uint32_t rest = (uint32_t)c;
    if (len & 4) {
        rest = __builtin_ia32_crc32si(rest, load_u32(data));
        data += 4;
    }
    if (len & 2) {
        rest = __builtin_ia32_crc32hi(rest, load_u16(data));
        data += 2;
    }
    if (len & 1)
        rest = __builtin_ia32_crc32qi(rest, *data);
    return rest;
}

__attribute__((target("sse4.2"))) static uint32_t crc32c_sse(uint32_t crc, const void *data,
                                                             size_t len)
{
    return ~(uint32_t)add_sse((uint32_t)~crc, data, len);
}

__attribute__((target("sse4.2"))) static uint32_t crc32c_sse_2(uint32_t crc, struct slice a,
                                                               struct slice b)
{
    uint64_t c = add_sse((uint32_t)~crc, (const unsigned char *)a.data, a.len);
    return ~(uint32_t)add_sse(c, (const unsigned char *)b.data, b.len);
}
#endif

uint32_t crc32c(uint32_t crc, const void *data, size_t len)
{
#ifdef __x86_64__
    if (__builtin_cpu_supports("sse4.2"))
        return crc32c_sse(crc, data, len);
#endif
    return crc32c_table(crc, data, len);
}

uint32_t crc32c_2(uint32_t crc, struct slice a, struct slice b)
{
#ifdef __x86_64__
    if (__builtin_cpu_supports("sse4.2"))
        return crc32c_sse_2(crc, a, b);
#endif
    return crc32c(crc32c(crc, a.data, a.len), b.data, b.len);
}
