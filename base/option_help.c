/* SPDX-License-Identifier: Apache-2.0 */
#include "base/options.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

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

static void put_row(const struct cprof_option *row, struct cprof_buffer *out)
{
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

/* Whether `word` is one of the words of `text`, whatever their case. */
static bool has_word(const char *text, const char *word)
{
	while (*text && *text != '(') { /* what follows is a remark */
		const size_t n = strcspn(text, " -,()");
		if (n && n == strlen(word) && strncasecmp(text, word, n) == 0)
			return true;
		text += n + (text[n] != 0);
	}
	return false;
}

/* The rows of the groups that `topic` is a word of, and the row of that name; all of them for NULL. */
static bool put_rows(const struct cprof_option_table *table, const char *topic,
		     struct cprof_buffer *out)
{
	const char *group = NULL, *put = NULL;
	for (size_t i = 0; i < table->n_rows; i++) {
		const struct cprof_option *row = &table->rows[i];
		bool heading;
		if (!shown(row, &group, &heading) ||
		    (topic && strcmp(row->name, topic) != 0 && !(group && has_word(group, topic))))
			continue;
		if (put != group)
			cprof_buffer_printf(out, "%s%s:\n", topic && !put ? "" : "\n", group);
		put = group;
		put_row(row, out);
	}
	return put != NULL;
}

void cprof_options_help(const struct cprof_option_table *table, struct cprof_buffer *out)
{
	put_rows(table, NULL, out);
}

void cprof_options_topics(const struct cprof_option_table *table, size_t indent,
			  struct cprof_buffer *out)
{
	const char *group = NULL;
	struct cprof_buffer words = { 0 };
	for (size_t i = 0; i < table->n_rows; i++) {
		bool heading;
		if (!shown(&table->rows[i], &group, &heading) || !heading)
			continue;
		for (const char *at = group; isalpha((unsigned char)*at); at++)
			cprof_buffer_putc(&words, (char)tolower((unsigned char)*at));
		cprof_buffer_puts(&words, ", ");
	}
	cprof_buffer_puts(&words, "all");
	if (indent)
		wrap(out, cprof_buffer_text(&words), 0, indent);
	else
		cprof_buffer_puts(out, cprof_buffer_text(&words));
	cprof_buffer_deinit(&words);
}

const char *cprof_options_help_topic(int argc, char *const argv[])
{
	for (int i = 1; i + 1 < argc && strcmp(argv[i], "--") != 0; i++) {
		const char *name = argv[i] + strspn(argv[i], "-");
		if (*argv[i] == '-' && (strcmp(name, "help") == 0 || strcmp(name, "h") == 0) &&
		    *argv[i + 1] != '-')
			return argv[i + 1];
	}
	return NULL;
}

struct cprof_error *cprof_options_help_about(const struct cprof_option_table *table,
					     const char *topic, struct cprof_buffer *out)
{
	if (*topic && put_rows(table, topic, out))
		return NULL;
	struct cprof_buffer topics = { 0 };
	cprof_options_topics(table, 0, &topics);
	struct cprof_error *err = cprof_error_hint(
		cprof_error_new(CPROF_ERR_USAGE,
				"-help: there is neither a topic nor an option \"%s\"", topic),
		"topics are %s", cprof_buffer_text(&topics));
	cprof_buffer_deinit(&topics);
	return err;
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
