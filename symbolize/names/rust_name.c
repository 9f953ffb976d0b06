/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolize/names/rust_name.h"

#include <stdlib.h>
#include <string.h>

#include "symbolize/names/rust_name_impl.h"

static void read_type(struct cprof_rust_reading *r);

/* 0 is '_, 1 the innermost one that a binder names. */
static void print_lifetime(struct cprof_rust_reading *r, uint64_t lifetime)
{
	char letter[2] = { 0 };
	cprof_rust_print(r, "'");
	if (lifetime == 0) {
		cprof_rust_print(r, "_");
		return;
	}
	if (lifetime > r->lifetimes) {
		cprof_rust_fail(r);
		return;
	}
	uint64_t depth = r->lifetimes - lifetime;
	if (depth < 26) {
		letter[0] = (char)('a' + depth);
		cprof_rust_print(r, letter);
	} else {
		cprof_rust_print(r, "_");
		cprof_rust_print_number(r, depth);
	}
}

/* "for<'a, 'b> "; the caller sets `lifetimes` back. */
static void read_binder(struct cprof_rust_reading *r)
{
	uint64_t n = cprof_rust_optional_number62(r, 'G');
	if (n)
		cprof_rust_print(r, "for<");
	for (uint64_t i = 0; i < n && cprof_rust_step(r); i++) {
		cprof_rust_print(r, i ? ", " : "");
		r->lifetimes++;
		print_lifetime(r, 1);
	}
	if (n)
		cprof_rust_print(r, "> ");
}

static void read_generic_argument(struct cprof_rust_reading *r)
{
	if (cprof_rust_eat(r, 'L'))
		print_lifetime(r, cprof_rust_number62(r));
	else if (cprof_rust_eat(r, 'K'))
		cprof_rust_read_constant(r, false);
	else
		read_type(r);
}

static void read_generic_arguments(struct cprof_rust_reading *r)
{
	for (unsigned i = 0; !cprof_rust_list_ends(r); i++) {
		cprof_rust_print(r, i ? ", " : "");
		read_generic_argument(r);
	}
}

static bool is_empty(const struct cprof_rust_identifier *name)
{
	return name->plain_len + name->puny_len == 0;
}

/* "N": a name inside of something; a capital letter says what kind of a thing without a name of its own it is. */
static void read_nested(struct cprof_rust_reading *r, bool in_value)
{
	char space = cprof_rust_next(r), other[2] = { space, '\0' };
	bool capital = space >= 'A' && space <= 'Z';
	if (!capital && (space < 'a' || space > 'z'))
		cprof_rust_fail(r);
	cprof_rust_read_path(r, in_value);
	uint64_t number = cprof_rust_disambiguator(r);
	struct cprof_rust_identifier name = cprof_rust_take_identifier(r);
	if (!capital) {
		cprof_rust_print(r, is_empty(&name) ? "" : "::");
		cprof_rust_print_identifier(r, &name);
		return;
	}
	cprof_rust_print(r, "::{");
	cprof_rust_print(r, space == 'C' ? "closure" : space == 'S' ? "shim" : other);
	cprof_rust_print(r, is_empty(&name) ? "" : ":");
	cprof_rust_print_identifier(r, &name);
	cprof_rust_print(r, "#");
	cprof_rust_print_number(r, number);
	cprof_rust_print(r, "}");
}

/* "M", "X": where an impl stands, which is not shown. */
static void skip_impl_path(struct cprof_rust_reading *r)
{
	bool silent = r->silent;
	cprof_rust_disambiguator(r);
	r->silent = true;
	cprof_rust_read_path(r, false);
	r->silent = silent;
}

static void read_impl(struct cprof_rust_reading *r, char tag)
{
	if (tag != 'Y')
		skip_impl_path(r);
	cprof_rust_print(r, "<");
	read_type(r);
	if (tag != 'M') {
		cprof_rust_print(r, " as ");
		cprof_rust_read_path(r, false);
	}
	cprof_rust_print(r, ">");
}

static void read_path_of(struct cprof_rust_reading *r, char tag, bool in_value)
{
	struct cprof_rust_identifier name;
	size_t back = 0;
	switch (tag) {
	case 'C':
		cprof_rust_disambiguator(r);
		name = cprof_rust_take_identifier(r);
		cprof_rust_print_identifier(r, &name);
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
		cprof_rust_read_path(r, in_value);
		cprof_rust_print(r, in_value ? "::<" : "<");
		read_generic_arguments(r);
		cprof_rust_print(r, ">");
		break;
	case 'B':
		if (cprof_rust_go_back(r, &back)) {
			cprof_rust_read_path(r, in_value);
			cprof_rust_go_on(r, back);
		}
		break;
	default:
		cprof_rust_fail(r);
	}
}

void cprof_rust_read_path(struct cprof_rust_reading *r, bool in_value)
{
	if (!cprof_rust_enter(r))
		return;
	read_path_of(r, cprof_rust_next(r), in_value);
	cprof_rust_leave(r);
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

static void read_reference(struct cprof_rust_reading *r, bool is_mut)
{
	cprof_rust_print(r, "&");
	if (cprof_rust_eat(r, 'L')) {
		uint64_t lifetime = cprof_rust_number62(r);
		if (lifetime) {
			print_lifetime(r, lifetime);
			cprof_rust_print(r, " ");
		}
	}
	cprof_rust_print(r, is_mut ? "mut " : "");
	read_type(r);
}

static void read_array(struct cprof_rust_reading *r, bool has_length)
{
	cprof_rust_print(r, "[");
	read_type(r);
	if (has_length) {
		cprof_rust_print(r, "; ");
		cprof_rust_read_constant(r, true);
	}
	cprof_rust_print(r, "]");
}

static void read_tuple_type(struct cprof_rust_reading *r)
{
	unsigned n = 0;
	cprof_rust_print(r, "(");
	for (; !cprof_rust_list_ends(r); n++) {
		cprof_rust_print(r, n ? ", " : "");
		read_type(r);
	}
	cprof_rust_print(r, n == 1 ? ",)" : ")");
}

/* extern "C", extern "system-unwind": dashes are mangled as underscores. */
static void read_abi(struct cprof_rust_reading *r)
{
	struct cprof_rust_identifier abi = { .plain = "C", .plain_len = 1 };
	if (!cprof_rust_eat(r, 'C'))
		abi = cprof_rust_take_identifier(r);
	if (!abi.plain_len || abi.puny_len)
		cprof_rust_fail(r);
	cprof_rust_print(r, "extern \"");
	for (size_t i = 0; i < abi.plain_len; i++)
		cprof_rust_print_bytes(r, abi.plain[i] == '_' ? "-" : abi.plain + i, 1);
	cprof_rust_print(r, "\" ");
}

static void read_function_type(struct cprof_rust_reading *r)
{
	uint64_t lifetimes = r->lifetimes;
	read_binder(r);
	cprof_rust_print(r, cprof_rust_eat(r, 'U') ? "unsafe " : "");
	if (cprof_rust_eat(r, 'K'))
		read_abi(r);
	cprof_rust_print(r, "fn(");
	for (unsigned i = 0; !cprof_rust_list_ends(r); i++) {
		cprof_rust_print(r, i ? ", " : "");
		read_type(r);
	}
	cprof_rust_print(r, ")");
	if (!cprof_rust_eat(r, 'u')) {
		cprof_rust_print(r, " -> ");
		read_type(r);
	}
	r->lifetimes = lifetimes;
}

/* A trait's path, whose bracket stays open for what follows it; *ret_open says that there is one. */
static void read_trait_path(struct cprof_rust_reading *r, bool *ret_open)
{
	size_t back = 0;
	if (!cprof_rust_enter(r))
		return;
	if (cprof_rust_eat(r, 'B')) {
		if (cprof_rust_go_back(r, &back)) {
			read_trait_path(r, ret_open);
			cprof_rust_go_on(r, back);
		}
	} else if (cprof_rust_eat(r, 'I')) {
		cprof_rust_read_path(r, false);
		cprof_rust_print(r, "<");
		*ret_open = true;
		read_generic_arguments(r);
	} else {
		cprof_rust_read_path(r, false);
	}
	cprof_rust_leave(r);
}

/* "Iterator<Item = u8>" */
static void read_dyn_trait(struct cprof_rust_reading *r)
{
	bool open = false;
	read_trait_path(r, &open);
	while (cprof_rust_eat(r, 'p')) {
		cprof_rust_print(r, open ? ", " : "<");
		open = true;
		struct cprof_rust_identifier name = cprof_rust_take_identifier(r);
		cprof_rust_print_identifier(r, &name);
		cprof_rust_print(r, " = ");
		read_type(r);
	}
	cprof_rust_print(r, open ? ">" : "");
}

static void read_dyn(struct cprof_rust_reading *r)
{
	uint64_t lifetimes = r->lifetimes;
	cprof_rust_print(r, "dyn ");
	read_binder(r);
	for (unsigned i = 0; !cprof_rust_list_ends(r); i++) {
		cprof_rust_print(r, i ? " + " : "");
		read_dyn_trait(r);
	}
	r->lifetimes = lifetimes;
	if (!cprof_rust_eat(r, 'L'))
		cprof_rust_fail(r);
	uint64_t lifetime = cprof_rust_number62(r);
	if (lifetime) {
		cprof_rust_print(r, " + ");
		print_lifetime(r, lifetime);
	}
}

static void read_type_of(struct cprof_rust_reading *r, char tag)
{
	size_t back = 0;
	switch (tag) {
	case 'R':
	case 'Q':
		read_reference(r, tag == 'Q');
		break;
	case 'P':
	case 'O':
		cprof_rust_print(r, tag == 'P' ? "*const " : "*mut ");
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
		if (cprof_rust_go_back(r, &back)) {
			read_type(r);
			cprof_rust_go_on(r, back);
		}
		break;
	default:
		r->at -= r->failed ? 0 : 1;
		cprof_rust_read_path(r, false);
	}
}

static void read_type(struct cprof_rust_reading *r)
{
	if (!cprof_rust_enter(r))
		return;
	char tag = cprof_rust_next(r);
	const char *basic = basic_type(tag);
	if (basic)
		cprof_rust_print(r, basic);
	else
		read_type_of(r, tag);
	cprof_rust_leave(r);
}

/* ---- the whole ---- */

/* The path, and in which crate it was made, which is not shown. */
static void read_name(struct cprof_rust_reading *r)
{
	if (cprof_rust_is_digit(cprof_rust_peek(r)))
		cprof_rust_fail(r); /* a later version of the format */
	cprof_rust_read_path(r, true);
	if (!r->failed && r->at < r->len) {
		r->silent = true;
		cprof_rust_read_path(r, false);
		r->silent = false;
	}
	if (r->at < r->len)
		cprof_rust_fail(r);
}

char *cprof_rust_name(const char *mangled)
{
	struct cprof_rust_reading reading = { 0 };
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
