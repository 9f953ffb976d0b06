/* SPDX-License-Identifier: Apache-2.0 */
/* Any text as a file of options: refused with a line and a hint, or values that come out the same when they are written again. */
#include <stdlib.h>
#include <string.h>

#include "base/option_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* NAME = "VALUE", as the format quotes it. */
static void write_again(const struct cprof_option_values *values, struct cprof_buffer *out)
{
	for (size_t i = 0; i < values->len; i++) {
		cprof_buffer_printf(out, "%s = \"", values->items[i].name);
		for (const char *at = values->items[i].text; *at; at++) {
			if (*at == '"' || *at == '\\')
				cprof_buffer_putc(out, '\\');
			cprof_buffer_putc(out, *at);
		}
		cprof_buffer_puts(out, "\"\n");
	}
}

static void check_same(const struct cprof_option_values *a, const struct cprof_option_values *b)
{
	if (a->len != b->len)
		abort();
	for (size_t i = 0; i < a->len; i++) {
		if (strcmp(a->items[i].name, b->items[i].name) != 0 ||
		    strcmp(a->items[i].text, b->items[i].text) != 0)
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct cprof_option_values values = { 0 }, again = { 0 };
	struct cprof_buffer text = { 0 };
	struct cprof_error *err = cprof_option_file_parse((const char *)data, n, "file", &values);
	if (err) {
		if (err->code != CPROF_ERR_USAGE || !err->hint)
			abort();
		cprof_error_free(err);
	} else {
		write_again(&values, &text);
		if (cprof_option_file_parse(cprof_buffer_text(&text), text.len, "again", &again))
			abort();
		check_same(&values, &again);
	}
	cprof_buffer_deinit(&text);
	cprof_option_values_deinit(&values);
	cprof_option_values_deinit(&again);
	return 0;
}
