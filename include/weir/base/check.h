/* check(expr): an assertion that stays in release builds.
 *
 * For bugs only: a false expression means this program is wrong, and going on could show somebody a
 * row or lose one. It prints the expression and aborts. What the environment does (a full disk, a
 * closed socket, a malformed request) is never checked this way; see weir/base/err.h. */
#pragma once

#define check(expr) ((expr) ? (void)0 : check_failed(#expr, __FILE__, __LINE__))

#define WEIR_MUST_CHECK         __attribute__((warn_unused_result))
#define WEIR_PRINTF(fmt, first) __attribute__((format(printf, fmt, first)))

_Noreturn void check_failed(const char *expr, const char *file, int line);
