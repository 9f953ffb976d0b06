/* SPDX-License-Identifier: Apache-2.0 */
/*
 * symbolize/names/rust_name_impl.h - the inside of rust_name.h, for the files that implement it.
 *
 * rust_name_reading.c takes a name apart and prints it, in counted steps; rust_name.c has the grammar of paths and types,
 * rust_name_constant.c that of constants.
 */
#ifndef CPROF_SYMBOLIZE_NAMES_RUST_NAME_IMPL_H
#define CPROF_SYMBOLIZE_NAMES_RUST_NAME_IMPL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cprof/buffer.h"

/* A name being read. After `failed` nothing is read or printed any more. */
struct cprof_rust_reading {
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

struct cprof_rust_identifier {
	const char *plain; /* into the name */
	size_t plain_len;
	const char *puny; /* what follows the last underscore of a "u" identifier */
	size_t puny_len;
};

/* ---- reading ---- */

/* From here on nothing is read or printed. */
void cprof_rust_fail(struct cprof_rust_reading *r);

/* The byte here, or 0 at the end: no name holds a zero. */
char cprof_rust_peek(const struct cprof_rust_reading *r);

/* The same, and go on; the end is a failure. */
char cprof_rust_next(struct cprof_rust_reading *r);

/* Go on if it is `wanted`. */
bool cprof_rust_eat(struct cprof_rust_reading *r, char wanted);

/* Count a step; false: there have been too many, or a failure. */
bool cprof_rust_step(struct cprof_rust_reading *r);

/* The end of a list, or of everything where something is wrong. Each look is a step. */
bool cprof_rust_list_ends(struct cprof_rust_reading *r);

/* A step, one level deeper; false: there have been too many. After true comes cprof_rust_leave(). */
bool cprof_rust_enter(struct cprof_rust_reading *r);
void cprof_rust_leave(struct cprof_rust_reading *r);

/* "_" is 0, "0_" is 1, "Z_" is 62. */
uint64_t cprof_rust_number62(struct cprof_rust_reading *r);

/* The number after `tag`, plus one; 0 without the tag. */
uint64_t cprof_rust_optional_number62(struct cprof_rust_reading *r, char tag);

/* What tells things of one name apart; 0 is the first. */
uint64_t cprof_rust_disambiguator(struct cprof_rust_reading *r);

/* Parts of the name; all zero after a failure. */
struct cprof_rust_identifier cprof_rust_take_identifier(struct cprof_rust_reading *r);

/*
 * Go back to what this place refers to; *ret_back is where to go on. False: nothing is to be read there, as in a part
 * that is not printed.
 */
bool cprof_rust_go_back(struct cprof_rust_reading *r, size_t *ret_back);
void cprof_rust_go_on(struct cprof_rust_reading *r, size_t back);

bool cprof_rust_is_digit(char c);

/* ---- printing: nothing in a silent part, a failure beyond the bound ---- */

void cprof_rust_print_bytes(struct cprof_rust_reading *r, const char *text, size_t len);
void cprof_rust_print(struct cprof_rust_reading *r, const char *text);
void cprof_rust_print_number(struct cprof_rust_reading *r, uint64_t value);
void cprof_rust_print_code_point(struct cprof_rust_reading *r, uint32_t c);
void cprof_rust_print_identifier(struct cprof_rust_reading *r,
				 const struct cprof_rust_identifier *name);

/* ---- the grammar: each a step ---- */

/* `in_value`: of a function or a constant, whose arguments are set off by "::". */
void cprof_rust_read_path(struct cprof_rust_reading *r, bool in_value);

/* `in_value`: inside of another constant, which has the braces. */
void cprof_rust_read_constant(struct cprof_rust_reading *r, bool in_value);

#endif
