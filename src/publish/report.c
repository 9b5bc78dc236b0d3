#include "weir/publish/report.h"

#include "url.h"
#include "weir/http/http.h"

#include <stdlib.h>

enum { REPORT_TIMEOUT_MS = 5000 };

struct report_sender {
    char *url;
    struct http *http;
};

struct report_sender *report_sender_new(const struct publisher_settings *settings,
                                        const atomic_ullong *abort_at_ms)
{
    struct report_sender *sender = calloc(1, sizeof *sender);
    check(sender != NULL);
    sender->url = url_make(settings->streams_url, "/__weir/reports/", settings->producer);
    sender->http = http_new(&(struct http_settings){
        .token = settings->token, .ca_file = settings->ca_file, .abort_at_ms = abort_at_ms});
    return sender;
}

void report_sender_free(struct report_sender *sender)
{
    if (!sender)
        return;
    http_free(sender->http);
    free(sender->url);
    free(sender);
}

bool report_send(struct report_sender *sender, struct slice json, struct slice *answer,
                 struct err *err)
{
    long status;
    if (!http_post(sender->http, sender->url, "application/json", json, REPORT_TIMEOUT_MS, &status,
                   answer, err))
        return false;
    if (status == 200)
        return true;
    return err_set(err, "%s: the stream server answers a report with %ld", sender->url, status);
}
