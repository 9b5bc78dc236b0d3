/* What Postgres has answered about the rules that are compiled: what a literal is as a value of a
 * type, whether a name means another table than the published one.
 *
 * The streams hold what the compiled rules said. A bridge that starts again compiles the same
 * rules, and when Postgres answers otherwise by then (a type renamed, a table made that hides
 * another), it would take the difference from what nobody was ever shown: rows would stay in
 * streams for ever. So answers are kept with the rows, durable before anything is sent that follows
 * from them, and asked again only for a rule that is written anew, or when the published tables
 * change. */
#pragma once

#include "weir/replica/replica.h"

struct answers;

/* saved: as answers_save() gave it; none where it is empty or not understood. */
struct answers *answers_new(const struct hash_key *hash, struct slice saved);
void answers_free(struct answers *answers); /* NULL is allowed */
void answers_save(const struct answers *answers, struct buffer *out);

/* Around a compilation; then the rule that is asked for next. */
void answers_begin(struct answers *answers);
void answers_begin_rule(struct answers *answers, uint32_t relation_oid, struct slice audience);
/* Forgets what the last compilation, which has been adopted, did not ask. */
void answers_settle(struct answers *answers);

/* Whether it is known; then *ok says how it went, and text or err is set. */
bool answers_find(struct answers *answers, const char *sql, struct slice literal, bool *ok,
                  struct buffer *text, struct err *err);
void answers_add(struct answers *answers, const char *sql, struct slice literal, bool ok,
                 struct slice text, const struct err *err);

/* Whether there are others than were saved. */
bool answers_have_changed(const struct answers *answers);
void answers_note_saved(struct answers *answers);
