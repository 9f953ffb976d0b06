/* SPDX-License-Identifier: Apache-2.0 */
#include "base/printable.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

size_t cprof_utf8_length(const char *at, size_t room)
{
	const unsigned char *byte = (const unsigned char *)at;
	size_t n = byte[0] < 0x80                      ? 1
		   : byte[0] >= 0xc2 && byte[0] < 0xe0 ? 2
		   : (byte[0] & 0xf0) == 0xe0          ? 3
		   : byte[0] >= 0xf0 && byte[0] < 0xf5 ? 4
						       : 0;
	if (n > room)
		return 0;
	for (size_t i = 1; i < n; i++) {
		if ((byte[i] & 0xc0) != 0x80)
			return 0;
	}
	if ((n == 3 && byte[0] == 0xe0 && byte[1] < 0xa0) ||
	    (n == 3 && byte[0] == 0xed && byte[1] >= 0xa0) ||
	    (n == 4 && byte[0] == 0xf0 && byte[1] < 0x90) ||
	    (n == 4 && byte[0] == 0xf4 && byte[1] >= 0x90))
		return 0;
	return n;
}

size_t cprof_utf8_count(const char *text)
{
	size_t n = 0;
	for (size_t left = strlen(text), step; left; left -= step, text += step, n++) {
		step = cprof_utf8_length(text, left);
		step = step ? step : 1;
	}
	return n;
}

int cprof_utf8_width(const char *text, size_t columns)
{
	return (int)(columns + strlen(text) - cprof_utf8_count(text));
}

/* The character of a sequence of two or three bytes; longer ones have none that is not fit. */
static uint32_t character(const char *at, size_t n)
{
	const unsigned char *byte = (const unsigned char *)at;
	if (n == 2)
		return (uint32_t)(byte[0] & 0x1f) << 6 | (byte[1] & 0x3f);
	if (n == 3)
		return (uint32_t)(byte[0] & 0x0f) << 12 | (uint32_t)(byte[1] & 0x3f) << 6 |
		       (byte[2] & 0x3f);
	return byte[0];
}

static bool acts_on_terminals(uint32_t c)
{
	return (c >= 0x80 && c < 0xa0) ||                   /* C1: 0x9b is ESC [ */
	       c == 0x61c || c == 0x200e || c == 0x200f ||  /* direction marks */
	       c == 0x2028 || c == 0x2029 ||                /* line, paragraph separator */
	       (c >= 0x202a && c <= 0x202e) ||              /* embeddings and overrides */
	       (c >= 0x2066 && c <= 0x2069) || c == 0xfeff; /* isolates; a byte order mark */
}

/* How many bytes of a fit character are at `at`; 0: what is there is not fit. */
static size_t fit(const char *at, size_t n, const char *keep)
{
	unsigned char c = (unsigned char)*at;
	if (c >= ' ' && c < 0x7f)
		return 1;
	if (c < ' ' || c == 0x7f)
		return c && strchr(keep, c) ? 1 : 0;
	size_t length = cprof_utf8_length(at, n);
	return length && !acts_on_terminals(character(at, length)) ? length : 0;
}

/*
 * How many bytes from `text` on are plain ASCII, in steps of eight. A byte below ' ' borrows, 0x7f carries into its highest
 * bit; what that does to its neighbours only ends the span early.
 */
static size_t plain_span(const char *text, size_t n)
{
	const uint64_t each = 0x0101010101010101ull;
	size_t at = 0;
	for (uint64_t word; n - at >= sizeof(word); at += sizeof(word)) {
		memcpy(&word, text + at, sizeof(word));
		if ((word | (word - each * ' ') | (word + each)) & (each << 7))
			break;
	}
	return at;
}

size_t cprof_printable_span(const char *text, size_t n, const char *keep)
{
	size_t at = 0, length = 1;
	while (at < n && length) {
		size_t plain = plain_span(text + at, n - at);
		length = plain ? plain : fit(text + at, n - at, keep);
		at += length;
	}
	return at;
}

bool cprof_printable_is(const char *text, size_t n)
{
	return cprof_printable_span(text, n, "") == n;
}

size_t cprof_printable_show(const char *at, size_t n, char shown[CPROF_PRINTABLE_MAX])
{
	unsigned char c = (unsigned char)*at;
	size_t length = c < 0x80 ? 1 : cprof_utf8_length(at, n);
	if (c == '\n' || c == '\t')
		snprintf(shown, CPROF_PRINTABLE_MAX, "\\%c", c == '\n' ? 'n' : 't');
	else if (length > 1)
		snprintf(shown, CPROF_PRINTABLE_MAX, "\\u%04x", character(at, length) & 0xffff);
	else
		snprintf(shown, CPROF_PRINTABLE_MAX, "\\x%02x", c);
	return length ? length : 1;
}

/* A copy made fit, in which `line`, if it is not NULL, stays. NULL: no memory. */
static char *copy(const char *text, const char *line)
{
	const size_t n = strlen(text), line_n = line ? strlen(line) : 0;
	char *made = n < SIZE_MAX / 8 ? malloc(n * 4 + CPROF_PRINTABLE_MAX) : NULL, *out = made;
	for (size_t at = 0; made && at < n;) {
		size_t fit_n = cprof_printable_span(text + at, n - at, "");
		if (line && strncmp(text + at, line, line_n) == 0)
			fit_n = line_n;
		memcpy(out, text + at, fit_n);
		out += fit_n;
		at += fit_n;
		if (!fit_n) {
			at += cprof_printable_show(text + at, n - at, out);
			out += strlen(out);
		}
	}
	if (made)
		*out = 0;
	return made;
}

static char *take(char *text, const char *line)
{
	if (!text || cprof_printable_is(text, strlen(text)))
		return text;
	char *made = copy(text, line);
	if (made) {
		free(text);
		return made;
	}
	for (char *at = text; *at; at++) {
		if ((unsigned char)(*at - ' ') >= 0x7f - ' ') /* all but ASCII's printable ones */
			*at = '?';
	}
	return text;
}

char *cprof_printable_take(char *text)
{
	return take(text, NULL);
}

char *cprof_printable_take_lines(char *text)
{
	return take(text, "\n  ");
}
