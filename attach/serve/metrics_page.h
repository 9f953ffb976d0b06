/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/serve/metrics_page.h - /metrics: what the server does and costs, in the text format of Prometheus.
 */
#ifndef CPROF_ATTACH_SERVE_METRICS_PAGE_H
#define CPROF_ATTACH_SERVE_METRICS_PAGE_H

#include <stddef.h>

#include "convert/http/http_server.h"
#include "attach/serve/tenants.h"
#include "cprof/buffer.h"

void cprof_metrics_page_write(const struct cprof_tenants *tenants,
			      const struct cprof_http_server *http, struct cprof_buffer *out);

#endif
