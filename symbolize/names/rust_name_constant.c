/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "symbolize/names/punycode.h"
#include "symbolize/names/rust_name_impl.h"

/* Lower-case hexadecimal digits up to "_"; *ret_len is how many. */
static const char *hex_digits(struct cprof_rust_reading *r, size_t *ret_len)
{
	const char *text = r->text + r->at;
	*ret_len = 0;
	while (!r->failed && !cprof_rust_eat(r, '_')) {
		char c = cprof_rust_next(r);
		if (!cprof_rust_is_digit(c) && (c < 'a' || c > 'f'))
			cprof_rust_fail(r);
		++*ret_len;
	}
	return text;
}

static unsigned hex_digit(char c)
{
	return cprof_rust_is_digit(c) ? (unsigned)(c - '0') : (unsigned)(c - 'a') + 10;
}

/* False: more than 64 bits. */
static bool hex_value(const char *text, size_t len, uint64_t *ret_value)
{
	for (; len && *text == '0'; len--)
		text++;
	*ret_value = 0;
	for (size_t i = 0; i < len && len <= 16; i++)
		*ret_value = *ret_value << 4 | hex_digit(text[i]);
	return len <= 16;
}

static void read_integer(struct cprof_rust_reading *r, bool is_signed)
{
	size_t len;
	uint64_t value;
	cprof_rust_print(r, is_signed && cprof_rust_eat(r, 'n') ? "-" : "");
	const char *text = hex_digits(r, &len);
	if (r->failed)
		return;
	if (hex_value(text, len, &value)) {
		cprof_rust_print_number(r, value);
	} else {
		cprof_rust_print(r, "0x");
		cprof_rust_print_bytes(r, text, len);
	}
}

static void read_bool(struct cprof_rust_reading *r)
{
	size_t len;
	const char *text = hex_digits(r, &len);
	if (r->failed || len != 1 || *text > '1')
		cprof_rust_fail(r);
	else
		cprof_rust_print(r, *text == '1' ? "true" : "false");
}

/* One character between `quote`s, written as Rust's source would. */
static void print_quoted(struct cprof_rust_reading *r, uint32_t c, char quote)
{
	static const struct {
		uint32_t c;
		const char *text;
	} escapes[] = {
		{ 0, "\\0" }, { '\t', "\\t" }, { '\r', "\\r" }, { '\n', "\\n" }, { '\\', "\\\\" }
	};
	for (size_t i = 0; i < sizeof(escapes) / sizeof(escapes[0]); i++) {
		if (escapes[i].c == c) {
			cprof_rust_print(r, escapes[i].text);
			return;
		}
	}
	if (c < 0x20 || (c >= 0x7f && c < 0xa0)) {
		char text[16];
		snprintf(text, sizeof(text), "\\u{%x}", c);
		cprof_rust_print(r, text);
		return;
	}
	cprof_rust_print(r, c == (uint8_t)quote ? "\\" : "");
	cprof_rust_print_code_point(r, c);
}

static void read_char(struct cprof_rust_reading *r)
{
	size_t len;
	uint64_t value;
	const char *text = hex_digits(r, &len);
	if (r->failed || !hex_value(text, len, &value) || value > UINT32_MAX ||
	    !cprof_punycode_is_code_point((uint32_t)value)) {
		cprof_rust_fail(r);
		return;
	}
	cprof_rust_print(r, "'");
	print_quoted(r, (uint32_t)value, '\'');
	cprof_rust_print(r, "'");
}

/* One character of UTF-8 that is written as pairs of digits. *at is moved on; false: none. */
static bool hex_utf8(const char *text, size_t len, size_t *at, uint32_t *ret_c)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	uint8_t bytes[4] = { 0 };
	size_t n = 1;
	for (size_t i = 0; i < n; i++, *at += 2) {
		if (*at + 2 > len)
			return false;
		bytes[i] = (uint8_t)(hex_digit(text[*at]) << 4 | hex_digit(text[*at + 1]));
		if (i == 0)
			n = bytes[0] < 0x80 ? 1 : bytes[0] < 0xe0 ? 2 : bytes[0] < 0xf0 ? 3 : 4;
		if (i > 0 ? (bytes[i] & 0xc0) != 0x80
			  : (bytes[0] >= 0x80 && bytes[0] < 0xc0) || bytes[0] >= 0xf8)
			return false;
	}
	uint32_t c = n == 1 ? bytes[0] : bytes[0] & (0xffu >> (n + 1));
	for (size_t i = 1; i < n; i++)
		c = c << 6 | (bytes[i] & 0x3f);
	*ret_c = c;
	return c >= least[n] && cprof_punycode_is_code_point(c);
}

static void read_string(struct cprof_rust_reading *r)
{
	size_t len;
	uint32_t c = 0;
	const char *text = hex_digits(r, &len);
	cprof_rust_print(r, "\"");
	for (size_t at = 0; at < len && !r->failed;) {
		if (hex_utf8(text, len, &at, &c))
			print_quoted(r, c, '"');
		else
			cprof_rust_fail(r);
	}
	cprof_rust_print(r, "\"");
}

static void read_constants(struct cprof_rust_reading *r, const char *end_of_one)
{
	unsigned n = 0;
	for (; !cprof_rust_list_ends(r); n++) {
		cprof_rust_print(r, n ? ", " : "");
		cprof_rust_read_constant(r, true);
	}
	cprof_rust_print(r, n == 1 ? end_of_one : "");
}

static void read_fields(struct cprof_rust_reading *r)
{
	cprof_rust_print(r, " { ");
	for (unsigned i = 0; !cprof_rust_list_ends(r); i++) {
		cprof_rust_print(r, i ? ", " : "");
		cprof_rust_disambiguator(r);
		struct cprof_rust_identifier name = cprof_rust_take_identifier(r);
		cprof_rust_print_identifier(r, &name);
		cprof_rust_print(r, ": ");
		cprof_rust_read_constant(r, true);
	}
	cprof_rust_print(r, " }");
}

static void read_variant(struct cprof_rust_reading *r)
{
	cprof_rust_read_path(r, true);
	switch (cprof_rust_next(r)) {
	case 'U':
		break;
	case 'T':
		cprof_rust_print(r, "(");
		read_constants(r, "");
		cprof_rust_print(r, ")");
		break;
	case 'S':
		read_fields(r);
		break;
	default:
		cprof_rust_fail(r);
	}
}

/* What stands in braces where it is not part of another value. */
static void read_compound(struct cprof_rust_reading *r, char tag)
{
	switch (tag) {
	case 'e':
		cprof_rust_print(r, "*");
		read_string(r);
		break;
	case 'R':
	case 'Q':
		cprof_rust_print(r, tag == 'R' ? "&" : "&mut ");
		cprof_rust_read_constant(r, true);
		break;
	case 'A':
		cprof_rust_print(r, "[");
		read_constants(r, "");
		cprof_rust_print(r, "]");
		break;
	case 'T':
		cprof_rust_print(r, "(");
		read_constants(r, ",");
		cprof_rust_print(r, ")");
		break;
	case 'V':
		read_variant(r);
		break;
	default:
		cprof_rust_fail(r);
	}
}

static void read_braced(struct cprof_rust_reading *r, char tag, bool in_value)
{
	/* A string is the one thing whose reference has no mark of its own. */
	if (tag == 'R' && cprof_rust_eat(r, 'e')) {
		read_string(r);
		return;
	}
	cprof_rust_print(r, in_value ? "" : "{");
	read_compound(r, tag);
	cprof_rust_print(r, in_value ? "" : "}");
}

static void read_constant_of(struct cprof_rust_reading *r, char tag, bool in_value)
{
	size_t back = 0;
	if (tag == 'B') {
		if (cprof_rust_go_back(r, &back)) {
			cprof_rust_read_constant(r, in_value);
			cprof_rust_go_on(r, back);
		}
	} else if (tag == 'p') {
		cprof_rust_print(r, "_");
	} else if (tag == 'b') {
		read_bool(r);
	} else if (tag == 'c') {
		read_char(r);
	} else if (tag && strchr("htmyoj", tag)) {
		read_integer(r, false);
	} else if (tag && strchr("aslxni", tag)) {
		read_integer(r, true);
	} else {
		read_braced(r, tag, in_value);
	}
}

void cprof_rust_read_constant(struct cprof_rust_reading *r, bool in_value)
{
	if (!cprof_rust_enter(r))
		return;
	read_constant_of(r, cprof_rust_next(r), in_value);
	cprof_rust_leave(r);
}
