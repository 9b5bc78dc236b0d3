#include "question.h"

#include "weir/base/json.h"

enum { QUESTIONS_MAX = 16 };

struct question {
    struct slice id, subject, relation, key; /* raw tokens */
};

static bool read_question(struct slice object, struct question *question)
{
    struct json_scan scan = json_scan_of(object);
    struct slice key;
    struct json_value value;
    *question = (struct question){.id = SLICE_NONE};
    if (!json_object_begin(&scan))
        return false;
    for (bool first = true; json_object_next(&scan, first, &key, &value) == JSON_STEP_ITEM;
         first = false) {
        if (slice_eq(key, SLICE("\"id\"")) && value.kind == JSON_NUMBER)
            question->id = value.raw;
        else if (value.kind != JSON_STRING)
            continue;
        else if (slice_eq(key, SLICE("\"subject\"")))
            question->subject = value.raw;
        else if (slice_eq(key, SLICE("\"relation\"")))
            question->relation = value.raw;
        else if (slice_eq(key, SLICE("\"key\"")))
            question->key = value.raw;
    }
    return question->id.len && question->subject.len && question->relation.len && question->key.len;
}

static void add_error(struct buffer *out, const char *message)
{
    buffer_add_str(out, ",\"error\":");
    json_add_string(out, slice_from_str(message));
}

static void ask_postgres(const struct question *question, struct pg_connection *connection,
                         struct buffer *out)
{
    struct buffer texts[3] = {BUFFER_INIT, BUFFER_INIT, BUFFER_INIT};
    json_unescape(&texts[0], question->subject);
    json_unescape(&texts[1], question->relation);
    json_unescape(&texts[2], question->key);
    const char *parameters[] = {buffer_str(&texts[0]), buffer_str(&texts[1]),
                                buffer_str(&texts[2])};
    struct err err;
    struct pg_rows *rows =
        pg_query(connection, &err,
                 "SELECT json_agg(to_jsonb(judged) || jsonb_build_object('audience', r.audience))"
                 "  FROM weir.explain($1,"
                 " (CASE cardinality(parse_ident($2)) WHEN 1 THEN 'public.' || $2 ELSE $2 END)"
                 "::regclass, $3) AS judged LEFT JOIN weir.rules r ON r.name = judged.rule",
                 3, parameters);
    if (rows) {
        struct slice rules = pg_rows_slice(rows, 0, 0);
        buffer_add_str(out, ",\"rules\":");
        buffer_add_slice(out, rules.len ? rules : SLICE("[]"));
    } else {
        add_error(out, err.message);
    }
    pg_rows_free(rows);
    for (size_t i = 0; i < 3; i++)
        buffer_release(&texts[i]);
}

static void answer(const struct question *question, struct slot_watch *watch, struct buffer *out)
{
    struct pg_connection *connection = slot_watch_connection(watch);
    if (out->len)
        buffer_add_char(out, ',');
    buffer_add_str(out, "{\"id\":");
    buffer_add_slice(out, question->id);
    if (connection)
        ask_postgres(question, connection, out);
    else
        add_error(out, "the bridge cannot reach Postgres");
    buffer_add_char(out, '}');
}

/* The array of the member "questions"; empty where there is none. */
static struct slice find_questions(struct slice server_answer)
{
    struct json_scan scan = json_scan_of(server_answer);
    struct slice key;
    struct json_value value;
    if (!json_object_begin(&scan))
        return SLICE_NONE;
    for (bool first = true; json_object_next(&scan, first, &key, &value) == JSON_STEP_ITEM;
         first = false) {
        if (slice_eq(key, SLICE("\"questions\"")) && value.kind == JSON_ARRAY)
            return value.raw;
    }
    return SLICE_NONE;
}

bool questions_answer(struct slice server_answer, struct slot_watch *watch, struct buffer *out)
{
    struct json_scan scan = json_scan_of(find_questions(server_answer));
    struct json_value value;
    size_t count = 0;
    if (!json_array_begin(&scan))
        return false;
    while (count < QUESTIONS_MAX && json_array_next(&scan, count == 0, &value) == JSON_STEP_ITEM) {
        struct question question;
        if (read_question(value.raw, &question))
            answer(&question, watch, out);
        count++;
    }
    return out->len > 0;
}
