/* SPDX-License-Identifier: Apache-2.0 */
#include "base/options.h"

#include <string.h>

/* Words of `text` from column `indent`, wrapped at column 80; the caller is at `column` already. */
static void wrap(struct cprof_buffer *out, const char *text, size_t column, size_t indent)
{
	if (column > indent) {
		cprof_buffer_putc(out, '\n');
		column = 0;
	}
	cprof_buffer_printf(out, "%*s", (int)(indent - column), "");
	column = indent;
	for (bool first = true; *text; first = false) {
		size_t word = strcspn(text, " ");
		if (!first && column + 1 + word > 80) {
			cprof_buffer_printf(out, "\n%*s", (int)indent, "");
			column = indent;
		} else if (!first) {
			cprof_buffer_putc(out, ' ');
			column++;
		}
		cprof_buffer_append(out, text, word);
		column += word;
		text += word + strspn(text + word, " ");
	}
	cprof_buffer_putc(out, '\n');
}

static bool shown(const struct cprof_option *row, const char **group, bool *ret_heading)
{
	*ret_heading = row->group && (!*group || strcmp(row->group, *group) != 0);
	if (row->group)
		*group = row->group;
	return !*group || strcmp(*group, "hidden") != 0;
}

void cprof_options_help(const struct cprof_option_table *table, struct cprof_buffer *out)
{
	const char *group = NULL;
	for (size_t i = 0; i < table->n_rows; i++) {
		const struct cprof_option *row = &table->rows[i];
		bool heading;
		if (!shown(row, &group, &heading))
			continue;
		if (heading)
			cprof_buffer_printf(out, "\n%s:\n", group);
		size_t before = out->len;
		cprof_buffer_printf(out, "  -%s%s%s", row->name, row->arg ? " " : "",
				    row->arg ? row->arg : "");
		size_t column = out->len - before;
		struct cprof_buffer text = { 0 };
		cprof_buffer_puts(&text, row->help);
		if (row->fallback && *row->fallback)
			cprof_buffer_printf(&text, " (default %s)", row->fallback);
		wrap(out, cprof_buffer_text(&text), column + 1, 26);
		cprof_buffer_deinit(&text);
	}
}

/* roff: a backslash and a leading dot or quote mean something else there. */
static void man_text(struct cprof_buffer *out, const char *text)
{
	for (; *text; text++) {
		if (*text == '\\')
			cprof_buffer_puts(out, "\\e");
		else if (*text == '-')
			cprof_buffer_puts(out, "\\-");
		else
			cprof_buffer_putc(out, *text);
	}
}

void cprof_options_man(const struct cprof_option_table *table, struct cprof_buffer *out)
{
	const char *group = NULL;
	for (size_t i = 0; i < table->n_rows; i++) {
		const struct cprof_option *row = &table->rows[i];
		bool heading;
		if (!shown(row, &group, &heading))
			continue;
		if (heading)
			cprof_buffer_printf(out, ".SS %s\n", group);
		cprof_buffer_puts(out, ".TP\n.B \\-");
		man_text(out, row->name);
		if (row->arg) {
			cprof_buffer_puts(out, " \\fI");
			man_text(out, row->arg);
			cprof_buffer_puts(out, "\\fR");
		}
		cprof_buffer_putc(out, '\n');
		man_text(out, row->help);
		if (row->fallback && *row->fallback) {
			cprof_buffer_puts(out, " (default ");
			man_text(out, row->fallback);
			cprof_buffer_putc(out, ')');
		}
		cprof_buffer_puts(out, ".\n");
	}
}
