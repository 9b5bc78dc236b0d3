/* struct err: the words for a failure of the environment.
 *
 * A function that may fail returns a status and fills the caller's err. The message is lower case,
 * has no full stop, and names the object; the hint says what to do. A layer may add context in
 * front with err_prefix(). Only the layer that handles the failure logs it. Row values, tokens and
 * passwords never go in. An err needs no release. */
#pragma once

#include "weir/base/check.h"

#include <stdbool.h>

enum { ERR_MESSAGE_SIZE = 768, ERR_HINT_SIZE = 512 };

struct err {
    char message[ERR_MESSAGE_SIZE];
    char hint[ERR_HINT_SIZE]; /* empty when there is none */
};

/* Sets the message and clears the hint. Always returns false, so that a function may end with
 * `return err_set(err, "...")`. Over-long text is cut. err may be NULL. */
bool err_set(struct err *err, const char *fmt, ...) WEIR_PRINTF(2, 3);

/* As err_set(), with ": " and the text of errno_value added. */
bool err_set_errno(struct err *err, int errno_value, const char *fmt, ...) WEIR_PRINTF(3, 4);

/* Sets the hint and leaves the message. Returns false. */
bool err_hint(struct err *err, const char *fmt, ...) WEIR_PRINTF(2, 3);

/* Puts text and ": " in front of the message. Returns false. */
bool err_prefix(struct err *err, const char *fmt, ...) WEIR_PRINTF(2, 3);
