/* SPDX-License-Identifier: Apache-2.0 */
#include "base/shell_word.h"

#include <string.h>

#include "base/printable_text.h"

void cprof_shell_word_put(struct cprof_buffer *out, const char *text)
{
	static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				    "0123456789/._+-=,:@%";
	if (*text && text[strspn(text, plain)] == 0) {
		cprof_buffer_puts(out, text);
		return;
	}
	cprof_buffer_putc(out, '\'');
	while (*text) {
		size_t n = strcspn(text, "'");
		cprof_printable_put(out, text, n, "");
		text += n;
		if (*text)
			cprof_buffer_puts(out, "'\\''");
		text += *text == '\'';
	}
	cprof_buffer_putc(out, '\'');
}
