/* What a stream server's answer means for a producer. Inside src/publish only; pure. */
#pragma once

#include "weir/publish/batch.h"

enum answer_kind {
    ANSWER_STORED,
    ANSWER_RETRY, /* err says why */
    ANSWER_FATAL, /* err says what to do */
};

enum { SOURCE_SIZE = 301 };

struct answer {
    struct progress progress;
    uint64_t epoch;           /* of a claim, or fenced by it */
    char source[SOURCE_SIZE]; /* of a claim; "": the producer has not said */
    bool is_duplicate;
    bool is_fenced, is_gap; /* fatal; with is_fenced, epoch is who may write */
    size_t skipped_count;   /* streams that were closed or deleted */
};

/* What was asked; for the words of an error. */
struct question {
    const char *url;
    const char *producer;
    struct progress before; /* of a batch */
    size_t body_len;
    bool is_claim;
};

/* Another producer of the name has claimed it, with that epoch. Always false. */
bool answer_say_fenced(const struct question *question, uint64_t epoch, struct err *err);

enum answer_kind answer_read(const struct question *question, long status, struct slice body,
                             struct answer *answer, struct err *err) WEIR_MUST_CHECK;
