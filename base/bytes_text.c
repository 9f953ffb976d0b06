/* SPDX-License-Identifier: Apache-2.0 */
#include "base/bytes_text.h"

#include <stdio.h>

const char *cprof_bytes_text(double bytes, enum cprof_bytes_digits digits,
			     char text[CPROF_BYTES_TEXT])
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
	size_t unit = 0;
	for (; bytes >= 1024 && unit + 1 < sizeof(units) / sizeof(units[0]); unit++)
		bytes /= 1024;
	if (!unit)
		snprintf(text, CPROF_BYTES_TEXT, "%.0f B", bytes);
	else
		snprintf(text, CPROF_BYTES_TEXT, digits == CPROF_BYTES_FOUR ? "%.4g %s" : "%.1f %s",
			 bytes, units[unit]);
	return text;
}
