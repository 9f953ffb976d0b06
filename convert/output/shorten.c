/* SPDX-License-Identifier: Apache-2.0 */
#include "convert/output/shorten.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "convert/report/regex.h"

/*
 * The shapes, with what is kept in group 1. They decide what two tools print alike, so they are those of
 * google/pprof (internal/graph, ShortenFunctionName).
 */
enum { SHAPE_VERSION, SHAPE_GO, SHAPE_JAVA, SHAPE_CPP, N_SHAPES };
static const char *const shapes[N_SHAPES] = {
	/* A module version in a Go import path: group 1 and 2 stay. */
	[SHAPE_VERSION] = "^(.*?)/v(?:[2-9]|[1-9][0-9]+)([./].*)$",
	/* path/to/package.Name */
	[SHAPE_GO] = "^(?:[\\w\\-\\.]+\\/)+([^.]+\\..+)",
	/* com.example.Class.method(arguments) */
	[SHAPE_JAVA] =
		"^(?:[a-z]\\w*\\.)*([A-Z][\\w\\$]*\\.(?:<init>|[a-z][\\w\\$]*(?:\\$\\d+)?))(?:(?:\\()|$)",
	/* ns::ns::Class::method<arguments> */
	[SHAPE_CPP] = "^(?:[_a-zA-Z]\\w*::)+(_*[A-Z]\\w*::~?[_a-zA-Z]\\w*(?:<.*>)?)",
};

struct cprof_shortener {
	struct cprof_regex *regexes[N_SHAPES];
};

struct cprof_error *cprof_shortener_new(struct cprof_shortener **ret_shortener)
{
	struct cprof_shortener *shortener = calloc(1, sizeof(*shortener));
	if (!shortener)
		return cprof_error_no_memory();
	for (int i = 0; i < N_SHAPES; i++) {
		struct cprof_error *err = cprof_regex_new(shapes[i], &shortener->regexes[i]);
		if (err) {
			cprof_shortener_free(shortener);
			return err;
		}
	}
	*ret_shortener = shortener;
	return NULL;
}

void cprof_shortener_free(struct cprof_shortener *shortener)
{
	if (!shortener)
		return;
	for (int i = 0; i < N_SHAPES; i++)
		cprof_regex_free(shortener->regexes[i]);
	free(shortener);
}

static void put_group(const struct cprof_regex *regex, const char *text, unsigned group,
		      struct cprof_buffer *out)
{
	size_t start, end;
	if (cprof_regex_group(regex, group, &start, &end))
		cprof_buffer_append(out, text + start, end - start);
}

void cprof_shortener_shorten(struct cprof_shortener *shortener, const char *name,
			     struct cprof_buffer *out)
{
	static const char anonymous[] = "(anonymous namespace)::";
	CPROF_AUTO(buffer) struct cprof_buffer unversioned = { 0 };
	if (strncmp(name, anonymous, sizeof(anonymous) - 1) == 0)
		name += sizeof(anonymous) - 1;
	struct cprof_regex *version = shortener->regexes[SHAPE_VERSION];
	if (cprof_regex_match(version, name)) {
		put_group(version, name, 1, &unversioned);
		put_group(version, name, 2, &unversioned);
		name = cprof_buffer_text(&unversioned);
	}
	for (int i = SHAPE_GO; i < N_SHAPES; i++) {
		if (!cprof_regex_match(shortener->regexes[i], name))
			continue;
		put_group(shortener->regexes[i], name, 1, out);
		return;
	}
	cprof_buffer_puts(out, name);
}

void cprof_shorten_middle(const char *text, size_t most, struct cprof_buffer *out)
{
	const size_t n = strlen(text);
	if (n <= most) {
		cprof_buffer_puts(out, text);
		return;
	}
	size_t head = most / 2, tail = n - most / 2;
	while (head && ((unsigned char)text[head] & 0xc0) == 0x80)
		head--;
	while (tail < n && ((unsigned char)text[tail] & 0xc0) == 0x80)
		tail++;
	cprof_buffer_append(out, text, head);
	cprof_buffer_puts(out, "\xe2\x80\xa6");
	cprof_buffer_puts(out, text + tail);
}
