#include "weir/base/fault.h"

#include "weir/base/log.h"
#include "weir/base/slice.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

enum action { ACTION_NONE, ACTION_KILL, ACTION_PAUSE, ACTION_FAIL };

struct armed {
    enum action action;
    int errno_value;
    unsigned long at; /* the n-th time; 0: each time */
    atomic_ulong reached;
};

bool fault_is_armed;
static struct armed armed[FAULT_POINT_COUNT];

enum kind { GOES_ON, FAILS };

#define FAULT_ROW(identifier, daemon, name, kind) {name, kind},
static const struct {
    const char *name;
    enum kind kind;
} points[] = {FAULT_POINTS(FAULT_ROW)};
#undef FAULT_ROW

static const struct {
    const char *name;
    enum action action;
    int errno_value;
} actions[] = {
    {"kill", ACTION_KILL, 0},        {"pause", ACTION_PAUSE, 0},    {"EIO", ACTION_FAIL, EIO},
    {"ENOSPC", ACTION_FAIL, ENOSPC}, {"EROFS", ACTION_FAIL, EROFS}, {"ENOMEM", ACTION_FAIL, ENOMEM},
};

static bool set_action(struct armed *one, struct slice text)
{
    for (size_t i = 0; i < sizeof actions / sizeof *actions; i++) {
        if (!slice_eq_str(text, actions[i].name))
            continue;
        one->action = actions[i].action;
        one->errno_value = actions[i].errno_value;
        return true;
    }
    return false;
}

/* name[:n]=action */
static bool arm_one(struct slice text)
{
    const char *equals = memchr(text.data, '=', text.len);
    if (!equals)
        return false;
    struct slice name = slice_of(text.data, (size_t)(equals - text.data));
    struct slice action = slice_of(equals + 1, text.len - name.len - 1);
    const char *colon = memchr(name.data, ':', name.len);
    unsigned long at = 0;
    if (colon) {
        char *end;
        at = strtoul(colon + 1, &end, 10);
        if (at == 0 || end != equals)
            return false;
        name.len = (size_t)(colon - name.data);
    }
    for (size_t i = 0; i < FAULT_POINT_COUNT; i++) {
        if (!slice_eq_str(name, points[i].name))
            continue;
        armed[i].at = at;
        return set_action(&armed[i], action) &&
               (armed[i].action != ACTION_FAIL || points[i].kind == FAILS);
    }
    return false;
}

bool fault_arm(const char *text, struct err *err)
{
    if (!text || !*text)
        return true;
    for (const char *at = text; at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL) {
        if (!arm_one(slice_of(at, strcspn(at, ",")))) {
            err_set(err, "WEIR_FAULT: there is no such step, or it cannot do that");
            return err_hint(err, "it is for tests: unset it");
        }
    }
    fault_is_armed = true;
    log_event(LOG_WARN, "WEIR_FAULT is set: this process is made to fail", LOG_STR("faults", text));
    return true;
}

bool fault_reached(enum fault_point point)
{
    struct armed *one = &armed[point];
    if (one->action == ACTION_NONE)
        return false;
    unsigned long times = atomic_fetch_add(&one->reached, 1) + 1;
    if (one->at && times != one->at)
        return false;
    if (one->action != ACTION_FAIL) {
        kill(getpid(), one->action == ACTION_KILL ? SIGKILL : SIGSTOP);
        return false;
    }
    log_event(LOG_WARN, "made to fail", LOG_STR("step", points[point].name));
    errno = one->errno_value;
    return true;
}
