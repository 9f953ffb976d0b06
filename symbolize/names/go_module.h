/* SPDX-License-Identifier: Apache-2.0 */
/*
 * symbolize/names/go_module.h - what a Go program says of itself at run time: where its text starts.
 *
 * Addresses in .gopclntab count from the start of Go's text, which is not the start of .text where C code is linked in
 * (cgo, -linkmode=external). The runtime's moduledata tells; it is found without symbols by what it points to.
 *
 * Source of truth: the Go distribution, src/runtime/symtab.go (moduledata, the first 24 words of which are the same from
 * Go 1.16 to 1.26) and the notes on each release's linker.
 */
#ifndef CPROF_SYMBOLIZE_NAMES_GO_MODULE_H
#define CPROF_SYMBOLIZE_NAMES_GO_MODULE_H

#include "symbolize/elf/elf_file.h"

/* The table that the moduledata is about: the addresses of its parts, which tell the right one among all words. */
struct cprof_go_module_key {
	uint64_t table, names, funcs; /* file addresses */
	uint64_t n_funcs;
};

/* Where Go's text starts, as a file address. False: there is no moduledata of that table, or it contradicts itself. */
bool cprof_go_module_text(struct cprof_elf *elf, const struct cprof_go_module_key *key,
			  uint64_t *ret_text);

#endif
