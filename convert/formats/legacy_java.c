/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert/formats/legacy_java.c - heap and contention profiles of Java's agent, and the names in all of its profiles.
 */
#include "convert/formats/legacy_java.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/path.h"
#include "convert/formats/input_format.h"

#define JAVA_HEAP_RATE 524288 /* bytes between samples; the agent has no other */

struct place {
	const char *name;
	size_t name_n;
	const char *file;
	size_t file_n;
	int64_t line;
};

/* "NAME (FILE:LINE)", "NAME (LIBRARY)", a stub of the JIT, or a state of the machine like "GC". */
static void read_place(const char *text, size_t n, struct place *place)
{
	*place = (struct place){ .name = text, .name_n = n };
	const char *open = n && text[n - 1] == ')' ? memrchr(text, '(', n) : NULL;
	if (open && open > text && isspace((unsigned char)open[-1])) {
		const char *colon = memrchr(open, ':', (size_t)(text + n - open));
		char *end = NULL;
		long long line = colon ? strtoll(colon + 1, &end, 10) : 0;
		place->name_n = (size_t)(open - text);
		while (place->name_n && isspace((unsigned char)text[place->name_n - 1]))
			place->name_n--;
		place->file = open + 1;
		place->file_n = (size_t)(text + n - 1 - place->file);
		if (end == text + n - 1 && end > colon + 1 && colon > open + 1) {
			place->file_n = (size_t)(colon - place->file);
			place->line = line > 0 ? line : 0;
		} else { /* of a library only its own name matters */
			const char *slash = memrchr(place->file, '/', place->file_n);
			if (slash) {
				place->file_n -= (size_t)(slash + 1 - place->file);
				place->file = slash + 1;
			}
		}
	} else if (memmem(text, n, "generated stub/JIT", 18)) {
		place->name = "STUB";
		place->name_n = 4;
	}
}

/* One function a name: the first file met with it stays. `by_name`: string -> function + 1. */
static struct cprof_error *name_location(struct cprof_legacy *legacy, struct cprof_map64 *by_name,
					 uint32_t location, const struct place *place)
{
	struct cprof_profile *p = legacy->profile;
	struct cprof_function function = { 0 };
	struct cprof_error *err =
		cprof_intern_bytes(&p->strings, place->name, place->name_n, &function.name);
	uint64_t *known = err ? NULL : cprof_map64_put(by_name, function.name, NULL);
	if (!known)
		return err ? err : cprof_error_no_memory();
	if (!*known) {
		uint32_t index;
		function.system_name = function.name;
		err = cprof_intern_bytes(&p->strings, place->file ? place->file : "", place->file_n,
					 &function.filename);
		if (!err)
			err = cprof_profile_add_function(p, &function, &index);
		if (err)
			return err;
		*known = (uint64_t)index + 1;
	}
	struct cprof_line line = { .function = (uint32_t)(*known - 1), .line = place->line };
	return cprof_profile_set_lines(p, location, &line, 1);
}

static struct cprof_error *read_name(struct cprof_legacy *legacy, struct cprof_map64 *by_name,
				     const char *line)
{
	uint64_t address;
	line += strspn(line, " \t");
	if (strncmp(line, "0x", 2) != 0 || !cprof_scan_hex(&line, &address) ||
	    !isspace((unsigned char)*line))
		return NULL;
	uint64_t *location = cprof_map64_get(&legacy->by_address, address);
	if (!location || !*location)
		return NULL;
	line += strspn(line, " \t");
	size_t n = strlen(line);
	while (n && isspace((unsigned char)line[n - 1]))
		n--;
	struct place place;
	read_place(line, n, &place);
	return name_location(legacy, by_name, (uint32_t)(*location - 1), &place);
}

struct cprof_error *cprof_legacy_java_names(struct cprof_legacy *legacy, struct cprof_lines *lines,
					    const char *line)
{
	struct cprof_map64 by_name = { 0 };
	struct cprof_error *err = NULL;
	if (!line)
		line = cprof_lines_next(lines);
	for (; !err && line; line = cprof_lines_next(lines))
		err = read_name(legacy, &by_name, line);
	cprof_map64_deinit(&by_name);
	/* Those without a name still need a mapping, as any address does. */
	struct cprof_profile *p = legacy->profile;
	for (uint32_t i = 0; i < p->n_locations; i++) {
		if (p->locations[i].n_lines)
			p->locations[i].address = 0;
	}
	if (!err)
		err = cprof_legacy_finish(legacy, NULL);
	for (uint32_t i = 0; !err && i < p->n_locations; i++)
		p->locations[i].address = 0;
	return err;
}

struct java {
	bool heap;
	int64_t period;
};

/* "name = value"; false where the line is none, and *ret_known false where it is one we do not know. */
static struct cprof_error *read_attribute(struct cprof_profile *p, struct java *java,
					  const char *line, bool *ret_is, bool *ret_known)
{
	static const char *const names[] = { "format", "resolution", "sampling period",
					     "ms since reset" };
	line += strspn(line, " \t");
	const char *equals = strchr(line, '=');
	*ret_is = equals != NULL;
	*ret_known = false;
	if (!equals)
		return NULL;
	size_t n = (size_t)(equals - line), which = 0;
	while (n && isspace((unsigned char)line[n - 1]))
		n--;
	while (which < 4 && (strlen(names[which]) != n || strncmp(names[which], line, n) != 0))
		which++;
	const char *value = equals + 1 + strspn(equals + 1, " \t");
	size_t value_n = strlen(value);
	while (value_n && isspace((unsigned char)value[value_n - 1]))
		value_n--;
	CPROF_AUTO(free) char *text = strndup(value, value_n);
	if (!text)
		return cprof_error_no_memory();
	*ret_known = which < (java->heap ? 2 : 4) && (which != 0 || strcmp(text, "java") == 0);
	struct cprof_error *err = NULL;
	if (which == 1 && p->n_types == 0) {
		err = cprof_profile_add_type(p, java->heap ? "inuse_objects" : "contentions",
					     "count");
		if (!err)
			err = cprof_profile_add_type(p, java->heap ? "inuse_space" : "delay", text);
	} else if (which == 2) {
		java->period = strtoll(text, NULL, 0);
		err = cprof_profile_set_period(p, "contentions", "count", java->period);
	} else if (which == 3) {
		p->duration_ns = (int64_t)((uint64_t)strtoll(text, NULL, 0) * 1000000);
	}
	return err;
}

/* "VALUE COUNT @ 0x..": false where the line is no sample. */
static struct cprof_error *read_sample(struct cprof_legacy *legacy, const struct cprof_lines *lines,
				       const struct java *java, const char *line, bool *ret_is)
{
	int64_t values[2], block = 0;
	const char *at = line + strspn(line, " \t");
	legacy->n_stack = 0; /* of a line that was left out */
	*ret_is = cprof_scan_number(&at, &values[1]) && cprof_scan_number(&at, &values[0]) &&
		  cprof_scan_literal(&at, "@");
	if (!*ret_is)
		return NULL;
	if (legacy->profile->n_types != 2)
		return cprof_lines_error(lines, "a sample before the resolution is known");
	if (java->heap) {
		if (values[0] == 0)
			return cprof_lines_error(lines, "bytes without objects");
		block = values[0] == -1 ? (int64_t)(0 - (uint64_t)values[1])
					: values[1] / values[0];
		cprof_legacy_unsample(&values[0], &values[1], JAVA_HEAP_RATE);
	} else if (java->period) {
		for (int i = 0; i < 2; i++)
			values[i] = (int64_t)((uint64_t)values[i] * (uint64_t)java->period);
	}
	struct cprof_error *err = cprof_legacy_push_all(legacy, at, 0, 0);
	return err ? err : cprof_legacy_add(legacy, values, java->heap ? &block : NULL);
}

static struct cprof_error *read_java(const char *bytes, size_t n,
				     struct cprof_profile **ret_profile)
{
	CPROF_AUTO(lines)
	struct cprof_lines lines = {
		.at = bytes, .end = bytes + n, .start = bytes, .line_start = bytes
	};
	CPROF_AUTO(legacy) struct cprof_legacy legacy = { 0 };
	struct java java = { 0 };
	const char *line = cprof_lines_next(&lines);
	java.heap = line && strncmp(line, "--- heapz 1 ---", 15) == 0;
	if (!java.heap && (!line || strncmp(line, "--- contentionz 1 ---", 21) != 0))
		return NULL;
	struct cprof_error *err = cprof_legacy_init(&legacy);
	bool is = true, known = true;
	while (!err && is && (line = cprof_lines_next(&lines))) {
		if (!cprof_legacy_is_blank(line))
			err = read_attribute(legacy.profile, &java, line, &is, &known);
		if (err || !is || known)
			continue;
		err = cprof_lines_error(&lines, "unknown attribute");
		/* Of another form than Java's the rest would be misread. */
		if (strncmp(line + strspn(line, " \t"), "format", 6) != 0)
			err = cprof_lines_forgive(&lines, err);
	}
	for (is = true; !err && line; line = cprof_lines_next(&lines)) {
		if (!cprof_legacy_is_blank(line))
			err = cprof_lines_forgive(&lines,
						  read_sample(&legacy, &lines, &java, line, &is));
		if (!is)
			break;
	}
	if (!err)
		err = cprof_lines_settle(&lines, legacy.profile);
	if (!err)
		err = cprof_legacy_java_names(&legacy, &lines, line);
	if (!err)
		*ret_profile = cprof_take_ptr(&legacy.profile);
	return err;
}

const struct cprof_input_format cprof_input_java = { "Java profile", read_java };
