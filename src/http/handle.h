/* A handle of libcurl for requests to a stream server, with what all of them have in common. Inside
 * src/http only. */
#pragma once

#include "weir/http/http.h"

#include <curl/curl.h>

/* reason: CURL_ERROR_SIZE bytes, where libcurl says what failed. It outlives the handle, as does
 * what settings->abort_at_ms points to; the rest of the settings is copied, and the token not
 * looked at. */
CURL *http_handle_new(const struct http_settings *settings, char *reason);
