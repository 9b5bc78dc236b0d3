#include "weir/base/clock.h"
#include "weir/base/log.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <unistd.h>

static int64_t fixed_wall_ms(void)
{
    return 1709204645006; /* 2024-02-29 11:04:05.006 UTC */
}

/* What log_event_() and the like write on standard error while `log` runs. */
static const char *logged(void (*log)(void))
{
    static char text[2048];
    int ends[2], saved = dup(STDERR_FILENO);
    cr_assert_eq(pipe(ends), 0);
    dup2(ends[1], STDERR_FILENO);
    close(ends[1]);
    clock_replace(NULL, fixed_wall_ms);
    log();
    clock_replace(NULL, NULL);
    dup2(saved, STDERR_FILENO); /* the last writing end is closed by this */
    close(saved);
    ssize_t len = read(ends[0], text, sizeof text - 1);
    cr_assert_geq(len, 0);
    text[len] = '\0';
    close(ends[0]);
    return text;
}

static void log_fields(void)
{
    log_event(LOG_INFO, "slot created", LOG_STR("slot", "weir"), LOG_LSN("lsn", 0x16B374D848),
              LOG_I("delta", -5), LOG_U("count", 7), LOG_STR("odd", "a \"b\"\n=c"),
              LOG_STR("empty", ""));
}

static void log_nothing(void)
{
    log_event(LOG_DEBUG, "not at this level");
}

static void log_an_err(void)
{
    struct err err;
    err_set(&err, "cannot connect");
    err_hint(&err, "start it");
    log_err(LOG_ERROR, "bridge", &err);
}

Test(base_log, logfmt_is_one_line_with_quotes_where_needed)
{
    log_configure(LOG_INFO, LOG_LOGFMT);
    cr_assert_str_eq(logged(log_fields),
                     "time=2024-02-29T11:04:05.006Z level=info msg=\"slot created\" slot=weir "
                     "lsn=16/B374D848 delta=-5 count=7 odd=\"a \\\"b\\\"\\n=c\" empty=\"\"\n");
    cr_assert_str_eq(logged(log_nothing), "");
    cr_assert_str_eq(logged(log_an_err), "time=2024-02-29T11:04:05.006Z level=error msg=bridge "
                                         "error=\"cannot connect\" hint=\"start it\"\n");
}

Test(base_log, json_is_one_object_a_line)
{
    log_configure(LOG_INFO, LOG_JSON);
    cr_assert_str_eq(logged(log_fields),
                     "{\"time\":\"2024-02-29T11:04:05.006Z\",\"level\":\"info\",\"msg\":\"slot "
                     "created\",\"slot\":\"weir\",\"lsn\":\"16/B374D848\",\"delta\":-5,\"count\":7,"
                     "\"odd\":\"a \\\"b\\\"\\n=c\",\"empty\":\"\"}\n");
}

Test(base_log, names_of_levels_and_formats)
{
    enum log_level level;
    enum log_format format;
    cr_assert(log_level_parse("warn", &level) && level == LOG_WARN);
    cr_assert_not(log_level_parse("loud", &level));
    cr_assert(log_format_parse("json", &format) && format == LOG_JSON);
    cr_assert_not(log_format_parse("xml", &format));
}
