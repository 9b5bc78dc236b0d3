#include "weir/replica/row.h"

#include "weir/base/check.h"

static size_t ends_size(const struct relation *relation)
{
    return relation->column_count * sizeof(uint32_t);
}

/* Length of `{"name":` or `,"name":`. */
static size_t prefix_len(const struct relation *relation, size_t column)
{
    return relation->columns[column].json_name.len + 2;
}

struct slice row_json(const struct relation *relation, struct row row)
{
    size_t head = ends_size(relation);
    return slice_of(row.record.data + head, row.record.len - head);
}

struct slice row_column(const struct relation *relation, struct row row, size_t column)
{
    const char *ends = row.record.data;
    const char *json = ends + ends_size(relation);
    size_t start = column ? load_u32(ends + (column - 1) * sizeof(uint32_t)) : 0;
    start += prefix_len(relation, column);
    size_t end = load_u32(ends + column * sizeof(uint32_t));
    return slice_of(json + start, end - start);
}

void row_build(struct buffer *out, const struct relation *relation, const struct slice *values)
{
    size_t size = ends_size(relation) + 2;
    for (size_t i = 0; i < relation->column_count; i++)
        size += prefix_len(relation, i) + values[i].len;
    check(size < UINT32_MAX);
    char *ends = buffer_reserve(out, size);
    char *json = ends + ends_size(relation);
    char *at = json;
    for (size_t i = 0; i < relation->column_count; i++) {
        struct slice name = relation->columns[i].json_name;
        *at++ = i ? ',' : '{';
        memcpy(at, name.data, name.len);
        at += name.len;
        *at++ = ':';
        memcpy(at, values[i].data, values[i].len);
        at += values[i].len;
        store_u32(ends + i * sizeof(uint32_t), (uint32_t)(at - json));
    }
    if (relation->column_count == 0)
        *at++ = '{';
    *at++ = '}';
    out->len += (size_t)(at - ends);
}

void row_json_of_columns(struct buffer *out, const struct relation *relation, struct row row,
                         const uint64_t *column_bits)
{
    char separator = '{';
    for (size_t i = 0; i < relation->column_count; i++) {
        if (!(column_bits[i / 64] >> i % 64 & 1))
            continue;
        buffer_add_char(out, separator);
        buffer_add_slice(out, relation->columns[i].json_name);
        buffer_add_char(out, ':');
        buffer_add_slice(out, row_column(relation, row, i));
        separator = ',';
    }
    buffer_add_str(out, separator == '{' ? "{}" : "}");
}
