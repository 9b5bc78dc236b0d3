/* How much work a question is: what joins nothing to the answer must not multiply it. Visiting all
 * derivations of these rules would take longer than anybody waits; that the answers are right is
 * for the tests beside Postgres. */
#include "weir/rules/ruleset.h"
#include "weir/replica/key.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { ITEMS = 300, MEMBERS = 3000, PROJECTS = 3, KINDS = 4, EDITORS = 20 };

static const struct value_type int_type = {
    .oid = 23, .base_oid = 23, .kind = VALUE_INTEGER, .name = "int"};
static const struct value_type text_type = {
    .oid = 25, .base_oid = 25, .kind = VALUE_TEXT, .name = "text"};

#define COLUMN(text, its_type) \
    { \
        .name = {text, sizeof(text) - 1}, .json_name = {"\"" text "\"", sizeof(text) + 1}, \
        .type = &(its_type), .collation = { \
            .is_deterministic = true \
        } \
    }

static const struct column item_columns[] = {COLUMN("id", int_type), COLUMN("project_id", int_type),
                                             COLUMN("owner", text_type), COLUMN("kind", int_type)};
static const struct column member_columns[] = {
    COLUMN("id", int_type), COLUMN("project_id", int_type), COLUMN("user_id", text_type)};
static const uint16_t key[] = {0};

static struct relation items = {.oid = 1,
                                .storage_id = 1,
                                .schema = {"public", 6},
                                .name = {"items", 5},
                                .columns = item_columns,
                                .column_count = 4,
                                .key = key,
                                .key_count = 1,
                                .published = PUBLISH_ALL};
static struct relation members = {.oid = 2,
                                  .storage_id = 2,
                                  .schema = {"public", 6},
                                  .name = {"members", 7},
                                  .columns = member_columns,
                                  .column_count = 3,
                                  .key = key,
                                  .key_count = 1,
                                  .published = PUBLISH_ALL};
static struct relation *relations[] = {&items, &members};
static const struct relation_set set = {relations, 2, true};

struct fixture {
    char directory[64];
    struct replica *replica;
    struct ruleset *rules;
    struct state state;
    struct arena arena;
    struct row item, member; /* one of each */
};

static struct row put(struct fixture *fixture, const struct relation *relation, const char *json[])
{
    struct buffer record = BUFFER_INIT, row_key = BUFFER_INIT;
    struct slice values[4];
    struct err err = {0};
    for (size_t i = 0; i < relation->column_count; i++)
        values[i] = slice_from_str(json[i]);
    row_build(&record, relation, values);
    struct row row = {arena_copy(&fixture->arena, buffer_slice(&record))};
    key_of_row(&row_key, replica_hash_key(fixture->replica), relation, row, &fixture->arena);
    cr_assert(replica_put(fixture->replica, relation, buffer_slice(&row_key), ROW_NONE, row, &err),
              "%s", err.message);
    buffer_release(&record);
    buffer_release(&row_key);
    return row;
}

static void fill(struct fixture *fixture)
{
    char id[16], project[16], text[32], kind[16];
    for (int i = 0; i < ITEMS; i++) {
        snprintf(id, sizeof id, "%d", i);
        snprintf(project, sizeof project, "%d", i % PROJECTS);
        snprintf(text, sizeof text, "\"owner%d\"", i % 5);
        snprintf(kind, sizeof kind, "%d", i % KINDS);
        fixture->item = put(fixture, &items, (const char *[]){id, project, text, kind});
    }
    for (int i = 0; i < MEMBERS; i++) {
        snprintf(id, sizeof id, "%d", i);
        snprintf(project, sizeof project, "%d", i % PROJECTS);
        snprintf(text, sizeof text, "\"user%d\"", i % EDITORS);
        fixture->member = put(fixture, &members, (const char *[]){id, project, text});
    }
}

static void begin(struct fixture *fixture, const char *audience)
{
    struct err err = {0};
    struct rule_definition rule = {.name = slice_from_str("rule"),
                                   .relation = slice_from_str("public.items"),
                                   .audience = slice_from_str(audience),
                                   .columns = slice_from_str("null"),
                                   .stream = slice_from_str("user/{subject}/data")};
    *fixture = (struct fixture){.directory = "/tmp/weir-test-work-XXXXXX"};
    cr_assert(mkdtemp(fixture->directory) != NULL);
    struct replica_settings settings = {.directory = fixture->directory, .size_limit = 1u << 30};
    fixture->replica = replica_open(&settings, &err);
    cr_assert(fixture->replica != NULL, "%s", err.message);
    fill(fixture);
    cr_assert(ruleset_compile(&rule, 1, &set, fixture->replica, NULL, &fixture->rules, &err), "%s",
              err.message);
    struct rule_status status = ruleset_rule_status(fixture->rules, 0);
    cr_assert(status.is_active, "%s", status.reason);
    fixture->state = (struct state){.replica = fixture->replica};
}

static void end(struct fixture *fixture)
{
    char command[128];
    ruleset_free(fixture->rules);
    replica_close(fixture->replica);
    arena_release(&fixture->arena);
    snprintf(command, sizeof command, "rm -rf %s", fixture->directory);
    cr_assert_eq(system(command), 0);
}

static size_t audience_size(struct fixture *fixture)
{
    struct audience audience;
    audience_init(&audience, &fixture->arena);
    ruleset_audience(fixture->rules, &fixture->state, &items, fixture->item, &audience);
    return audience.count;
}

static void count_affected(void *context, const struct channel *channel, struct row target,
                           struct slice subject, bool is_visible)
{
    (void)channel;
    (void)target;
    (void)subject;
    (void)is_visible;
    ++*(size_t *)context;
}

/* How often a target row and a subject are named for a change of the row. */
static size_t affected(struct fixture *fixture, const struct relation *relation, struct row row)
{
    size_t count = 0;
    ruleset_affected(fixture->rules, &fixture->state, relation, row, ROW_NONE, count_affected,
                     &count);
    return count;
}

static bool is_visible(struct fixture *fixture, const char *subject)
{
    struct audience audience;
    const uint64_t *columns;
    audience_init(&audience, &fixture->arena);
    ruleset_audience(fixture->rules, &fixture->state, &items, fixture->item, &audience);
    cr_assert(audience.count > 0);
    return ruleset_is_visible(fixture->rules, &fixture->state, fixture->item,
                              audience.members[0]->channel, slice_from_str(subject),
                              &fixture->arena, &columns);
}

Test(work, tables_that_nothing_connects_do_not_multiply, .timeout = 60)
{
    struct fixture fixture;
    begin(&fixture, "SELECT items.owner FROM items a, items b, members c, members d, members e");
    cr_assert_eq(audience_size(&fixture), 1);
    cr_assert(is_visible(&fixture, "owner4"));
    cr_assert(!is_visible(&fixture, "owner3"));
    /* As a and as b. */
    cr_assert_eq(affected(&fixture, &items, fixture.item), 2 * ITEMS);
    cr_assert_eq(affected(&fixture, &members, fixture.member), 3 * ITEMS);
    end(&fixture);
}

Test(work, nor_do_those_under_a_negation, .timeout = 60)
{
    struct fixture fixture;
    begin(&fixture, "SELECT items.owner FROM items a WHERE NOT EXISTS ("
                    "SELECT FROM members b, members c, items d, members e "
                    "WHERE b.id <> c.id AND e.user_id LIKE 'nobody%' "
                    "AND NOT EXISTS (SELECT FROM members f, members g "
                    "WHERE f.id < d.id AND g.id < 0))");
    cr_assert_eq(audience_size(&fixture), 1);
    cr_assert(is_visible(&fixture, "owner4"));
    /* As a; as d, b, c, f and g nothing, for want of an e. */
    cr_assert_eq(affected(&fixture, &items, fixture.item), ITEMS);
    cr_assert_eq(affected(&fixture, &members, fixture.member), 0);
    end(&fixture);
}

Test(work, rows_that_are_alike_in_what_is_asked_are_followed_once, .timeout = 60)
{
    struct fixture fixture;
    /* 1,000 members of a project, 100 items of it, and so on: 10^10 derivations of 20 users. */
    begin(&fixture, "SELECT d.user_id FROM members a JOIN items b ON b.project_id = a.project_id "
                    "JOIN members c ON c.project_id = b.project_id "
                    "JOIN members d ON d.project_id = c.project_id "
                    "WHERE a.project_id = items.project_id");
    cr_assert_eq(audience_size(&fixture), EDITORS);
    cr_assert(is_visible(&fixture, "user19"));
    cr_assert(!is_visible(&fixture, "user20"));
    cr_assert(affected(&fixture, &items, fixture.item) <= ITEMS / PROJECTS * MEMBERS);
    end(&fixture);
}
