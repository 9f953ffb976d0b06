/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/heap/heap_method.h"

#include <string.h>

static const struct cprof_heap_method methods[] = {
	{ "auto", true, true, true, 0 },
	{ "inline", true, false, false, 0 },
	{ "uprobe", false, true, false, 0 },
	/* What "uprobe" comes to on kernels before 6.13; for comparing. */
	{ "uprobe-perf", false, true, false, 1 },
	{ "usdt", false, false, true, 0 },
};

struct cprof_error *cprof_heap_method_find(const char *name,
					   const struct cprof_heap_method **ret_method)
{
	for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
		if (strcmp(methods[i].name, name) == 0) {
			*ret_method = &methods[i];
			return NULL;
		}
	}
	return cprof_error_new(CPROF_ERR_USAGE,
			       "-heap-method: \"%s\" is not auto, inline, uprobe or usdt", name);
}
