/* SPDX-License-Identifier: Apache-2.0 */
/*
 * symbolize/names/code_jump.h - where calls and jumps in a module's code lead, for finding functions that left by a tail call.
 *
 * Reads the file's bytes and nothing else: a word that a relocation fills is told by its place. x86-64 only; elsewhere
 * nothing is found. Source of truth: Intel 64 and IA-32 Architectures Software Developer's Manual, "CALL" and "JMP"; System V psABI
 * "Procedure Linkage Table".
 */
#ifndef CPROF_SYMBOLIZE_NAMES_CODE_JUMP_H
#define CPROF_SYMBOLIZE_NAMES_CODE_JUMP_H

#include "cprof/module.h"

struct cprof_code_jump {
	uint64_t addr; /* file address of its last byte */
	enum {
		CPROF_JUMP_TO,   /* file address `to` */
		CPROF_JUMP_SLOT, /* where the word at file address `to` points */
		CPROF_JUMP_UNKNOWN, /* a register or a table tells: a tail call through a pointer, or a switch */
	} kind;
	uint64_t to;
};

/*
 * The call that returns to `file_addr`; false where none stands before it, or one through a register. The bytes before an
 * address can be read in several ways, so that what is found is a call only if a function begins there.
 */
bool cprof_code_jump_call(const struct cprof_module *module, uint64_t file_addr,
			  struct cprof_code_jump *ret_call);

/* Is there nothing at `file_addr` but a jump through a word: an entry of the linkage table? */
bool cprof_code_jump_entry(const struct cprof_module *module, uint64_t file_addr,
			   struct cprof_code_jump *ret_jump);

/*
 * The jumps of the function [start, end) that leave it, in order, at most `cap`. A code beyond the module's bytes has none.
 * Returns how many.
 */
size_t cprof_code_jump_out(const struct cprof_module *module, uint64_t start, uint64_t end,
			   struct cprof_code_jump *jumps, size_t cap);

#endif
