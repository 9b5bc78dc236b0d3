/* The types of columns, down to what they are made of: elements, fields, labels, the type under a
 * domain. */
#include "catalog_bytes.h"
#include "catalog_loading.h"

#include "weir/base/check.h"

/* The columns' types with all they are made of: base types, elements, fields. */
static const char types_sql[] =
    "WITH RECURSIVE needed(oid) AS ("
    "  SELECT DISTINCT unnest($1::oid[])"
    "  UNION"
    "  SELECT part.oid FROM needed JOIN pg_type t ON t.oid = needed.oid,"
    "  LATERAL (SELECT t.typbasetype WHERE t.typtype = 'd'"
    "           UNION ALL SELECT t.typelem WHERE t.typelem <> 0 AND t.typlen = -1"
    "             AND t.typcategory = 'A'"
    "           UNION ALL SELECT a.atttypid FROM pg_attribute a WHERE t.typtype = 'c'"
    "             AND a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped) part(oid))"
    "SELECT t.oid, t.typtype, t.typbasetype,"
    "       CASE WHEN t.typlen = -1 AND t.typcategory = 'A' AND t.oid NOT IN (22, 30)"
    "            THEN t.typelem ELSE 0 END,"
    "       t.typdelim, format_type(t.oid, NULL),"
    /* As to_json() looks for it: not for types of Postgres's own. */
    "       t.oid >= 16384 AND EXISTS (SELECT FROM pg_cast c WHERE c.castsource = t.oid"
    "         AND c.casttarget = 'json'::regtype AND c.castmethod = 'f')"
    "  FROM needed JOIN pg_type t ON t.oid = needed.oid ORDER BY t.oid";

static const char labels_sql[] =
    "SELECT enumtypid, enumlabel, xmin FROM pg_enum WHERE enumtypid = ANY ($1::oid[])"
    " ORDER BY enumtypid, enumsortorder";

static const char fields_sql[] =
    "SELECT t.oid, a.attname, a.atttypid FROM pg_type t"
    "  JOIN pg_attribute a ON a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped"
    " WHERE t.typtype = 'c' AND t.oid = ANY ($1::oid[]) ORDER BY t.oid, a.attnum";

static enum value_kind kind_of(uint32_t base_oid, char type_kind)
{
    switch (base_oid) {
    case 16:
        return VALUE_BOOL;
    case 20:
    case 21:
    case 23:
        return VALUE_INTEGER;
    case 1700:
        return VALUE_NUMERIC;
    case 700:
    case 701:
        return VALUE_FLOAT;
    case 19:
    case 25:
    case 1043:
        return VALUE_TEXT;
    case 1042:
        return VALUE_CHAR;
    case 2950:
        return VALUE_UUID;
    case 1082:
        return VALUE_DATE;
    case 1114:
        return VALUE_TIMESTAMP;
    case 1184:
        return VALUE_TIMESTAMPTZ;
    case 17:
        return VALUE_BYTEA;
    case 114:
    case 3802:
        return VALUE_JSON;
    default:
        break;
    }
    if (type_kind == 'e')
        return VALUE_ENUM;
    return type_kind == 'c' ? VALUE_COMPOSITE : VALUE_OTHER;
}

struct value_type *find_type(const struct loading *loading, uint32_t oid)
{
    for (size_t i = 0; i < loading->type_count; i++) {
        if (loading->types[i].oid == oid)
            return &loading->types[i];
    }
    return NULL;
}

/* Domains take over everything from the type under them. */
static void resolve_domains(struct loading *loading, const struct pg_rows *rows)
{
    for (size_t i = 0; i < loading->type_count; i++) {
        struct value_type *type = &loading->types[i];
        uint32_t base = oid_at(rows, i, 2);
        const struct value_type *under = base ? find_type(loading, base) : NULL;
        while (under && under->is_domain)
            under = find_type(loading, oid_at(rows, (size_t)(under - loading->types), 2));
        if (!under)
            continue;
        type->base_oid = under->oid;
        type->kind = under->kind;
        type->element = under->element;
        type->fields = under->fields;
        type->field_count = under->field_count;
        type->labels = under->labels;
        type->label_count = under->label_count;
    }
}

static bool load_fields(struct loading *loading, const char *oids, struct err *err)
{
    struct pg_rows *rows = pg_query(loading->connection, err, fields_sql, 1, &oids);
    if (!rows)
        return false;
    for (size_t i = 0; i < pg_rows_count(rows);) {
        struct value_type *type = find_type(loading, oid_at(rows, i, 0));
        size_t start = i;
        while (i < pg_rows_count(rows) && oid_at(rows, i, 0) == type->oid)
            i++;
        struct value_field *fields = arena_calloc(loading->arena, i - start, sizeof *fields);
        for (size_t j = start; j < i; j++) {
            fields[j - start].json_name = json_name_of(loading->arena, pg_rows_slice(rows, j, 1));
            fields[j - start].type = find_type(loading, oid_at(rows, j, 2));
            check(fields[j - start].type != NULL);
        }
        type->fields = fields;
        type->field_count = i - start;
    }
    pg_rows_free(rows);
    return true;
}

static bool load_labels(struct loading *loading, const char *oids, struct err *err)
{
    struct pg_rows *rows = pg_query(loading->connection, err, labels_sql, 1, &oids);
    if (!rows)
        return false;
    struct slice *labels = arena_calloc(loading->arena, pg_rows_count(rows) + 1, sizeof *labels);
    struct slice *writers = arena_calloc(loading->arena, pg_rows_count(rows) + 1, sizeof *writers);
    loading->labels = labels;
    loading->label_writers = writers;
    for (size_t i = 0; i < pg_rows_count(rows); i++) {
        struct value_type *type = find_type(loading, oid_at(rows, i, 0));
        labels[i] = copy_at(loading->arena, rows, i, 1);
        writers[i] = copy_at(loading->arena, rows, i, 2);
        if (!type->label_count++)
            type->labels = &labels[i];
    }
    pg_rows_free(rows);
    return true;
}

void add_label_writers(struct buffer *out, const struct loading *loading,
                       const struct value_type *type)
{
    for (size_t i = 0; i < type->label_count; i++) {
        buffer_add_char(out, ' ');
        buffer_add_slice(out, loading->label_writers[&type->labels[i] - loading->labels]);
    }
    if (type->element)
        add_label_writers(out, loading, type->element);
    for (size_t i = 0; i < type->field_count; i++)
        add_label_writers(out, loading, type->fields[i].type);
}

bool load_types(struct loading *loading, const struct pg_rows *columns, struct err *err)
{
    size_t count = pg_rows_count(columns);
    uint32_t *oids = arena_calloc(loading->arena, count + 1, sizeof *oids);
    for (size_t i = 0; i < count; i++)
        oids[i] = oid_at(columns, i, 3);
    const char *parameter = oid_array(loading->arena, oids, count);
    struct pg_rows *rows = pg_query(loading->connection, err, types_sql, 1, &parameter);
    if (!rows)
        return false;
    count = pg_rows_count(rows);
    loading->types = arena_calloc(loading->arena, count + 1, sizeof *loading->types);
    loading->type_count = count;
    oids = arena_calloc(loading->arena, count + 1, sizeof *oids);
    for (size_t i = 0; i < count; i++) {
        struct value_type *type = &loading->types[i];
        char type_kind = pg_rows_str(rows, i, 1)[0];
        type->oid = type->base_oid = oids[i] = oid_at(rows, i, 0);
        type->is_domain = type_kind == 'd';
        type->kind = kind_of(type->oid, type_kind);
        type->delimiter = pg_rows_str(rows, i, 4)[0];
        type->name = arena_strdup(loading->arena, pg_rows_str(rows, i, 5));
        if (bool_at(rows, i, 6) && type->kind != VALUE_COMPOSITE)
            type->kind = VALUE_JSON_CAST;
    }
    for (size_t i = 0; i < count; i++) {
        uint32_t element = oid_at(rows, i, 3);
        if (!element || loading->types[i].kind != VALUE_OTHER)
            continue;
        loading->types[i].kind = VALUE_ARRAY;
        loading->types[i].element = find_type(loading, element);
        check(loading->types[i].element != NULL);
    }
    parameter = oid_array(loading->arena, oids, count);
    bool ok = load_fields(loading, parameter, err) && load_labels(loading, parameter, err);
    if (ok)
        resolve_domains(loading, rows);
    pg_rows_free(rows);
    return ok;
}
