#include "weir/base/check.h"

#include <stdio.h>
#include <stdlib.h>

_Noreturn void check_failed(const char *expr, const char *file, int line)
{
    fprintf(stderr, "level=error msg=\"bug: check failed\" expr=\"%s\" at=%s:%d\n", expr, file,
            line);
    abort();
}
