/* SPDX-License-Identifier: Apache-2.0 */
/*
 * symbolize/process/debug_file.h - the files that hold a module's names besides itself: its separate debug file, mini debug
 * info, dwz's common parts.
 *
 * Owns where such files are looked for and the proof that one belongs to the module: the same build-id, or for
 * a debuglink without one the CRC of the whole file. A path alone proves nothing; a wrong file is worse than none.
 *
 * The places are libdwfl's (a test compares them), the opening is not: dwfl_standard_find_debuginfo() of elfutils 0.188 opens each by its
 * path, so a debuglink to a FIFO holds it for ever and a link leads out of the target's root; asks debuginfod unasked; takes a file without build-id
 * where there is no debuglink; and unpacked 436 KB of .gnu_debugdata to 2.9 GB in 25 s (we: 70 MB, 0.7 s). It has no hook for any of that. So
 * libdwfl is given the files that we found, by a callback (symbolize/dwfl/dwfl.h). dwarf_begin_elf(), behind dwfl_module_getdwarf(), unpacks
 * all debug sections at once: 87 ms and 32 MB for python3.11 before the first answer.
 *
 * Source of truth: gdb manual "Separate Debug Files", "MiniDebugInfo".
 */
#ifndef CPROF_SYMBOLIZE_PROCESS_DEBUG_FILE_H
#define CPROF_SYMBOLIZE_PROCESS_DEBUG_FILE_H

#include <sys/types.h>

#include "cprof/buffer.h"
#include "cprof/error.h"
#include "symbolize/elf/elf_file.h"
#include "symbolize/process/debuginfod.h"

/* Where a search begins: paths are tried as the target sees them, then as we do. */
struct cprof_debug_roots {
	const char *target_root; /* "/proc/42/root"; "" where there is none, or it is ours */
	const char *module_path; /* as the target names it */
	struct cprof_debuginfod *debuginfod; /* ask servers, last; NULL: no */
	uid_t only_uid; /* who alone may read the module: what is refused to us is asked for as him (owner_file.h); 0: nobody */
	gid_t only_gid;
};

/*
 * The separate debug file of `elf`, by build-id directory, then by debuglink. *ret_elf NULL: none found; `trail`
 * (may be NULL) then and otherwise gets a line for every place that was tried and what came of it. Errors: NO_MEMORY.
 */
struct cprof_error *cprof_debug_file_find(struct cprof_elf *elf,
					  const struct cprof_debug_roots *roots,
					  struct cprof_buffer *trail, struct cprof_elf **ret_elf);

/* The ELF file packed in .gnu_debugdata (symbol table only), or NULL where there is none. Errors: NO_MEMORY. */
struct cprof_error *cprof_debug_file_unpack(struct cprof_elf *elf, struct cprof_elf **ret_elf);

/*
 * The file of common parts that dwz made, named in .gnu_debugaltlink of `debug`. *ret_elf NULL: none named or none found.
 * `trail` as above. Errors: NO_MEMORY.
 */
struct cprof_error *cprof_debug_file_alt(struct cprof_elf *debug,
					 const struct cprof_debug_roots *roots,
					 struct cprof_buffer *trail, struct cprof_elf **ret_elf);

#endif
