/* Encoding events of one row once per form and delivering them to streams. */
#pragma once

#include "weir/events/difference.h"

/* A form of the current row's event that has been encoded. */
struct encoded_event {
    struct slice type_json;
    enum event_operation operation;
    const uint64_t *columns;
    uint32_t payload;
};

enum { ENCODED_FORMS_MAX = 8 };

struct delivery {
    const struct event_sink *sink;
    const struct event_headers *headers;
    struct encoded_event forms[ENCODED_FORMS_MAX];
    size_t form_count;
    struct buffer event, path, canonical, compared;
    struct arena scratch;
    uint64_t undeliverable; /* events for subjects that no stream path can carry */
};

/* Before the events of another row or row version. */
void delivery_next_row(struct delivery *delivery);

void delivery_send(struct delivery *delivery, enum event_operation operation,
                   const struct channel *channel, struct slice subject, struct row row,
                   const uint64_t *columns);

/* A row in the shape that it has on one side of a difference. */
struct version {
    const struct relation *relation;
    struct row row;
    const uint64_t *columns; /* of which these are shown; NULL: all */
};

/* Whether the two versions of a row show anything different. */
bool delivery_shows_change(struct delivery *delivery, const struct version *a,
                           const struct version *b);

void delivery_release(struct delivery *delivery);
