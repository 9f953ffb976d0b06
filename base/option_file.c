/* SPDX-License-Identifier: Apache-2.0 */
#include "base/option_file.h"

#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/file.h"

#define NAME_MAX_BYTES 64

void cprof_option_values_deinit(struct cprof_option_values *values)
{
	for (size_t i = 0; i < values->len; i++) {
		free((char *)(uintptr_t)values->items[i].name);
		free((char *)(uintptr_t)values->items[i].text);
		free((char *)(uintptr_t)values->items[i].origin);
	}
	free(values->items);
	*values = (struct cprof_option_values){ 0 };
}

struct cprof_error *cprof_option_values_add(struct cprof_option_values *values, const char *name,
					    const char *text, const char *origin, unsigned layer)
{
	if (!CPROF_ARRAY_ROOM(values->items, values->len, values->cap, 1))
		return cprof_error_no_memory();
	const struct cprof_option_value copy = {
		.name = strdup(name), .text = strdup(text), .origin = strdup(origin), .layer = layer
	};
	values->items[values->len++] = copy;
	return copy.name && copy.text && copy.origin ? NULL : cprof_error_no_memory();
}

/* ---- a line ---- */

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

static const char *skip_blanks(const char *at, const char *end)
{
	while (at < end && is_blank(*at))
		at++;
	return at;
}

static bool is_name(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '-' || c == '_';
}

/* From the opening quote; false: it is not closed, or something but a comment follows. */
static bool take_quoted(const char *at, const char *end, struct cprof_buffer *value)
{
	for (at++; at < end && *at != '"'; at++) {
		if (*at == '\\' && at + 1 < end && (at[1] == '"' || at[1] == '\\'))
			at++;
		cprof_buffer_putc(value, *at);
	}
	if (at == end)
		return false;
	at = skip_blanks(at + 1, end);
	return at == end || *at == '#';
}

static void take_bare(const char *at, const char *end, struct cprof_buffer *value)
{
	const char *stop = at;
	while (stop < end && !(*stop == '#' && (stop == at || is_blank(stop[-1]))))
		stop++;
	while (stop > at && is_blank(stop[-1]))
		stop--;
	cprof_buffer_append(value, at, (size_t)(stop - at));
}

static struct cprof_error *not_understood(const char *origin)
{
	return cprof_error_hint(
		cprof_error_new(CPROF_ERR_USAGE, "%s: this line is not understood", origin),
		"a line is NAME = VALUE, where NAME is an option without its dash; "
		"or # and a comment");
}

static struct cprof_error *parse_line(const char *at, const char *end, const char *origin,
				      struct cprof_option_values *values)
{
	CPROF_AUTO(buffer) struct cprof_buffer value = { 0 };
	char name[NAME_MAX_BYTES + 1];
	size_t n = 0;
	at = skip_blanks(at, end);
	if (at == end || *at == '#')
		return NULL;
	while (at < end && is_name(*at) && n < NAME_MAX_BYTES)
		name[n++] = *at++;
	name[n] = 0;
	at = skip_blanks(at, end);
	const bool bare = at == end || *at == '#';
	if (!n || *name == '-' || (!bare && *at != '='))
		return not_understood(origin);
	if (bare)
		return cprof_option_values_add(values, name, "true", origin, CPROF_OPTION_FILE);
	at = skip_blanks(at + 1, end);
	if (at < end && *at == '"') {
		if (!take_quoted(at, end, &value))
			return not_understood(origin);
	} else {
		take_bare(at, end, &value);
	}
	struct cprof_error *err = cprof_buffer_error(&value);
	return err ? err
		   : cprof_option_values_add(values, name, cprof_buffer_text(&value), origin,
					     CPROF_OPTION_FILE);
}

/* ---- the file ---- */

struct cprof_error *cprof_option_file_parse(const char *text, size_t n, const char *shown,
					    struct cprof_option_values *values)
{
	const char *end = text + n;
	unsigned line = 1;
	for (const char *at = text; at < end; line++) {
		const char *stop = memchr(at, '\n', (size_t)(end - at));
		const char *next = stop ? stop + 1 : end;
		CPROF_AUTO(buffer) struct cprof_buffer origin = { 0 };
		cprof_buffer_printf(&origin, "%s:%u", shown, line);
		struct cprof_error *err = cprof_buffer_error(&origin);
		stop = stop ? stop : end;
		if (!err && memchr(at, 0, (size_t)(stop - at)))
			err = not_understood(cprof_buffer_text(&origin));
		if (!err)
			err = parse_line(at, stop, cprof_buffer_text(&origin), values);
		if (err)
			return err;
		at = next;
	}
	return NULL;
}

struct cprof_error *cprof_option_file_read(const char *path, struct cprof_option_values *values)
{
	CPROF_AUTO(buffer) struct cprof_buffer text = { 0 };
	struct cprof_error *err = cprof_file_read(path, CPROF_OPTION_FILE_MAX, &text);
	return err ? err
		   : cprof_option_file_parse(cprof_buffer_text(&text), text.len, path, values);
}
