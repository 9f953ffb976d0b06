/* SPDX-License-Identifier: Apache-2.0 */
/*
 * symbolize/elf/eh_index.h - where functions start that no symbol names, from the index of the unwind information.
 *
 * Stripped programs keep it. With it all addresses of a nameless function share one name, "nginx+0x544a0", and a profile
 * still shows which function is hot. Source of truth: Linux Standard Base "Exception Frames", .eh_frame_hdr.
 */
#ifndef CPROF_SYMBOLIZE_ELF_EH_INDEX_H
#define CPROF_SYMBOLIZE_ELF_EH_INDEX_H

#include "symbolize/elf/elf_file.h"

/* The start of the function around `file_addr`; `file_addr` itself where the file does not tell. */
uint64_t cprof_eh_index_start(struct cprof_elf *elf, uint64_t file_addr);

#endif
