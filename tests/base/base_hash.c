/* The hashes against published vectors. The source is included to reach the portable CRC-32C too,
 * which this machine would not choose. */
#include "base/hash.c"

#include <criterion/criterion.h>

/* Aumasson's reference: key 00 01 .. 0f, input 00 01 .. of the length given. */
static const struct hash_key reference_key = {0x0706050403020100ULL, 0x0f0e0d0c0b0a0908ULL};

static struct slice reference_input(size_t len)
{
    static char bytes[64];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (char)i;
    return slice_of(bytes, len);
}

Test(base_hash, siphash_64_reference_vectors)
{
    static const struct {
        size_t len;
        uint64_t hash;
    } vectors[] = {
        {0, 0x726fdb47dd0e0e31ULL}, {1, 0x74f839c593dc67fdULL},  {2, 0x0d6c8009d9a94f5aULL},
        {3, 0x85676696d7fb7e2dULL}, {4, 0xcf2794e0277187b7ULL},  {5, 0x18765564cd99a68dULL},
        {6, 0xcbc9466e58fee3ceULL}, {7, 0xab0200f58b01d137ULL},  {8, 0x93f5f5799a932462ULL},
        {9, 0x9e0082df0ba9e4b0ULL}, {15, 0xa129ca6149be45e5ULL}, {63, 0x958a324ceb064572ULL},
    };
    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++)
        cr_assert_eq(hash64(&reference_key, reference_input(vectors[i].len)), vectors[i].hash,
                     "length %zu", vectors[i].len);
}

Test(base_hash, siphash_128_reference_vectors)
{
    static const struct {
        size_t len;
        uint8_t hash[16];
    } vectors[] = {
        {0,
         {0xa3, 0x81, 0x7f, 0x04, 0xba, 0x25, 0xa8, 0xe6, 0x6d, 0xf6, 0x72, 0x14, 0xc7, 0x55, 0x02,
          0x93}},
        {1,
         {0xda, 0x87, 0xc1, 0xd8, 0x6b, 0x99, 0xaf, 0x44, 0x34, 0x76, 0x59, 0x11, 0x9b, 0x22, 0xfc,
          0x45}},
        {15,
         {0x54, 0x93, 0xe9, 0x99, 0x33, 0xb0, 0xa8, 0x11, 0x7e, 0x08, 0xec, 0x0f, 0x97, 0xcf, 0xc3,
          0xd9}},
        {63,
         {0x51, 0x50, 0xd1, 0x77, 0x2f, 0x50, 0x83, 0x4a, 0x50, 0x3e, 0x06, 0x9a, 0x97, 0x3f, 0xbd,
          0x7c}},
    };
    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
        struct hash128 hash = hash128(&reference_key, reference_input(vectors[i].len));
        cr_assert_eq(memcmp(&hash.low, vectors[i].hash, 8), 0, "length %zu", vectors[i].len);
        cr_assert_eq(memcmp(&hash.high, vectors[i].hash + 8, 8), 0, "length %zu", vectors[i].len);
    }
}

Test(base_hash, the_process_key_is_drawn_once)
{
    const struct hash_key *key = hash_process_key();
    cr_assert(key->k0 != 0 || key->k1 != 0);
    cr_assert_eq(hash_process_key(), key);
}

Test(base_hash, crc32c_vectors_of_rfc_3720)
{
    unsigned char zeros[32] = {0}, ones[32], up[32], down[32];
    memset(ones, 0xff, sizeof ones);
    for (unsigned i = 0; i < 32; i++) {
        up[i] = (unsigned char)i;
        down[i] = (unsigned char)(31 - i);
    }
    static const unsigned char read_command[48] = {
        0x01, 0xc0, 0, 0, 0, 0, 0,    0, 0,    0, 0, 0,    0, 0, 0, 0,
        0x14, 0,    0, 0, 0, 0, 0x04, 0, 0,    0, 0, 0x14, 0, 0, 0, 0x18,
        0x28, 0,    0, 0, 0, 0, 0,    0, 0x02, 0, 0, 0,    0, 0, 0, 0};
    static const struct {
        size_t len;
        uint32_t crc;
    } expected[] = {{32, 0x8a9136aa}, {32, 0x62a8ab43}, {32, 0x46dd794e},
                    {32, 0x113fdb5c}, {48, 0xd9963a56}, {9, 0xe3069283}};
    const unsigned char *const inputs[] = {zeros, ones,         up,
                                           down,  read_command, (const unsigned char *)"123456789"};
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        cr_assert_eq(crc32c(0, inputs[i], expected[i].len), expected[i].crc, "vector %zu", i);
        cr_assert_eq(crc32c_table(0, inputs[i], expected[i].len), expected[i].crc, "vector %zu", i);
    }
}

Test(base_hash, crc32c_goes_on_from_any_cut)
{
    struct slice all = reference_input(64);
    uint32_t whole = crc32c(0, all.data, all.len);
    for (size_t cut = 0; cut <= all.len; cut++)
        cr_assert_eq(crc32c(crc32c(0, all.data, cut), all.data + cut, all.len - cut), whole);
    cr_assert_eq(crc32c(0, NULL, 0), 0);
}
