#include "convert/net/say.h"

#include <stdarg.h>

#include "cprof/buffer.h"

void cprof_say(const struct cprof_say *say, const char *fmt, ...)
{
	struct cprof_buffer line = { 0 };
	va_list ap;
	va_start(ap, fmt);
	cprof_buffer_vprintf(&line, fmt, ap);
	va_end(ap);
	say->line(say->ctx, cprof_buffer_text(&line));
	cprof_buffer_deinit(&line);
}
