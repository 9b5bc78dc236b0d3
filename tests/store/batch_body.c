/* libFuzzer: request bodies of the batch append. The checksum is put right, so that the parser
 * behind it is reached; whatever the bytes, the store must stay readable. */
#include "weir/base/buffer.h"
#include "weir/base/check.h"
#include "weir/base/hash.h"
#include "weir/base/log.h"
#include "weir/store/store.h"

#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct store *store;

static void open_store(void)
{
    static char folder[] = "/tmp/weir-fuzz-XXXXXX";
    struct err err;
    check(mkdtemp(folder) != NULL);
    log_configure(LOG_ERROR, LOG_LOGFMT);
    struct store_settings settings = store_settings_default(folder);
    settings.cache_bytes = 1 << 20;
    store = store_open(&settings, &err);
    check(store != NULL);
}

static void read_back(struct slice path)
{
    struct stream *stream;
    struct page page;
    uint64_t position = 0;
    if (store_find(store, path, &stream) != FIND_OK)
        return;
    do {
        check(store_read(store, stream, position, 1 << 16, &page) == READ_OK);
        position = page.end;
    } while (!page.is_at_tail);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buffer body = BUFFER_INIT;
    struct store_progress progress = {0};
    struct batch_answer answer;
    if (!store)
        open_store();
    check(store_claim(store, SLICE("slot"), &progress) == CLAIM_OK);
    /* The head as the store wants it, so that batches are accepted again and again. */
    buffer_add_str(&body, "WEIRBAT1");
    buffer_add_u32(&body, 0);
    buffer_add_u64(&body, progress.epoch);
    buffer_add_u64(&body, progress.lsn);
    buffer_add_u64(&body, progress.step);
    buffer_add_u64(&body, progress.lsn + 1);
    buffer_add_u64(&body, 0);
    buffer_add_u16(&body, 4);
    buffer_add_str(&body, "slot");
    buffer_add(&body, data, size);
    store_u32(body.data + 8, crc32c(0, body.data + 12, body.len - 12));
    enum batch_result result = store_batch(store, buffer_slice(&body), &answer);
    check(result == BATCH_OK || (result == BATCH_MALFORMED && answer.malformed));
    store_turn(store);
    read_back(SLICE("a"));
    read_back(SLICE("user/1/data"));
    buffer_release(&body);
    return 0;
}
