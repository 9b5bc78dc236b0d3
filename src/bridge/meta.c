#include "bridge_internal.h"

#include "weir/base/check.h"

static const char *const phase_names[] = {"", "loading", "publishing", "comparing", "following"};

enum replica_phase meta_phase(struct replica *replica)
{
    struct slice phase = replica_meta(replica, "phase");
    for (int i = PHASE_LOADING; i <= PHASE_FOLLOWING; i++) {
        if (slice_eq_str(phase, phase_names[i]))
            return (enum replica_phase)i;
    }
    return PHASE_NEW;
}

bool meta_set_phase(struct replica *replica, enum replica_phase phase, struct err *err)
{
    return replica_set_meta(replica, "phase", slice_from_str(phase_names[phase]), err);
}

uint64_t meta_lsn(struct replica *replica)
{
    struct slice lsn = replica_meta(replica, "lsn");
    return lsn.len == sizeof(uint64_t) ? load_u64(lsn.data) : 0;
}

bool meta_set_lsn(struct replica *replica, uint64_t lsn, struct err *err)
{
    return replica_set_meta(replica, "lsn", slice_of((const char *)&lsn, sizeof lsn), err);
}

uint32_t meta_timeline(struct replica *replica)
{
    struct slice timeline = replica_meta(replica, "timeline");
    return timeline.len == sizeof(uint32_t) ? load_u32(timeline.data) : 0;
}

bool meta_set_timeline(struct replica *replica, uint32_t timeline, struct err *err)
{
    return replica_set_meta(replica, "timeline", slice_of((const char *)&timeline, sizeof timeline),
                            err);
}

bool meta_has_rule_language(struct replica *replica)
{
    struct slice language = replica_meta(replica, "rule language");
    return language.len == sizeof(uint32_t) && load_u32(language.data) == RULE_LANGUAGE;
}

bool meta_set_rule_language(struct replica *replica, struct err *err)
{
    uint32_t language = RULE_LANGUAGE;
    return replica_set_meta(replica, "rule language",
                            slice_of((const char *)&language, sizeof language), err);
}
