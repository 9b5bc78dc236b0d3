/* What the files of this layer share. */
#pragma once

/* Once for the process, before anything else of libcurl. Any thread. */
void http_library_init(void);
