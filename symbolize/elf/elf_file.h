/* SPDX-License-Identifier: Apache-2.0 */
/*
 * symbolize/elf/elf_file.h - the sections of a 64-bit little-endian ELF file, for reading names.
 *
 * Owns the section table and decompressed sections. Every access is checked against the file, so a hostile
 * or truncated file costs answers and nothing else. Not libelf: that maps the file (SIGBUS when it is cut)
 * and has no reading of single pieces of a large section, which is what keeps big debug files cheap: 10,000 addresses of a vmlinux of 588 MB take
 * 194 MB of it. Of compressed sections libelf 0.188 knows zlib only (zstd: "unknown compression type"), and takes 79 ms where we take 41.
 *
 * Source of truth: ELF gABI "Sections", "Section Compression"; the old ".zdebug" layout as GNU binutils wrote it.
 */
#ifndef CPROF_SYMBOLIZE_ELF_ELF_FILE_H
#define CPROF_SYMBOLIZE_ELF_ELF_FILE_H

#include <elf.h>

#include "base/content_hash.h"
#include "base/prefetch.h"
#include "cprof/error.h"
#include "cprof/image.h"

#define CPROF_SECTION_STRING (32u << 10) /* bytes of a string, at most */

struct cprof_section {
	const char *name; /* borrowed from the file; never NULL */
	uint32_t type, link, info;
	uint64_t flags, addr, offset, entsize;
	uint64_t size; /* decompressed */

	/* Private. */
	struct cprof_image *image; /* what offset counts in; its own after decompression */
	bool inflated;
	bool paid; /* the memory for its decompressed bytes is charged */
	struct cprof_prefetch_piece
		*prefetch; /* owned; its decompressed bytes, once they are made */
	/* elf_digest.h: of the bytes in the file, under that key (borrowed; NULL: none); inflated were other ones. */
	uint64_t digest;
	const struct cprof_content_key *key;
	bool changed;
};

struct cprof_elf {
	struct cprof_image *image; /* owned unless `borrowed` */
	bool borrowed;
	uint16_t type, machine;
	struct cprof_section *sections; /* owned */
	size_t n_sections;
	uint64_t inflate_limit; /* bytes that may still be spent on decompressed sections */
	uint64_t spans_from;    /* sections that unpack to so much are made in spans (packed.h) */
};

/* Errors: BAD_DATA, UNSUPPORTED (32 bit, big-endian), NO_MEMORY. Takes `image` unless `borrowed`, also on error. */
struct cprof_error *cprof_elf_open(struct cprof_image *image, bool borrowed,
				   struct cprof_elf **ret_elf);
void cprof_elf_free(struct cprof_elf *elf);

/* By name, with its bytes in this file (no SHT_NOBITS); a compressed one is decompressed now. NULL: none, or broken. */
struct cprof_section *cprof_elf_section(struct cprof_elf *elf, const char *name);

/*
 * Have the section decompressed meanwhile, if it is compressed and takes at most `*left` bytes, which go off that then.
 * The file must live until the child has been started.
 */
void cprof_elf_section_prefetch(struct cprof_elf *elf, const char *name,
				struct cprof_prefetch *prefetch, uint64_t *left);

/* Whether it has such a section with bytes; nothing is decompressed. */
bool cprof_elf_has_section(const struct cprof_elf *elf, const char *name);

/* Whether the packed bytes that a decompressed section was made of are those of its digest (elf_digest.h). */
bool cprof_elf_section_is_as_digested(const struct cprof_section *section);

/* Nothing is borrowed any more from what lies in [start, end) of the section: its memory may go (cprof_image_forget()). */
static inline void cprof_section_forget(const struct cprof_section *section, uint64_t start,
					uint64_t end)
{
	end = end < section->size ? end : section->size;
	if (start < end)
		cprof_image_forget(section->image, section->offset + start, section->offset + end);
}

/* By type (SHT_SYMTAB); NULL: none. */
struct cprof_section *cprof_elf_section_of_type(struct cprof_elf *elf, uint32_t type);

/* The section table entry, NULL past its end; its bytes may still be compressed. */
const struct cprof_section *cprof_elf_section_at(const struct cprof_elf *elf, size_t index);

/* Let `bytes` be what section `index` holds, in its place; takes them, also on error. Before it is read. Errors: NO_MEMORY. */
struct cprof_error *cprof_elf_section_replace(struct cprof_elf *elf, size_t index, uint8_t *bytes,
					      size_t size);

/* `len` bytes of a section; NULL where they are not all there. Constant until the file is freed. */
static inline const uint8_t *cprof_section_at(const struct cprof_section *section, uint64_t offset,
					      uint64_t len)
{
	if (offset > section->size || len > section->size - offset)
		return NULL;
	return cprof_image_at(section->image, section->offset + offset, len);
}

/* A zero-terminated string of a section; NULL where it is none, or a very long one. */
static inline const char *cprof_section_string(const struct cprof_section *section, uint64_t offset)
{
	if (offset >= section->size)
		return NULL;
	/* Text that goes on for longer is no name, and looking for its end would be half of all work. */
	uint64_t left = section->size - offset, start = section->offset + offset;
	return cprof_image_string(
		section->image, start,
		start + (left < CPROF_SECTION_STRING ? left : CPROF_SECTION_STRING));
}

/* The GNU build-id, and its length; 0 where there is none. Room for CPROF_BUILD_ID_MAX bytes in `build_id`. */
uint8_t cprof_elf_build_id(struct cprof_elf *elf, uint8_t *build_id);

#endif
