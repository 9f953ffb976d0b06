#include "symbolize/names/rust_name.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cprof/buffer.h"

#define TEXT_MAX     ((size_t)64 * 1024)
#define STEPS_MAX    65536u
#define DEPTH_MAX    400u
#define PUNYCODE_MAX 1024u /* code points of one identifier */

/* A name being read. After `failed` nothing is read or printed any more. */
struct reading {
	const char *text; /* after "_R" */
	size_t len;
	size_t at;
	uint64_t lifetimes; /* bound by the binders around this place */
	unsigned steps;
	unsigned depth;
	bool silent; /* this part is read, not printed: an impl's own path */
	bool failed;
	struct cprof_buffer out;
};

struct identifier {
	const char *plain; /* into the name */
	size_t plain_len;
	const char *puny; /* what follows the last underscore of a "u" identifier */
	size_t puny_len;
};

/* ---- reading ---- */

static void fail(struct reading *r)
{
	r->failed = true;
	r->at = r->len;
}

/* The byte here, or 0 at the end: no name holds a zero. */
static char peek(const struct reading *r)
{
	return r->at < r->len ? r->text[r->at] : '\0';
}

static char next(struct reading *r)
{
	char c = peek(r);
	if (!c)
		fail(r);
	else
		r->at++;
	return c;
}

static bool eat(struct reading *r, char wanted)
{
	if (!wanted || peek(r) != wanted)
		return false;
	r->at++;
	return true;
}

/* The end of a list, or of everything where something is wrong. Each look is a step. */
static bool list_ends(struct reading *r)
{
	if (r->steps++ >= STEPS_MAX)
		fail(r);
	return r->failed || eat(r, 'E');
}

static bool enter(struct reading *r)
{
	if (r->steps++ >= STEPS_MAX || r->depth >= DEPTH_MAX)
		fail(r);
	if (!r->failed)
		r->depth++;
	return !r->failed;
}

static void leave(struct reading *r)
{
	r->depth--;
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* 0 to 61, or 62: no digit. */
static unsigned digit62(char c)
{
	if (is_digit(c))
		return (unsigned)(c - '0');
	if (c >= 'a' && c <= 'z')
		return (unsigned)(c - 'a') + 10;
	if (c >= 'A' && c <= 'Z')
		return (unsigned)(c - 'A') + 36;
	return 62;
}

/* "_" is 0, "0_" is 1, "Z_" is 62. */
static uint64_t number62(struct reading *r)
{
	uint64_t value = 0;
	if (eat(r, '_'))
		return 0;
	while (!r->failed && !eat(r, '_')) {
		unsigned digit = digit62(next(r));
		if (digit == 62 || value > (UINT64_MAX - 62) / 62) {
			fail(r);
			return 0;
		}
		value = value * 62 + digit;
	}
	return r->failed ? 0 : value + 1;
}

/* The number after `tag`, plus one; 0 without the tag. */
static uint64_t optional_number62(struct reading *r, char tag)
{
	return eat(r, tag) ? number62(r) + 1 : 0;
}

static uint64_t disambiguator(struct reading *r)
{
	return optional_number62(r, 's');
}

static size_t decimal(struct reading *r)
{
	size_t value = 0;
	if (!is_digit(peek(r)))
		fail(r);
	if (eat(r, '0'))
		return 0;
	while (is_digit(peek(r)) && !r->failed) {
		value = value * 10 + (size_t)(next(r) - '0');
		if (value > r->len)
			fail(r);
	}
	return value;
}

static struct identifier identifier(struct reading *r)
{
	struct identifier name = { 0 };
	bool puny = eat(r, 'u');
	size_t len = decimal(r);
	eat(r, '_');
	if (r->failed || len > r->len - r->at) {
		fail(r);
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
		fail(r);
	return name;
}

/* ---- printing ---- */

static void print_bytes(struct reading *r, const char *text, size_t len)
{
	if (r->failed || r->silent)
		return;
	if (len > TEXT_MAX - r->out.len)
		fail(r);
	else
		cprof_buffer_append(&r->out, text, len);
}

static void print(struct reading *r, const char *text)
{
	print_bytes(r, text, strlen(text));
}

static void print_number(struct reading *r, uint64_t value)
{
	char text[24];
	snprintf(text, sizeof(text), "%" PRIu64, value);
	print(r, text);
}

static void print_code_point(struct reading *r, uint32_t c)
{
	char utf8[4];
	size_t len = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
	static const uint8_t first[] = { 0, 0, 0xc0, 0xe0, 0xf0 };
	for (size_t i = len; i-- > 1; c >>= 6)
		utf8[i] = (char)(0x80 | (c & 0x3f));
	utf8[0] = (char)(first[len] | c);
	print_bytes(r, utf8, len);
}

static bool is_code_point(uint32_t c)
{
	return c <= 0x10ffff && (c < 0xd800 || c > 0xdfff);
}

/* ---- punycode: RFC 3492, with the parameters of its section 5 ---- */

static unsigned puny_digit(char c)
{
	if (c >= 'a' && c <= 'z')
		return (unsigned)(c - 'a');
	if (is_digit(c))
		return (unsigned)(c - '0') + 26;
	return 36;
}

static uint32_t puny_bias(uint32_t delta, uint32_t n, bool first)
{
	uint32_t k = 0;
	delta = first ? delta / 700 : delta / 2;
	for (delta += delta / n; delta > 455; k += 36)
		delta /= 35;
	return k + 36 * delta / (delta + 38);
}

/* How far the next code point lies ahead; false: no punycode. */
static bool puny_delta(const char **at, const char *end, uint32_t bias, uint32_t *ret_delta)
{
	uint64_t delta = 0, weight = 1;
	for (uint32_t k = 36;; k += 36) {
		unsigned digit = *at < end ? puny_digit(*(*at)++) : 36;
		uint32_t threshold = k <= bias ? 1 : k >= bias + 26 ? 26 : k - bias;
		delta += digit * weight;
		if (digit == 36 || delta > UINT32_MAX)
			return false;
		if (digit < threshold)
			break;
		weight *= 36 - threshold;
		if (weight > UINT32_MAX)
			return false;
	}
	*ret_delta = (uint32_t)delta;
	return true;
}

static bool puny_decode(const struct identifier *name, uint32_t *points, uint32_t *ret_n)
{
	const char *at = name->puny, *end = at + name->puny_len;
	uint32_t n = (uint32_t)name->plain_len, bias = 72, delta = 0;
	uint64_t point = 0x80, place = 0;
	for (uint32_t i = 0; i < n; i++)
		points[i] = (uint8_t)name->plain[i];
	for (bool first = true; at < end; first = false) {
		if (!puny_delta(&at, end, bias, &delta) || n == PUNYCODE_MAX)
			return false;
		place += delta;
		n++;
		point += place / n;
		place %= n;
		if (point > UINT32_MAX || !is_code_point((uint32_t)point))
			return false;
		memmove(points + place + 1, points + place, (n - 1 - place) * sizeof(*points));
		points[place++] = (uint32_t)point;
		bias = puny_bias(delta, n, first);
	}
	*ret_n = n;
	return true;
}

static void print_identifier(struct reading *r, const struct identifier *name)
{
	uint32_t points[PUNYCODE_MAX], n = 0;
	if (r->failed || r->silent)
		return;
	if (!name->puny_len) {
		print_bytes(r, name->plain, name->plain_len);
	} else if (name->plain_len <= PUNYCODE_MAX && puny_decode(name, points, &n)) {
		for (uint32_t i = 0; i < n; i++)
			print_code_point(r, points[i]);
	} else {
		/* As the format's own tools show what they cannot decode. */
		print(r, "punycode{");
		print_bytes(r, name->plain, name->plain_len);
		print(r, name->plain_len ? "-" : "");
		print_bytes(r, name->puny, name->puny_len);
		print(r, "}");
	}
}

/* ---- the grammar ---- */

static void read_path(struct reading *r, bool in_value);
static void read_type(struct reading *r);
static void read_constant(struct reading *r, bool in_value);

/*
 * Go back to what this place refers to; *ret_back is where to go on. False: nothing is to be read there, as in a part
 * that is not printed.
 */
static bool go_back(struct reading *r, size_t *ret_back)
{
	size_t tag = r->at - 1;
	uint64_t to = number62(r);
	if (!r->failed && to >= tag)
		fail(r);
	if (r->failed || r->silent)
		return false;
	*ret_back = r->at;
	r->at = (size_t)to;
	return true;
}

static void go_on(struct reading *r, size_t back)
{
	if (!r->failed)
		r->at = back;
}

/* 0 is '_, 1 the innermost one that a binder names. */
static void print_lifetime(struct reading *r, uint64_t lifetime)
{
	char letter[2] = { 0 };
	print(r, "'");
	if (lifetime == 0) {
		print(r, "_");
		return;
	}
	if (lifetime > r->lifetimes) {
		fail(r);
		return;
	}
	uint64_t depth = r->lifetimes - lifetime;
	if (depth < 26) {
		letter[0] = (char)('a' + depth);
		print(r, letter);
	} else {
		print(r, "_");
		print_number(r, depth);
	}
}

/* "for<'a, 'b> "; the caller sets `lifetimes` back. */
static void read_binder(struct reading *r)
{
	uint64_t n = optional_number62(r, 'G');
	if (n)
		print(r, "for<");
	for (uint64_t i = 0; i < n && !r->failed; i++) {
		if (r->steps++ >= STEPS_MAX) {
			fail(r);
			return;
		}
		print(r, i ? ", " : "");
		r->lifetimes++;
		print_lifetime(r, 1);
	}
	if (n)
		print(r, "> ");
}

static void read_generic_argument(struct reading *r)
{
	if (eat(r, 'L'))
		print_lifetime(r, number62(r));
	else if (eat(r, 'K'))
		read_constant(r, false);
	else
		read_type(r);
}

static void read_generic_arguments(struct reading *r)
{
	for (unsigned i = 0; !list_ends(r); i++) {
		print(r, i ? ", " : "");
		read_generic_argument(r);
	}
}

static bool is_empty(const struct identifier *name)
{
	return name->plain_len + name->puny_len == 0;
}

/* "N": a name inside of something; a capital letter says what kind of a thing without a name of its own it is. */
static void read_nested(struct reading *r, bool in_value)
{
	char space = next(r), other[2] = { space, '\0' };
	bool capital = space >= 'A' && space <= 'Z';
	if (!capital && (space < 'a' || space > 'z'))
		fail(r);
	read_path(r, in_value);
	uint64_t number = disambiguator(r);
	struct identifier name = identifier(r);
	if (!capital) {
		print(r, is_empty(&name) ? "" : "::");
		print_identifier(r, &name);
		return;
	}
	print(r, "::{");
	print(r, space == 'C' ? "closure" : space == 'S' ? "shim" : other);
	print(r, is_empty(&name) ? "" : ":");
	print_identifier(r, &name);
	print(r, "#");
	print_number(r, number);
	print(r, "}");
}

/* "M", "X": where an impl stands, which is not shown. */
static void skip_impl_path(struct reading *r)
{
	bool silent = r->silent;
	disambiguator(r);
	r->silent = true;
	read_path(r, false);
	r->silent = silent;
}

static void read_impl(struct reading *r, char tag)
{
	if (tag != 'Y')
		skip_impl_path(r);
	print(r, "<");
	read_type(r);
	if (tag != 'M') {
		print(r, " as ");
		read_path(r, false);
	}
	print(r, ">");
}

static void read_path_of(struct reading *r, char tag, bool in_value)
{
	struct identifier name;
	size_t back = 0;
	switch (tag) {
	case 'C':
		disambiguator(r);
		name = identifier(r);
		print_identifier(r, &name);
		break;
	case 'N':
		read_nested(r, in_value);
		break;
	case 'M':
	case 'X':
	case 'Y':
		read_impl(r, tag);
		break;
	case 'I':
		read_path(r, in_value);
		print(r, in_value ? "::<" : "<");
		read_generic_arguments(r);
		print(r, ">");
		break;
	case 'B':
		if (go_back(r, &back)) {
			read_path(r, in_value);
			go_on(r, back);
		}
		break;
	default:
		fail(r);
	}
}

/* `in_value`: of a function or a constant, whose arguments are set off by "::". */
static void read_path(struct reading *r, bool in_value)
{
	if (!enter(r))
		return;
	read_path_of(r, next(r), in_value);
	leave(r);
}

/* Indexed by the letter; NULL: none. "v" is the dots of a C function, "p" what the compiler left open. */
static const char *const basic_types[26] = {
	"i8",    "bool", "char", "f64", "str",  "f32",  NULL,  "u8", "isize",
	"usize", NULL,   "i32",  "u32", "i128", "u128", "_",   NULL, NULL,
	"i16",   "u16",  "()",   "...", NULL,   "i64",  "u64", "!",
};

static const char *basic_type(char tag)
{
	return tag >= 'a' && tag <= 'z' ? basic_types[tag - 'a'] : NULL;
}

static void read_reference(struct reading *r, bool is_mut)
{
	print(r, "&");
	if (eat(r, 'L')) {
		uint64_t lifetime = number62(r);
		if (lifetime) {
			print_lifetime(r, lifetime);
			print(r, " ");
		}
	}
	print(r, is_mut ? "mut " : "");
	read_type(r);
}

static void read_array(struct reading *r, bool has_length)
{
	print(r, "[");
	read_type(r);
	if (has_length) {
		print(r, "; ");
		read_constant(r, true);
	}
	print(r, "]");
}

static void read_tuple_type(struct reading *r)
{
	unsigned n = 0;
	print(r, "(");
	for (; !list_ends(r); n++) {
		print(r, n ? ", " : "");
		read_type(r);
	}
	print(r, n == 1 ? ",)" : ")");
}

/* extern "C", extern "system-unwind": dashes are mangled as underscores. */
static void read_abi(struct reading *r)
{
	struct identifier abi = { .plain = "C", .plain_len = 1 };
	if (!eat(r, 'C'))
		abi = identifier(r);
	if (!abi.plain_len || abi.puny_len)
		fail(r);
	print(r, "extern \"");
	for (size_t i = 0; i < abi.plain_len; i++)
		print_bytes(r, abi.plain[i] == '_' ? "-" : abi.plain + i, 1);
	print(r, "\" ");
}

static void read_function_type(struct reading *r)
{
	uint64_t lifetimes = r->lifetimes;
	read_binder(r);
	print(r, eat(r, 'U') ? "unsafe " : "");
	if (eat(r, 'K'))
		read_abi(r);
	print(r, "fn(");
	for (unsigned i = 0; !list_ends(r); i++) {
		print(r, i ? ", " : "");
		read_type(r);
	}
	print(r, ")");
	if (!eat(r, 'u')) {
		print(r, " -> ");
		read_type(r);
	}
	r->lifetimes = lifetimes;
}

/* A trait's path, whose bracket stays open for what follows it; *ret_open says that there is one. */
static void read_trait_path(struct reading *r, bool *ret_open)
{
	size_t back = 0;
	if (!enter(r))
		return;
	if (eat(r, 'B')) {
		if (go_back(r, &back)) {
			read_trait_path(r, ret_open);
			go_on(r, back);
		}
	} else if (eat(r, 'I')) {
		read_path(r, false);
		print(r, "<");
		*ret_open = true;
		read_generic_arguments(r);
	} else {
		read_path(r, false);
	}
	leave(r);
}

/* "Iterator<Item = u8>" */
static void read_dyn_trait(struct reading *r)
{
	bool open = false;
	read_trait_path(r, &open);
	while (eat(r, 'p')) {
		print(r, open ? ", " : "<");
		open = true;
		struct identifier name = identifier(r);
		print_identifier(r, &name);
		print(r, " = ");
		read_type(r);
	}
	print(r, open ? ">" : "");
}

static void read_dyn(struct reading *r)
{
	uint64_t lifetimes = r->lifetimes;
	print(r, "dyn ");
	read_binder(r);
	for (unsigned i = 0; !list_ends(r); i++) {
		print(r, i ? " + " : "");
		read_dyn_trait(r);
	}
	r->lifetimes = lifetimes;
	if (!eat(r, 'L'))
		fail(r);
	uint64_t lifetime = number62(r);
	if (lifetime) {
		print(r, " + ");
		print_lifetime(r, lifetime);
	}
}

static void read_type_of(struct reading *r, char tag)
{
	size_t back = 0;
	switch (tag) {
	case 'R':
	case 'Q':
		read_reference(r, tag == 'Q');
		break;
	case 'P':
	case 'O':
		print(r, tag == 'P' ? "*const " : "*mut ");
		read_type(r);
		break;
	case 'A':
	case 'S':
		read_array(r, tag == 'A');
		break;
	case 'T':
		read_tuple_type(r);
		break;
	case 'F':
		read_function_type(r);
		break;
	case 'D':
		read_dyn(r);
		break;
	case 'B':
		if (go_back(r, &back)) {
			read_type(r);
			go_on(r, back);
		}
		break;
	default:
		r->at -= r->failed ? 0 : 1;
		read_path(r, false);
	}
}

static void read_type(struct reading *r)
{
	if (!enter(r))
		return;
	char tag = next(r);
	const char *basic = basic_type(tag);
	if (basic)
		print(r, basic);
	else
		read_type_of(r, tag);
	leave(r);
}

/* ---- constants ---- */

/* Lower-case hexadecimal digits up to "_"; *ret_len is how many. */
static const char *hex_digits(struct reading *r, size_t *ret_len)
{
	const char *text = r->text + r->at;
	*ret_len = 0;
	while (!r->failed && !eat(r, '_')) {
		char c = next(r);
		if (!is_digit(c) && (c < 'a' || c > 'f'))
			fail(r);
		++*ret_len;
	}
	return text;
}

static unsigned hex_digit(char c)
{
	return is_digit(c) ? (unsigned)(c - '0') : (unsigned)(c - 'a') + 10;
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

static void read_integer(struct reading *r, bool is_signed)
{
	size_t len;
	uint64_t value;
	print(r, is_signed && eat(r, 'n') ? "-" : "");
	const char *text = hex_digits(r, &len);
	if (r->failed)
		return;
	if (hex_value(text, len, &value)) {
		print_number(r, value);
	} else {
		print(r, "0x");
		print_bytes(r, text, len);
	}
}

static void read_bool(struct reading *r)
{
	size_t len;
	const char *text = hex_digits(r, &len);
	if (r->failed || len != 1 || *text > '1')
		fail(r);
	else
		print(r, *text == '1' ? "true" : "false");
}

/* One character between `quote`s, written as Rust's source would. */
static void print_quoted(struct reading *r, uint32_t c, char quote)
{
	static const struct {
		uint32_t c;
		const char *text;
	} escapes[] = {
		{ 0, "\\0" }, { '\t', "\\t" }, { '\r', "\\r" }, { '\n', "\\n" }, { '\\', "\\\\" }
	};
	for (size_t i = 0; i < sizeof(escapes) / sizeof(escapes[0]); i++) {
		if (escapes[i].c == c) {
			print(r, escapes[i].text);
			return;
		}
	}
	if (c < 0x20 || (c >= 0x7f && c < 0xa0)) {
		char text[16];
		snprintf(text, sizeof(text), "\\u{%x}", c);
		print(r, text);
		return;
	}
	print(r, c == (uint8_t)quote ? "\\" : "");
	print_code_point(r, c);
}

static void read_char(struct reading *r)
{
	size_t len;
	uint64_t value;
	const char *text = hex_digits(r, &len);
	if (r->failed || !hex_value(text, len, &value) || value > UINT32_MAX ||
	    !is_code_point((uint32_t)value)) {
		fail(r);
		return;
	}
	print(r, "'");
	print_quoted(r, (uint32_t)value, '\'');
	print(r, "'");
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
	return c >= least[n] && is_code_point(c);
}

static void read_string(struct reading *r)
{
	size_t len;
	uint32_t c = 0;
	const char *text = hex_digits(r, &len);
	print(r, "\"");
	for (size_t at = 0; at < len && !r->failed;) {
		if (hex_utf8(text, len, &at, &c))
			print_quoted(r, c, '"');
		else
			fail(r);
	}
	print(r, "\"");
}

static void read_constants(struct reading *r, const char *end_of_one)
{
	unsigned n = 0;
	for (; !list_ends(r); n++) {
		print(r, n ? ", " : "");
		read_constant(r, true);
	}
	print(r, n == 1 ? end_of_one : "");
}

static void read_fields(struct reading *r)
{
	print(r, " { ");
	for (unsigned i = 0; !list_ends(r); i++) {
		print(r, i ? ", " : "");
		disambiguator(r);
		struct identifier name = identifier(r);
		print_identifier(r, &name);
		print(r, ": ");
		read_constant(r, true);
	}
	print(r, " }");
}

static void read_variant(struct reading *r)
{
	read_path(r, true);
	switch (next(r)) {
	case 'U':
		break;
	case 'T':
		print(r, "(");
		read_constants(r, "");
		print(r, ")");
		break;
	case 'S':
		read_fields(r);
		break;
	default:
		fail(r);
	}
}

/* What stands in braces where it is not part of another value. */
static void read_compound(struct reading *r, char tag)
{
	switch (tag) {
	case 'e':
		print(r, "*");
		read_string(r);
		break;
	case 'R':
	case 'Q':
		print(r, tag == 'R' ? "&" : "&mut ");
		read_constant(r, true);
		break;
	case 'A':
		print(r, "[");
		read_constants(r, "");
		print(r, "]");
		break;
	case 'T':
		print(r, "(");
		read_constants(r, ",");
		print(r, ")");
		break;
	case 'V':
		read_variant(r);
		break;
	default:
		fail(r);
	}
}

static void read_braced(struct reading *r, char tag, bool in_value)
{
	/* A string is the one thing whose reference has no mark of its own. */
	if (tag == 'R' && eat(r, 'e')) {
		read_string(r);
		return;
	}
	print(r, in_value ? "" : "{");
	read_compound(r, tag);
	print(r, in_value ? "" : "}");
}

static void read_constant_of(struct reading *r, char tag, bool in_value)
{
	size_t back = 0;
	if (tag == 'B') {
		if (go_back(r, &back)) {
			read_constant(r, in_value);
			go_on(r, back);
		}
	} else if (tag == 'p') {
		print(r, "_");
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

static void read_constant(struct reading *r, bool in_value)
{
	if (!enter(r))
		return;
	read_constant_of(r, next(r), in_value);
	leave(r);
}

/* ---- the whole ---- */

/* The path, and in which crate it was made, which is not shown. */
static void read_name(struct reading *r)
{
	if (is_digit(peek(r)))
		fail(r); /* a later version of the format */
	read_path(r, true);
	if (!r->failed && r->at < r->len) {
		r->silent = true;
		read_path(r, false);
		r->silent = false;
	}
	if (r->at < r->len)
		fail(r);
}

char *cprof_rust_name(const char *mangled)
{
	struct reading reading = { 0 };
	char *text = NULL;
	if (strncmp(mangled, "_R", 2) != 0)
		return NULL;
	reading.text = mangled + 2;
	reading.len = strcspn(reading.text, ".");
	read_name(&reading);
	if (!reading.failed && !reading.out.failed && reading.out.len)
		text = strdup(cprof_buffer_text(&reading.out));
	cprof_buffer_deinit(&reading.out);
	return text;
}
