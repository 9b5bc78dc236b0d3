/* /healthz and /readyz. */
#include "metrics.h"
#include "report.h"

#include "weir/base/clock.h"

static void reply_ready(struct request *request)
{
    struct server *server = request->server;
    const char *complaint =
        reports_complaint(server->reports, server->settings->ready_lag_ms, clock_monotonic_ms());
    if (server->is_draining)
        reply_text(request, MHD_HTTP_SERVICE_UNAVAILABLE, "stopping");
    else if (store_counters(server->store).is_full)
        reply_text(request, MHD_HTTP_SERVICE_UNAVAILABLE, "no room on the disk");
    else if (complaint)
        reply_text(request, MHD_HTTP_SERVICE_UNAVAILABLE, complaint);
    else
        reply_text(request, MHD_HTTP_OK, "ready");
}

void route_status(struct request *request, struct slice path)
{
    bool is_read = request->method == METHOD_GET || request->method == METHOD_HEAD;
    if (slice_eq_str(path, "/healthz") && is_read)
        reply_text(request, MHD_HTTP_OK, "alive");
    else if (slice_eq_str(path, "/readyz") && is_read)
        reply_ready(request);
    else if (slice_eq_str(path, "/metrics") && is_read)
        reply_metrics(request);
    else
        reply_text(request, MHD_HTTP_NOT_FOUND, "streams are below /v1/stream/");
}
