/* struct reporter: a thread that tells the stream server once a second how the bridge does, and
 * measures how far it is behind.
 *
 * For that it writes a probe into the WAL now and then: a logical message, which comes through the
 * slot behind everything committed before it. The bridge says when a probe has come and all before
 * it is in the streams; the time between is the lag. It also looks at the slot as Postgres sees it,
 * and lets Postgres answer questions about rules that came with the server's answers.
 *
 * What fails here is logged once and otherwise passed over: the bridge does not depend on it. */
#pragma once

#include "figures.h"

#include "weir/base/slice.h"
#include "weir/bridge/bridge.h"
#include "weir/publish/publisher.h"

#include <stdbool.h>

/* Prefix of the bridge's own logical messages. */
#define PROBE_PREFIX "weir"

struct reporter;

/* settings are borrowed until reporter_stop(); where to report and as whom is copied. */
struct reporter *reporter_start(const struct bridge_settings *settings,
                                const struct publisher_settings *publisher);

/* Says goodbye to the server, when that is quick, ends the thread and frees. */
void reporter_stop(struct reporter *reporter); /* NULL is allowed */

/* From the bridge's thread. */
void reporter_show(struct reporter *reporter, const struct bridge_figures *figures);

/* Whether the content of a logical message is a probe of this process; *number is then which. */
bool reporter_is_probe(const struct reporter *reporter, struct slice content, uint64_t *number);

/* Everything committed before the probe is in the streams. */
void reporter_probe_stored(struct reporter *reporter, uint64_t number);
