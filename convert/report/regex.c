/* SPDX-License-Identifier: Apache-2.0 */
#include "convert/report/regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "cprof/buffer.h"

/*
 * Steps of PCRE2's matcher for one text: a few milliseconds; function names need some hundreds. And
 * time for all texts together, because a profile has many names.
 */
#define MATCH_STEPS 1000000u
#define MATCH_NS    (5 * CPROF_NS_PER_S)
#define MAX_REPEAT  1000 /* RE2's own bound for {n,m} */

struct cprof_regex {
	pcre2_code *code;
	pcre2_match_data *match;
	pcre2_match_context *limits;
	char *pattern;
	uint64_t spent_ns;
	bool gave_up; /* from then on nothing matches, so that the error comes soon */
};

static struct cprof_error *refuse(const char *why, const char *at, size_t n)
{
	return cprof_error_new(CPROF_ERR_USAGE, "error parsing regexp: %s: `%.*s`", why, (int)n,
			       at);
}

/* The state of a walk over a pattern: what has been seen, and the translation so far. */
struct walk {
	const char *pattern;
	const char *at;
	struct cprof_buffer out;
	unsigned depth;  /* open groups */
	bool repeatable; /* something stands before a '*' */
	bool repeated;   /* ... and it has been repeated already */
};

/* "\\123": one to three octal digits. A single digit other than 0 would be a backreference, which RE2 has not. */
static struct cprof_error *walk_octal(struct walk *w)
{
	size_t n = strspn(w->at + 1, "01234567");
	if (n == 0 || (n == 1 && w->at[1] != '0'))
		return refuse("invalid escape sequence", w->at, 2);
	unsigned value = 0;
	n = n < 3 ? n : 3;
	for (size_t i = 1; i <= n; i++)
		value = value * 8 + (unsigned)(w->at[i] - '0');
	cprof_buffer_printf(&w->out, "\\x{%x}", value);
	w->at += 1 + n;
	return NULL;
}

/* "\\x4f" or "\\x{1F600}"; PCRE2 would also take fewer digits. */
static struct cprof_error *walk_hex(struct walk *w)
{
	static const char digits[] = "0123456789abcdefABCDEF";
	bool braces = w->at[2] == '{';
	size_t n = strspn(w->at + 2 + braces, digits), length = 4;
	if (braces)
		length = n && w->at[3 + n] == '}' ? 4 + n : 0;
	else if (n < 2)
		length = 0;
	if (!length)
		return refuse("invalid escape sequence", w->at, 2);
	cprof_buffer_append(&w->out, w->at, length);
	w->at += length;
	return NULL;
}

/*
 * What RE2 means by the letters whose meaning is not quite PCRE2's: a blank is no vertical tab, and
 * the opposite of a class takes in all of Unicode (PCRE2 10.42 forgets it where a text may have bytes
 * that are no UTF-8). Inside of brackets only the bare list may stand.
 */
static const char *translate_letter(char c, bool in_class)
{
	switch (c) {
	case 'v':
		return "\\x0b";
	case 's':
		return in_class ? "\\t\\n\\f\\r " : "[\\t\\n\\f\\r ]";
	case 'S':
		return in_class ? "\\x00-\\x08\\x0b\\x0e-\\x1f\\x21-\\x{10ffff}"
				: "[^\\t\\n\\f\\r ]";
	case 'D':
		return in_class ? "\\x00-/:-\\x{10ffff}" : "[^0-9]";
	case 'W':
		return in_class ? "\\x00-/:-@\\x5b-\\x5e`\\x7b-\\x{10ffff}" : "[^\\w]";
	default:
		return NULL;
	}
}

static struct cprof_error *walk_escape(struct walk *w, bool in_class)
{
	char c = w->at[1];
	if (!c)
		return refuse("trailing backslash at end of expression", "", 0);
	if (c == 'Q' && !in_class) {
		const char *end = strstr(w->at, "\\E");
		size_t n = end ? (size_t)(end + 2 - w->at) : strlen(w->at);
		cprof_buffer_append(&w->out, w->at, n);
		w->at += n;
		return NULL;
	}
	if (c >= '0' && c <= '7')
		return walk_octal(w);
	if (c == 'x')
		return walk_hex(w);
	bool alnum = (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
	const char *known = in_class ? "dDsSwWafnrtvpP" : "dDsSwWafnrtvAbBzpP";
	if (c & 0x80 || (alnum && !strchr(known, c)))
		return refuse("invalid escape sequence", w->at, 2);
	const char *translated = translate_letter(c, in_class);
	size_t n = 2;
	if ((c | 0x20) == 'p' && w->at[2] == '{') /* \p{Greek} */
		n += strcspn(w->at + 2, "}") + (strchr(w->at, '}') != NULL);
	if (translated)
		cprof_buffer_puts(&w->out, translated);
	else
		cprof_buffer_append(&w->out, w->at, n);
	w->at += n;
	return NULL;
}

static struct cprof_error *walk_class(struct walk *w)
{
	const char *start = w->at;
	cprof_buffer_putc(&w->out, *w->at++);
	if (*w->at == '^')
		cprof_buffer_putc(&w->out, *w->at++);
	if (*w->at == ']') { /* a literal when first */
		cprof_buffer_puts(&w->out, "\\]");
		w->at++;
	}
	while (*w->at && *w->at != ']') {
		struct cprof_error *err = NULL;
		if (w->at[0] == '[' && w->at[1] == ':' && strstr(w->at, ":]")) {
			size_t n = (size_t)(strstr(w->at, ":]") + 2 - w->at);
			cprof_buffer_append(&w->out, w->at, n);
			w->at += n;
		} else if (*w->at == '[') {
			cprof_buffer_puts(&w->out, "\\[");
			w->at++;
		} else if (*w->at == '\\') {
			err = walk_escape(w, true);
		} else {
			cprof_buffer_putc(&w->out, *w->at++);
		}
		if (err)
			return err;
	}
	if (!*w->at)
		return refuse("missing closing ]", start, strlen(start));
	cprof_buffer_putc(&w->out, *w->at++);
	return NULL;
}

/* "(": a plain group, (?P<name>, (?<name>, or (?flags) and (?flags: of i, m, s, U. */
static struct cprof_error *walk_group(struct walk *w)
{
	const char *start = w->at;
	if (start[1] == '*')
		return refuse("missing argument to repetition operator", start + 1, 1);
	if (start[1] != '?') {
		cprof_buffer_putc(&w->out, *w->at++);
		w->depth++;
		return NULL;
	}
	size_t n = 2;
	if (start[2] == 'P' || (start[2] == '<' && start[3] != '=' && start[3] != '!')) {
		const char *open = start[2] == 'P' ? start + 3 : start + 2;
		const char *close = strchr(start, '>');
		if (*open != '<' || !close)
			return refuse("invalid named capture", start, strlen(start));
		cprof_buffer_append(&w->out, start, (size_t)(close + 1 - start));
		w->at = close + 1;
		w->depth++;
		return NULL;
	}
	while (start[n] && strchr("imsU-", start[n]))
		n++;
	if (start[n] != ':' && (start[n] != ')' || n == 2))
		return refuse("invalid or unsupported Perl syntax", start, n + (start[n] != 0));
	w->depth += start[n] == ':';
	cprof_buffer_append(&w->out, start, n + 1);
	w->at += n + 1;
	return NULL;
}

/* "{n}", "{n,}", "{n,m}": its length, or 0 where the brace is a literal. */
static size_t repeat_length(const char *at, bool *ret_too_many)
{
	char *end;
	if (at[1] < '0' || at[1] > '9')
		return 0;
	unsigned long low = strtoul(at + 1, &end, 10), high = low;
	if (*end == ',') {
		end++;
		if (*end >= '0' && *end <= '9')
			high = strtoul(end, &end, 10);
	}
	if (*end != '}')
		return 0;
	*ret_too_many = low > MAX_REPEAT || high > MAX_REPEAT || low > high;
	return (size_t)(end + 1 - at);
}

static struct cprof_error *walk_repeat(struct walk *w, size_t n)
{
	if (!w->repeatable)
		return refuse("missing argument to repetition operator", w->at, n);
	if (w->repeated)
		return refuse("invalid nested repetition operator", w->at - 1, n + 1);
	cprof_buffer_append(&w->out, w->at, n);
	w->at += n;
	if (*w->at == '?') /* the lazy form */
		cprof_buffer_putc(&w->out, *w->at++);
	w->repeated = true;
	return NULL;
}

/* "^", "$", "\\b" and the like; RE2 lets them be repeated, PCRE2 only as a group. */
static bool walk_assertion(struct walk *w)
{
	size_t n = strchr("^$", *w->at)                                     ? 1
		   : *w->at == '\\' && w->at[1] && strchr("AbBz", w->at[1]) ? 2
									    : 0;
	if (!n)
		return false;
	cprof_buffer_printf(&w->out, "(?:%.*s)", (int)n, w->at);
	w->at += n;
	return true;
}

static struct cprof_error *walk_one(struct walk *w)
{
	bool too_many = false;
	size_t braces = *w->at == '{' ? repeat_length(w->at, &too_many) : 0;
	if (too_many)
		return refuse("invalid repeat count", w->at, braces);
	if (braces)
		return walk_repeat(w, braces);
	if (strchr("*+?", *w->at))
		return walk_repeat(w, 1);

	bool flags_only = w->at[0] == '(' && w->at[1] == '?';
	w->repeatable = *w->at != '(' && *w->at != '|' && !flags_only;
	w->repeated = false;
	if (walk_assertion(w))
		return NULL;
	switch (*w->at) {
	case '\\':
		return walk_escape(w, false);
	case '[':
		return walk_class(w);
	case '(':
		return walk_group(w);
	case ')':
		if (w->depth == 0)
			return refuse("unexpected )", w->pattern, strlen(w->pattern));
		w->depth--;
		break;
	case '{': /* no count: a brace like any other, in PCRE2 from 10.43 on only when quoted */
		cprof_buffer_putc(&w->out, '\\');
		break;
	}
	cprof_buffer_putc(&w->out, *w->at++);
	return NULL;
}

static struct cprof_error *translate(struct walk *w)
{
	while (*w->at) {
		struct cprof_error *err = walk_one(w);
		if (err)
			return err;
	}
	if (w->depth)
		return refuse("missing closing )", w->pattern, strlen(w->pattern));
	return cprof_buffer_error(&w->out);
}

static struct cprof_error *compile(struct cprof_regex *regex, const char *translated)
{
	int code;
	PCRE2_SIZE offset;
	regex->code = pcre2_compile((PCRE2_SPTR)translated, PCRE2_ZERO_TERMINATED,
				    PCRE2_UTF | PCRE2_MATCH_INVALID_UTF | PCRE2_DOLLAR_ENDONLY |
					    PCRE2_DUPNAMES,
				    &code, &offset, NULL);
	if (!regex->code) {
		char why[128] = "";
		pcre2_get_error_message(code, (PCRE2_UCHAR *)why, sizeof(why));
		return refuse(why, regex->pattern, strlen(regex->pattern));
	}
	pcre2_jit_compile(regex->code,
			  PCRE2_JIT_COMPLETE); /* without it matching is slower, not wrong */
	regex->match = pcre2_match_data_create_from_pattern(regex->code, NULL);
	regex->limits = pcre2_match_context_create(NULL);
	if (!regex->match || !regex->limits)
		return cprof_error_no_memory();
	pcre2_set_match_limit(regex->limits, MATCH_STEPS);
	return NULL;
}

struct cprof_error *cprof_regex_new(const char *pattern, struct cprof_regex **ret_regex)
{
	struct cprof_regex *regex = calloc(1, sizeof(*regex));
	if (!regex || !(regex->pattern = strdup(pattern))) {
		free(regex);
		return cprof_error_no_memory();
	}
	struct walk w = { .pattern = pattern, .at = pattern };
	struct cprof_error *err = translate(&w);
	if (!err)
		err = compile(regex, cprof_buffer_text(&w.out));
	cprof_buffer_deinit(&w.out);
	if (err) {
		cprof_regex_free(regex);
		return err;
	}
	*ret_regex = regex;
	return NULL;
}

void cprof_regex_free(struct cprof_regex *regex)
{
	if (!regex)
		return;
	pcre2_code_free(regex->code);
	pcre2_match_data_free(regex->match);
	pcre2_match_context_free(regex->limits);
	free(regex->pattern);
	free(regex);
}

bool cprof_regex_match_bytes(struct cprof_regex *regex, const char *text, size_t n)
{
	if (!regex || regex->gave_up)
		return false;
	uint64_t began_ns = cprof_clock_mono_ns();
	int found =
		pcre2_match(regex->code, (PCRE2_SPTR)text, n, 0, 0, regex->match, regex->limits);
	regex->spent_ns += cprof_clock_mono_ns() - began_ns;
	if ((found < 0 && found != PCRE2_ERROR_NOMATCH) || regex->spent_ns > MATCH_NS)
		regex->gave_up = true;
	return found > 0;
}

bool cprof_regex_match(struct cprof_regex *regex, const char *text)
{
	return cprof_regex_match_bytes(regex, text, strlen(text));
}

bool cprof_regex_group(const struct cprof_regex *regex, unsigned group, size_t *ret_start,
		       size_t *ret_end)
{
	const PCRE2_SIZE *at = pcre2_get_ovector_pointer(regex->match);
	if (group >= pcre2_get_ovector_count(regex->match) || at[2 * group] == PCRE2_UNSET)
		return false;
	*ret_start = at[2 * group];
	*ret_end = at[2 * group + 1];
	return true;
}

struct cprof_error *cprof_regex_error(const struct cprof_regex *regex)
{
	if (!regex || !regex->gave_up)
		return NULL;
	struct cprof_error *err =
		regex->spent_ns > MATCH_NS
			? cprof_error_new(CPROF_ERR_USAGE,
					  "regexp `%s`: matching took more than 5 s",
					  regex->pattern)
			: cprof_error_new(CPROF_ERR_USAGE,
					  "regexp `%s`: matching took more than %u steps",
					  regex->pattern, MATCH_STEPS);
	return cprof_error_hint(err, "write the expression without nested repetitions");
}

const char *cprof_regex_pattern(const struct cprof_regex *regex)
{
	return regex->pattern;
}
