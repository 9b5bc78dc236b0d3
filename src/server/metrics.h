/* /metrics, in the Prometheus text format 0.0.4: the server's own figures, and those that bridges
 * report, with the label producer. https://prometheus.io/docs/instrumenting/exposition_formats/ */
#pragma once

#include "internal.h"

void reply_metrics(struct request *request);
