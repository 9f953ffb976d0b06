/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolize/elf/elf_file.h"

#include <libdeflate.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "base/cleanup.h"
#include "cprof/build_id.h"
#include "symbolize/elf/elf_headers.h"
#include "symbolize/elf/packed.h"

#define SECTIONS_MAX       (1u << 20)
#define NAME_BYTES         256u
#define NOTES_MAX          256u /* sections of notes that are looked at */
#define INFLATE_LIMIT      (4ull << 30)
#define COMPRESS_ZSTD      2             /* ELFCOMPRESS_ZSTD, younger than Debian 12's elf.h */
#define SPANS_FROM         (16ull << 20) /* a section that unpacks to so much is made in spans */
#define ZDEBUG_HEADER_SIZE 12            /* "ZLIB" and the size, big-endian */

static struct cprof_error *bad(const char *what)
{
	return cprof_error_new(CPROF_ERR_BAD_DATA, "ELF: %s", what);
}

/* ---- decompression ---- */

/* All at once: the size is known, and that is twice as fast as zlib, which must be able to stop anywhere. */
static bool inflate_zlib(const uint8_t *in, size_t in_size, uint8_t *out, size_t out_size)
{
	struct libdeflate_decompressor *inflater = libdeflate_alloc_decompressor();
	if (!inflater)
		return false;
	bool whole = libdeflate_zlib_decompress(inflater, in, in_size, out, out_size, NULL) ==
		     LIBDEFLATE_SUCCESS;
	libdeflate_free_decompressor(inflater);
	return whole;
}

/* Whether the packed bytes are those that the file's digest was made of; `in` is what follows the header. */
static bool is_as_digested(const struct cprof_section *section, size_t skip, const uint8_t *in,
			   size_t in_size)
{
	struct cprof_content_hash hash;
	if (!section->key)
		return true;
	const uint8_t *header = cprof_section_at(section, 0, skip);
	if (!header)
		return false;
	cprof_content_hash_init(&hash, section->key);
	cprof_content_hash_add(&hash, header, skip);
	cprof_content_hash_add(&hash, in, in_size);
	return cprof_content_hash_end(&hash) == section->digest;
}

/* The packed bytes are held only meanwhile: kept in the image's copy they are half as much again as a debug file. */
static bool inflate_any(uint32_t type, const struct cprof_section *section, size_t skip,
			uint8_t *out, size_t out_size, bool *ret_changed)
{
	size_t in_size = section->size - skip;
	CPROF_AUTO(free) uint8_t *in = in_size <= section->image->size ? malloc(in_size) : NULL;
	if (!in || !cprof_image_copy(section->image, section->offset + skip, in, in_size))
		return false;
	*ret_changed = !is_as_digested(section, skip, in, in_size);
	if (type == ELFCOMPRESS_ZLIB)
		return inflate_zlib(in, in_size, out, out_size);
	if (type == COMPRESS_ZSTD)
		return ZSTD_decompress(out, out_size, in, in_size) == out_size;
	return false;
}

/* What the header of a compressed section says; false where there is none that makes sense. */
static bool read_header(const struct cprof_section *section, uint32_t *ret_type, uint64_t *ret_size,
			size_t *ret_skip)
{
	if (section->flags & SHF_COMPRESSED) {
		Elf64_Chdr chdr;
		const uint8_t *bytes = cprof_section_at(section, 0, sizeof(chdr));
		if (!bytes)
			return false;
		memcpy(&chdr, bytes, sizeof(chdr));
		*ret_type = chdr.ch_type;
		*ret_size = chdr.ch_size;
		*ret_skip = sizeof(chdr);
		return true;
	}
	const uint8_t *bytes = cprof_section_at(section, 0, ZDEBUG_HEADER_SIZE);
	if (!bytes || memcmp(bytes, "ZLIB", 4) != 0)
		return false;
	*ret_type = ELFCOMPRESS_ZLIB;
	*ret_size = 0;
	*ret_skip = ZDEBUG_HEADER_SIZE;
	for (int i = 4; i < 12; i++)
		*ret_size = *ret_size << 8 | bytes[i];
	return true;
}

bool cprof_elf_section_is_as_digested(const struct cprof_section *section)
{
	const struct cprof_packed *packed = section->inflated ? section->image->packed : NULL;
	if (!section->key || section->changed)
		return false;
	return !packed || cprof_packed_has_digest(packed, section->digest);
}

static bool is_zdebug(const struct cprof_section *section)
{
	return strncmp(section->name, ".zdebug", 7) == 0;
}

/* deflate packs at most 1032 to 1; a header that promises more lies. */
static bool is_plausible(const struct cprof_elf *elf, const struct cprof_section *section,
			 uint64_t size)
{
	return size && size <= elf->inflate_limit && size / 1100 <= section->size;
}

static bool read_packed(void *ctx, uint64_t offset, uint8_t *buf, size_t n)
{
	return cprof_image_copy(ctx, offset, buf, n);
}

/* In spans, as they are wanted. A section whose stream breaks off in the middle has what is before that. */
static struct cprof_error *inflate_in_spans(const struct cprof_section *section, uint64_t size,
					    size_t skip, struct cprof_image **ret_image)
{
	struct cprof_packed *packed = cprof_packed_new(
		read_packed, section->image, section->offset, section->offset + skip,
		section->offset + section->size, size, section->key);
	return packed ? cprof_image_from_packed(packed, size, ret_image)
		      : bad("a compressed section is broken");
}

static struct cprof_error *inflate_now(const struct cprof_elf *elf, struct cprof_section *section,
				       uint32_t type, uint64_t size, size_t skip,
				       struct cprof_image **ret_image)
{
	if (type == ELFCOMPRESS_ZLIB && size >= elf->spans_from)
		return inflate_in_spans(section, size, skip, ret_image);
	uint8_t *out = malloc(size);
	if (!out)
		return cprof_error_no_memory();
	if (!inflate_any(type, section, skip, out, size, &section->changed)) {
		free(out);
		return bad("a compressed section is broken");
	}
	return cprof_image_from_bytes(out, size, ret_image);
}

/* section->image is its own now, and holds `size` bytes of it. */
static void settle(const struct cprof_elf *elf, struct cprof_section *section, uint64_t size)
{
	section->image->account = elf->image->account;
	section->inflated = true;
	section->offset = 0;
	section->size = size;
	section->flags &= ~(uint64_t)SHF_COMPRESSED;
}

static bool inflate_section(struct cprof_elf *elf, struct cprof_section *section)
{
	uint32_t type;
	uint64_t size;
	size_t skip, n_made = 0;
	if (!read_header(section, &type, &size, &skip) || !is_plausible(elf, section, size))
		return false;
	uint8_t *made =
		section->prefetch ? cprof_prefetch_piece_bytes(section->prefetch, &n_made) : NULL;
	struct cprof_account *account = elf->image->account;
	if (!section->paid && !cprof_account_charge(account, CPROF_BUDGET_HELD, size))
		return false;
	section->paid = true;
	struct cprof_error *err =
		made && n_made == size
			? cprof_image_borrow(made, size, &section->image)
			: inflate_now(elf, section, type, size, skip, &section->image);
	if (err) {
		cprof_error_free(err);
		return false;
	}
	elf->inflate_limit -= size;
	settle(elf, section, size);
	return true;
}

struct cprof_error *cprof_elf_section_replace(struct cprof_elf *elf, size_t index, uint8_t *bytes,
					      size_t size)
{
	struct cprof_section *section = &elf->sections[index];
	struct cprof_error *err = cprof_image_from_bytes(bytes, size, &section->image);
	if (!err)
		settle(elf, section, size);
	return err;
}

/* ---- finding ---- */

static bool named(const struct cprof_section *section, const char *name)
{
	if (strcmp(section->name, name) == 0)
		return true;
	return is_zdebug(section) && name[0] == '.' && strcmp(section->name + 2, name + 1) == 0;
}

static struct cprof_section *ready(struct cprof_elf *elf, struct cprof_section *section)
{
	if (section->type == SHT_NOBITS || section->inflated)
		return section->inflated ? section : NULL;
	if ((section->flags & SHF_COMPRESSED) || is_zdebug(section))
		return inflate_section(elf, section) ? section : NULL;
	return section;
}

static struct cprof_section *find(struct cprof_elf *elf, const char *name)
{
	for (size_t i = 0; i < elf->n_sections; i++) {
		if (named(&elf->sections[i], name))
			return &elf->sections[i];
	}
	return NULL;
}

struct cprof_section *cprof_elf_section(struct cprof_elf *elf, const char *name)
{
	struct cprof_section *section = find(elf, name);
	return section ? ready(elf, section) : NULL;
}

static size_t make_section(void *ctx, uint8_t *room, size_t cap)
{
	const struct cprof_section *section = ctx;
	uint32_t type;
	uint64_t size;
	size_t skip;
	bool changed;
	return read_header(section, &type, &size, &skip) && size == cap &&
			       inflate_any(type, section, skip, room, cap, &changed) && !changed
		       ? cap
		       : 0;
}

void cprof_elf_section_prefetch(struct cprof_elf *elf, const char *name,
				struct cprof_prefetch *prefetch, uint64_t *left)
{
	struct cprof_section *section = find(elf, name);
	uint32_t type;
	uint64_t size;
	size_t skip;
	if (!section || section->type == SHT_NOBITS || section->inflated || section->prefetch ||
	    !((section->flags & SHF_COMPRESSED) || is_zdebug(section)) ||
	    !read_header(section, &type, &size, &skip) || !is_plausible(elf, section, size) ||
	    size > *left || !cprof_account_charge(elf->image->account, CPROF_BUDGET_HELD, size))
		return;
	section->paid = true;
	section->prefetch = cprof_prefetch_add(prefetch, make_section, section, size);
	if (section->prefetch)
		*left -= size;
}

bool cprof_elf_has_section(const struct cprof_elf *elf, const char *name)
{
	for (size_t i = 0; i < elf->n_sections; i++) {
		const struct cprof_section *section = &elf->sections[i];
		if (named(section, name) && (section->type != SHT_NOBITS || section->inflated))
			return true;
	}
	return false;
}

struct cprof_section *cprof_elf_section_of_type(struct cprof_elf *elf, uint32_t type)
{
	for (size_t i = 0; i < elf->n_sections; i++) {
		if (elf->sections[i].type == type)
			return ready(elf, &elf->sections[i]);
	}
	return NULL;
}

const struct cprof_section *cprof_elf_section_at(const struct cprof_elf *elf, size_t index)
{
	return index < elf->n_sections ? &elf->sections[index] : NULL;
}

/* ---- opening ---- */

/* Names that we ask for are short; the ends of one long text, a section each, would be read over and over. */
static const char *section_name(struct cprof_image *image, const Elf64_Shdr *strings, uint32_t at)
{
	uint64_t end =
		strings->sh_size - at > NAME_BYTES ? (uint64_t)at + NAME_BYTES : strings->sh_size;
	return cprof_image_string(image, strings->sh_offset + at, strings->sh_offset + end);
}

/* The bytes of a section that the file has: a header may promise any number. */
static uint64_t present(const Elf64_Shdr *shdr, const struct cprof_image *image)
{
	uint64_t left = shdr->sh_offset < image->size ? image->size - shdr->sh_offset : 0;
	return shdr->sh_type == SHT_NOBITS || shdr->sh_size < left ? shdr->sh_size : left;
}

static struct cprof_error *read_sections(struct cprof_elf *elf, const Elf64_Ehdr *ehdr)
{
	size_t n = ehdr->e_shnum, names = ehdr->e_shstrndx;
	if (!ehdr->e_shoff)
		return NULL; /* stripped of its section table: segments only */
	if (ehdr->e_shentsize != sizeof(Elf64_Shdr))
		return bad("unknown section header size");
	Elf64_Shdr first;
	const uint8_t *bytes = cprof_image_at(elf->image, ehdr->e_shoff, sizeof(first));
	if (!bytes)
		return bad("section headers lie outside the file");
	memcpy(&first, bytes, sizeof(first));
	/* More than 0xff00 sections: the true numbers stand in the first header. */
	n = n ? n : first.sh_size;
	names = names == SHN_XINDEX ? first.sh_link : names;
	if (n > SECTIONS_MAX)
		return bad("too many sections");
	bytes = cprof_image_at(elf->image, ehdr->e_shoff, n * sizeof(Elf64_Shdr));
	if (!bytes)
		return bad("section headers lie outside the file");
	if (!cprof_account_charge(elf->image->account, CPROF_BUDGET_HELD,
				  n * sizeof(*elf->sections)))
		return bad("its section headers take too much memory");
	elf->sections = calloc(n, sizeof(*elf->sections));
	if (!elf->sections)
		return cprof_error_no_memory();
	elf->n_sections = n;
	Elf64_Shdr strings = { 0 };
	if (names < n)
		memcpy(&strings, bytes + names * sizeof(strings), sizeof(strings));
	for (size_t i = 0; i < n; i++) {
		Elf64_Shdr shdr;
		memcpy(&shdr, bytes + i * sizeof(shdr), sizeof(shdr));
		const char *name = NULL;
		if (shdr.sh_name < strings.sh_size && strings.sh_offset < elf->image->size)
			name = section_name(elf->image, &strings, shdr.sh_name);
		elf->sections[i] = (struct cprof_section){
			.name = name ? name : "",
			.type = shdr.sh_type,
			.link = shdr.sh_link,
			.info = shdr.sh_info,
			.flags = shdr.sh_flags,
			.addr = shdr.sh_addr,
			.offset = shdr.sh_offset,
			.size = present(&shdr, elf->image),
			.entsize = shdr.sh_entsize,
			.image = elf->image,
		};
	}
	return NULL;
}

static struct cprof_error *read_all(struct cprof_elf *elf)
{
	struct cprof_elf_headers headers;
	struct cprof_error *err = cprof_elf_headers_begin(elf->image, &headers);
	if (err)
		return err;
	elf->type = headers.file.e_type;
	elf->machine = headers.file.e_machine;
	return read_sections(elf, &headers.file);
}

struct cprof_error *cprof_elf_open(struct cprof_image *image, bool borrowed,
				   struct cprof_elf **ret_elf)
{
	struct cprof_elf *elf = calloc(1, sizeof(*elf));
	if (!elf) {
		if (!borrowed)
			cprof_image_free(image);
		return cprof_error_no_memory();
	}
	elf->image = image;
	elf->borrowed = borrowed;
	elf->inflate_limit = INFLATE_LIMIT;
	elf->spans_from = SPANS_FROM;
	struct cprof_error *err = read_all(elf);
	if (err) {
		cprof_elf_free(elf);
		return err;
	}
	*ret_elf = elf;
	return NULL;
}

void cprof_elf_free(struct cprof_elf *elf)
{
	if (!elf)
		return;
	for (size_t i = 0; i < elf->n_sections; i++) {
		if (elf->sections[i].inflated)
			cprof_image_free(elf->sections[i].image);
		cprof_prefetch_piece_free(elf->sections[i].prefetch);
	}
	free(elf->sections);
	if (!elf->borrowed)
		cprof_image_free(elf->image);
	free(elf);
}

/* ---- build-id ---- */

uint8_t cprof_elf_build_id(struct cprof_elf *elf, uint8_t *build_id)
{
	for (size_t i = 0, n = 0; i < elf->n_sections && n < NOTES_MAX; i++) {
		uint8_t len = 0;
		if (elf->sections[i].type != SHT_NOTE)
			continue;
		n++;
		len = cprof_elf_headers_build_id_in(elf->sections[i].image, elf->sections[i].offset,
						    elf->sections[i].size, build_id);
		if (len)
			return len;
	}
	return 0;
}
