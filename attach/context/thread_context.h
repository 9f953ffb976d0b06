/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/context/thread_context.h - what a copied context says: ids of trace and span, and attributes.
 *
 * Pure. The bytes are the target's: every length is checked, text becomes valid UTF-8 without control characters, and what makes no sense ends the
 * reading.
 *
 * Source of truth: OpenTelemetry specification, OTEP 4947 "Thread Context: Sharing Thread-Level Information with External Readers"; Go labels as
 * context_bpf.h has them.
 */
#ifndef CPROF_ATTACH_CONTEXT_THREAD_CONTEXT_H
#define CPROF_ATTACH_CONTEXT_THREAD_CONTEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "attach/context/context_bpf.h"
#include "attach/context/context_keys.h"

#define CPROF_THREAD_CONTEXT_MAX  32   /* attributes */
#define CPROF_THREAD_CONTEXT_TEXT 4096 /* bytes of all texts together */

struct cprof_thread_context {
	char trace_id[33], span_id[17]; /* in hexadecimal; "" for none */
	struct {
		const char *key, *value; /* in `text`, or the keys' */
	} attributes[CPROF_THREAD_CONTEXT_MAX];
	size_t n;
	bool cut;     /* there are more, or values are longer */
	bool unknown; /* an attribute's name is not (yet) among the keys */
	size_t n_text;
	char text[CPROF_THREAD_CONTEXT_TEXT];
};

/*
 * From the `n` bytes of an event (context_bpf.h), which need not be aligned. `keys` name the attributes, and are borrowed by the result; NULL: there
 * are none. Of an attribute that is there twice the last one counts. False: it is no context.
 */
bool cprof_thread_context_decode(const void *event, size_t n, const struct cprof_context_keys *keys,
				 struct cprof_thread_context *ret);

#endif
