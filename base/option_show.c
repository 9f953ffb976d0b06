/* SPDX-License-Identifier: Apache-2.0 */
#include "base/option_show.h"

#include <string.h>

#include "base/cleanup.h"
#include "base/printable_text.h"
#include "base/secret.h"

#define COLUMN 48 /* where origins begin, if there is room before */

static bool is_plain(const char *text)
{
	const size_t n = strlen(text);
	return n && !strpbrk(text, "\"\\#") && text[0] != ' ' && text[n - 1] != ' ';
}

static void put_quoted(const char *text, struct cprof_buffer *out)
{
	cprof_buffer_putc(out, '"');
	for (const char *at = text; *at; at++) {
		if (*at == '"' || *at == '\\')
			cprof_buffer_putc(out, '\\');
		cprof_buffer_putc(out, *at);
	}
	cprof_buffer_putc(out, '"');
}

/* The value as it may be shown. */
static void put_harmless(const char *text, struct cprof_buffer *out)
{
	const char *equals = strchr(text, '='), *scheme = strstr(text, "://");
	if (equals && (!scheme || equals < scheme) &&
	    cprof_secret_is_name(text, (size_t)(equals - text))) {
		cprof_buffer_append(out, text, (size_t)(equals - text) + 1);
		cprof_buffer_puts(out, "...");
	} else if (scheme) {
		cprof_secret_put_url(text, out);
	} else {
		cprof_printable_puts(out, text);
	}
}

static void put_value(const struct cprof_option_value *value, struct cprof_buffer *out)
{
	CPROF_AUTO(buffer) struct cprof_buffer shown = { 0 };
	const size_t before = out->len;
	put_harmless(value->text, &shown);
	cprof_buffer_printf(out, "%s = ", value->name);
	if (is_plain(cprof_buffer_text(&shown)))
		cprof_buffer_puts(out, cprof_buffer_text(&shown));
	else
		put_quoted(cprof_buffer_text(&shown), out);
	const size_t used = out->len - before;
	cprof_buffer_printf(out, "%*s# ", used < COLUMN - 1 ? (int)(COLUMN - used) : 2, "");
	cprof_printable_puts(out, value->origin);
	cprof_buffer_putc(out, '\n');
}

static bool is_in(const char *const *names, const char *name)
{
	while (*names && strcmp(*names, name) != 0)
		names++;
	return *names;
}

void cprof_option_show(const struct cprof_option_table *table,
		       const struct cprof_option_layers *layers, const char *const *skip,
		       struct cprof_buffer *out)
{
	const char *group = "";
	for (size_t i = 0; i < table->n_rows; i++) {
		const struct cprof_option *row = &table->rows[i];
		group = row->group ? row->group : group;
		if (strcmp(group, "hidden") == 0 || is_in(skip, row->name))
			continue;
		for (size_t k = 0; k < layers->rows[i].len; k++)
			put_value(&layers->rows[i].items[k], out);
		if (!layers->rows[i].len)
			cprof_buffer_printf(out, "# %s is not given\n", row->name);
	}
}
