/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert/formats/read_folded.c - folded stacks ("root;caller;leaf COUNT"), the text of flame graph tools.
 *
 * Whoever folds stacks has habits of his own: a stack without frames (py-spy: " 4"), fractions (flamegraph.pl), two counts
 * for what was before and after (difffolded.pl), other lines in between. Lines that are none of that are counted and left out.
 */
#include <ctype.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "convert/formats/input_format.h"
#include "convert/formats/legacy.h"

#define CHECK_LINES 256 /* so many are looked at before the file is taken for folded stacks */
#define MAX_COUNTS  8   /* of one line */

struct folded {
	struct cprof_legacy legacy;
	struct cprof_map64 by_name; /* string -> location + 1 */
	unsigned n_counts;          /* of each line */
	double rest[MAX_COUNTS];    /* what rounding has left of the counts so far */
	uint64_t n_fractions;
	uint64_t
		n_numbers; /* lines with a number before their count, taken for a part of the name */
};

/* The numbers at the end of a line. */
struct tail {
	const char *at[MAX_COUNTS]; /* from the right */
	const char
		*before[MAX_COUNTS]; /* where the line ends without this one and those behind it */
	unsigned n;
};

static const char *skip_blanks_back(const char *line, const char *end)
{
	while (end > line && isspace((unsigned char)end[-1]))
		end--;
	return end;
}

/* Where the number begins that ends at `end`, with a blank before it; NULL where there is none. */
static const char *find_number(const char *line, const char *end)
{
	const char *at = end;
	while (at > line && (isdigit((unsigned char)at[-1]) || strchr("+-.eE", at[-1])))
		at--;
	if (at == line || at == end || (at[-1] != ' ' && at[-1] != '\t'))
		return NULL;
	if (!isdigit((unsigned char)at[*at == '-']))
		return NULL;
	char *stop;
	strtod(at, &stop);
	return stop == end ? at : NULL;
}

static struct tail read_tail(const char *line, unsigned most)
{
	struct tail tail = { .n = 0 };
	const char *end = skip_blanks_back(line, line + strlen(line));
	while (tail.n < most) {
		const char *at = find_number(line, end);
		if (!at)
			break;
		end = skip_blanks_back(line, at);
		tail.at[tail.n] = at;
		tail.before[tail.n++] = end;
	}
	return tail;
}

/* No bytes that only other kinds of files have; colours of a terminal may be in names. */
static bool is_text(const char *line)
{
	for (; *line; line++) {
		if ((unsigned char)*line < 0x20 && *line != '\t' && *line != '\033')
			return false;
	}
	return true;
}

/*
 * Nine of ten; or all but one, which may be cut off. Where half of the lines, or two thirds, have one number more, these are
 * names of threads, and the other lines are no less right.
 */
static bool is_usual(unsigned n, unsigned of)
{
	return n * 10 >= of * 9 || (n > 1 && n + 1 == of);
}

/* How many counts the lines have: as many as is usual in them. 0: these are no folded stacks. */
static unsigned count_counts(const char *bytes, size_t n)
{
	CPROF_AUTO(lines)
	struct cprof_lines lines = {
		.at = bytes, .end = bytes + n, .start = bytes, .line_start = bytes
	};
	const char *line;
	bool stack = false;
	unsigned seen = 0, good[MAX_COUNTS + 1] = { 0 };
	while (seen < CHECK_LINES && (line = cprof_lines_next(&lines))) {
		if (cprof_legacy_is_blank(line))
			continue;
		seen++;
		struct tail tail = { .n = 0 };
		if (is_text(line))
			tail = read_tail(line, MAX_COUNTS);
		stack = stack || (tail.n && memchr(line, ';', (size_t)(tail.at[0] - line)));
		for (unsigned i = 1; i <= tail.n; i++)
			good[i]++;
	}
	/* As many odd lines as others are too many for a text that has no callers anywhere. */
	if (!good[1] || good[1] * 2 < seen || (good[1] * 2 == seen && !stack))
		return 0;
	unsigned counts = 1;
	while (counts < MAX_COUNTS && is_usual(good[counts + 1], good[1]))
		counts++;
	return counts;
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

/* Fractions are rounded so that the sum of all is right. */
static bool read_value(struct folded *f, unsigned column, const char *at, int64_t *ret)
{
	const char *next = at;
	if (!cprof_scan_number(&next, ret))
		return false;
	if (*next != '.' && *next != 'e' && *next != 'E')
		return true;
	double exact = strtod(at, NULL) + f->rest[column];
	if (!(fabs(exact) < 9e18))
		return false;
	*ret = llround(exact);
	f->rest[column] = exact - (double)*ret;
	f->n_fractions++;
	return true;
}

static struct cprof_error *read_values(struct folded *f, const struct cprof_lines *lines,
				       const struct tail *tail, int64_t *values)
{
	for (unsigned i = 0; i < f->n_counts; i++) {
		if (!read_value(f, i, tail->at[f->n_counts - 1 - i], &values[i]))
			return cprof_lines_error(lines, "the count is beyond 64 bits");
	}
	return NULL;
}

/* The frames of a line from the right, because a profile has the leaf first. */
static struct cprof_error *read_line(struct folded *f, const struct cprof_lines *lines,
				     const char *line)
{
	int64_t values[MAX_COUNTS];
	struct tail tail = read_tail(line, f->n_counts);
	f->legacy.n_stack = 0;
	if (tail.n < f->n_counts)
		return cprof_lines_error(lines, f->n_counts == 1
							? "not \"FRAME;FRAME COUNT\""
							: "fewer counts than other lines have");
	struct cprof_error *err = read_values(f, lines, &tail, values);
	const char *end = tail.before[f->n_counts - 1];
	f->n_numbers += find_number(line, end) != NULL;
	line += strspn(line, " \t");
	while (!err && end > line) {
		const char *semicolon = memrchr(line, ';', (size_t)(end - line));
		const char *start = semicolon ? semicolon + 1 : line;
		if (start < end)
			err = push_frame(f, start, (size_t)(end - start));
		end = semicolon ? semicolon : line;
	}
	return err ? err : cprof_legacy_add(&f->legacy, values, NULL);
}

/* Two counts are what was before and what is now; of more the last is as good as any, and shown. */
static struct cprof_error *set_types(struct folded *f)
{
	struct cprof_profile *p = f->legacy.profile;
	static const char *const pair[] = { "before", "after" };
	char name[32] = "samples", note[160];
	struct cprof_error *err = NULL;
	for (unsigned i = 0; !err && i < f->n_counts; i++) {
		if (f->n_counts == 2)
			snprintf(name, sizeof(name), "%s", pair[i]);
		else if (f->n_counts > 2)
			snprintf(name, sizeof(name), "count_%u", i + 1);
		err = cprof_profile_add_type(p, name, "count");
	}
	if (err || f->n_counts == 1)
		return err;
	err = cprof_profile_set_default_type(p, name);
	snprintf(note, sizeof(note), "%u counts a line: the last one, \"%s\", is shown; %s",
		 f->n_counts, name,
		 f->n_counts == 2 ? "\"before\" is a sample type of its own"
				  : "each is a sample type of its own");
	return err ? err : cprof_profile_add_comment(p, note);
}

/* Of "a 5 7" among other lines the 5 may have been meant as a count. */
static struct cprof_error *note_numbers(struct folded *f)
{
	char note[128];
	if (!f->n_numbers)
		return NULL;
	snprintf(note, sizeof(note),
		 "in %" PRIu64 " %s a number before the count was taken for a part of the name",
		 f->n_numbers, f->n_numbers == 1 ? "line" : "lines");
	return cprof_profile_add_comment(f->legacy.profile, note);
}

static struct cprof_error *note_fractions(struct folded *f)
{
	char note[128];
	if (!f->n_fractions)
		return NULL;
	snprintf(note, sizeof(note),
		 "fractions were rounded so that their sum is kept, in %" PRIu64 " %s",
		 f->n_fractions, f->n_fractions == 1 ? "count" : "counts");
	return cprof_profile_add_comment(f->legacy.profile, note);
}

static struct cprof_error *read_lines(struct folded *f, const char *bytes, size_t n)
{
	CPROF_AUTO(lines)
	struct cprof_lines lines = {
		.at = bytes, .end = bytes + n, .start = bytes, .line_start = bytes
	};
	struct cprof_error *err = set_types(f);
	const char *line;
	while (!err && (line = cprof_lines_next(&lines))) {
		if (!cprof_legacy_is_blank(line))
			err = cprof_lines_forgive(&lines, read_line(f, &lines, line));
	}
	if (!err)
		err = note_fractions(f);
	if (!err)
		err = note_numbers(f);
	return err ? err : cprof_lines_settle(&lines, f->legacy.profile);
}

static struct cprof_error *read_folded(const char *bytes, size_t n,
				       struct cprof_profile **ret_profile)
{
	struct folded f = { .n_counts = count_counts(bytes, n) };
	if (!f.n_counts)
		return NULL;
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
