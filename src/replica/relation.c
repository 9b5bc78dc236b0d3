#include "weir/replica/relation.h"

int relation_find_column(const struct relation *relation, struct slice name)
{
    for (size_t i = 0; i < relation->column_count; i++) {
        if (slice_eq(relation->columns[i].name, name))
            return (int)i;
    }
    return -1;
}

const struct relation *relation_set_find(const struct relation_set *set, struct slice schema,
                                         struct slice name)
{
    for (size_t i = 0; i < set->count; i++) {
        if (slice_eq(set->relations[i]->name, name) && slice_eq(set->relations[i]->schema, schema))
            return set->relations[i];
    }
    return NULL;
}

const struct relation *relation_set_by_oid(const struct relation_set *set, uint32_t oid)
{
    for (size_t i = 0; i < set->count; i++) {
        if (set->relations[i]->oid == oid)
            return set->relations[i];
    }
    return NULL;
}
