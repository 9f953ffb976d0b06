/* SPDX-License-Identifier: Apache-2.0 */
#include "convert/net/say.h"

#include <stdarg.h>
#include <stdlib.h>

#include "base/printable.h"
#include "cprof/buffer.h"

void cprof_say(const struct cprof_say *say, const char *fmt, ...)
{
	struct cprof_buffer line = { 0 };
	va_list ap;
	va_start(ap, fmt);
	cprof_buffer_vprintf(&line, fmt, ap);
	va_end(ap);
	char *text = cprof_printable_take((char *)line.data);
	say->line(say->ctx, text ? text : "");
	free(text);
}
