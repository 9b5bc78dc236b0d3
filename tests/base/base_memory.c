#include "weir/base/arena.h"
#include "weir/base/blob.h"
#include "weir/base/reader.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <stdio.h>

Test(base_memory, an_arena_hands_out_aligned_memory_that_stays)
{
    struct arena arena = ARENA_INIT;
    char *texts[500];
    for (size_t i = 0; i < 500; i++) {
        texts[i] = arena_printf(&arena, "%zu%0*d", i, (int)(i % 90) + 1, 0);
        cr_assert_eq((uintptr_t)texts[i] % _Alignof(max_align_t), 0);
    }
    char *large = arena_alloc(&arena, 5 << 20);
    memset(large, 'x', 5 << 20);
    for (size_t i = 0; i < 500; i++) {
        char expected[128];
        snprintf(expected, sizeof expected, "%zu%0*d", i, (int)(i % 90) + 1, 0);
        cr_assert_str_eq(texts[i], expected);
    }
    const unsigned char *zeros = arena_calloc(&arena, 3, 7);
    for (size_t i = 0; i < 21; i++)
        cr_assert_eq(zeros[i], 0);
    struct slice copy = arena_copy(&arena, SLICE("a\0b"));
    cr_assert(slice_eq(copy, SLICE("a\0b")) && copy.data[3] == '\0');
    cr_assert_str_eq(arena_strdup(&arena, "text"), "text");
    cr_assert_geq(arena_used(&arena), 5 << 20);
    arena_release(&arena);
    cr_assert_eq(arena.total, 0);
}

Test(base_memory, a_cleared_arena_keeps_one_block_but_no_huge_one)
{
    struct arena arena = ARENA_INIT;
    arena_clear(&arena);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 1000; i++)
            memset(arena_alloc(&arena, 1000), 'x', 1000);
        arena_clear(&arena);
        cr_assert_eq(arena_used(&arena), 0);
        cr_assert(arena.total > 0 && arena.total <= 1 << 20);
    }
    size_t steady = arena.total;
    memset(arena_alloc(&arena, 1000), 'x', 1000);
    cr_assert_eq(arena.total, steady, "a block kept is used again");
    memset(arena_alloc(&arena, 3 << 20), 'x', 3 << 20);
    arena_clear(&arena);
    cr_assert_leq(arena.total, 1 << 20);
    memset(arena_alloc(&arena, 100), 'x', 100);
    arena_release(&arena);
}

static void *hold_and_drop(void *context)
{
    struct blob *blob = context;
    for (int i = 0; i < 10000; i++)
        blob_drop(blob_hold(blob));
    blob_drop(blob);
    return NULL;
}

Test(base_memory, a_blob_lives_until_its_last_holder_lets_go)
{
    struct blob *blob = blob_copy(SLICE("shared"));
    pthread_t threads[2];
    for (int i = 0; i < 2; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, hold_and_drop, blob_hold(blob)), 0);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    cr_assert_eq(atomic_load(&blob->references), 1);
    cr_assert(slice_eq(blob_slice(blob), SLICE("shared")));
    blob_drop(blob);
    blob_drop(NULL);
}

Test(base_memory, a_reader_never_leaves_its_slice)
{
    static const char bytes[] = "\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0fxyz";
    struct reader reader = reader_of(slice_of(bytes, 18));
    cr_assert_eq(read_u8(&reader), 0x01);
    cr_assert_eq(read_u16(&reader), 0x0302);
    cr_assert_eq(read_u32(&reader), 0x07060504);
    cr_assert_eq(read_u64(&reader), 0x0f0e0d0c0b0a0908);
    cr_assert_eq(reader_left(&reader), 3);
    cr_assert(slice_eq(read_bytes(&reader, 2), SLICE("xy")));
    cr_assert_not(reader.failed);
    cr_assert_eq(read_u16(&reader), 0);
    cr_assert(reader.failed);
    cr_assert_eq(read_u8(&reader), 0, "failed stays failed");
    reader = reader_of(SLICE("abc"));
    cr_assert_eq(read_bytes(&reader, SIZE_MAX).len, 0);
    cr_assert(reader.failed);
    reader = reader_of(SLICE_NONE);
    cr_assert_eq(read_bytes(&reader, 0).len, 0);
    cr_assert_not(reader.failed);
    cr_assert_eq(read_u64(&reader), 0);
    cr_assert(reader.failed);
}
