/* Named steps at which a test makes this process die, pause or meet an error.
 *
 * WEIR_FAULT="log.sync:3=kill,publish.send=EIO" arms them: the third time that the step log.sync is
 * reached the process kills itself, and each time that it is about to send a batch that fails.
 * Actions: kill (SIGKILL), pause (SIGSTOP), and EIO, ENOSPC, EROFS, ENOMEM for steps that may fail.
 * Unarmed, a step is a test of one global; steps stand where something is written, sent or
 * committed, never on the way of a single row. Any thread. docs/reliability.md says how they are
 * used. */
#pragma once

#include "weir/base/err.h"
#include "weir/base/fault_points.h"

#define FAULT_IDENTIFIER(identifier, daemon, name, kind) FAULT_##identifier,
enum fault_point { FAULT_POINTS(FAULT_IDENTIFIER) FAULT_POINT_COUNT };
#undef FAULT_IDENTIFIER

/* Before any thread. NULL arms nothing; false with err when the text cannot be understood. */
bool fault_arm(const char *text, struct err *err) WEIR_MUST_CHECK;

extern bool fault_is_armed;

/* True: errno is set, and the caller fails as if the call that comes next had. */
bool fault_reached(enum fault_point point);

/* At a step that FAILS. */
static inline bool fault_fails(enum fault_point point)
{
    return __builtin_expect(fault_is_armed, 0) && fault_reached(point);
}

/* At a step that GOES_ON. */
static inline void fault_step(enum fault_point point)
{
    if (__builtin_expect(fault_is_armed, 0))
        fault_reached(point);
}
