/* weir doctor: everything that would stop the bridge or endangers it, found before it is started.
 *
 * Nothing is changed, but for a temporary replication slot that is gone with its connection, and a
 * stream that is made and deleted on a server of the standard dialect. What a connection to
 * Postgres may not do is found for the role that connects: give it the bridge's own connection
 * string. */
#pragma once

#include "weir/bridge/examine.h"

/* Of the settings, streams, token_file, ca_file and state may be NULL: they are then not asked
 * about. Blocks. */
void doctor_run(const struct bridge_settings *settings, finding_fn *fn, void *context);
