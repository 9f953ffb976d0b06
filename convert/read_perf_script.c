/*
 * convert/read_perf_script.c - the text of `perf script`: recordings made by perf, opened here.
 *
 * perf-script(1): a line "COMM PID/TID [CPU] TIME: PERIOD EVENT:" a sample, then a line "ADDRESS SYMBOL+OFFSET (FILE)"
 * a frame, leaf first, then an empty one. Inlined functions have "(inlined)" for a file and stand before the
 * function that they are part of.
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "convert/legacy.h"
#include "convert/source.h"

#define MAX_INLINED 64

struct script {
	struct cprof_profile *profile; /* owned until taken */
	struct cprof_map64 mappings;   /* file name -> number */
	struct cprof_map64
		locations; /* hash of address and names -> location + 1; see find_location() */
	struct cprof_line lines[MAX_INLINED];
	uint32_t n_lines;
	uint32_t *stack;
	uint32_t n_stack, stack_room;
	struct cprof_label labels[2]; /* of the sample being read */
	int64_t values[2];
	bool open; /* a sample has begun */
};

/* The words of a sample's header that matter. */
struct header {
	const char *comm;
	size_t comm_n;
	int64_t tid;
	int64_t period; /* 1 where perf does not tell */
	const char *event;
	size_t event_n;
};

/* "TIME:" : digits, a point, digits, a colon. */
static const char *find_time(const char *line)
{
	for (const char *at = line; (at = strchr(at, ':')); at++) {
		const char *start = at;
		bool point = false;
		while (start > line && (isdigit((unsigned char)start[-1]) || start[-1] == '.'))
			point = *--start == '.' || point;
		if (point && start < at && (start == line || start[-1] == ' '))
			return start;
	}
	return NULL;
}

static bool read_header(const char *line, struct header *header)
{
	const char *time = find_time(line);
	if (!time || isspace((unsigned char)*line))
		return false;
	const char *end = time;
	while (end > line && end[-1] == ' ')
		end--;
	if (end > line && end[-1] == ']') { /* [cpu] */
		end = memrchr(line, '[', (size_t)(end - line));
		if (!end)
			return false;
		while (end > line && end[-1] == ' ')
			end--;
	}
	const char *ids = end;
	while (ids > line && (isdigit((unsigned char)ids[-1]) || ids[-1] == '/'))
		ids--;
	const char *slash = memchr(ids, '/', (size_t)(end - ids));
	const char *tid = slash ? slash + 1 : ids;
	if (ids == end || ids == line || !cprof_scan_number(&tid, &header->tid))
		return false;
	while (ids > line && ids[-1] == ' ')
		ids--;
	header->comm = line;
	header->comm_n = (size_t)(ids - line);
	const char *rest = strchr(time, ':') + 1;
	header->period = 1;
	cprof_scan_number(&rest, &header->period);
	rest += strspn(rest, " ");
	header->event = rest;
	header->event_n = strcspn(rest, " ");
	while (header->event_n && rest[header->event_n - 1] == ':')
		header->event_n--;
	return header->event_n > 0;
}

static struct cprof_error *end_sample(struct script *s)
{
	if (!s->open)
		return NULL;
	s->open = false;
	struct cprof_error *err =
		cprof_profile_add_sample(s->profile, s->stack, s->n_stack, s->labels, 2, s->values);
	s->n_stack = s->n_lines = 0;
	return err;
}

/* Types follow from the first event: clocks count nanoseconds, everything else itself. */
static struct cprof_error *begin_types(struct script *s, const struct header *header)
{
	bool clock = memmem(header->event, header->event_n, "-clock", 6) != NULL;
	CPROF_AUTO(free) char *event = strndup(header->event, header->event_n);
	if (!event)
		return cprof_error_no_memory();
	struct cprof_error *err = cprof_profile_add_type(s->profile, "samples", "count");
	if (!err)
		err = cprof_profile_add_type(s->profile, clock ? "cpu" : event,
					     clock ? "nanoseconds" : "count");
	return err;
}

static struct cprof_error *begin_sample(struct script *s, const struct header *header)
{
	struct cprof_profile *p = s->profile;
	struct cprof_error *err = end_sample(s);
	if (!err && p->n_types == 0)
		err = begin_types(s, header);
	s->labels[0] = (struct cprof_label){ 0 };
	s->labels[1] = (struct cprof_label){ .is_num = true, .num = header->tid };
	if (!err)
		err = cprof_profile_string(p, "thread", &s->labels[0].key);
	if (!err)
		err = cprof_intern_bytes(&p->strings, header->comm, header->comm_n,
					 &s->labels[0].text);
	if (!err)
		err = cprof_profile_string(p, "tid", &s->labels[1].key);
	if (!err) /* a thread number 0 needs a unit to be kept */
		err = cprof_profile_string(p, header->tid ? "" : "id", &s->labels[1].text);
	s->values[0] = 1;
	s->values[1] = header->period;
	s->open = !err;
	return err;
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
		if (s->profile->lines[known->first_line + i].function != s->lines[i].function)
			return false;
	}
	return true;
}

/* Put the location of this address, with the functions collected so far, on the stack. */
static struct cprof_error *push_location(struct script *s, uint64_t address, uint32_t mapping)
{
	uint64_t hash = cprof_hash_mix(address, mapping);
	for (uint32_t i = 0; i < s->n_lines; i++)
		hash = cprof_hash_mix(hash, s->lines[i].function);
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

static struct cprof_error *add_function(struct script *s, const char *name, size_t n)
{
	struct cprof_function function = { 0 };
	struct cprof_error *err = cprof_intern_bytes(&s->profile->strings, name, n, &function.name);
	function.system_name = function.name;
	if (!err && s->n_lines < MAX_INLINED) {
		s->lines[s->n_lines] = (struct cprof_line){ 0 };
		err = cprof_profile_function(s->profile, &function, &s->lines[s->n_lines].function);
		s->n_lines += !err;
	}
	return err;
}

/* "   ADDRESS SYMBOL+0xOFFSET (FILE)" */
static struct cprof_error *read_frame(struct script *s, const struct cprof_lines *lines,
				      const char *line)
{
	uint64_t address;
	line += strspn(line, " \t");
	if (!cprof_scan_hex(&line, &address) || *line != ' ')
		return cprof_lines_error(lines, "not a frame");
	line += strspn(line, " ");
	size_t n = strlen(line);
	const char *open = n && line[n - 1] == ')' ? memrchr(line, '(', n) : NULL;
	const char *file = open ? open + 1 : "";
	size_t file_n = open ? (size_t)(line + n - 1 - file) : 0;
	size_t name_n = open ? (size_t)(open - line) : n;
	while (name_n && line[name_n - 1] == ' ')
		name_n--;
	const char *offset = memmem(line, name_n, "+0x", 3);
	for (const char *next = offset; next;
	     next = memmem(next + 1, (size_t)(line + name_n - next - 1), "+0x", 3))
		offset = next;
	if (offset)
		name_n = (size_t)(offset - line);
	struct cprof_error *err = NULL;
	if (name_n && !(name_n == 9 && strncmp(line, "[unknown]", 9) == 0))
		err = add_function(s, line, name_n);
	if (err || (file_n == 7 && strncmp(file, "inlined", 7) == 0))
		return err;
	uint32_t string, mapping = 0;
	err = cprof_intern_bytes(&s->profile->strings, file, file_n, &string);
	if (!err)
		err = find_mapping(s, string, &mapping);
	return err ? err : push_location(s, address, mapping);
}

static struct cprof_error *read_lines(struct script *s, struct cprof_lines *lines)
{
	const char *line;
	struct cprof_error *err = NULL;
	while (!err && (line = cprof_lines_next(lines))) {
		struct header header;
		if (!line[strspn(line, " \t")])
			err = end_sample(s);
		else if (*line == '#')
			continue;
		else if (!isspace((unsigned char)*line) && read_header(line, &header))
			err = begin_sample(s, &header);
		else if (s->open)
			err = read_frame(s, lines, line);
		else
			err = cprof_lines_error(lines, "not the header of a sample");
	}
	return err ? err : end_sample(s);
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

static bool looks_like_script(const char *bytes, size_t n)
{
	CPROF_AUTO(lines)
	struct cprof_lines lines = {
		.at = bytes, .end = bytes + n, .start = bytes, .line_start = bytes
	};
	const char *line;
	struct header header;
	while ((line = cprof_lines_next(&lines)) && cprof_legacy_is_blank(line))
		;
	return line && read_header(line, &header);
}

static struct cprof_error *read_perf_script(const char *bytes, size_t n,
					    struct cprof_profile **ret_profile)
{
	if (!looks_like_script(bytes, n))
		return NULL;
	CPROF_AUTO(lines)
	struct cprof_lines lines = {
		.at = bytes, .end = bytes + n, .start = bytes, .line_start = bytes
	};
	struct script s = { 0 };
	struct cprof_error *err = cprof_profile_new(&s.profile);
	if (!err)
		err = read_lines(&s, &lines);
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

const struct cprof_source_format cprof_source_perf_script = { "perf script text",
							      read_perf_script };
