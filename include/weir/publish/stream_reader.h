/* struct stream_reader: what a producer has written, stream by stream, as the server has it.
 *
 * Uses the publisher's connection, so only while all that was submitted is stored. Blocks. One
 * thread. docs/protocol-extensions.md, Producers. */
#pragma once

#include "weir/publish/publisher.h"

struct stream_reader;

enum reading {
    READING_ITEM,
    READING_END,
    READING_UNREACHABLE, /* waiting can help; err says what happened */
    READING_REFUSED,     /* waiting does not help */
};

struct stream_reader *stream_reader_new(struct publisher *publisher);
void stream_reader_free(struct stream_reader *reader); /* NULL is allowed */

/* The next stream: its canonical path, borrowed until the next call, and whether this producer
 * alone has written all of it. A stream may come twice where it is made meanwhile. */
enum reading stream_reader_next(struct stream_reader *reader, struct slice *path, bool *is_own,
                                struct err *err) WEIR_MUST_CHECK;

/* The next page of that stream from its beginning: a JSON array, borrowed until the next call. END
 * also where the stream is gone. */
enum reading stream_reader_page(struct stream_reader *reader, struct slice *page,
                                struct err *err) WEIR_MUST_CHECK;
