/* Questions that the stream server passes on from its console: which rules let this subject see
 * this row? Postgres answers them by weir.explain(). */
#pragma once

#include "slot_watch.h"

#include "weir/base/buffer.h"

/* server_answer: the JSON that a report was answered with, {"questions":[{"id":1,"subject":…,
 * "relation":…,"key":…}]}. Appends {"id":1,"rules":[…]} or {"id":1,"error":…} for each, with commas
 * between, to out. Returns whether there was any. */
bool questions_answer(struct slice server_answer, struct slot_watch *watch, struct buffer *out);
