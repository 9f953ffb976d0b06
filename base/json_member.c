/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json_member.h"

#include <string.h>

#define SURROGATE_HIGH 0xd800u
#define SURROGATE_LOW  0xdc00u
#define SURROGATE_END  0xe000u

struct reader {
	const char *at, *end;
};

static void skip_blanks(struct reader *r)
{
	while (r->at < r->end && strchr(" \t\r\n", *r->at) && *r->at)
		r->at++;
}

static bool take(struct reader *r, char c)
{
	skip_blanks(r);
	const bool is = r->at < r->end && *r->at == c;
	r->at += is;
	return is;
}

static bool take_hex(struct reader *r, uint32_t *ret)
{
	*ret = 0;
	if (r->end - r->at < 4)
		return false;
	for (size_t i = 0; i < 4; i++) {
		const char c = *r->at++, low = (char)(c | 0x20);
		if (c >= '0' && c <= '9')
			*ret = *ret << 4 | (uint32_t)(c - '0');
		else if (low >= 'a' && low <= 'f')
			*ret = *ret << 4 | (uint32_t)(low - 'a' + 10);
		else
			return false;
	}
	return true;
}

static void put_utf8(uint32_t c, struct cprof_buffer *out)
{
	const unsigned extra = c < 0x80 ? 0 : c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
	static const unsigned char first[] = { 0, 0xc0, 0xe0, 0xf0 };
	cprof_buffer_putc(out, (char)(first[extra] | c >> (6 * extra)));
	for (unsigned i = extra; i-- > 0;)
		cprof_buffer_putc(out, (char)(0x80 | (c >> (6 * i) & 0x3f)));
}

/* Behind "\u". A half of a pair that is alone is no character. */
static bool take_unicode(struct reader *r, struct cprof_buffer *out)
{
	uint32_t c, low;
	if (!take_hex(r, &c))
		return false;
	if (c >= SURROGATE_HIGH && c < SURROGATE_END) {
		if (c >= SURROGATE_LOW || r->end - r->at < 2 || r->at[0] != '\\' || r->at[1] != 'u')
			return false;
		r->at += 2;
		if (!take_hex(r, &low) || low < SURROGATE_LOW || low >= SURROGATE_END)
			return false;
		c = 0x10000 + ((c - SURROGATE_HIGH) << 10) + (low - SURROGATE_LOW);
	}
	put_utf8(c, out);
	return true;
}

static bool take_escape(struct reader *r, struct cprof_buffer *out)
{
	static const char named[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
	if (r->at == r->end)
		return false;
	const char c = *r->at++;
	if (c == 'u')
		return take_unicode(r, out);
	const char *found = c ? strchr(named, c) : NULL;
	if (found)
		cprof_buffer_putc(out, meant[found - named]);
	return found != NULL;
}

/* A text, from its quote on. */
static bool take_text(struct reader *r, struct cprof_buffer *out)
{
	if (!take(r, '"'))
		return false;
	for (;;) {
		const char *from = r->at;
		while (r->at < r->end && *r->at != '"' && *r->at != '\\')
			r->at++;
		cprof_buffer_append(out, from, (size_t)(r->at - from));
		if (r->at == r->end)
			return false;
		if (*r->at++ == '"')
			return true;
		if (!take_escape(r, out))
			return false;
	}
}

/* Past one value of any kind. */
static bool skip_value(struct reader *r)
{
	size_t depth = 0;
	struct cprof_buffer unused = { 0 };
	do {
		skip_blanks(r);
		if (r->at == r->end)
			return false;
		const char c = *r->at;
		if (c == '"') {
			const bool good = take_text(r, &unused);
			cprof_buffer_deinit(&unused);
			if (!good)
				return false;
			continue;
		}
		if (depth == 0 && strchr(",}]:", c))
			return false;
		if (c == '{' || c == '[')
			depth++;
		else if (c == '}' || c == ']')
			depth--;
		r->at++;
		while (c != '{' && c != '[' && c != '}' && c != ']' && r->at < r->end &&
		       !strchr(",:{}[]\" \t\r\n", *r->at))
			r->at++;
	} while (depth);
	return true;
}

bool cprof_json_member(const char *json, size_t n, const char *name, struct cprof_buffer *out)
{
	struct reader r = { .at = json, .end = json + n };
	if (!take(&r, '{'))
		return false;
	do {
		struct cprof_buffer key = { 0 };
		bool good = take_text(&r, &key) && take(&r, ':');
		const bool is = good && key.len == strlen(name) &&
				memcmp(cprof_buffer_text(&key), name, key.len) == 0;
		cprof_buffer_deinit(&key);
		if (is)
			return take_text(&r, out);
		if (!good || !skip_value(&r))
			return false;
	} while (take(&r, ','));
	return false;
}
