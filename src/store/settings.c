/* Small named values that the server keeps for itself: all in memory, sorted by name, durable like
 * everything else. */
#include "operation.h"

#include <stdlib.h>

struct setting {
    struct slice key, value; /* owned; an empty value: removed, and kept until the checkpoint */
    bool is_dirty;
};

static struct slice copy_of(struct slice bytes)
{
    char *copy = malloc(bytes.len + 1);
    check(copy != NULL);
    if (bytes.len)
        memcpy(copy, bytes.data, bytes.len);
    return slice_of(copy, bytes.len);
}

static void free_bytes(struct slice bytes)
{
    free((char *)(uintptr_t)bytes.data);
}

/* The first setting whose key is not below the given one. */
static size_t lower_bound(const struct store *store, struct slice key)
{
    size_t low = 0, high = store->setting_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (slice_cmp(store->settings_kept[middle].key, key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static struct setting *find_or_add(struct store *store, struct slice key)
{
    size_t at = lower_bound(store, key);
    if (at < store->setting_count && slice_eq(store->settings_kept[at].key, key))
        return &store->settings_kept[at];
    if (store->setting_count == store->setting_capacity) {
        store->setting_capacity = store->setting_capacity ? store->setting_capacity * 2 : 16;
        store->settings_kept =
            realloc(store->settings_kept, store->setting_capacity * sizeof *store->settings_kept);
        check(store->settings_kept != NULL);
    }
    struct setting *setting = &store->settings_kept[at];
    memmove(setting + 1, setting, (store->setting_count - at) * sizeof *setting);
    store->setting_count++;
    *setting = (struct setting){copy_of(key), SLICE_NONE, false};
    return setting;
}

void store_remember(struct store *store, struct slice key, struct slice value, bool is_dirty)
{
    struct setting *setting = find_or_add(store, key);
    free_bytes(setting->value);
    setting->value = copy_of(value);
    setting->is_dirty = setting->is_dirty || is_dirty;
}

struct slice store_setting(const struct store *store, struct slice key)
{
    size_t at = lower_bound(store, key);
    bool is_there = at < store->setting_count && slice_eq(store->settings_kept[at].key, key);
    return is_there ? store->settings_kept[at].value : SLICE_NONE;
}

bool store_set(struct store *store, struct slice key, struct slice value)
{
    check(key.len > 0 && key.len <= STORE_KEY_MAX);
    if (!store_reserve(store, key.len + value.len + 64))
        return false;
    size_t from = store->open->bytes.len;
    operation_begin(&store->open->bytes, OPERATION_SET);
    add_short(&store->open->bytes, key);
    buffer_add_u32(&store->open->bytes, (uint32_t)value.len);
    buffer_add_slice(&store->open->bytes, value);
    store_apply(store, from);
    return true;
}

bool store_ensure(struct store *store, size_t bytes)
{
    return store_reserve(store, bytes);
}

void store_each_setting(const struct store *store, struct slice prefix,
                        void (*visit)(void *context, struct slice key, struct slice value),
                        void *context)
{
    for (size_t i = lower_bound(store, prefix); i < store->setting_count; i++) {
        const struct setting *setting = &store->settings_kept[i];
        if (setting->key.len < prefix.len ||
            memcmp(setting->key.data, prefix.data, prefix.len) != 0)
            return;
        if (setting->value.len)
            visit(context, setting->key, setting->value);
    }
}

static size_t keep_bytes(struct checkpoint_job *job, struct slice bytes)
{
    size_t at = job->records.len;
    buffer_add_slice(&job->records, bytes);
    return at;
}

void store_cut_settings(struct store *store, struct checkpoint_job *job)
{
    size_t kept = 0;
    job->settings = calloc(store->setting_count + 1, sizeof *job->settings);
    check(job->settings != NULL);
    for (size_t i = 0; i < store->setting_count; i++) {
        struct setting *setting = &store->settings_kept[i];
        if (setting->is_dirty) {
            job->settings[job->setting_count++] =
                (struct checkpoint_setting){keep_bytes(job, setting->key), setting->key.len,
                                            keep_bytes(job, setting->value), setting->value.len};
        }
        setting->is_dirty = false;
        if (setting->value.len) {
            store->settings_kept[kept++] = *setting;
        } else {
            free_bytes(setting->key);
            free_bytes(setting->value);
        }
    }
    store->setting_count = kept;
}

void store_release_settings(struct store *store)
{
    for (size_t i = 0; i < store->setting_count; i++) {
        free_bytes(store->settings_kept[i].key);
        free_bytes(store->settings_kept[i].value);
    }
    free(store->settings_kept);
}
