/* SPDX-License-Identifier: Apache-2.0 */
/*
 * symbolize/dwfl/libdw.h - elfutils' libdw and libdwfl, loaded when they are first needed.
 *
 * Owns the table of those of its functions that we call. Not linked, so that starting a program, and sampling, never pays for loading it;
 * nobody but symbolize/dwfl/ calls it.
 *
 * Source of truth: the headers of elfutils 0.188, whose ABI has versions and stays.
 */
#ifndef CPROF_SYMBOLIZE_DWFL_LIBDW_H
#define CPROF_SYMBOLIZE_DWFL_LIBDW_H

#include <elfutils/libdw.h>
#include <elfutils/libdwfl.h>
#include <libelf.h>

#include "cprof/error.h"

#define CPROF_LIBDW_FUNCTIONS(X)                                                                   \
	X(elf_version)                                                                             \
	X(elf_memory)                                                                              \
	X(elf_end)                                                                                 \
	X(elf_errmsg)                                                                              \
	X(elf_getscn)                                                                              \
	X(elf_rawdata)                                                                             \
	X(dwfl_begin)                                                                              \
	X(dwfl_end)                                                                                \
	X(dwfl_errmsg)                                                                             \
	X(dwfl_report_begin_add)                                                                   \
	X(dwfl_report_module)                                                                      \
	X(dwfl_report_end)                                                                         \
	X(dwfl_addrmodule)                                                                         \
	X(dwfl_module_info)                                                                        \
	X(dwfl_module_getelf)                                                                      \
	X(dwfl_module_getdwarf)                                                                    \
	X(dwfl_module_addrinfo)                                                                    \
	X(dwfl_module_addrdie)                                                                     \
	X(dwfl_module_nextcu)                                                                      \
	X(dwfl_linux_kernel_module_section_address)                                                \
	X(dwfl_linux_kernel_report_offline)                                                        \
	X(dwarf_attr)                                                                              \
	X(dwarf_attr_integrate)                                                                    \
	X(dwarf_child)                                                                             \
	X(dwarf_decl_line)                                                                         \
	X(dwarf_diename)                                                                           \
	X(dwarf_filesrc)                                                                           \
	X(dwarf_formref_die)                                                                       \
	X(dwarf_formstring)                                                                        \
	X(dwarf_formudata)                                                                         \
	X(dwarf_getscopes_die)                                                                     \
	X(dwarf_getsrc_die)                                                                        \
	X(dwarf_getsrcfiles)                                                                       \
	X(dwarf_haspc)                                                                             \
	X(dwarf_linecol)                                                                           \
	X(dwarf_lineno)                                                                            \
	X(dwarf_linesrc)                                                                           \
	X(dwarf_siblingof)                                                                         \
	X(dwarf_ranges)                                                                            \
	X(dwarf_tag)

struct cprof_libdw {
/* NOLINTNEXTLINE(bugprone-macro-parentheses): the name of a member */
#define CPROF_LIBDW_MEMBER(name) __typeof__(name) *name;
	CPROF_LIBDW_FUNCTIONS(CPROF_LIBDW_MEMBER)
#undef CPROF_LIBDW_MEMBER
};

/* Fills in the table. Errors: UNSUPPORTED (not installed, or too old), with what to install. */
struct cprof_error *cprof_libdw_load(struct cprof_libdw *ret_libdw);

#endif
