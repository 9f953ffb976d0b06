/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "symbolize/names/punycode.h"
#include "symbolize/names/rust_name_impl.h"

#define TEXT_MAX     ((size_t)64 * 1024)
#define STEPS_MAX    65536u
#define DEPTH_MAX    400u
#define PUNYCODE_MAX 1024u /* code points of one identifier */

void cprof_rust_fail(struct cprof_rust_reading *r)
{
	r->failed = true;
	r->at = r->len;
}

char cprof_rust_peek(const struct cprof_rust_reading *r)
{
	return r->at < r->len ? r->text[r->at] : '\0';
}

char cprof_rust_next(struct cprof_rust_reading *r)
{
	char c = cprof_rust_peek(r);
	if (!c)
		cprof_rust_fail(r);
	else
		r->at++;
	return c;
}

bool cprof_rust_eat(struct cprof_rust_reading *r, char wanted)
{
	if (!wanted || cprof_rust_peek(r) != wanted)
		return false;
	r->at++;
	return true;
}

bool cprof_rust_step(struct cprof_rust_reading *r)
{
	if (r->steps++ >= STEPS_MAX)
		cprof_rust_fail(r);
	return !r->failed;
}

bool cprof_rust_list_ends(struct cprof_rust_reading *r)
{
	return !cprof_rust_step(r) || cprof_rust_eat(r, 'E');
}

bool cprof_rust_enter(struct cprof_rust_reading *r)
{
	if (r->depth >= DEPTH_MAX)
		cprof_rust_fail(r);
	if (!cprof_rust_step(r))
		return false;
	r->depth++;
	return true;
}

void cprof_rust_leave(struct cprof_rust_reading *r)
{
	r->depth--;
}

bool cprof_rust_is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* 0 to 61, or 62: no digit. */
static unsigned digit62(char c)
{
	if (cprof_rust_is_digit(c))
		return (unsigned)(c - '0');
	if (c >= 'a' && c <= 'z')
		return (unsigned)(c - 'a') + 10;
	if (c >= 'A' && c <= 'Z')
		return (unsigned)(c - 'A') + 36;
	return 62;
}

uint64_t cprof_rust_number62(struct cprof_rust_reading *r)
{
	uint64_t value = 0;
	if (cprof_rust_eat(r, '_'))
		return 0;
	while (!r->failed && !cprof_rust_eat(r, '_')) {
		unsigned digit = digit62(cprof_rust_next(r));
		if (digit == 62 || value > (UINT64_MAX - 62) / 62) {
			cprof_rust_fail(r);
			return 0;
		}
		value = value * 62 + digit;
	}
	return r->failed ? 0 : value + 1;
}

uint64_t cprof_rust_optional_number62(struct cprof_rust_reading *r, char tag)
{
	return cprof_rust_eat(r, tag) ? cprof_rust_number62(r) + 1 : 0;
}

uint64_t cprof_rust_disambiguator(struct cprof_rust_reading *r)
{
	return cprof_rust_optional_number62(r, 's');
}

static size_t decimal(struct cprof_rust_reading *r)
{
	size_t value = 0;
	if (!cprof_rust_is_digit(cprof_rust_peek(r)))
		cprof_rust_fail(r);
	if (cprof_rust_eat(r, '0'))
		return 0;
	while (cprof_rust_is_digit(cprof_rust_peek(r)) && !r->failed) {
		value = value * 10 + (size_t)(cprof_rust_next(r) - '0');
		if (value > r->len)
			cprof_rust_fail(r);
	}
	return value;
}

struct cprof_rust_identifier cprof_rust_take_identifier(struct cprof_rust_reading *r)
{
	struct cprof_rust_identifier name = { 0 };
	bool puny = cprof_rust_eat(r, 'u');
	size_t len = decimal(r);
	cprof_rust_eat(r, '_');
	if (r->failed || len > r->len - r->at) {
		cprof_rust_fail(r);
		return name;
	}
	name.plain = r->text + r->at;
	name.plain_len = len;
	r->at += len;
	if (!puny)
		return name;
	const char *line = len ? memrchr(name.plain, '_', len) : NULL;
	name.plain_len = line ? (size_t)(line - name.plain) : 0;
	name.puny = line ? line + 1 : name.plain;
	name.puny_len = len - (size_t)(name.puny - name.plain);
	if (!name.puny_len)
		cprof_rust_fail(r);
	return name;
}

void cprof_rust_print_bytes(struct cprof_rust_reading *r, const char *text, size_t len)
{
	if (r->failed || r->silent)
		return;
	if (len > TEXT_MAX - r->out.len)
		cprof_rust_fail(r);
	else
		cprof_buffer_append(&r->out, text, len);
}

void cprof_rust_print(struct cprof_rust_reading *r, const char *text)
{
	cprof_rust_print_bytes(r, text, strlen(text));
}

void cprof_rust_print_number(struct cprof_rust_reading *r, uint64_t value)
{
	char text[24];
	snprintf(text, sizeof(text), "%" PRIu64, value);
	cprof_rust_print(r, text);
}

void cprof_rust_print_code_point(struct cprof_rust_reading *r, uint32_t c)
{
	char utf8[4];
	size_t len = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
	static const uint8_t first[] = { 0, 0, 0xc0, 0xe0, 0xf0 };
	for (size_t i = len; i-- > 1; c >>= 6)
		utf8[i] = (char)(0x80 | (c & 0x3f));
	utf8[0] = (char)(first[len] | c);
	cprof_rust_print_bytes(r, utf8, len);
}

void cprof_rust_print_identifier(struct cprof_rust_reading *r,
				 const struct cprof_rust_identifier *name)
{
	uint32_t points[PUNYCODE_MAX];
	size_t n = 0;
	if (r->failed || r->silent)
		return;
	if (!name->puny_len) {
		cprof_rust_print_bytes(r, name->plain, name->plain_len);
	} else if (cprof_punycode_decode(name->plain, name->plain_len, name->puny, name->puny_len,
					 points, PUNYCODE_MAX, &n)) {
		for (size_t i = 0; i < n; i++)
			cprof_rust_print_code_point(r, points[i]);
	} else {
		/* As the format's own tools show what they cannot decode. */
		cprof_rust_print(r, "punycode{");
		cprof_rust_print_bytes(r, name->plain, name->plain_len);
		cprof_rust_print(r, name->plain_len ? "-" : "");
		cprof_rust_print_bytes(r, name->puny, name->puny_len);
		cprof_rust_print(r, "}");
	}
}

bool cprof_rust_go_back(struct cprof_rust_reading *r, size_t *ret_back)
{
	size_t tag = r->at - 1;
	uint64_t to = cprof_rust_number62(r);
	if (!r->failed && to >= tag)
		cprof_rust_fail(r);
	if (r->failed || r->silent)
		return false;
	*ret_back = r->at;
	r->at = (size_t)to;
	return true;
}

void cprof_rust_go_on(struct cprof_rust_reading *r, size_t back)
{
	if (!r->failed)
		r->at = back;
}
