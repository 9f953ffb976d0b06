/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert/formats/legacy_text.c - the text formats of the original tool: heap, counts, contention, threads.
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "convert/formats/input_format.h"
#include "convert/formats/legacy.h"

#define CHECK(err)                                                                                 \
	do {                                                                                       \
		struct cprof_error *failed_ = (err);                                               \
		if (failed_)                                                                       \
			return failed_;                                                            \
	} while (0)

static struct cprof_lines lines_of(const char *bytes, size_t n)
{
	return (struct cprof_lines){
		.at = bytes, .end = bytes + n, .start = bytes, .line_start = bytes
	};
}

/* The line that was read last is left out where it is odd, and so are the addresses that it gave already. */
static struct cprof_error *forgive(struct cprof_legacy *legacy, struct cprof_lines *lines,
				   struct cprof_error *err)
{
	legacy->n_stack = 0;
	return cprof_lines_forgive(lines, err);
}

/* Everything up to the memory map is of no interest. */
static struct cprof_error *finish(struct cprof_legacy *legacy, struct cprof_lines *lines,
				  const char *line, struct cprof_profile **ret_profile)
{
	CHECK(cprof_lines_settle(lines, legacy->profile));
	if (!line)
		CHECK(cprof_lines_tell_open(lines, legacy->profile));
	while (line && !cprof_legacy_is_map_marker(line))
		line = cprof_lines_next(lines);
	CHECK(cprof_legacy_finish(legacy, lines));
	*ret_profile = cprof_take_ptr(&legacy->profile);
	return NULL;
}

/* Heap: "heap profile: N: BYTES [N: BYTES] @ KIND/RATE", then such lines with addresses behind the '@'. */
struct heap {
	int64_t counts[4]; /* in use: objects, bytes; allocated: objects, bytes */
	int64_t rate;
	bool sampled, has_alloc;
};

static bool scan_counts(const char **at, int64_t *counts)
{
	return cprof_scan_number(at, &counts[0]) && cprof_scan_literal(at, ":") &&
	       cprof_scan_number(at, &counts[1]) && cprof_scan_literal(at, "[") &&
	       cprof_scan_number(at, &counts[2]) && cprof_scan_literal(at, ":") &&
	       cprof_scan_number(at, &counts[3]) && cprof_scan_literal(at, "]") &&
	       cprof_scan_literal(at, "@");
}

static bool read_heap_header(const char *line, struct heap *heap)
{
	const char *at = strstr(line, "heap profile:");
	if (!at)
		return false;
	at += strlen("heap profile:");
	if (!scan_counts(&at, heap->counts))
		return false;
	at += strspn(at, " ");
	size_t n = strspn(at, "abcdefghijklmnopqrstuvwxyz_0123456789");
	const char *kind = at;
	at += n + (at[n] == '/');
	heap->rate = 0;
	if (isdigit((unsigned char)*at) && !cprof_scan_number(&at, &heap->rate))
		return false;
	const int64_t *c = heap->counts;
	bool more = (c[2] != c[0] && c[2]) || (c[3] != c[1] && c[3]);
	if (strncmp(kind, "growth", 6) == 0 || strncmp(kind, "fragmentation", 13) == 0) {
		heap->rate = 1;
		return true;
	}
	heap->has_alloc = more;
	if ((n == 8 && strncmp(kind, "heapz_v2", n) == 0) ||
	    (n == 7 && strncmp(kind, "heap_v2", n) == 0)) {
		heap->sampled = true;
	} else if (n == 11 && strncmp(kind, "heapprofile", n) == 0) {
		heap->rate = 1;
	} else if (n == 4 && strncmp(kind, "heap", n) == 0) {
		heap->sampled = true;
		heap->rate /= 2; /* this header says twice the mean distance */
	} else {
		return false;
	}
	return true;
}

static struct cprof_error *heap_value(const struct cprof_lines *lines, const struct heap *heap,
				      int64_t count, int64_t size, int64_t *values, int64_t *block)
{
	if (count == 0 && size != 0)
		return cprof_lines_error(lines, "bytes without objects");
	if (count != 0) {
		*block = count == -1 ? (int64_t)(0 - (uint64_t)size) : size / count;
		if (heap->sampled)
			cprof_legacy_unsample(&count, &size, heap->rate);
	}
	values[0] = count;
	values[1] = size;
	return NULL;
}

static struct cprof_error *read_heap_sample(struct cprof_legacy *legacy,
					    const struct cprof_lines *lines, struct heap *heap,
					    const char *line)
{
	int64_t values[4], block = 0;
	size_t n = 0;
	line += strcspn(line, "-0123456789");
	if (!scan_counts(&line, heap->counts))
		return cprof_lines_error(lines, "not a heap sample");
	const int64_t *c = heap->counts;
	if (heap->has_alloc) {
		CHECK(heap_value(lines, heap, c[2], c[3], values, &block));
		n = 2;
	}
	CHECK(heap_value(lines, heap, c[0], c[1], values + n, &block));
	CHECK(cprof_legacy_push_all(legacy, line, 1, 1));
	return cprof_legacy_add(legacy, values, &block);
}

static struct cprof_error *add_heap_types(struct cprof_profile *p, const struct heap *heap)
{
	CHECK(cprof_profile_set_period(p, "space", "bytes", heap->rate));
	if (!heap->has_alloc) {
		CHECK(cprof_profile_add_type(p, "objects", "count"));
		return cprof_profile_add_type(p, "space", "bytes");
	}
	CHECK(cprof_profile_add_type(p, "alloc_objects", "count"));
	CHECK(cprof_profile_add_type(p, "alloc_space", "bytes"));
	CHECK(cprof_profile_add_type(p, "inuse_objects", "count"));
	return cprof_profile_add_type(p, "inuse_space", "bytes");
}

static struct cprof_error *read_heap(const char *bytes, size_t n,
				     struct cprof_profile **ret_profile)
{
	CPROF_AUTO(lines) struct cprof_lines lines = lines_of(bytes, n);
	CPROF_AUTO(legacy) struct cprof_legacy legacy = { 0 };
	struct heap heap = { 0 };
	const char *line = cprof_lines_next(&lines);
	if (!line || !read_heap_header(line, &heap))
		return NULL;
	CHECK(cprof_legacy_init(&legacy));
	CHECK(add_heap_types(legacy.profile, &heap));
	while ((line = cprof_lines_next(&lines)) && !cprof_legacy_is_map_marker(line)) {
		if (!cprof_legacy_is_blank(line))
			CHECK(forgive(&legacy, &lines,
				      read_heap_sample(&legacy, &lines, &heap, line)));
	}
	return finish(&legacy, &lines, line, ret_profile);
}

const struct cprof_input_format cprof_input_heap = { "heap profile as text", read_heap };

/* What follows samples, the memory map or anything else. */
static bool is_section(const char *line)
{
	return strncmp(line, "---", 3) == 0 || cprof_legacy_is_map_marker(line);
}

/* Counts: "NAME profile: total N", then "N @ 0x.. 0x..". */
static struct cprof_error *read_count_sample(struct cprof_legacy *legacy,
					     const struct cprof_lines *lines, const char *line)
{
	int64_t count;
	if (*line == '-' || *line == ' ' || !cprof_scan_number(&line, &count) ||
	    !cprof_scan_literal(&line, "@") || line[strspn(line, " \tx0123456789abcdef")])
		return cprof_lines_error(lines, "not \"COUNT @ ADDRESSES\"");
	CHECK(cprof_legacy_push_all(legacy, line, 1, 1));
	return cprof_legacy_add(legacy, &count, NULL);
}

static struct cprof_error *read_count(const char *bytes, size_t n,
				      struct cprof_profile **ret_profile)
{
	CPROF_AUTO(lines) struct cprof_lines lines = lines_of(bytes, n);
	CPROF_AUTO(legacy) struct cprof_legacy legacy = { 0 };
	const char *line = cprof_lines_next(&lines);
	while (line && cprof_legacy_is_blank(line))
		line = cprof_lines_next(&lines);
	const char *behind = line ? strstr(line, " profile: total ") : NULL;
	size_t name_n = behind ? (size_t)(behind - line) : 0;
	if (!name_n)
		return NULL;
	CHECK(cprof_legacy_init(&legacy));
	CPROF_AUTO(free) char *name = strndup(line, name_n);
	if (!name)
		return cprof_error_no_memory();
	CHECK(cprof_profile_add_type(legacy.profile, name, "count"));
	CHECK(cprof_profile_set_period(legacy.profile, name, "count", 1));
	while ((line = cprof_lines_next(&lines)) && !is_section(line)) {
		if (!cprof_legacy_is_blank(line))
			CHECK(forgive(&legacy, &lines, read_count_sample(&legacy, &lines, line)));
	}
	return finish(&legacy, &lines, line, ret_profile);
}

const struct cprof_input_format cprof_input_count = { "count profile as text", read_count };

/* Contention: a "---" header, "name = value" lines, then "CYCLES COUNT @ 0x..". */
#define CONTENTION_WANT "not \"CYCLES COUNT @ ADDRESSES\""

struct contention {
	int64_t cycles_per_s, period;
};

/* False where it is none that is known. */
static bool read_attribute(const char *line, struct contention *contention, struct cprof_profile *p)
{
	static const char *const names[] = { "cycles/second", "sampling period", "ms since reset",
					     "discarded samples" };
	line += strspn(line, " \t");
	const char *value = strchr(line, '=');
	if (!value)
		return false;
	size_t n = (size_t)(value - line);
	while (n && isspace((unsigned char)line[n - 1]))
		n--;
	char *end;
	int64_t number = strtoll(value + 1, &end, 0);
	for (size_t i = 0; i < 4; i++) {
		if (strlen(names[i]) != n || strncmp(line, names[i], n) != 0)
			continue;
		if (i == 0)
			contention->cycles_per_s = number;
		else if (i == 1)
			contention->period = number;
		else if (i == 2)
			p->duration_ns = (int64_t)((uint64_t)number * 1000000);
		return end != value + 1 || i == 3;
	}
	return false;
}

/* The Java form begins like this one, but says of which form it is. */
static bool is_java_attribute(const char *line)
{
	line += strspn(line, " \t");
	return strncmp(line, "format", 6) == 0 || strncmp(line, "resolution", 10) == 0;
}

static struct cprof_error *read_contention_sample(struct cprof_legacy *legacy,
						  struct cprof_lines *lines,
						  const struct contention *contention,
						  const char *line)
{
	int64_t delay, count;
	line += strcspn(line, "0123456789");
	if (!cprof_scan_number(&line, &delay) || !cprof_scan_number(&line, &count) ||
	    !cprof_scan_literal(&line, "@"))
		return cprof_lines_error(lines, CONTENTION_WANT);
	if (contention->period > 0) {
		if (contention->cycles_per_s > 0)
			delay = (int64_t)((double)delay * (double)contention->period /
					  ((double)contention->cycles_per_s / 1e9));
		count = (int64_t)((uint64_t)count * (uint64_t)contention->period);
	}
	CHECK(cprof_legacy_push_all(legacy, line, 1, 1));
	return cprof_legacy_add(legacy, (int64_t[]){ count, delay }, NULL);
}

static struct cprof_error *read_contention(const char *bytes, size_t n,
					   struct cprof_profile **ret_profile)
{
	CPROF_AUTO(lines) struct cprof_lines lines = lines_of(bytes, n);
	CPROF_AUTO(legacy) struct cprof_legacy legacy = { 0 };
	struct contention contention = { .period = 1 };
	const char *line = cprof_lines_next(&lines);
	if (!line ||
	    (strncmp(line, "--- contentionz ", 16) != 0 && strncmp(line, "--- mutex:", 10) != 0 &&
	     strncmp(line, "--- contention:", 15) != 0))
		return NULL;
	CHECK(cprof_legacy_init(&legacy));
	struct cprof_profile *p = legacy.profile;
	CHECK(cprof_profile_add_type(p, "contentions", "count"));
	CHECK(cprof_profile_add_type(p, "delay", "nanoseconds"));
	while ((line = cprof_lines_next(&lines)) && !is_section(line) && !strchr(line, '@')) {
		if (cprof_legacy_is_blank(line) || read_attribute(line, &contention, p))
			continue;
		if (is_java_attribute(line))
			return NULL;
		CHECK(cprof_lines_forgive(&lines, cprof_lines_error(&lines, CONTENTION_WANT)));
	}
	CHECK(cprof_profile_set_period(p, "contentions", "count", contention.period));
	for (; line && !is_section(line); line = cprof_lines_next(&lines)) {
		if (!cprof_legacy_is_blank(line))
			CHECK(forgive(&legacy, &lines,
				      read_contention_sample(&legacy, &lines, &contention, line)));
	}
	return finish(&legacy, &lines, line, ret_profile);
}

const struct cprof_input_format cprof_input_contention = { "contention profile as text",
							   read_contention };

/* Threads: "--- Thread ID (name: NAME/TID) stack: ---", then lines with addresses. */
static bool is_thread(const char *line)
{
	const char *at = strstr(line, "--- Thread ");
	if (!at)
		return false;
	at += strlen("--- Thread ");
	size_t hex = strspn(at, "0123456789abcdefABCDEF");
	return hex && strncmp(at + hex, " (name: ", 8) == 0 && strstr(at, ") stack: ---");
}

/* One thread's stack; the line behind it is returned in *line. */
static struct cprof_error *read_thread(struct cprof_legacy *legacy, struct cprof_lines *lines,
				       const char **line)
{
	bool same = false;
	while ((*line = cprof_lines_next(lines))) {
		const char *text = *line + strspn(*line, " \t");
		if (strncmp(text, "---", 3) == 0)
			break;
		if (strstr(text, "same as previous thread"))
			same = true;
		else
			CHECK(cprof_lines_forgive(lines,
						  cprof_legacy_push_all(legacy, text, 0, 1)));
	}
	struct cprof_profile *p = legacy->profile;
	if (!same && legacy->n_stack)
		return cprof_legacy_add(legacy, (int64_t[]){ 1 }, NULL);
	legacy->n_stack = 0;
	if (p->n_samples)
		p->values[p->n_samples - 1]++;
	return NULL;
}

static struct cprof_error *read_threads(const char *bytes, size_t n,
					struct cprof_profile **ret_profile)
{
	CPROF_AUTO(lines) struct cprof_lines lines = lines_of(bytes, n);
	CPROF_AUTO(legacy) struct cprof_legacy legacy = { 0 };
	const char *line = cprof_lines_next(&lines);
	while (line && cprof_legacy_is_blank(line))
		line = cprof_lines_next(&lines);
	if (!line || (!is_thread(line) && strncmp(line, "--- threadz ", 12) != 0))
		return NULL;
	if (!is_thread(line)) {
		do
			line = cprof_lines_next(&lines);
		while (line && *line != '-' && !cprof_legacy_is_map_marker(line));
	}
	CHECK(cprof_legacy_init(&legacy));
	CHECK(cprof_profile_add_type(legacy.profile, "thread", "count"));
	CHECK(cprof_profile_set_period(legacy.profile, "thread", "count", 1));
	while (line && !cprof_legacy_is_map_marker(line)) {
		if (strncmp(line, "---- no stack trace for", 23) == 0)
			break;
		if (is_thread(line)) {
			CHECK(read_thread(&legacy, &lines, &line));
			continue;
		}
		if (!cprof_legacy_is_blank(line))
			CHECK(cprof_lines_forgive(
				&lines, cprof_lines_error(&lines, "not the header of a thread")));
		line = cprof_lines_next(&lines);
	}
	CHECK(finish(&legacy, &lines, line, ret_profile));
	cprof_legacy_drop_doubles(*ret_profile);
	return NULL;
}

const struct cprof_input_format cprof_input_thread = { "thread profile as text", read_threads };
