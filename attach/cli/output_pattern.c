/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/cli/output_pattern.h"

#include <string.h>

#include "base/cleanup.h"
#include "cprof/buffer.h"

bool cprof_output_pattern_marked(const char *name)
{
	return name && strstr(name, CPROF_OUTPUT_PATTERN_MARK);
}

char *cprof_output_pattern_fill(const char *pattern, pid_t pid)
{
	CPROF_AUTO(buffer) struct cprof_buffer name = { 0 };
	for (const char *mark; (mark = strstr(pattern, CPROF_OUTPUT_PATTERN_MARK));
	     pattern = mark + strlen(CPROF_OUTPUT_PATTERN_MARK))
		cprof_buffer_printf(&name, "%.*s%d", (int)(mark - pattern), pattern, (int)pid);
	cprof_buffer_puts(&name, pattern);
	return strdup(cprof_buffer_text(&name));
}
