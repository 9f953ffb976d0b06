/* SPDX-License-Identifier: Apache-2.0 */
#include "base/text_line.h"

#include <string.h>

const char *cprof_text_line(const char *text, const char *key)
{
	const size_t n = strlen(key);
	for (const char *line = text; line && *line;) {
		if (strncmp(line, key, n) == 0)
			return line + n;
		line = strchr(line, '\n');
		line = line ? line + 1 : NULL;
	}
	return NULL;
}
