/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/serve/index_page.h - /debug/pprof/: what can be had of the target, for people.
 */
#ifndef CPROF_ATTACH_SERVE_INDEX_PAGE_H
#define CPROF_ATTACH_SERVE_INDEX_PAGE_H

#include "attach/serve/endpoint.h"
#include "attach/target/target.h"
#include "cprof/buffer.h"

/* What stands in the first column for an endpoint, appended: a count, as in Go's page, or a few words. */
typedef void cprof_index_state_fn(void *ctx, const struct cprof_endpoint *endpoint,
				  struct cprof_buffer *out);

/* Append the page, HTML. Nothing of the target's stands there unescaped. */
void cprof_index_page_write(const struct cprof_target *target, cprof_index_state_fn *state,
			    void *ctx, struct cprof_buffer *out);

#endif
