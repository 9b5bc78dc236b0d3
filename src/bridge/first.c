/* The first publication: the difference from nothing to the loaded rows.
 *
 * Rows are walked in the replica's order, which does not change until it is done; how many are
 * through is the progress' step, so a bridge that comes back goes on where the server's progress
 * says. */
#include "bridge_internal.h"

#include "progress_line.h"

#include "weir/base/check.h"
#include "weir/base/fault.h"
#include "weir/base/log.h"

/* Steps between two rows, for the parts of one batch; and how large a batch is, which must not
 * change between the bridge that begins and the one that goes on. */
enum { STEPS_PER_ROW = 1 << 20, BATCH_BYTES = 4 * 1024 * 1024 };

struct walk {
    struct bridge *bridge;
    struct progress_line line;
    uint64_t lsn;
    uint64_t rows;      /* looked at */
    uint64_t published; /* of which the server has these */
};

static struct progress progress_of(const struct walk *walk, uint64_t rows)
{
    return (struct progress){walk->lsn, rows * STEPS_PER_ROW};
}

static enum bridge_end send_if_full(struct walk *walk, struct err *err)
{
    struct outbox *outbox = &walk->bridge->outbox;
    if (batch_size(outbox->batch) < BATCH_BYTES)
        return BRIDGE_DONE;
    enum bridge_end end = bridge_write_parked(walk->bridge, err);
    if (end != BRIDGE_DONE)
        return end;
    outbox_end(outbox, progress_of(walk, walk->rows));
    return bridge_submit(walk->bridge, err);
}

static enum bridge_end walk_relation(struct walk *walk, const struct relation *relation,
                                     struct err *err)
{
    struct bridge *bridge = walk->bridge;
    struct replica_range range;
    struct slice key;
    struct row row;
    enum bridge_end end = BRIDGE_DONE;
    if (!ruleset_has_channels(bridge->rules, relation))
        return BRIDGE_DONE;
    replica_range_begin(&range, bridge->replica, relation, NULL, SLICE_NONE);
    while (end == BRIDGE_DONE && replica_range_next(&range, &key, &row)) {
        walk->rows++;
        progress_line_show(&walk->line, walk->rows);
        if (walk->rows <= walk->published)
            continue;
        difference_first(bridge->difference, bridge->replica, bridge->rules, relation, row,
                         &bridge->headers);
        end = *bridge->stop ? BRIDGE_STOPPED : send_if_full(walk, err);
    }
    replica_range_end(&range);
    return end;
}

enum bridge_end bridge_publish_first(struct bridge *bridge, struct err *err)
{
    enum bridge_end claimed = bridge_claim(bridge, err);
    if (claimed != BRIDGE_DONE)
        return claimed;
    struct walk walk = {.bridge = bridge, .lsn = bridge->replica_lsn};
    bridge->parking.lsn = walk.lsn;
    outbox_spool_past(&bridge->outbox, NULL,
                      SIZE_MAX); /* a batch for each few rows is sent at once */
    const struct relation_set *relations = &bridge->catalog->relations;
    if (bridge->published.lsn == walk.lsn)
        walk.published = bridge->published.step / STEPS_PER_ROW;
    double total = 0;
    for (size_t i = 0; i < relations->count; i++)
        total += bridge->catalog->row_estimates[i];
    event_headers_set(&bridge->headers, 0, replica_meta(bridge->replica, "loaded at"));
    progress_line_begin(&walk.line, "publishing", (uint64_t)total);
    for (size_t i = 0; i < relations->count; i++) {
        enum bridge_end walked = walk_relation(&walk, relations->relations[i], err);
        if (walked != BRIDGE_DONE)
            return walked;
    }
    /* One step behind the last row, so that a server that has everything can be told from one that
     * lacks the rest. */
    enum bridge_end end = bridge_write_parked(bridge, err);
    if (end != BRIDGE_DONE)
        return end;
    if (walk.rows + 1 > walk.published) {
        outbox_end(&bridge->outbox, progress_of(&walk, walk.rows + 1));
        outbox_advance(&bridge->outbox, progress_of(&walk, walk.rows + 1));
    }
    if (!meta_set_phase(bridge->replica, PHASE_FOLLOWING, err))
        return BRIDGE_FAILED;
    fault_step(FAULT_FIRST_PUBLISHED);
    end = bridge_checkpoint(bridge, walk.lsn, err);
    if (end == BRIDGE_DONE)
        progress_line_end(&walk.line, walk.rows);
    bridge_allow_spool(bridge);
    return end;
}
