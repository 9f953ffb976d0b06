/* SPDX-License-Identifier: Apache-2.0 */
/*
 * symbolize/dwfl/dwfl.h - one Dwfl of a process's modules: elfutils' libdwfl on files that we have found, proved and opened.
 *
 * Owns the session and its callbacks. A module is reported when it is first asked about, where it lies in the process; libdwfl then says which one holds an
 * address, and where that is in the file. Which files are a module's is said by whoever reports it: libdwfl looks for none and asks no
 * server. It gets copies of their bytes (dwfl_bytes.h), so no file of others is mapped.
 *
 * Two things libdw does on its own and has no callback for: it opens split units (.dwo), and dwz's common file where none was given, at paths that the
 * file names. It also trusts its input more than we do. So a session on files of others belongs in a process that can open nothing while it asks and
 * whose end harms nobody: dwfl_child.h. Never on the sampling path.
 */
#ifndef CPROF_SYMBOLIZE_DWFL_DWFL_H
#define CPROF_SYMBOLIZE_DWFL_DWFL_H

#include "symbolize/dwfl/dwfl_bytes.h"
#include "symbolize/dwfl/libdw.h"
#include "symbolize/elf/elf_file.h"

/* What belongs to one module; all borrowed, as long as the session. */
struct cprof_dwfl_files {
	struct cprof_elf *self;
	struct cprof_elf *debug; /* its separate debug file; NULL: none */
	struct cprof_elf *alt;   /* dwz's common parts; NULL: none */
	const char *
		loaded; /* `self` is relocatable and is the file of this kernel module; NULL: it is neither */
};

struct cprof_dwfl_module {
	Dwfl_Module *mod; /* borrowed from the session */
	const struct cprof_libdw *libdw;
	struct cprof_dwfl_files files;
	struct cprof_dwfl_bytes bytes; /* of files.self, as libelf has them */
	int debug_fd, alt_fd;          /* owned until libdwfl asks; sealed copies, -1: none */
	void *owner;                   /* of who reported it */
	struct cprof_dwfl_module *next;
};

struct cprof_dwfl {
	struct cprof_libdw libdw;
	Dwfl *dwfl;                        /* owned */
	struct cprof_dwfl_module *modules; /* owned; newest first */
	size_t n_modules;
};

/* Zeroed before, and after an error. Errors: UNSUPPORTED (no libdw), NO_MEMORY. */
struct cprof_error *cprof_dwfl_init(struct cprof_dwfl *dwfl);
void cprof_dwfl_deinit(struct cprof_dwfl *dwfl);

/*
 * Report a module: where its file's addresses and `bias` are, or if it is a kernel module's file, where the kernel has each of its sections
 * (/sys/module/NAME/sections, for root only; `bias` does not count). Others may have been there before, or be there in another process.
 * *ret_module lives as long as the session. Errors: BAD_DATA (what libdwfl says; no segments; the kernel does not tell), NO_MEMORY, OS.
 */
struct cprof_error *cprof_dwfl_report(struct cprof_dwfl *dwfl, const struct cprof_dwfl_files *files,
				      uint64_t bias, struct cprof_dwfl_module **ret_module);

/* The module that libdwfl finds at `addr`, of several the last reported; NULL: none. */
struct cprof_dwfl_module *cprof_dwfl_at(struct cprof_dwfl *dwfl, uint64_t addr);

#endif
