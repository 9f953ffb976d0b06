/* SPDX-License-Identifier: Apache-2.0 */
#include "base/printable.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/printable_text.h"
#include "base/shell_word.h"
#include "cprof/profile.h"
#include "tests/unit/test.h"

static const struct {
	const char *text, *shown;
} rows[] = {
	{ "", "" },
	{ "std::vector<int>::push_back(int&&) ~ \\n", "std::vector<int>::push_back(int&&) ~ \\n" },
	{ "Gr\xc3\xb6\xc3\x9f"
	  "e \xe6\x97\xa5\xe6\x9c\xac \xf0\x9f\xa6\x80",
	  "Gr\xc3\xb6\xc3\x9f"
	  "e \xe6\x97\xa5\xe6\x9c\xac \xf0\x9f\xa6\x80" },
	{ "a\x1b[2J", "a\\x1b[2J" },
	{ "a\nb\tc\rd\x7f", "a\\nb\\tc\\x0dd\\x7f" },
	{ "\xc2\x9b"
	  "2J",
	  "\\u009b2J" }, /* C1: the same as ESC [ */
	{ "\x9b"
	  "2J",
	  "\\x9b2J" }, /* and as a byte */
	{ "a\xe2\x80\xae"
	  "b",
	  "a\\u202eb" }, /* right-to-left override */
	{ "\xe2\x81\xa6\xe2\x80\xa8\xef\xbb\xbf", "\\u2066\\u2028\\ufeff" },
	{ "\xd8\x9c\xe2\x80\x8f", "\\u061c\\u200f" },
	{ "caf\xe9", "caf\\xe9" },                      /* Latin-1 */
	{ "\xc0\xaf", "\\xc0\\xaf" },                   /* longer than need be */
	{ "\xed\xa0\x80", "\\xed\\xa0\\x80" },          /* half of a surrogate pair */
	{ "\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80" }, /* past the last character */
	{ "\xe6\x97", "\\xe6\\x97" },                   /* cut */
	{ "\xf0\x9f\xa6", "\\xf0\\x9f\\xa6" },
};

TEST(printable_shows_what_a_terminal_would_act_on)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		CPROF_AUTO(buffer) struct cprof_buffer out = { 0 };
		cprof_printable_puts(&out, rows[i].text);
		CHECK_STR(cprof_buffer_text(&out), rows[i].shown);
		CPROF_AUTO(free) char *taken = cprof_printable_take(strdup(rows[i].text));
		CHECK_STR(taken, rows[i].shown);
		CHECK(cprof_printable_is(taken, strlen(taken)));
	}
	CHECK(!cprof_printable_take(NULL));
	CHECK(!cprof_printable_is("a\0b", 3));
}

TEST(printable_lets_lines_go_on_but_not_begin)
{
	CPROF_AUTO(free)
	char *text = cprof_printable_take_lines(strdup("one\n  two\nthree\n x\n  "));
	CHECK_STR(text, "one\n  two\\nthree\\n x\n  ");
}

/* What passes through a stream, in pieces of `piece` bytes. */
static char *through(const char *text, size_t piece)
{
	char *made = NULL;
	size_t n_made, n = strlen(text);
	FILE *out = open_memstream(&made, &n_made);
	FILE *stream = out ? cprof_printable_open(out) : NULL;
	CHECK(stream != NULL);
	for (size_t at = 0; stream && at < n; at += piece) {
		fwrite(text + at, 1, n - at < piece ? n - at : piece, stream);
		fflush(stream);
	}
	if (stream)
		fclose(stream);
	if (out)
		fclose(out);
	return made;
}

TEST(printable_stream_is_the_same_in_any_pieces)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (strpbrk(rows[i].text, "\n\t")) /* lines pass */
			continue;
		for (size_t piece = 1; piece < 6; piece++) {
			CPROF_AUTO(free) char *made = through(rows[i].text, piece);
			CHECK_STR(made, rows[i].shown);
		}
	}
	CPROF_AUTO(free) char *lines = through("a\n\tb\x1b\n", 2);
	CHECK_STR(lines, "a\n\tb\\x1b\n");
}

TEST(printable_profile_keeps_its_names_apart_and_its_shape)
{
	CPROF_AUTO(profile) struct cprof_profile *profile = NULL;
	CHECK(!cprof_profile_new(&profile));
	CHECK(!cprof_profile_add_type(profile, "cpu", "ns"));
	struct cprof_function function = { 0 };
	uint32_t good, raw, index;
	/* As a reader of files puts them in. */
	CHECK(!cprof_intern_text(&profile->strings, "\\x1b[2J", &good));
	CHECK(!cprof_intern_text(&profile->strings, "\x1b[2J", &raw));
	function.name = raw;
	CHECK(!cprof_profile_add_function(profile, &function, &index));
	CHECK(!cprof_profile_make_printable(profile));
	CHECK_STR(cprof_profile_text(profile, profile->functions[index].name), "\\x1b[2J");
	CHECK_UINT(profile->functions[index].name, good);
	CHECK_STR(cprof_profile_text(profile, profile->types[0].unit), "ns");
	/* And as everybody else does. */
	CHECK(!cprof_profile_string(profile, "caf\xe9\n", &index));
	CHECK_STR(cprof_profile_text(profile, index), "caf\\xe9\\n");
}

TEST(shell_word_is_one_word)
{
	static const char *const words[][2] = {
		{ "/usr/lib/libc.so.6", "/usr/lib/libc.so.6" },
		{ "", "''" },
		{ "a b", "'a b'" },
		{ "$(reboot)", "'$(reboot)'" },
		{ "it's", "'it'\\''s'" },
		{ "'", "''\\'''" },
		{ "a\nreboot\n", "'a\\nreboot\\n'" },
		{ "\x1b[2J`x`", "'\\x1b[2J`x`'" },
	};
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		CPROF_AUTO(buffer) struct cprof_buffer out = { 0 };
		cprof_shell_word_put(&out, words[i][0]);
		CHECK_STR(cprof_buffer_text(&out), words[i][1]);
	}
}

TEST(padding_counts_characters_and_not_bytes)
{
	static const struct {
		const char *text;
		size_t characters;
	} texts[] = { { "", 0 },
		      { "thread", 6 },
		      { "gr\xc3\xb6\xc3\x9f"
			"e",
			5 },
		      { "\xf0\x9f\x98\x80", 1 },
		      { "caf\xe9", 4 },
		      { "\xe6\x97\xa5\xe6\x9c", 3 } };
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		CHECK_UINT(cprof_utf8_count(texts[i].text), texts[i].characters);
		char padded[64];
		snprintf(padded, sizeof(padded), "%*s", cprof_utf8_width(texts[i].text, 10),
			 texts[i].text);
		CHECK_UINT(cprof_utf8_count(padded), 10);
	}
}
