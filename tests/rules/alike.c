/* Rules that differ in what they ask of their own row alone share what is left of their plans; any
 * other difference, however small, keeps them apart. */
#include "rules/ruleset_internal.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const struct value_type int_type = {
    .oid = 23, .base_oid = 23, .kind = VALUE_INTEGER, .name = "int"};
static const struct value_type string_type = {
    .oid = 25, .base_oid = 25, .kind = VALUE_TEXT, .name = "text"};
static const struct value_type jsonb_type = {
    .oid = 3802, .base_oid = 3802, .kind = VALUE_JSON, .name = "jsonb"};

#define COLUMN(text, its_type) \
    { \
        .name = {text, sizeof(text) - 1}, .json_name = {"\"" text "\"", sizeof(text) + 1}, \
        .type = &(its_type), .collation = { \
            .is_deterministic = true \
        } \
    }

static const struct column item_columns[] = {COLUMN("id", int_type), COLUMN("project", int_type),
                                             COLUMN("kind", string_type)};
static const struct column member_columns[] = {
    COLUMN("id", int_type),         COLUMN("project", int_type), COLUMN("other", int_type),
    COLUMN("subject", string_type), COLUMN("role", string_type), COLUMN("more", jsonb_type)};
static const uint16_t key[] = {0};

#define TABLE(its_oid, text, its_columns) \
    {.oid = (its_oid), \
     .storage_id = (its_oid), \
     .schema = {"public", 6}, \
     .name = {text, sizeof(text) - 1}, \
     .columns = (its_columns), \
     .column_count = sizeof(its_columns) / sizeof *(its_columns), \
     .key = key, \
     .key_count = 1, \
     .published = PUBLISH_ALL}

static struct relation items = TABLE(1, "items", item_columns);
static struct relation members = TABLE(2, "members", member_columns);
static struct relation guests = TABLE(3, "guests", member_columns);
static struct relation *relations[] = {&items, &members, &guests};
static const struct relation_set set = {relations, 3, true};

struct pair {
    bool is_alike;
    const char *a, *b;
};

#define MEMBERS  "SELECT m.subject FROM members m WHERE m.project = items.project "
#define NO_GUEST "AND NOT EXISTS (SELECT FROM guests g WHERE g.project = items.project "

static const struct pair pairs[] = {
    {true, MEMBERS, MEMBERS},
    {true, MEMBERS "AND items.kind = 'a'", MEMBERS "AND items.kind = 'b'"},
    {true, MEMBERS "AND items.kind = 'a'", MEMBERS},
    {true, MEMBERS "AND items.kind = 'a'", MEMBERS "AND items.id > 7 AND items.kind IS NOT NULL"},
    {true, MEMBERS, "SELECT x.subject FROM members x WHERE x.project = items.project "},
    {true, MEMBERS "AND m.role = 'a' AND items.id = 1",
     MEMBERS "AND items.id = 2 AND m.role = 'a'"},
    {true, MEMBERS NO_GUEST ") AND items.id = 1", MEMBERS "AND items.id = 2 " NO_GUEST ")"},
    {false, MEMBERS, "SELECT g.subject FROM guests g WHERE g.project = items.project"},
    {false, MEMBERS, "SELECT m.role FROM members m WHERE m.project = items.project"},
    {false, MEMBERS, "SELECT 'x' || m.subject FROM members m WHERE m.project = items.project"},
    {false, MEMBERS, "SELECT m.subject FROM members m WHERE m.other = items.project"},
    {false, MEMBERS, "SELECT m.subject FROM members m WHERE m.project = items.id"},
    {false, MEMBERS, "SELECT m.subject FROM members m WHERE m.project::text = items.project::text"},
    {false, MEMBERS, "SELECT m.subject FROM members m WHERE m.project > items.project"},
    {false, MEMBERS "AND m.role = 'a'", MEMBERS "AND m.role = 'b'"},
    {false, MEMBERS "AND m.role = 'a'", MEMBERS "AND m.role <> 'a'"},
    {false, MEMBERS "AND m.role = 'a'", MEMBERS "AND m.role IN ('a', 'b')"},
    {false, MEMBERS "AND m.role IN ('a', 'c')", MEMBERS "AND m.role IN ('a', 'b')"},
    {false, MEMBERS "AND m.role NOT IN ('a', 'b')", MEMBERS "AND m.role NOT IN ('a', 'b', NULL)"},
    {false, MEMBERS "AND m.role LIKE 'a%'", MEMBERS "AND m.role LIKE 'b%'"},
    {false, MEMBERS "AND m.role LIKE 'a%'", MEMBERS "AND m.role NOT LIKE 'a%'"},
    {false, MEMBERS "AND m.role IS NULL", MEMBERS "AND m.role IS NOT NULL"},
    {false, MEMBERS "AND m.role = items.kind", MEMBERS "AND m.subject = items.kind"},
    {false, MEMBERS "AND m.id < items.id", MEMBERS "AND m.id <= items.id"},
    {false, MEMBERS "AND m.more->>'a' = 'x'", MEMBERS "AND m.more->>'b' = 'x'"},
    {false, MEMBERS "AND m.more->>'1' = 'x'", MEMBERS "AND m.more->>1 = 'x'"},
    {false, MEMBERS "AND m.more->>1 = 'x'", MEMBERS "AND m.more->>2 = 'x'"},
    {false, MEMBERS "AND m.more->>'a' = 'x'", MEMBERS "AND m.more->'a'->>'a' = 'x'"},
    {false, MEMBERS "AND m.role || m.subject = 'x'", MEMBERS "AND m.subject || m.role = 'x'"},
    {false, MEMBERS, MEMBERS NO_GUEST ")"},
    {false, MEMBERS NO_GUEST ")", MEMBERS NO_GUEST "AND g.role = 'a')"},
    {false, MEMBERS NO_GUEST "AND items.kind = 'a')", MEMBERS NO_GUEST "AND items.kind = 'b')"},
    {false, MEMBERS "AND EXISTS (SELECT FROM guests g WHERE g.role = 'a')",
     MEMBERS "AND EXISTS (SELECT FROM guests g WHERE g.role = 'b')"},
    {false,
     "SELECT a.subject FROM members a, members b WHERE a.project = b.other AND a.id = items.id",
     "SELECT a.subject FROM members a, members b WHERE a.project = b.other AND b.id = items.id"},
};

static struct rule_definition rule_of(const char *audience)
{
    return (struct rule_definition){.name = slice_from_str("rule"),
                                    .relation = slice_from_str("public.items"),
                                    .audience = slice_from_str(audience),
                                    .columns = slice_from_str("null"),
                                    .stream = slice_from_str("user/{subject}/data")};
}

/* Whether the plans of two rules that are compiled together share their steps.
 * and all those from the rows of other tables. */
static bool share(struct ruleset *rules)
{
    const struct rule_branch *a = rules->rules[0].branches, *b = rules->rules[1].branches;
    bool is_shared = a->by_target->steps == b->by_target->steps;
    cr_assert_eq(rules->rules[0].branch_count, 1);
    cr_assert_eq(rules->rules[1].branch_count, 1);
    cr_assert_eq(a->by_subject->steps == b->by_subject->steps, is_shared);
    return is_shared;
}

static void check_pair(const struct pair *pair, struct replica *replica)
{
    struct rule_definition definitions[] = {rule_of(pair->a), rule_of(pair->b)};
    struct ruleset *rules;
    struct err err = {0};
    cr_assert(ruleset_compile(definitions, 2, &set, replica, NULL, &rules, &err), "%s",
              err.message);
    for (size_t i = 0; i < 2; i++) {
        struct rule_status status = ruleset_rule_status(rules, i);
        cr_assert(status.is_active, "%s: %s", i ? pair->b : pair->a, status.reason);
    }
    cr_expect_eq(share(rules), pair->is_alike, "%s\n%s", pair->a, pair->b);
    ruleset_free(rules);
}

Test(alike, plans_are_shared_where_only_the_given_row_is_asked_for_something_else)
{
    char directory[] = "/tmp/weir-test-alike-XXXXXX", command[64];
    struct err err = {0};
    cr_assert(mkdtemp(directory) != NULL);
    struct replica_settings settings = {.directory = directory, .size_limit = 1u << 30};
    struct replica *replica = replica_open(&settings, &err);
    cr_assert(replica != NULL, "%s", err.message);
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        check_pair(&pairs[i], replica);
    replica_close(replica);
    snprintf(command, sizeof command, "rm -rf %s", directory);
    cr_assert_eq(system(command), 0);
}
