/* struct batch: the events of whole transactions for many streams, in the wire form of
 * docs/protocol-extensions.md.
 *
 * A payload is stored once and referred to by every stream it goes to. The references of one
 * transaction to one stream become one append. Owned by one thread at a time. */
#pragma once

#include "weir/base/buffer.h"
#include "weir/base/err.h"

/* How far a producer has come: a commit's end, and a step within one LSN (the first snapshot). */
struct progress {
    uint64_t lsn;
    uint64_t step;
};

static inline int progress_cmp(struct progress a, struct progress b)
{
    if (a.lsn != b.lsn)
        return a.lsn < b.lsn ? -1 : 1;
    return (a.step > b.step) - (a.step < b.step);
}

struct batch;

struct batch *batch_new(void);
void batch_free(struct batch *batch);  /* NULL is allowed */
void batch_clear(struct batch *batch); /* keeps the memory */

/* Adds one event (a JSON object) and returns its index. The bytes are copied. */
uint32_t batch_add_payload(struct batch *batch, struct slice payload);

/* The index of a stream by canonical path, added on first use. The bytes are copied. */
uint32_t batch_add_stream(struct batch *batch, struct slice path);

/* In the open transaction, the payload goes to the stream, behind what went there before. */
void batch_add_reference(struct batch *batch, uint32_t stream, uint32_t payload);

/* Does both, for one delivery of many in a row: where they go to ever more streams, several
 * look-ups then wait for memory at the same time. */
void batch_add_delivery(struct batch *batch, struct slice path, uint32_t payload);

/* Ends the open transaction: its references become one append per stream, in the order in which
 * the streams were first referred to. */
void batch_end_transaction(struct batch *batch);

/* Everything up to here makes up `progress`: a place where the batch may be divided. */
void batch_mark(struct batch *batch, struct progress progress);

bool batch_is_empty(const struct batch *batch); /* no append */
size_t batch_size(const struct batch *batch);   /* bytes on the wire, about */
size_t batch_reference_count(const struct batch *batch);

/* The whole request body, in the batch's own memory, until the batch changes. Every transaction
 * must have ended. */
struct slice batch_encode(struct batch *batch, struct slice producer, uint64_t epoch,
                          struct progress before, struct progress after);

/* The open transaction can be taken out again: its payloads begin with this index. */
uint32_t batch_open_payload(const struct batch *batch);

/* Where it goes to. */
struct batch_visitor {
    void *context;
    void (*payload)(void *context, struct slice payload); /* in the order of their indexes */
    void (*reference)(void *context, struct slice path, uint32_t payload);
};

/* Hands over the open transaction's payloads, then its references in their order, and leaves the
 * batch as it was before it began. */
void batch_take_open(struct batch *batch, const struct batch_visitor *visitor);
