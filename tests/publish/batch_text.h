/* A batch's body read back by a decoder of the test's own, as text to compare:
 *
 *     weir epoch 3, 0/10+0 -> 0/20+1
 *     user/a/data: {"n":1} {"n":2}
 */
#pragma once

#include "weir/base/buffer.h"

/* False when the body is not what docs/protocol-extensions.md says. One line an append. */
bool batch_text(struct slice body, struct buffer *out);
