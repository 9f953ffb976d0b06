/* SPDX-License-Identifier: Apache-2.0 */
#include "convert/report/regex.h"

#include <string.h>

#include "tests/unit/test.h"

TEST(regex_refuses_what_re2_has_not_in_the_words_of_go)
{
	static const struct {
		const char *pattern, *want;
	} rows[] = {
		{ "(a", "error parsing regexp: missing closing ): `(a`" },
		{ "a)", "error parsing regexp: unexpected ): `a)`" },
		{ "[a", "error parsing regexp: missing closing ]: `[a`" },
		{ "*a", "error parsing regexp: missing argument to repetition operator: `*`" },
		{ "a**", "error parsing regexp: invalid nested repetition operator: `**`" },
		{ "a++", "error parsing regexp: invalid nested repetition operator: `++`" },
		{ "a{2}{3}", "invalid nested repetition operator" },
		{ "a{1001}", "error parsing regexp: invalid repeat count: `{1001}`" },
		{ "(a)\\1", "error parsing regexp: invalid escape sequence: `\\1`" },
		{ "a\\", "error parsing regexp: trailing backslash at end of expression: ``" },
		{ "(?=a)", "error parsing regexp: invalid or unsupported Perl syntax: `(?=`" },
		{ "(?<!a)", "invalid or unsupported Perl syntax" },
		{ "(?>a)", "invalid or unsupported Perl syntax" },
		{ "(?R)", "invalid or unsupported Perl syntax" },
		{ "(?#x)", "invalid or unsupported Perl syntax" },
		{ "\\Ga", "invalid escape sequence" },
		{ "\\K", "invalid escape sequence" },
		{ "(*FAIL)", "missing argument to repetition operator" },
		{ "[b-a]", "error parsing regexp" },
		{ "\\x4", "error parsing regexp: invalid escape sequence: `\\x`" },
		{ "\\x{41", "invalid escape sequence" },
		{ "\\8", "invalid escape sequence" },
		{ "\\\xc3\xa9", "invalid escape sequence" },
		{ "[\\b]", "invalid escape sequence: `\\b`" },
		{ "[\\Qa\\E]", "invalid escape sequence: `\\Q`" },
		{ "a\\Z", "invalid escape sequence: `\\Z`" },
		{ "\\C", "invalid escape sequence: `\\C`" },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct cprof_regex *regex = NULL;
		struct cprof_error *err = cprof_regex_new(rows[i].pattern, &regex);
		if (!err || err->code != CPROF_ERR_USAGE || !strstr(err->message, rows[i].want))
			TEST_FAIL("%s: \"%s\", want \"%s\"", rows[i].pattern,
				  err ? err->message : "accepted", rows[i].want);
		cprof_error_free(err);
	}
}

TEST(regex_matches_as_re2_does)
{
	static const struct {
		const char *pattern, *text;
		bool want;
	} rows[] = {
		{ "ain", "main", true },
		{ "^ain", "main", false },
		{ "(?i)MAIN", "main", true },
		{ "a$", "a\n", false },
		{ "a.b", "a\nb", false },
		{ "(?s)a.b", "a\nb", true },
		{ "[[:alpha:]]+\\d", "ab1", true },
		{ "[]a]", "]", true },
		{ "a{,2}", "a{,2}", true },
		{ "x{2,3}?", "xx", true },
		{ "\\Qa.b\\E", "a.b", true },
		{ "\\Qa.b\\E", "axb", false },
		{ "(?P<n>a)|b", "b", true },
		{ "\\v", "\v", true },
		{ "\\v", "\n", false },
		{ "line[13]", "line2", false },
		{ "\\bfoo\\b", "a foo b", true },
		{ "", "anything", true },
		{ "[[]", "[", true },
		{ "a{x", "a{x", true },
		{ "\\101\\x41\\x{41}", "AAA", true },
		{ "(?:^)*a|^*b|\\b+c", "b", true },
		{ "^\\W$", "\xf0\x9f\x98\x80", true },
		{ "^[\\W]$", "\xf0\x9f\x98\x80", true },
		{ "^[^\\w]$", "\xf0\x9f\x98\x80", true },
		{ "^\\D[\\D]\\S[\\S]$", "\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9", true },
		{ "\\s|[\\s]", "\v", false },
		{ "^\\S[\\S]$", "\v\v", true },
		{ "\\p{Greek}[\\p{L}]\\pL", "\xcf\x83\xcf\x83\xcf\x83", true },
		{ "\\p{^L}\\PL", "12", true },
		{ "\xc3\xa9", "caf\xc3\xa9", true },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct cprof_regex *regex = NULL;
		struct cprof_error *err = cprof_regex_new(rows[i].pattern, &regex);
		if (err)
			TEST_FAIL("%s: %s", rows[i].pattern, err->message);
		if (cprof_regex_match(regex, rows[i].text) != rows[i].want)
			TEST_FAIL("`%s` on \"%s\"", rows[i].pattern, rows[i].text);
		cprof_regex_free(regex);
	}
}

TEST(regex_gives_up_on_a_match_that_would_take_for_ever_and_says_so)
{
	struct cprof_regex *regex;
	char text[64];
	memset(text, 'a', sizeof(text));
	text[sizeof(text) - 2] = 'b';
	text[sizeof(text) - 1] = 0;
	struct cprof_error *err = cprof_regex_new("^(a|a|a|aa)+$", &regex);
	CHECK(!err);
	CHECK(!cprof_regex_match(regex, text));
	CHECK(!cprof_regex_match(regex, "a")); /* or 100,000 names would take as long each */
	err = cprof_regex_error(regex);
	CHECK(err && strstr(err->message, "steps"));
	cprof_error_free(err);
	cprof_regex_free(regex);
}
