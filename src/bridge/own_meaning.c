/* Postgres takes an operator of the application's where it fits the types better than a built-in
 * one, as for varchar or enums, or the built-in one is for others; pg_catalog comes first for the
 * same types only. A cast with a function decides what a value's text is, and an implicit one which
 * operators fit.
 *
 * Which of them it would take is not worked out here: a rule that comes near one is refused. Types
 * that no rule can compare, such as those of extensions, keep theirs to themselves. A cast WITH
 * INOUT that is not implicit gives what is there without it. */
#include "own_meaning.h"

#define OWN \
    " known AS (SELECT t.oid, t.typcategory, t.typtype FROM pg_type t" \
    "   WHERE t.typtype IN ('e', 'd', 'p') OR t.oid IN (16, 17, 19, 20, 21, 23, 25, 114, 700, 701," \
    "         1042, 1043, 1082, 1114, 1184, 1700, 2950, 3802))," \
    " operators AS (SELECT 'the operator ' || quote_ident(n.nspname) || '.' || o.oprname || '('" \
    "         || format_type(l.oid, NULL) || ', ' || format_type(r.oid, NULL) || ')' AS what," \
    "         o.oprname, n.nspname, l.oid AS left, r.oid AS right, l.typcategory AS left_category," \
    "         r.typcategory AS right_category, 'p' IN (l.typtype, r.typtype) AS is_for_any" \
    "   FROM pg_operator o JOIN pg_namespace n ON n.oid = o.oprnamespace" \
    "   JOIN known l ON l.oid = o.oprleft JOIN known r ON r.oid = o.oprright" \
    "  WHERE o.oid >= 16384" \
    "    AND o.oprname IN ('=', '<>', '<', '<=', '>', '>=', '~~', '!~~', '||', '->', '->>')" \
    "    AND NOT EXISTS (SELECT FROM pg_operator b WHERE b.oid < 16384 AND b.oprname = o.oprname" \
    "                       AND b.oprleft = o.oprleft AND b.oprright = o.oprright))," \
    " casts AS (SELECT 'the cast from ' || format_type(c.castsource, NULL) || ' to '" \
    "         || format_type(c.casttarget, NULL) AS what, c.castsource AS source," \
    "         s.typcategory AS category, t.oid AS target, t.typcategory AS target_category," \
    "         c.castcontext = 'i' AS is_implicit, c.castmethod <> 'i' AS is_other_text" \
    /* A subject may be of any built-in type, interval for one. */ \
    "   FROM pg_cast c JOIN pg_type s ON s.oid = c.castsource" \
    "    AND (s.oid < 16384 OR s.oid IN (SELECT oid FROM known))" \
    "   JOIN known t ON t.oid = c.casttarget" \
    "  WHERE c.oid >= 16384 AND (c.castmethod <> 'i' OR c.castcontext = 'i'))"

const char own_meaning_list_sql[] =
    "WITH" OWN
    " SELECT coalesce((SELECT string_agg(what, '; ' ORDER BY what)"
    "   FROM (SELECT what FROM operators UNION ALL SELECT what FROM casts) own), '')";

#define COMPARISONS "'=', '<>', '<', '<=', '>', '>='"

static const struct {
    const char *operators; /* as a list of literals */
    const char *casts;     /* which of them concern it */
} uses[] = {
    [USE_AS_TEXT] = {"''", "is_other_text AND target = 25"},
    [USE_IN_CONCATENATION] = {"'||'", "target_category = 'S'"},
    [USE_IN_COMPARISON] = {COMPARISONS, "false"},
    [USE_IN_COMPARISON_OF_ENUM] = {COMPARISONS, "is_implicit"},
    [USE_IN_LIKE] = {"'~~', '!~~'", "false"},
    [USE_IN_JSON] = {"'->', '->>'", "false"},
};

const char *own_meaning_sql(struct arena *arena, enum value_use use, const uint32_t *types,
                            size_t count)
{
    struct buffer list = BUFFER_INIT;
    for (size_t i = 0; i < count; i++)
        buffer_printf(&list, i ? ", %u" : "%u", types[i]);
    const char *sql = arena_printf(
        arena,
        "WITH" OWN ","
        /* Numbers, texts, truth values and times become one another of the same family. */
        " used AS (SELECT oid, typcategory IN ('N', 'S', 'B', 'D') AS is_of_family,"
        "                 typcategory AS category FROM pg_type WHERE oid IN (%s))"
        " SELECT coalesce((SELECT what FROM ("
        "   SELECT what FROM operators o"
        "    WHERE o.oprname IN (%s) AND o.nspname IN ($1, 'public', 'pg_catalog')"
        "      AND (o.is_for_any OR EXISTS (SELECT FROM used u WHERE u.oid IN (o.left, o.right)"
        "           OR (u.is_of_family AND u.category IN (o.left_category, o.right_category))))"
        "   UNION ALL"
        "   SELECT what FROM casts c"
        "    WHERE %s AND EXISTS (SELECT FROM used u WHERE u.oid = c.source"
        "           OR (u.is_of_family AND u.category = c.category))"
        " ) own ORDER BY what LIMIT 1), '')",
        buffer_str(&list), uses[use].operators, uses[use].casts);
    buffer_release(&list);
    return sql;
}
