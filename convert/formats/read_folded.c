/*
 * convert/formats/read_folded.c - folded stacks ("root;caller;leaf COUNT"), the text of flame graph tools.
 */
#include <ctype.h>
#include <string.h>

#include "base/cleanup.h"
#include "convert/formats/input_format.h"
#include "convert/formats/legacy.h"

#define CHECK_LINES 8 /* so many must look right before the file is taken for folded stacks */

struct folded {
	struct cprof_legacy legacy;
	struct cprof_map64 by_name; /* string -> location + 1 */
};

/* Where the count of "stack count" begins; NULL where the line is none. */
static const char *find_count(const char *line)
{
	const char *end = strchr(line, 0);
	while (end > line && isspace((unsigned char)end[-1]))
		end--;
	const char *at = end;
	while (at > line && (isdigit((unsigned char)at[-1]) || (at[-1] == '-' && at < end)))
		at--;
	bool number = at < end && isdigit((unsigned char)end[-1]);
	return number && at > line + 1 && (at[-1] == ' ' || at[-1] == '\t') ? at : NULL;
}

static bool is_text(const char *line)
{
	for (; *line; line++) {
		if ((unsigned char)*line < 0x20 && *line != '\t')
			return false;
	}
	return true;
}

static bool looks_folded(const char *bytes, size_t n)
{
	CPROF_AUTO(lines)
	struct cprof_lines lines = {
		.at = bytes, .end = bytes + n, .start = bytes, .line_start = bytes
	};
	const char *line;
	bool stack = false;
	for (int i = 0; i < CHECK_LINES && (line = cprof_lines_next(&lines));) {
		if (cprof_legacy_is_blank(line))
			continue;
		if (!find_count(line) || !is_text(line))
			return false;
		stack = true;
		i++;
	}
	return stack;
}

static struct cprof_error *push_frame(struct folded *f, const char *name, size_t n)
{
	struct cprof_profile *p = f->legacy.profile;
	struct cprof_function function = { 0 };
	struct cprof_error *err = cprof_intern_bytes(&p->strings, name, n, &function.name);
	function.system_name = function.name;
	uint64_t *place = err ? NULL : cprof_map64_put(&f->by_name, function.name, NULL);
	if (!place)
		return err ? err : cprof_error_no_memory();
	if (!*place) {
		struct cprof_line line = { 0 };
		uint32_t index;
		err = cprof_profile_add_function(p, &function, &line.function);
		if (!err)
			err = cprof_profile_add_location(p, &(struct cprof_location){ 0 }, &line, 1,
							 &index);
		if (err)
			return err;
		*place = (uint64_t)index + 1;
	}
	err = cprof_profile_grow(&f->legacy.stack, f->legacy.n_stack, &f->legacy.stack_room, 1,
				 sizeof(*f->legacy.stack));
	if (!err)
		f->legacy.stack[f->legacy.n_stack++] = (uint32_t)(*place - 1);
	return err;
}

/* The frames of a line from the right, because a profile has the leaf first. */
static struct cprof_error *read_line(struct folded *f, const struct cprof_lines *lines,
				     const char *line)
{
	const char *number = find_count(line);
	if (!number || !is_text(line))
		return cprof_lines_error(lines, "not \"FRAME;FRAME COUNT\"");
	int64_t count;
	const char *at = number;
	if (!cprof_scan_number(&at, &count))
		return cprof_lines_error(lines, "the count is beyond 64 bits");
	const char *end = number;
	while (end > line && isspace((unsigned char)end[-1]))
		end--;
	while (end > line) {
		const char *semicolon = memrchr(line, ';', (size_t)(end - line));
		const char *start = semicolon ? semicolon + 1 : line;
		if (start < end) {
			struct cprof_error *err = push_frame(f, start, (size_t)(end - start));
			if (err)
				return err;
		}
		end = semicolon ? semicolon : line;
	}
	return cprof_legacy_add(&f->legacy, &count, NULL);
}

static struct cprof_error *read_lines(struct folded *f, const char *bytes, size_t n)
{
	CPROF_AUTO(lines)
	struct cprof_lines lines = {
		.at = bytes, .end = bytes + n, .start = bytes, .line_start = bytes
	};
	struct cprof_error *err = cprof_profile_add_type(f->legacy.profile, "samples", "count");
	const char *line;
	while (!err && (line = cprof_lines_next(&lines))) {
		if (!cprof_legacy_is_blank(line))
			err = read_line(f, &lines, line);
	}
	return err;
}

static struct cprof_error *read_folded(const char *bytes, size_t n,
				       struct cprof_profile **ret_profile)
{
	if (!looks_folded(bytes, n))
		return NULL;
	struct folded f = { 0 };
	struct cprof_error *err = cprof_legacy_init(&f.legacy);
	if (!err)
		err = read_lines(&f, bytes, n);
	if (!err)
		*ret_profile = cprof_take_ptr(&f.legacy.profile);
	cprof_map64_deinit(&f.by_name);
	cprof_legacy_deinit(&f.legacy);
	return err;
}

const struct cprof_input_format cprof_input_folded = { "folded stacks", read_folded };
