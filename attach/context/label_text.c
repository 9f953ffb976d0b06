/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/context/label_text.h"

#include <string.h>

#include "base/printable.h"

size_t cprof_label_text(const uint8_t *bytes, size_t n, char *to, size_t room)
{
	const char *from = (const char *)bytes;
	char shown[CPROF_PRINTABLE_MAX];
	size_t at = 0;
	for (size_t i = 0; i < n;) {
		/* One character at a time: what is cut is cut between two of them. */
		const size_t length = cprof_utf8_length(from + i, n - i);
		const bool fit = length && cprof_printable_span(from + i, length, "") == length;
		const size_t taken = fit ? length : cprof_printable_show(from + i, n - i, shown);
		const size_t more = fit ? length : strlen(shown);
		if (at + more >= room)
			break;
		memcpy(to + at, fit ? from + i : shown, more);
		at += more;
		i += taken;
	}
	if (room)
		to[at] = 0;
	return at;
}
