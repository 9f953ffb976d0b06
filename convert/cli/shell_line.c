/* SPDX-License-Identifier: Apache-2.0 */
#include "convert/cli/shell_line.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "convert/output/format_table.h"

#define MAX_WORDS 64

struct shell {
	const struct cprof_profile *profile;
	struct cprof_config *config;
	struct cprof_intern *memory;
};

/* `n` bytes of text that stay as long as the shell. */
static struct cprof_error *keep(struct shell *shell, const char *text, size_t n, const char **ret)
{
	uint32_t id;
	struct cprof_error *err = cprof_intern_bytes(shell->memory, text, n, &id);
	if (!err)
		*ret = cprof_intern_get(shell->memory, id);
	return err;
}

static const char *skip_blanks(const char *text)
{
	while (isspace((unsigned char)*text))
		text++;
	return text;
}

static size_t trimmed_length(const char *text, size_t n)
{
	while (n && isspace((unsigned char)text[n - 1]))
		n--;
	return n;
}

static struct cprof_error *set(struct shell *shell, const char *name, const char *value)
{
	return cprof_config_set(shell->config, name, value);
}

static const char *type_named(const struct cprof_profile *p, const char *name)
{
	for (uint32_t i = 0; i < p->n_types; i++) {
		const char *type = cprof_profile_text(p, p->types[i].type);
		if (strcmp(type, name) == 0)
			return type;
	}
	return NULL;
}

/* ":" and the names of sample types, with total_ and mean_ before them. */
static struct cprof_error *expand_shortcut(struct shell *shell, const char *word, bool *ret_done)
{
	static const char *const cleared[] = { "focus",     "ignore", "hide", "tagfocus",
					       "tagignore", "from",   "to" };
	struct cprof_error *err = NULL;
	*ret_done = true;
	if (strcmp(word, ":") == 0) {
		for (size_t i = 0; !err && i < 5; i++)
			err = set(shell, cleared[i], "");
		return err;
	}
	const char *type = type_named(shell->profile, word);
	if (!type && strncmp(word, "total_", 6) == 0 &&
	    (type = type_named(shell->profile, word + 6)))
		err = set(shell, "mean", "0");
	if (!type && strncmp(word, "mean_", 5) == 0 &&
	    (type = type_named(shell->profile, word + 5)))
		err = set(shell, "mean", "1");
	*ret_done = type != NULL;
	return type && !err ? set(shell, "sample_index", type) : err;
}

static struct cprof_error *check_type(const struct cprof_profile *p, const char *value,
				      const char **ret_type)
{
	char *end;
	long number = strtol(value, &end, 10);
	*ret_type = type_named(p, value);
	if (!*ret_type && *value && !*end && number >= 0 && number < (long)p->n_types)
		*ret_type = cprof_profile_text(p, p->types[number].type);
	if (*ret_type || !*value)
		return NULL;
	struct cprof_buffer names = { 0 };
	for (uint32_t i = 0; i < p->n_types; i++)
		cprof_buffer_printf(&names, "%s%s", i ? " " : "",
				    cprof_profile_text(p, p->types[i].type));
	struct cprof_error *err =
		cprof_error_new(CPROF_ERR_USAGE, "sample_index \"%s\" must be one of: [%s]", value,
				cprof_buffer_text(&names));
	cprof_buffer_deinit(&names);
	return err;
}

/* "name=value", "name = value //: a comment", or the name of a switch alone. */
static struct cprof_error *read_assignment(struct shell *shell, const char *text, bool *ret_done)
{
	size_t n = strcspn(text, "=");
	bool has_value = text[n] == '=';
	const char *name, *value = NULL;
	struct cprof_error *err = keep(shell, text, trimmed_length(text, n), &name);
	bool is_switch;
	*ret_done = false;
	if (err || !cprof_config_known(name, &is_switch))
		return err;
	*ret_done = true;
	if (!has_value && !is_switch)
		return cprof_error_new(CPROF_ERR_USAGE, "please specify a value, e.g. %s=<val>",
				       name);
	const char *start = has_value ? skip_blanks(text + n + 1) : "true";
	const char *comment = start;
	for (const char *at = start; (at = strstr(at, "//:")); at++)
		comment = at; /* the last one */
	size_t length = comment > start || strncmp(start, "//:", 3) == 0 ? (size_t)(comment - start)
									 : strlen(start);
	err = keep(shell, start, trimmed_length(start, length), &value);
	if (!err && strcmp(name, "sample_index") == 0) {
		const char *type = NULL;
		err = check_type(shell->profile, value, &type);
		value = type ? type : value;
	}
	return err ? err : set(shell, name, value);
}

static struct cprof_error *split(struct shell *shell, const char *text, const char **words,
				 size_t *ret_n)
{
	*ret_n = 0;
	while (*(text = skip_blanks(text))) {
		size_t n = 0;
		while (text[n] && !isspace((unsigned char)text[n]))
			n++;
		if (*ret_n == MAX_WORDS)
			return cprof_error_new(CPROF_ERR_USAGE, "more than %d words in a line",
					       MAX_WORDS);
		struct cprof_error *err = keep(shell, text, n, &words[(*ret_n)++]);
		if (err)
			return err;
		text += n;
	}
	return NULL;
}

/* The report that a word names; "top10" is "top" and the number 10. */
static struct cprof_error *find_format(struct shell *shell, const char *word,
				       struct cprof_shell_line *line)
{
	line->format = cprof_format_find(word);
	size_t n = strlen(word);
	while (n && isdigit((unsigned char)word[n - 1]))
		n--;
	const char *name;
	struct cprof_error *err = NULL;
	if (!line->format && n && word[n] && !(err = keep(shell, word, n, &name))) {
		line->format = cprof_format_find(name);
		line->config.nodecount = strtol(word + n, NULL, 10);
	}
	return err;
}

static struct cprof_error *unknown_command(const char *word)
{
	const char *names[64];
	size_t n = 0;
	for (; n < 64 && cprof_formats[n]; n++)
		names[n] = cprof_formats[n]->name;
	struct cprof_error *err =
		cprof_error_new(CPROF_ERR_USAGE, "unrecognized command: \"%s\"", word);
	const char *nearest = cprof_options_nearest(word, names, n);
	if (nearest)
		return cprof_error_hint(err, "did you mean %s? help lists the commands", nearest);
	return cprof_error_hint(err, "help lists the commands");
}

/* Several expressions become one that matches any of them. */
static void join(struct cprof_buffer *regex, const char *more)
{
	if (regex->len && *more)
		cprof_buffer_putc(regex, '|');
	cprof_buffer_puts(regex, more);
}

struct arguments {
	struct cprof_buffer focus, ignore;
};

static bool is_number(const char *word, int64_t *ret)
{
	char *end;
	errno = 0;
	*ret = strtol(word, &end, 10);
	return *word && !*end && !errno && *ret >= INT32_MIN && *ret <= INT32_MAX;
}

/* "top | less" and "top >> file" would quietly be something else: expressions, a file called ">file". */
static struct cprof_error *refuse_shell_words(const char *word)
{
	size_t n = strlen(word);
	struct cprof_error *err = NULL;
	if (strncmp(word, ">>", 2) == 0)
		err = cprof_error_new(CPROF_ERR_USAGE,
				      "nothing can be appended to a file from here");
	else if (*word == '|' || (n && word[n - 1] == '|'))
		err = cprof_error_new(CPROF_ERR_USAGE, "a report cannot be piped from here");
	if (!err)
		return NULL;
	return cprof_error_hint(err, "> FILE writes it into a file, and replaces that; `cprof -top "
				     "PROFILE | less` outside of this shell makes a pipe");
}

/* What stands behind a report's name: numbers, "> file", "-cum", "-ignored", "focused". */
static struct cprof_error *read_arguments(const char **words, size_t n, struct cprof_config *config,
					  struct arguments *arguments)
{
	for (size_t i = 0; i < n; i++) {
		const char *word = words[i];
		int64_t number;
		struct cprof_error *err = refuse_shell_words(word);
		if (err)
			return err;
		if (is_number(word, &number)) {
			config->nodecount = number;
		} else if (*word == '>') {
			const char *file = word[1] ? word + 1 : i + 1 < n ? words[++i] : NULL;
			if (!file)
				return cprof_error_new(CPROF_ERR_USAGE,
						       "unexpected end of line after >");
			config->output = file;
		} else if (strcmp(word, "-cum") == 0 || strcmp(word, "--cum") == 0) {
			config->cum = true;
		} else if (*word == '-') {
			join(&arguments->ignore, word + 1);
		} else {
			join(&arguments->focus, word);
		}
	}
	return NULL;
}

/* Expressions given with `tags` are about tags, with all others about frames. */
static struct cprof_error *apply(struct shell *shell, struct arguments *arguments,
				 struct cprof_shell_line *line)
{
	bool tags = strcmp(line->format->name, "tags") == 0;
	struct cprof_config *config = &line->config;
	const char **focus = tags ? &config->tagfocus : &config->focus;
	const char **ignore = tags ? &config->tagignore : &config->ignore;
	struct cprof_error *err = cprof_buffer_error(&arguments->focus);
	if (!err)
		err = cprof_buffer_error(&arguments->ignore);
	if (!err && arguments->focus.len)
		err = keep(shell, cprof_buffer_text(&arguments->focus), arguments->focus.len,
			   focus);
	if (!err && arguments->ignore.len)
		err = keep(shell, cprof_buffer_text(&arguments->ignore), arguments->ignore.len,
			   ignore);
	if (config->nodecount == -1 && line->format->flags & CPROF_FORMAT_ALL_NODES)
		config->nodecount = 10; /* a screenful */
	return err;
}

static struct cprof_error *read_report(struct shell *shell, const char **words, size_t n,
				       struct cprof_shell_line *line)
{
	line->config = *shell->config;
	struct cprof_error *err = find_format(shell, words[0], line);
	if (err)
		return err;
	if (!line->format)
		return unknown_command(words[0]);
	line->kind = CPROF_SHELL_REPORT;
	size_t used = 1;
	if (line->format->arg) {
		if (n < 2)
			return cprof_error_new(CPROF_ERR_USAGE, "command %s requires an argument",
					       line->format->name);
		line->argument = words[used++];
	}
	struct arguments arguments = { { 0 }, { 0 } };
	err = read_arguments(words + used, n - used, &line->config, &arguments);
	if (!err)
		err = apply(shell, &arguments, line);
	cprof_buffer_deinit(&arguments.focus);
	cprof_buffer_deinit(&arguments.ignore);
	return err;
}

static struct cprof_error *read_words(struct shell *shell, const char *text,
				      struct cprof_shell_line *line)
{
	static const struct {
		const char *word;
		enum cprof_shell_kind kind;
	} others[] = {
		{ "o", CPROF_SHELL_OPTIONS }, { "options", CPROF_SHELL_OPTIONS },
		{ "q", CPROF_SHELL_QUIT },    { "quit", CPROF_SHELL_QUIT },
		{ "exit", CPROF_SHELL_QUIT }, { "help", CPROF_SHELL_HELP },
	};
	const char *words[MAX_WORDS];
	size_t n;
	struct cprof_error *err = split(shell, text, words, &n);
	if (err || !n)
		return err;
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		if (strcmp(words[0], others[i].word) != 0)
			continue;
		line->kind = others[i].kind;
		line->argument = n > 1 ? words[1] : NULL;
		return NULL;
	}
	return read_report(shell, words, n, line);
}

struct cprof_error *cprof_shell_line_read(const char *text, const struct cprof_profile *profile,
					  struct cprof_config *config, struct cprof_intern *memory,
					  struct cprof_shell_line *ret_line)
{
	struct shell shell = { profile, config, memory };
	*ret_line = (struct cprof_shell_line){ .kind = CPROF_SHELL_NOTHING };
	text = skip_blanks(text);
	const char *whole;
	bool done;
	struct cprof_error *err = keep(&shell, text, trimmed_length(text, strlen(text)), &whole);
	if (!err)
		err = expand_shortcut(&shell, whole, &done);
	if (!err && !done)
		err = read_assignment(&shell, whole, &done);
	return err || done ? err : read_words(&shell, whole, ret_line);
}

const char *cprof_shell_line_value(const struct cprof_profile *profile, const char *name,
				   size_t number)
{
	static const char *const sorts[] = { "cum", "flat", NULL };
	static const char *const switches[] = { "true", "false", NULL };
	static const char *const units[] = { "minimum", "auto",    "ns",    "us",    "ms",
					     "seconds", "minutes", "hours", "bytes", "kb",
					     "mb",      "gb",      NULL };
	const char *const *values = NULL;
	bool is_switch;
	if (strcmp(name, "sample_index") == 0)
		return number < profile->n_types
			       ? cprof_profile_text(profile, profile->types[number].type)
			       : NULL;
	if (strcmp(name, "granularity") == 0)
		return number < 5 ? cprof_granularity_names[number] : NULL;
	if (strcmp(name, "sort") == 0)
		values = sorts;
	else if (strcmp(name, "unit") == 0)
		values = units;
	else if (cprof_config_known(name, &is_switch) && is_switch)
		values = switches;
	for (size_t i = 0; values && values[i]; i++) {
		if (i == number)
			return values[i];
	}
	return NULL;
}
