/* struct report_sender: a producer's reports about itself to the stream server, one at a time, and
 * the questions that come back with the answer. docs/protocol-extensions.md, "Reports".
 *
 * A report is worth something only while it is new, so nothing is retried here. One thread. */
#pragma once

#include "weir/publish/publisher.h"

#include <stdatomic.h>

struct report_sender;

/* Uses the URL, the producer's name and the token. abort_at_ms as struct http_settings has it. */
struct report_sender *report_sender_new(const struct publisher_settings *settings,
                                        const atomic_ullong *abort_at_ms);
void report_sender_free(struct report_sender *sender); /* NULL is allowed */

/* Sends one JSON object; blocks for at most 5 s. False with err when the server did not take it.
 * *answer is the server's, borrowed until the next call. */
bool report_send(struct report_sender *sender, struct slice json, struct slice *answer,
                 struct err *err) WEIR_MUST_CHECK;
