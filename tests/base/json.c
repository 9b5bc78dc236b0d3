/* Fuzzing the scanner and the writers of weir/base/json.h against jansson.
 * fuzz_json tests/base/json_corpus */
#include "json_compare.h"

#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *difference = json_compare(slice_of((const char *)data, size));
    if (difference) {
        fprintf(stderr, "different: %s\n", difference);
        abort();
    }
    return 0;
}
