/* SPDX-License-Identifier: Apache-2.0 */
/*
 * symbolize/elf/elf_digest.h - one number for all in an ELF file that names are made of.
 *
 * Owns which parts those are: the header, the section table, and the content of every section but code, data, and debug
 * information that only debuggers ask for (locations, macros, indexes). Compressed sections count as they are in the file.
 *
 * A file can be changed while it is read. Pieces that were read already count as they were read (image.h keeps them), and
 * sections that were inflated as what was inflated; so whoever takes the number again after he has read the file, and finds the
 * same, knows that what he read is what the number stands for.
 *
 * The hash is base/content_hash.h: nobody can make another file with the same number.
 */
#ifndef CPROF_SYMBOLIZE_ELF_ELF_DIGEST_H
#define CPROF_SYMBOLIZE_ELF_ELF_DIGEST_H

#include "base/content_hash.h"
#include "symbolize/elf/elf_file.h"

/*
 * False where the file cannot be read (any more), or a section was inflated from other bytes than those of the first call.
 * `key` must live as long as the file.
 */
bool cprof_elf_digest(struct cprof_elf *elf, const struct cprof_content_key *key,
		      uint64_t *ret_digest);

#endif
