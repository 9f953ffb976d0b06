/* SPDX-License-Identifier: Apache-2.0 */
/* Any text as a symbol, in every form. */
#include <stdlib.h>
#include <string.h>

#include "cprof/demangle.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
	char *name = strndup((const char *)data, size);
	for (int form = 0; name && form < 4; form++) {
		free(cprof_demangle(name, (enum cprof_demangle)form));
		free(cprof_demangle_plain(name, (enum cprof_demangle)form));
	}
	free(name);
	return 0;
}
