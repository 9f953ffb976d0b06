/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/serve/tenant_list.h - who is served: for people, for programs, and for the service discovery of scrapers.
 */
#ifndef CPROF_ATTACH_SERVE_TENANT_LIST_H
#define CPROF_ATTACH_SERVE_TENANT_LIST_H

#include <stddef.h>

#include "attach/serve/tenants.h"
#include "cprof/buffer.h"

/* A page with a link to each; nothing of the processes' stands there unescaped. */
void cprof_tenant_list_page(const struct cprof_tenants *tenants, struct cprof_buffer *out);

/* [{"pid":1234,"comm":"redis-server","alive":true,"path":"/pid/1234/debug/pprof/"}, ...] */
void cprof_tenant_list_json(const struct cprof_tenants *tenants, struct cprof_buffer *out);

/*
 * As Prometheus's HTTP service discovery wants it, of those that live: `host` is "127.0.0.1:6060". Each is told by
 * __profile_path_prefix__ to who knows that (Grafana Alloy) and by __param_pid to who does not (Parca).
 */
void cprof_tenant_list_discovery(const struct cprof_tenants *tenants, const char *host,
				 struct cprof_buffer *out);

/*
 * The container's id and the pod's uid in a path of /proc/PID/cgroup: 64 hexadecimal digits, and a UUID after "pod", in which
 * systemd writes '_' for '-'. Appended to the buffers; nothing where there is none.
 */
void cprof_tenant_list_container(const char *cgroup, struct cprof_buffer *id,
				 struct cprof_buffer *pod_uid);

#endif
