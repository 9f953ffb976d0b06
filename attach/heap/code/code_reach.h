/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/heap/code/code_reach.h - who in an object comes to a place in its code: branches, calls, tables, pointers.
 *
 * A jump that is put over a function's first instructions may be met only at its first byte. Whoever could come to a byte
 * in its middle is looked for here, in all of the object: no function is disassembled for that. Every four bytes
 * of code that would lead to the place, if they were the end of a branch, and that stand behind the opcode of one, count as one. So
 * it does not matter where instructions begin, which parts of a function the compiler laid elsewhere, or that data lies among
 * the code; what is found too much is a function refused (one in some ten thousand).
 *
 * Seen: direct jumps, calls and transactions (xbegin) and instructions that take the address of a place or read it; words and
 * tables of the data, with or without relocations, absolute or relative to themselves or the GOT; landing pads of exceptions;
 * symbols; endbr64. Not seen: an address that is computed from numbers alone, code that another object or a JIT computes
 * from a symbol and a number of its own.
 */
#ifndef CPROF_ATTACH_HEAP_CODE_CODE_REACH_H
#define CPROF_ATTACH_HEAP_CODE_CODE_REACH_H

#include "attach/heap/code/code_object.h"

enum cprof_code_way {
	CPROF_CODE_WAY_JUMP,    /* jmp or jcc, xbegin, loop */
	CPROF_CODE_WAY_CALL,    /* call */
	CPROF_CODE_WAY_ADDRESS, /* an instruction takes its address or reads it */
	CPROF_CODE_WAY_NUMBER,  /* the same, with the address itself in the instruction */
	CPROF_CODE_WAY_POINTER, /* a word of the data, or what the dynamic linker makes of one */
	CPROF_CODE_WAY_TABLE,   /* a table of distances */
	CPROF_CODE_WAY_LANDING, /* exceptions are caught there */
	CPROF_CODE_WAY_SYMBOL,  /* it has a name */
	CPROF_CODE_WAY_ENDBR,   /* it is marked as the target of indirect branches */
};

struct cprof_code_reach {
	uint64_t from, to; /* file addresses; `from` is of the branch's last bytes, the word, ... */
	enum cprof_code_way way;
};

/* A range of code that is asked about. */
struct cprof_code_place {
	uint64_t start, end;
};

struct cprof_code_reaches {
	struct cprof_code_object *object; /* borrowed */
	struct cprof_code_reach *all; /* owned; by `to`; some may turn out to be something else */
	size_t n, cap;
};

/*
 * All that comes to a byte of one of the `n` places (file addresses, in any order). It takes 1 to 2 ms a megabyte of
 * the object, however many places there are: ask once for all. Errors: NO_MEMORY, BAD_DATA (the file was cut short).
 */
struct cprof_error *cprof_code_reaches_find(struct cprof_code_object *object,
					    const struct cprof_code_place *places, size_t n,
					    struct cprof_code_reaches *ret_reaches);
void cprof_code_reaches_deinit(struct cprof_code_reaches *reaches);

/*
 * Does anything come to a byte of [start, end), which was part of a place? *ret_reach is the first that does, borrowed, or
 * NULL. Errors: NO_MEMORY.
 */
struct cprof_error *cprof_code_reaches_in(const struct cprof_code_reaches *reaches, uint64_t start,
					  uint64_t end, const struct cprof_code_reach **ret_reach);

/*
 * Does an instruction of the object jump to or call a byte of [start, end) directly? Asked of a function's first bytes: only
 * then can a caller have been compiled with the knowledge of which registers the function leaves alone (-fipa-ra, link time
 * optimization, assembly). [start, start + 5) also covers those who know of an endbr64 and skip it.
 */
bool cprof_code_reaches_call(const struct cprof_code_reaches *reaches, uint64_t start,
			     uint64_t end);

/* What `way` is, for people: "a jump". */
const char *cprof_code_way_name(enum cprof_code_way way);

#endif
