/* struct ruleset: the rules of weir.rules, compiled; and the questions that the bridge asks them.
 *
 * A rule says in SQL who may see one row of a relation. A ruleset answers for a given state of the
 * tables: who may see this row (its audience), may this subject see it, and which rows and subjects
 * may be affected when some other row changes. Work follows the users that match, by the replica's
 * indexes, which the ruleset asks for when it is compiled.
 *
 * A rule that cannot be compiled shows nothing to anybody and says why. Read-only after
 * ruleset_compile(), but for scratch memory inside: one thread. */
#pragma once

#include "weir/base/arena.h"
#include "weir/replica/state.h"

/* Which language rules are written in. The streams hold what one program's rules have shown;
 * another that refuses one of these, or understands it otherwise, must not take its own rules for
 * that, and by this number it knows (src/bridge/checks.c). Raise it with every change after which
 * the same row of weir.rules, on the same tables, is accepted, refused, or shows other rows or
 * columns, to others, or by another type or stream, than in a version that people may have; that
 * each bridge then reads all streams once is the price. */
enum { RULE_LANGUAGE = 3 };

/* One row of weir.rules. Slices are copied by ruleset_compile(). */
struct rule_definition {
    struct slice name;
    struct slice relation; /* as regclass prints it under search_path pg_catalog: app.todos */
    uint32_t relation_oid; /* decides, as the name may have become another table's; 0: by name */
    struct slice audience;
    struct slice columns; /* the JSON array of column names, or `null` for all */
    struct slice type;    /* empty: the relation's name */
    struct slice stream;  /* user/{subject}/data */
};

/* How a rule uses values where Postgres may take an operator or a cast of the application's own. */
enum value_use {
    USE_AS_TEXT,
    USE_IN_CONCATENATION,
    USE_IN_COMPARISON,
    USE_IN_COMPARISON_OF_ENUM, /* of which no type has an equality of its own */
    USE_IN_LIKE,
    USE_IN_JSON,
};

/* Asks Postgres what a literal is as a value of a type, in the pinned session's text form. NULL
 * function: literals are taken as written. */
struct rule_literals {
    bool (*canonical)(void *context, const struct value_type *type, struct slice literal,
                      struct buffer *out, struct err *err);
    /* The elements of the literal of an array of the type, as to_json() gives them, without white
     * space. */
    bool (*elements)(void *context, const struct value_type *type, struct slice literal,
                     struct buffer *out, struct err *err);
    /* Whether Postgres has a table of the name, which is qualified and quoted: asked of one that is
     * not among the relations, where public's is that has its bare name. False: it cannot say. */
    bool (*has_table)(void *context, struct slice name, bool *has, struct err *err);
    /* Appends what of the application's own may be taken for a use of values of these types by a
     * rule of a table in that schema; nothing where there is none. */
    bool (*own_meaning)(void *context, enum value_use use, struct slice schema,
                        const uint32_t *types, size_t count, struct buffer *what, struct err *err);
    /* Before the questions of a rule; NULL: who answers need not know. */
    void (*begin_rule)(void *context, const struct rule_definition *rule);
    void *context;
};

struct ruleset;

/* Compiles all rules against the published relations; definitions and relations must outlive it
 * only during the call, except the relations, which the ruleset keeps pointing to. Refused rules
 * are no failure. False only where the replica fails. Building indexes may take long. */
bool ruleset_compile(const struct rule_definition *definitions, size_t definition_count,
                     const struct relation_set *relations, struct replica *replica,
                     const struct rule_literals *literals, struct ruleset **out,
                     struct err *err) WEIR_MUST_CHECK;
void ruleset_free(struct ruleset *rules); /* NULL is allowed */

struct rule_status {
    struct slice name;
    bool is_active;
    const char *reason; /* why it is refused; NULL when active */
    const char *hint;   /* what to do; may be NULL */
};

size_t ruleset_rule_count(const struct ruleset *rules);
struct rule_status ruleset_rule_status(const struct ruleset *rules, size_t index);

/* Where the events of some rules of one relation go: the same stream pattern and type. */
struct channel {
    uint32_t id; /* dense within the ruleset */
    const struct relation *relation;
    struct slice type_json;     /* quoted token of the event's `type` */
    struct slice stream_prefix; /* canonical path around the encoded subject */
    struct slice stream_suffix;
    bool has_column_lists;
    struct slice identity; /* relation oid, type and pattern: equal across rulesets */
};

/* Who sees a row, and what of it. */
struct audience_member {
    const struct channel *channel;
    struct slice subject;
    const uint64_t *columns; /* bit set of columns; NULL: all */
    struct audience_member *next_in_bucket;
};

struct audience {
    struct arena *arena;
    struct audience_member **members; /* in the order found, each subject once per channel */
    size_t count, capacity;
    struct audience_member **buckets; /* once it is large */
    size_t bucket_count;
};

void audience_init(struct audience *audience, struct arena *arena);

/* The member of a channel with the same identity, or NULL. */
struct audience_member *audience_find(const struct audience *audience,
                                      const struct channel *channel, struct slice subject);

/* Adds everybody who may see the row in the state. */
void ruleset_audience(struct ruleset *rules, const struct state *state,
                      const struct relation *relation, struct row row, struct audience *audience);

/* Whether the subject may see the row by the channel; *columns is then what of it, in the arena. */
bool ruleset_is_visible(struct ruleset *rules, const struct state *state, struct row row,
                        const struct channel *channel, struct slice subject, struct arena *arena,
                        const uint64_t **columns);

/* Whether the relation has any active rule. */
bool ruleset_has_channels(const struct ruleset *rules, const struct relation *relation);

/* Whether some rule can lead to the stream with events of this type (a JSON string), or could while
 * it was not refused yet. */
bool ruleset_may_have_written(const struct ruleset *rules, struct slice path,
                              struct slice type_json);

/* Whether rows can come into a stream by `after` where rows of the same type, of another table or
 * by another pattern, leave it by `before`. */
bool ruleset_hands_over(const struct ruleset *before, const struct ruleset *after);

/* Whether a change of the row from a to b can change its own audience. */
bool ruleset_target_columns_differ(const struct ruleset *rules, const struct relation *relation,
                                   struct row a, struct row b);

/* Whether who sees any row can depend on the column. */
bool ruleset_reads_column(const struct ruleset *rules, const struct relation *relation,
                          size_t column);

/* Whether rules of target read rows of other. */
bool ruleset_reads(const struct ruleset *rules, const struct relation *target,
                   const struct relation *other);

/* Called with a row of channel->relation and a subject whose right to see it may hang on the
 * changed row. is_visible: it is certain that the subject sees the row in the state; otherwise, it
 * has to be asked. Both are borrowed for the call. */
typedef void ruleset_affected_fn(void *context, const struct channel *channel, struct row target,
                                 struct slice subject, bool is_visible);

/* Every row and subject that the given row of relation affects in the state, as a source of rules
 * other than their target. other is the row on the other side of the change (or ROW_NONE): sources
 * whose columns do not differ are left out. */
void ruleset_affected(struct ruleset *rules, const struct state *state,
                      const struct relation *relation, struct row row, struct row other,
                      ruleset_affected_fn *fn, void *context);

/* Every row and subject of the rules that `other` does not hold in the same form: what an edit of
 * the rule table affects. */
void ruleset_affected_by_edit(struct ruleset *rules, const struct ruleset *other,
                              const struct state *state, ruleset_affected_fn *fn, void *context);
