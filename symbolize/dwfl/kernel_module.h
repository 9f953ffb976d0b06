/* SPDX-License-Identifier: Apache-2.0 */
/*
 * symbolize/dwfl/kernel_module.h - the debug information of a loaded kernel module, relocated by libdwfl to where the module lies.
 *
 * A module's file is relocatable: its debug sections know no addresses before that. libdwfl asks the kernel where each section is
 * (/sys/module/NAME/sections, for root only), our readers then read the sections as those of any program.
 *
 * libdwfl reads the file's bytes in this process, so only for files that nobody but root can have written; it gets a copy of them.
 */
#ifndef CPROF_SYMBOLIZE_DWFL_KERNEL_MODULE_H
#define CPROF_SYMBOLIZE_DWFL_KERNEL_MODULE_H

#include "symbolize/elf/elf_file.h"

/*
 * Put relocated sections in the place of those of `elf`, the file of the loaded module `name`, and the others where they are in memory. Before they are read for the first time. Errors:
 * UNSUPPORTED (no libdw), BAD_DATA (what libdwfl says, no sections in /sys, over the budget), NO_MEMORY.
 */
struct cprof_error *cprof_kernel_module_relocate(struct cprof_elf *elf, const char *name);

#endif
