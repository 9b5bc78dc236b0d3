#include "url.h"

#include "weir/base/buffer.h"
#include "weir/base/check.h"
#include "weir/base/percent.h"

#include <stdlib.h>
#include <string.h>

char *url_make(const char *root, const char *path, const char *segment)
{
    struct buffer url = BUFFER_INIT;
    size_t len = strlen(root);
    while (len && root[len - 1] == '/')
        len--;
    buffer_add(&url, root, len);
    buffer_add_str(&url, path);
    if (segment)
        percent_encode_segment(&url, slice_from_str(segment));
    char *text = strdup(buffer_str(&url));
    check(text != NULL);
    buffer_release(&url);
    return text;
}
