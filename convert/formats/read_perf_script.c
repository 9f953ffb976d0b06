/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert/formats/read_perf_script.c - the text of `perf script`: recordings made by perf, opened here.
 *
 * A sample is a header line, then a frame a line, leaf first, then an empty line; without callers, all on one line.
 * Inlined functions have "(inlined)" for a file and the address of the function that they are part of. The text is
 * read twice: which events there are, and so the sample types, is only known at its end.
 */
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "convert/formats/input_format.h"
#include "convert/formats/legacy.h"
#include "convert/formats/perf_script_line.h"

#define MAX_INLINED 64
#define MAX_EVENTS  64
#define NO_FILE     "[unknown]"
#define CHECK_LINES 32 /* so many are looked at before the text is taken for something else */

struct script {
	struct cprof_profile *profile; /* owned until taken */
	struct cprof_map64 mappings;   /* file name -> number */
	struct cprof_map64
		locations; /* hash of address and names -> location + 1; see find_location() */
	uint32_t events[MAX_EVENTS]; /* strings, by first appearance */
	uint32_t n_events;
	bool any_period, any_time, any_tid;   /* what the headers of this text have */
	bool any_file;                        /* and its frames */
	struct cprof_line lines[MAX_INLINED]; /* of the location being read */
	uint32_t n_lines;
	uint64_t inlined_at;    /* their address */
	uint64_t frame_address; /* of the frame read last: its source may stand on the next line */
	bool frame_inlined;
	bool frame_of_header; /* the frame read last stood on the header's own line */
	uint32_t frame_name, frame_file;
	uint32_t frame_source;
	int64_t frame_line;
	bool frame_waits;
	uint32_t *stack;
	uint32_t n_stack, stack_room;
	struct cprof_label labels[2]; /* of the sample being read */
	uint32_t n_labels;
	int64_t values[MAX_EVENTS];
	bool open; /* a sample has begun */
};

static struct cprof_error *keep(struct script *s, struct cprof_perf_script_text text, uint32_t *ret)
{
	return cprof_intern_bytes(&s->profile->strings, text.n ? text.at : "", text.n, ret);
}

static struct cprof_error *find_mapping(struct script *s, uint32_t file, uint32_t *ret)
{
	uint64_t *number = cprof_map64_put(&s->mappings, file, NULL);
	if (!number)
		return cprof_error_no_memory();
	if (!*number) {
		struct cprof_mapping mapping = { .filename = file, .has_functions = true };
		uint32_t added;
		struct cprof_error *err = cprof_profile_add_mapping(s->profile, &mapping, &added);
		if (err)
			return err;
		*number = added;
	}
	*ret = (uint32_t)*number;
	return NULL;
}

static bool same_location(const struct script *s, uint32_t index, uint64_t address,
			  uint32_t mapping)
{
	const struct cprof_location *known = &s->profile->locations[index];
	if (known->address != address || known->mapping != mapping || known->n_lines != s->n_lines)
		return false;
	for (uint32_t i = 0; i < s->n_lines; i++) {
		const struct cprof_line *line = &s->profile->lines[known->first_line + i];
		if (line->function != s->lines[i].function || line->line != s->lines[i].line)
			return false;
	}
	return true;
}

/* Put the location of this address, with the functions collected so far, on the stack. */
static struct cprof_error *push_location(struct script *s, uint64_t address, uint32_t mapping)
{
	uint64_t hash = cprof_hash_mix(address, mapping);
	for (uint32_t i = 0; i < s->n_lines; i++)
		hash = cprof_hash_mix(hash,
				      s->lines[i].function ^ (uint64_t)s->lines[i].line << 32);
	for (;; hash = cprof_hash_u64(hash + 1)) {
		uint64_t *place = cprof_map64_put(&s->locations, hash, NULL);
		if (!place)
			return cprof_error_no_memory();
		if (!*place) {
			struct cprof_location location = { .address = address, .mapping = mapping };
			uint32_t index;
			struct cprof_error *err = cprof_profile_add_location(
				s->profile, &location, s->lines, s->n_lines, &index);
			if (err)
				return err;
			*place = (uint64_t)index + 1;
		}
		if (!same_location(s, (uint32_t)(*place - 1), address, mapping))
			continue;
		struct cprof_error *err = cprof_profile_grow(&s->stack, s->n_stack, &s->stack_room,
							     1, sizeof(*s->stack));
		if (!err)
			s->stack[s->n_stack++] = (uint32_t)(*place - 1);
		s->n_lines = 0;
		return err;
	}
}

static struct cprof_error *add_function(struct script *s)
{
	struct cprof_function function = { .name = s->frame_name,
					   .system_name = s->frame_name,
					   .filename = s->frame_source };
	if (!function.name || s->n_lines == MAX_INLINED)
		return NULL;
	struct cprof_line *line = &s->lines[s->n_lines];
	*line = (struct cprof_line){ .line = s->frame_line };
	struct cprof_error *err = cprof_profile_function(s->profile, &function, &line->function);
	s->n_lines += !err;
	return err;
}

/* The frame that was read last is complete: its source, if perf prints any, has been seen. */
static struct cprof_error *end_frame(struct script *s)
{
	uint32_t mapping = 0;
	if (!s->frame_waits)
		return NULL;
	s->frame_waits = false;
	struct cprof_error *err = NULL;
	/* perf calls a function inlined, too, whose name it knows better from the debug information. */
	if (s->n_lines && s->inlined_at != s->frame_address)
		err = push_location(s, s->inlined_at, 0);
	if (!err)
		err = add_function(s);
	if (err || s->frame_inlined) {
		s->inlined_at = s->frame_address;
		return err;
	}
	err = find_mapping(s, s->frame_file, &mapping);
	if (!err && s->frame_source) {
		s->profile->mappings[mapping - 1].has_filenames = true;
		s->profile->mappings[mapping - 1].has_line_numbers = s->frame_line != 0;
	}
	return err ? err : push_location(s, s->frame_address, mapping);
}

static struct cprof_error *begin_frame(struct script *s,
				       const struct cprof_perf_script_frame *frame)
{
	struct cprof_error *err = end_frame(s);
	s->frame_address = frame->address;
	s->frame_inlined = frame->inlined;
	s->frame_source = 0;
	s->frame_line = 0;
	s->frame_waits = true;
	if (!err)
		err = keep(s, frame->name, &s->frame_name);
	/* perf's word for no file at all, where a name in brackets is one. */
	struct cprof_perf_script_text file = frame->file;
	s->any_file |= file.n != 0;
	if (file.n == strlen(NO_FILE) && memcmp(file.at, NO_FILE, file.n) == 0)
		file.n = 0;
	return err ? err : keep(s, file, &s->frame_file);
}

static struct cprof_error *end_sample(struct script *s)
{
	struct cprof_error *err = end_frame(s);
	if (!err && s->n_lines)
		err = push_location(s, s->inlined_at, 0);
	if (err || !s->open)
		return err;
	s->open = false;
	err = cprof_profile_add_sample(s->profile, s->stack, s->n_stack, s->labels, s->n_labels,
				       s->values);
	s->n_stack = 0;
	return err;
}

static struct cprof_error *put_label(struct script *s, const char *key, const char *unit,
				     struct cprof_label label)
{
	struct cprof_error *err = cprof_profile_string(s->profile, key, &label.key);
	if (!err && label.is_num)
		err = cprof_profile_string(s->profile, unit, &label.text);
	s->labels[s->n_labels++] = label;
	return err;
}

static struct cprof_error *find_event(struct script *s, const struct cprof_perf_script_line *line,
				      uint32_t *ret_index)
{
	uint32_t name;
	struct cprof_error *err = keep(s, line->event, &name);
	if (err)
		return err;
	for (*ret_index = 0; *ret_index < s->n_events; ++*ret_index) {
		if (s->events[*ret_index] == name)
			return NULL;
	}
	if (s->n_events == MAX_EVENTS)
		return cprof_error_new(CPROF_ERR_UNSUPPORTED, "more than %d events", MAX_EVENTS);
	s->events[s->n_events++] = name;
	return NULL;
}

/* The values of a sample stand in the order of the types that set_types() makes. */
static struct cprof_error *set_values(struct script *s, const struct cprof_perf_script_line *line)
{
	uint32_t event;
	struct cprof_error *err = find_event(s, line, &event);
	int64_t weight = line->has_period ? line->period : 1;
	memset(s->values, 0, sizeof(s->values));
	if (s->n_events < 2) {
		s->values[0] = 1;
		s->values[1] = weight;
	} else if (!err) {
		s->values[event] = weight;
	}
	return err;
}

static struct cprof_error *begin_sample(struct script *s, const struct cprof_perf_script_line *line)
{
	struct cprof_label comm = { 0 }, tid = { .is_num = true, .num = line->tid };
	struct cprof_error *err = end_sample(s);
	s->n_labels = 0;
	if (!err && line->comm.n)
		err = keep(s, line->comm, &comm.text);
	if (!err && comm.text)
		err = put_label(s, "thread", "", comm);
	if (!err && line->has_tid) /* a thread number 0 needs a unit to be kept */
		err = put_label(s, "tid", line->tid ? "" : "id", tid);
	if (!err)
		err = set_values(s, line);
	s->open = !err;
	if (!err && line->has_frame)
		err = begin_frame(s, &line->frame);
	s->frame_of_header = !err && line->has_frame;
	return err;
}

static struct cprof_error *set_source(struct script *s, const struct cprof_perf_script_line *line)
{
	if (!s->frame_waits)
		return NULL;
	s->frame_line = line->source.n ? line->source_line : 0;
	return keep(s, line->source, &s->frame_source);
}

/* A frame on a line of its own. What looked like one on the header's line was text: perf prints either. */
static struct cprof_error *take_frame(struct script *s, const struct cprof_perf_script_frame *frame)
{
	static const struct cprof_perf_script_line nobody;
	struct cprof_error *err = NULL;
	if (!s->open) /* nothing but frames is printed */
		err = begin_sample(s, &nobody);
	if (s->frame_of_header)
		s->frame_waits = false;
	s->frame_of_header = false;
	return err ? err : begin_frame(s, frame);
}

/* Text of something else looks like a header of few words; the headers of one text have the same ones. */
static bool is_header_of(const struct script *s, const struct cprof_perf_script_line *line)
{
	return line->has_time == s->any_time && (!s->any_tid || line->has_tid || line->event.n);
}

static struct cprof_error *take_line(struct script *s, const struct cprof_lines *lines,
				     const struct cprof_perf_script_line *line)
{
	switch (line->kind) {
	case CPROF_PERF_SCRIPT_END:
		return end_sample(s);
	case CPROF_PERF_SCRIPT_IGNORE:
		return NULL;
	case CPROF_PERF_SCRIPT_HEADER:
		if (is_header_of(s, line))
			return begin_sample(s, line);
		return cprof_lines_error(lines, "not the header of a sample");
	case CPROF_PERF_SCRIPT_FRAME:
		return take_frame(s, &line->frame);
	case CPROF_PERF_SCRIPT_SOURCE:
		return set_source(s, line);
	default:
		return cprof_lines_error(lines, "not a frame");
	}
}

static struct cprof_lines lines_of(const char *bytes, size_t n)
{
	return (struct cprof_lines){
		.at = bytes, .end = bytes + n, .start = bytes, .line_start = bytes
	};
}

/* perf ends each sample with an empty line. A file without the last line's end may have been trimmed, behind a frame. */
static bool is_cut_off(const struct cprof_lines *lines, const char *line)
{
	size_t n = strlen(line);
	return cprof_lines_is_open(lines) && n && line[n - 1] != ')';
}

static struct cprof_error *read_lines(struct script *s, const char *bytes, size_t n)
{
	CPROF_AUTO(lines) struct cprof_lines lines = lines_of(bytes, n);
	const char *line;
	struct cprof_error *err = NULL;
	while (!err && (line = cprof_lines_next(&lines))) {
		struct cprof_perf_script_line read;
		cprof_perf_script_line_read(line, &read);
		err = s->any_file && is_cut_off(&lines, line)
			      ? cprof_lines_error(&lines, "the file ends within this line")
			      : take_line(s, &lines, &read);
		err = cprof_lines_forgive(&lines, err);
	}
	if (!err)
		err = end_sample(s);
	return err ? err : cprof_lines_settle(&lines, s->profile);
}

/* Headers that say more than those before: what was taken for headers until now was none. */
static void learn_header(struct script *s, const struct cprof_perf_script_line *line)
{
	bool time = line->has_time && !s->any_time;
	bool tid = line->has_tid && !s->any_tid && line->has_time == s->any_time;
	if (time || tid) {
		s->n_events = 0;
		s->any_period = false;
	}
	if (time)
		s->any_tid = line->has_tid;
	s->any_time |= time;
	s->any_tid |= tid;
}

/* Which events there are, and whether perf printed times and periods. */
static struct cprof_error *find_events(struct script *s, const char *bytes, size_t n)
{
	CPROF_AUTO(lines) struct cprof_lines lines = lines_of(bytes, n);
	const char *line;
	struct cprof_error *err = NULL;
	while (!err && (line = cprof_lines_next(&lines))) {
		struct cprof_perf_script_line read;
		uint32_t event;
		cprof_perf_script_line_read(line, &read);
		if (read.kind != CPROF_PERF_SCRIPT_HEADER ||
		    (s->n_events && is_cut_off(&lines, line)))
			continue;
		learn_header(s, &read);
		if (!is_header_of(s, &read))
			continue;
		s->any_period |= read.has_period;
		err = find_event(s, &read, &event);
		if (err)
			err = cprof_error_wrap(err, "byte %zu",
					       (size_t)(lines.line_start - lines.start));
	}
	return err;
}

/* Clocks count nanoseconds, everything else itself. */
static struct cprof_error *add_event_type(struct script *s, uint32_t event, bool only)
{
	const char *name = cprof_profile_text(s->profile, event);
	bool clock = s->any_period && strstr(name, "-clock");
	return cprof_profile_add_type(s->profile,
				      clock && only ? "cpu"
				      : *name       ? name
						    : "events",
				      clock ? "nanoseconds" : "count");
}

static struct cprof_error *set_types(struct script *s)
{
	struct cprof_error *err = NULL;
	if (s->n_events < 2) {
		err = cprof_profile_add_type(s->profile, "samples", "count");
		return err || !s->any_period
			       ? err
			       : add_event_type(s, s->n_events ? s->events[0] : 0, true);
	}
	for (uint32_t i = 0; i < s->n_events && !err; i++)
		err = add_event_type(s, s->events[i], false);
	/* As perf report: the event that was asked for first. */
	return err ? err
		   : cprof_profile_set_default_type(s->profile,
						    cprof_profile_text(s->profile, s->events[0]));
}

/* The first file that is neither a library nor part of the kernel is the program, and stands first. */
static void put_main_first(struct cprof_profile *p)
{
	uint32_t main_number = 0;
	for (uint32_t i = 0; !main_number && i < p->n_mappings; i++) {
		const char *file = cprof_profile_text(p, p->mappings[i].filename);
		if (*file && *file != '[' && !strstr(file, ".so"))
			main_number = i + 1;
	}
	if (main_number < 2)
		return;
	struct cprof_mapping first = p->mappings[0];
	p->mappings[0] = p->mappings[main_number - 1];
	p->mappings[main_number - 1] = first;
	for (uint32_t i = 0; i < p->n_locations; i++) {
		uint32_t *number = &p->locations[i].mapping;
		if (*number == 1 || *number == main_number)
			*number = *number == 1 ? main_number : 1;
	}
}

/* A header that says when, who and what; or frames as only perf prints them, after a header of fewer words. */
static bool looks_like_script(const char *bytes, size_t n)
{
	CPROF_AUTO(lines) struct cprof_lines lines = lines_of(bytes, n);
	struct cprof_perf_script_line read = { 0 };
	const char *line;
	bool header = true; /* the frames may be all that is printed */
	for (int i = 0; i < CHECK_LINES && (line = cprof_lines_next(&lines));) {
		cprof_perf_script_line_read(line, &read);
		if (read.kind == CPROF_PERF_SCRIPT_END || read.kind == CPROF_PERF_SCRIPT_IGNORE)
			continue;
		if (read.kind == CPROF_PERF_SCRIPT_FRAME && header && *line == '\t')
			return true;
		header = read.kind == CPROF_PERF_SCRIPT_HEADER;
		/* Behind lines of something else it has to say more. */
		if (header && read.has_time &&
		    (i ? read.event.n && read.has_tid : read.event.n || read.has_tid))
			return true;
		i++;
	}
	return false;
}

static struct cprof_error *read_perf_script(const char *bytes, size_t n,
					    struct cprof_profile **ret_profile)
{
	if (!looks_like_script(bytes, n))
		return NULL;
	struct script s = { 0 };
	struct cprof_error *err = cprof_profile_new(&s.profile);
	if (!err)
		err = find_events(&s, bytes, n);
	if (!err)
		err = set_types(&s);
	if (!err)
		err = read_lines(&s, bytes, n);
	if (!err) {
		put_main_first(s.profile);
		*ret_profile = cprof_take_ptr(&s.profile);
	}
	cprof_profile_free(s.profile);
	cprof_map64_deinit(&s.mappings);
	cprof_map64_deinit(&s.locations);
	free(s.stack);
	return err;
}

const struct cprof_input_format cprof_input_perf_script = { "perf script text", read_perf_script };
