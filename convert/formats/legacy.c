/* SPDX-License-Identifier: Apache-2.0 */
#include "convert/formats/legacy.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "convert/profile/measure.h"

static const char *find_line_end(struct cprof_lines *lines)
{
	size_t n = (size_t)(lines->end - lines->at);
	const char *stop = lines->no_newlines ? NULL : memchr(lines->at, '\n', n);
	lines->no_newlines = !stop;
	return stop ? stop : memchr(lines->at, '\r', n);
}

/* The line's own text, with nothing in it that would end it for those who read it. */
static void keep_line(struct cprof_buffer *line, const char *at, size_t n)
{
	while (n && !at[n - 1])
		n--;
	for (; n && !*at; n--)
		at++;
	if (n >= 3 && memcmp(at, "\xef\xbb\xbf", 3) == 0) {
		at += 3;
		n -= 3;
	}
	line->len = 0;
	/* The last byte is no zero, so none of them goes on beyond the end. */
	for (const char *zero; (zero = memchr(at, 0, n));) {
		cprof_buffer_append(line, at, (size_t)(zero - at));
		cprof_buffer_puts(line, "\xef\xbf\xbd");
		while (!*zero)
			zero++;
		n -= (size_t)(zero - at);
		at = zero;
	}
	cprof_buffer_append(line, at, n);
}

const char *cprof_lines_next(struct cprof_lines *lines)
{
	if (lines->at >= lines->end)
		return NULL;
	lines->line_start = lines->at;
	const char *stop = find_line_end(lines);
	size_t n = (size_t)((stop ? stop : lines->end) - lines->at);
	lines->at += n + (stop != NULL);
	if (n && lines->line_start[n - 1] == '\r')
		n--;
	keep_line(&lines->line, lines->line_start, n);
	return cprof_buffer_text(&lines->line);
}

bool cprof_lines_is_open(const struct cprof_lines *lines)
{
	return lines->at == lines->end && lines->at > lines->line_start && lines->at[-1] != '\n' &&
	       lines->at[-1] != '\r' && lines->odd_start != lines->line_start;
}

struct cprof_error *cprof_lines_error(const struct cprof_lines *lines, const char *why)
{
	return cprof_error_new(CPROF_ERR_BAD_DATA, "byte %zu: %s: %.120s",
			       (size_t)(lines->line_start - lines->start), why,
			       cprof_buffer_text(&lines->line));
}

struct cprof_error *cprof_lines_forgive(struct cprof_lines *lines, struct cprof_error *err)
{
	if (!err || err->code != CPROF_ERR_BAD_DATA)
		return err;
	lines->n_odd++;
	lines->odd_start = lines->line_start;
	if (lines->odd) {
		cprof_error_free(err);
	} else if (strncmp(err->message, "byte ", 5) == 0) {
		lines->odd = err;
	} else {
		lines->odd = cprof_error_wrap(err, "byte %zu",
					      (size_t)(lines->line_start - lines->start));
	}
	return NULL;
}

struct cprof_error *cprof_lines_settle(struct cprof_lines *lines, struct cprof_profile *profile)
{
	CPROF_AUTO(buffer) struct cprof_buffer text = { 0 };
	if (!lines->n_odd)
		return NULL;
	if (!profile->n_samples)
		return cprof_take_ptr(&lines->odd);
	if (lines->n_odd == 1)
		cprof_buffer_printf(&text, "1 line was left out, at %s", lines->odd->message);
	else
		cprof_buffer_printf(&text, "%" PRIu64 " lines were left out, the first at %s",
				    lines->n_odd, lines->odd->message);
	struct cprof_error *err = cprof_buffer_error(&text);
	return err ? err : cprof_profile_add_comment(profile, cprof_buffer_text(&text));
}

struct cprof_error *cprof_lines_tell_open(const struct cprof_lines *lines,
					  struct cprof_profile *profile)
{
	char note[96];
	if (!cprof_lines_is_open(lines))
		return NULL;
	snprintf(note, sizeof(note), "the line at byte %zu has no end: it may be cut off",
		 (size_t)(lines->line_start - lines->start));
	return cprof_profile_add_comment(profile, note);
}

bool cprof_legacy_is_blank(const char *line)
{
	line += strspn(line, " \t\r\v\f");
	return !*line || *line == '#';
}

bool cprof_legacy_is_map_marker(const char *line)
{
	return strstr(line, "--- Memory map: ---") || strstr(line, "MAPPED_LIBRARIES:");
}

struct cprof_error *cprof_legacy_init(struct cprof_legacy *legacy)
{
	*legacy = (struct cprof_legacy){ 0 };
	return cprof_profile_new(&legacy->profile);
}

void cprof_legacy_deinit(struct cprof_legacy *legacy)
{
	cprof_profile_free(legacy->profile);
	cprof_map64_deinit(&legacy->by_address);
	free(legacy->stack);
}

struct cprof_error *cprof_legacy_push(struct cprof_legacy *legacy, uint64_t address)
{
	uint64_t *place = cprof_map64_put(&legacy->by_address, address, NULL);
	struct cprof_error *err = place ? NULL : cprof_error_no_memory();
	if (!err && !*place) {
		struct cprof_location location = { .address = address };
		uint32_t index;
		err = cprof_profile_add_location(legacy->profile, &location, NULL, 0, &index);
		if (!err)
			*place = (uint64_t)index + 1;
	}
	if (!err)
		err = cprof_profile_grow(&legacy->stack, legacy->n_stack, &legacy->stack_room, 1,
					 sizeof(*legacy->stack));
	if (!err)
		legacy->stack[legacy->n_stack++] = (uint32_t)(*place - 1);
	return err;
}

struct cprof_error *cprof_legacy_push_all(struct cprof_legacy *legacy, const char *text,
					  unsigned leaf_less, unsigned caller_less)
{
	while ((text = strstr(text, "0x"))) {
		uint64_t address;
		if (!isxdigit((unsigned char)text[2])) {
			text += 2;
			continue;
		}
		if (!cprof_scan_hex(&text, &address))
			return cprof_error_new(CPROF_ERR_BAD_DATA,
					       "failed to parse as hex 64-bit number: %.40s", text);
		struct cprof_error *err = cprof_legacy_push(
			legacy, address - (legacy->n_stack ? caller_less : leaf_less));
		if (err)
			return err;
	}
	return NULL;
}

struct cprof_error *cprof_legacy_add(struct cprof_legacy *legacy, const int64_t *values,
				     const int64_t *bytes)
{
	struct cprof_label label = { .is_num = true, .num = bytes ? *bytes : 0 };
	struct cprof_error *err = NULL;
	if (bytes)
		err = cprof_profile_string(legacy->profile, "bytes", &label.key);
	if (!err)
		err = cprof_profile_add_sample(legacy->profile, legacy->stack, legacy->n_stack,
					       &label, bytes ? 1 : 0, values);
	legacy->n_stack = 0;
	return err;
}

void cprof_legacy_drop_doubles(struct cprof_profile *p)
{
	for (uint32_t i = 0; i < p->n_samples; i++) {
		struct cprof_sample *sample = &p->samples[i];
		uint32_t *stack = p->stacks + sample->first_location;
		if (sample->n_locations < 2 ||
		    p->locations[stack[0]].address != p->locations[stack[1]].address + 1)
			continue;
		stack[1] = stack[0];
		sample->first_location++;
		sample->n_locations--;
	}
}

bool cprof_scan_number(const char **at, int64_t *ret)
{
	const char *text = *at + strspn(*at, " \t");
	const char *digits = text + (*text == '-');
	if (!isdigit((unsigned char)*digits))
		return false;
	char *end;
	errno = 0;
	*ret = strtoll(text, &end, 10);
	*at = end;
	return errno == 0;
}

bool cprof_scan_literal(const char **at, const char *literal)
{
	const char *text = *at + strspn(*at, " \t");
	size_t n = strlen(literal);
	if (strncmp(text, literal, n) != 0)
		return false;
	*at = text + n;
	return true;
}

bool cprof_scan_hex(const char **at, uint64_t *ret)
{
	const char *text = *at;
	if (text[0] == '0' && text[1] == 'x')
		text += 2;
	if (!isxdigit((unsigned char)*text))
		return false;
	char *end;
	errno = 0;
	*ret = strtoull(text, &end, 16);
	if (errno)
		return false;
	*at = end;
	return true;
}

/*
 * Blocks are picked with a probability that grows with their size: 1 - exp(-size/rate). Dividing by it gives
 * the expected number of all blocks (gperftools, "Heap profiling"; Go's runtime does the same).
 */
void cprof_legacy_unsample(int64_t *count, int64_t *size, int64_t rate)
{
	if (!*count || !*size) {
		*count = *size = 0;
		return;
	}
	if (rate <= 1)
		return;
	double average = (double)*size / (double)*count;
	double scale = 1 / (1 - exp(-average / (double)rate));
	*count = cprof_measure_truncate((double)*count * scale);
	*size = cprof_measure_truncate((double)*size * scale);
}
