/* SPDX-License-Identifier: Apache-2.0 */
/* Any text after -heap-hook: refused with a reason, or something that can be made into a stub. */
#include <stdlib.h>
#include <string.h>

#include "attach/heap/alloc/pool_code.h"
#include "attach/heap/alloc/pool_spec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	char text[512];
	uint8_t code[CPROF_POOL_CODE_BYTES];
	struct cprof_pool_spec spec;
	n = n < sizeof(text) ? n : sizeof(text) - 1;
	memcpy(text, data, n);
	text[n] = 0;
	struct cprof_error *err = cprof_pool_spec_parse(text, &spec);
	if (err) {
		if (err->code != CPROF_ERR_USAGE || !err->hint)
			abort();
		cprof_error_free(err);
		return 0;
	}
	const struct cprof_shim_pool *args = &spec.alloc_args;
	if (!cprof_pool_place_given(&spec.alloc) && !cprof_pool_place_given(&spec.free))
		abort();
	if (cprof_pool_place_given(&spec.alloc) &&
	    (args->size.arg == CPROF_SHIM_NO_ARG ? !args->bytes
						 : args->size.arg >= CPROF_SHIM_ARGS))
		abort();
	cprof_pool_code_make(args, code);
	cprof_pool_spec_deinit(&spec);
	return 0;
}
