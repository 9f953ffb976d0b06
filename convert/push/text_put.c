/* SPDX-License-Identifier: Apache-2.0 */
#include "convert/push/text_put.h"

#include <time.h>

#include "base/clock.h"

void cprof_push_put_time(struct cprof_buffer *out, uint64_t wall_ns, const char *format)
{
	char text[64];
	struct tm tm;
	const time_t wall_s = (time_t)(wall_ns / CPROF_NS_PER_S);
	if (gmtime_r(&wall_s, &tm) && strftime(text, sizeof(text), format, &tm))
		cprof_buffer_puts(out, text);
}
