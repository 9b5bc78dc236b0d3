/* Hashes: SipHash-2-4 for tables whose keys outsiders choose, CRC-32C for stored frames. */
#pragma once

#include "weir/base/slice.h"

struct hash_key {
    uint64_t k0, k1;
};

struct hash128 {
    uint64_t low, high;
};

/* The process's own key, drawn once from the kernel. Not for anything that is stored. */
const struct hash_key *hash_process_key(void);

/* SipHash-2-4 (Aumasson, Bernstein 2012), 64 and 128 bits of output. Pure. */
uint64_t hash64(const struct hash_key *key, struct slice bytes);
struct hash128 hash128(const struct hash_key *key, struct slice bytes);

/* CRC-32C (Castagnoli, RFC 3720), continuing from crc; start with 0. Uses SSE 4.2 where present. */
uint32_t crc32c(uint32_t crc, const void *data, size_t len);

/* Of a and b as if they lay behind each other; for two short ones that costs half. */
uint32_t crc32c_2(uint32_t crc, struct slice a, struct slice b);
