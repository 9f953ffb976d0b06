/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/context/tls_symbol.h - a thread-local variable in an ELF file: which it is, and which words tell a running process's place of it.
 *
 * The loader writes into words of the object (relocations) what code needs to get at the variable: its distance from the thread
 * pointer, or the number of the object's block. tls_place.h reads these in a process.
 *
 * Source of truth: Ulrich Drepper, "ELF Handling For Thread-Local Storage"; System V psABI (x86-64, AArch64) "Relocation Types";
 * Alexandre Oliva, "Thread-Local Storage Descriptors for IA32 and AMD64/EM64T".
 */
#ifndef CPROF_ATTACH_CONTEXT_TLS_SYMBOL_H
#define CPROF_ATTACH_CONTEXT_TLS_SYMBOL_H

#include <stdbool.h>
#include <stdint.h>

#include "cprof/error.h"
#include "cprof/module.h"

enum cprof_tls_way {
	CPROF_TLS_NONE,       /* no word tells: its own distance in the program's own block */
	CPROF_TLS_OFFSET,     /* a word with a distance from the thread pointer */
	CPROF_TLS_MODULE,     /* a word with the number of the object's block */
	CPROF_TLS_DESCRIPTOR, /* two words: a function, and what it is given */
};

struct cprof_tls_symbol {
	uint64_t value; /* its offset in the object's block */
	/* The block as it is in the file: the PT_TLS program header. */
	uint64_t block_addr, block_bytes, block_align;
	uint16_t machine; /* EM_* */
	enum cprof_tls_way way;
	uint64_t word; /* file address */
	int64_t addend; /* what the word is of lies so far into the block; the variable is at `value` */
};

/*
 * The variable `name` that `module` defines for others (.dynsym; in a static program .symtab) - with `any`, or for itself. False: it has none such, or the file
 * cannot be read. Costs a look at its table of names, and one at its relocations where it has it.
 */
bool cprof_tls_symbol_find(const struct cprof_module *module, const char *name, bool any,
			   struct cprof_tls_symbol *ret_symbol);

/* The object's whole block, as if it were one variable; its bytes, 0 where it has none. */
uint64_t cprof_tls_symbol_block(const struct cprof_module *module,
				struct cprof_tls_symbol *ret_symbol);

#endif
