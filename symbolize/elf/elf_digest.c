/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolize/elf/elf_digest.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

#define PIECE ((uint64_t)128 << 10) /* stays in the processor's cache between reading and hashing */

/* ---- which sections ---- */

static bool begins(const char *name, const char *with)
{
	return strncmp(name, with, strlen(with)) == 0;
}

static bool is_for_debuggers(const char *name)
{
	static const char *const begins_with[] = { ".debug_loc",     ".debug_macro", ".debug_pub",
						   ".debug_gnu_pub", ".debug_frame", ".gdb_index",
						   ".comment" };
	if (begins(name, ".zdebug"))
		return false;
	for (size_t i = 0; i < sizeof(begins_with) / sizeof(begins_with[0]); i++) {
		if (begins(name, begins_with[i]))
			return true;
	}
	return false;
}

/* Of what is loaded: the dynamic linker's tables, stubs that are named by what they call, and Go's own table. */
static bool makes_names(const struct cprof_section *section)
{
	if (section->type == SHT_NOBITS)
		return false;
	if (!(section->flags & SHF_ALLOC))
		return !is_for_debuggers(section->name);
	if (section->type == SHT_PROGBITS)
		return begins(section->name, ".plt") || strstr(section->name, "gopclntab");
	return section->type == SHT_DYNSYM || section->type == SHT_STRTAB ||
	       section->type == SHT_RELA || section->type == SHT_NOTE;
}

/* ---- hashing ---- */

static bool add_content(struct cprof_content_hash *hash, const struct cprof_section *section)
{
	CPROF_AUTO(free) uint8_t *piece = malloc(PIECE);
	for (uint64_t at = 0; at < section->size; at += PIECE) {
		uint64_t left = section->size - at, n = left < PIECE ? left : PIECE;
		if (!piece || !cprof_image_look(section->image, section->offset + at, piece, n))
			return false;
		cprof_content_hash_add(hash, piece, n);
	}
	return true;
}

static bool digest_section(struct cprof_section *section, const struct cprof_content_key *key)
{
	struct cprof_content_hash hash;
	if (section->inflated)
		return cprof_elf_section_is_as_digested(section);
	cprof_content_hash_init(&hash, key);
	if (makes_names(section) && !add_content(&hash, section))
		return false;
	section->digest = cprof_content_hash_end(&hash);
	section->key = key;
	return true;
}

bool cprof_elf_digest(struct cprof_elf *elf, const struct cprof_content_key *key,
		      uint64_t *ret_digest)
{
	struct cprof_content_hash hash;
	Elf64_Ehdr header;
	cprof_content_hash_init(&hash, key);
	elf->image->key = key;
	if (!cprof_image_look(elf->image, 0, (uint8_t *)&header, sizeof(header)))
		return false;
	cprof_content_hash_add(&hash, &header, sizeof(header));
	for (size_t i = 0; i < elf->n_sections; i++) {
		struct cprof_section *section = &elf->sections[i];
		if (!digest_section(section, key))
			return false;
		const uint64_t facts[] = { section->type, section->link,    section->info,
					   section->addr, section->entsize, section->digest };
		cprof_content_hash_add(&hash, facts, sizeof(facts));
		cprof_content_hash_add(&hash, section->name, strlen(section->name) + 1);
	}
	*ret_digest = cprof_content_hash_end(&hash);
	return true;
}
