/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/context/context_keys.h - names of attributes by number, as a process context has them for the contexts of its threads.
 *
 * Source of truth: OTEP 4947 "Process Context: Thread-Local Reference Data"; opentelemetry-proto, "process_context.proto", "common.proto".
 */
#ifndef CPROF_ATTACH_CONTEXT_CONTEXT_KEYS_H
#define CPROF_ATTACH_CONTEXT_CONTEXT_KEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CPROF_CONTEXT_KEYS_MAX 256
#define CPROF_CONTEXT_KEY_TEXT 64 /* bytes of a name, with its zero; longer ones are cut */

struct cprof_context_keys {
	char schema[CPROF_CONTEXT_KEY_TEXT]; /* "" where it does not say */
	size_t n;
	char names[CPROF_CONTEXT_KEYS_MAX][CPROF_CONTEXT_KEY_TEXT];
};

/* From the payload of a process context (attach/run/process_context.h). Without keys it is empty; what is broken ends it. */
void cprof_context_keys_decode(const uint8_t *payload, size_t n, struct cprof_context_keys *ret);

/* Does a thread's context look as thread_context.h knows it, as far as that schema says? */
bool cprof_context_keys_known(const struct cprof_context_keys *keys);

#endif
