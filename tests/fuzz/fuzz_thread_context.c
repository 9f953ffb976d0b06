/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/fuzz/fuzz_thread_context.c - a context of a thread as it was copied, with names of attributes out of a process context: a byte that says how
 * long the names' part is, that part, and the event.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "attach/context/go_labels.h"
#include "attach/context/thread_context.h"
#include "base/printable.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

static void check(const char *text)
{
	if (!cprof_printable_is(text, strlen(text)))
		abort();
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
	static struct cprof_context_keys keys;
	static struct cprof_thread_context context;
	char version[CPROF_GO_VERSION];
	const size_t n = size ? data[0] : 0;
	cprof_go_labels_version(data, size, version);
	check(version);
	if (size < 1 + n)
		return 0;
	cprof_context_keys_decode(data + 1, n, &keys);
	check(keys.schema);
	for (size_t i = 0; i < keys.n; i++)
		check(keys.names[i]);
	if (!cprof_thread_context_decode(data + 1 + n, size - 1 - n, &keys, &context))
		return 0;
	check(context.trace_id);
	check(context.span_id);
	for (size_t i = 0; i < context.n; i++) {
		check(context.attributes[i].key);
		check(context.attributes[i].value);
	}
	return 0;
}
