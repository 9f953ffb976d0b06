/* SPDX-License-Identifier: Apache-2.0 */
#include "cprof/symbolizer_way.h"

#include <stddef.h>
#include <string.h>

bool cprof_symbolizer_way_parse(const char *text, enum cprof_symbolizer_way *ret_way)
{
	static const char *const words[CPROF_SYMBOLIZER_WAYS] = {
		[CPROF_SYMBOLIZER_AUTO] = "auto",
		[CPROF_SYMBOLIZER_INDEX] = "index",
		[CPROF_SYMBOLIZER_LIBDWFL] = "libdwfl",
	};
	for (size_t i = 0; i < CPROF_SYMBOLIZER_WAYS; i++) {
		if (strcmp(text, words[i]) == 0) {
			*ret_way = (enum cprof_symbolizer_way)i;
			return true;
		}
	}
	return false;
}
