/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolize/elf/elf_headers.h"

#include <string.h>

#include "cprof/build_id.h"

#define SEGMENTS_MAX 4096         /* PN_XNUM allows more; nothing that runs has them */
#define NOTE_BYTES   (1ull << 20) /* of a section, or of all segments; linkers write some hundred */

struct cprof_error *cprof_elf_headers_begin(struct cprof_image *image,
					    struct cprof_elf_headers *ret_headers)
{
	struct cprof_elf_headers headers = { .image = image };
	const uint8_t *bytes = cprof_image_at(image, 0, sizeof(headers.file));
	if (!bytes || memcmp(bytes, ELFMAG, SELFMAG) != 0)
		return cprof_error_new(CPROF_ERR_BAD_DATA, "not an ELF file");
	memcpy(&headers.file, bytes, sizeof(headers.file));
	if (headers.file.e_ident[EI_CLASS] != ELFCLASS64 ||
	    headers.file.e_ident[EI_DATA] != ELFDATA2LSB)
		return cprof_error_new(CPROF_ERR_UNSUPPORTED,
				       "not a 64-bit little-endian ELF file");
	*ret_headers = headers;
	return NULL;
}

/* Of more than 16 bits hold, the first section header tells. */
static size_t n_segments(const struct cprof_elf_headers *headers)
{
	Elf64_Shdr first;
	if (headers->file.e_phnum != PN_XNUM)
		return headers->file.e_phnum;
	const uint8_t *bytes = cprof_image_at(headers->image, headers->file.e_shoff, sizeof(first));
	if (!bytes)
		return 0;
	memcpy(&first, bytes, sizeof(first));
	return first.sh_info;
}

struct cprof_error *cprof_elf_headers_read(struct cprof_image *image,
					   struct cprof_elf_headers *ret_headers)
{
	struct cprof_elf_headers headers;
	struct cprof_error *err = cprof_elf_headers_begin(image, &headers);
	if (err)
		return err;
	headers.n_segments = n_segments(&headers);
	if (headers.n_segments > SEGMENTS_MAX)
		return cprof_error_new(CPROF_ERR_BAD_DATA, "%zu program headers",
				       headers.n_segments);
	if (headers.n_segments &&
	    (headers.file.e_phentsize != sizeof(Elf64_Phdr) ||
	     !cprof_image_at(image, headers.file.e_phoff, headers.n_segments * sizeof(Elf64_Phdr))))
		return cprof_error_new(CPROF_ERR_BAD_DATA, "its program headers are broken");
	*ret_headers = headers;
	return NULL;
}

Elf64_Phdr cprof_elf_headers_segment(const struct cprof_elf_headers *headers, size_t i)
{
	Elf64_Phdr phdr = { 0 };
	const uint8_t *bytes = cprof_image_at(
		headers->image, headers->file.e_phoff + i * sizeof(phdr), sizeof(phdr));
	if (bytes)
		memcpy(&phdr, bytes, sizeof(phdr));
	return phdr;
}

uint8_t cprof_elf_headers_build_id_in(struct cprof_image *image, uint64_t offset, uint64_t size,
				      uint8_t *build_id)
{
	Elf64_Nhdr nhdr;
	const uint64_t room = offset < image->size ? image->size - offset : 0;
	size = size < room ? size : room;
	for (uint64_t at = 0; at < NOTE_BYTES && at + sizeof(nhdr) <= size;) {
		const uint8_t *bytes = cprof_image_at(image, offset + at, sizeof(nhdr));
		if (!bytes)
			return 0;
		memcpy(&nhdr, bytes, sizeof(nhdr));
		const uint64_t name = at + sizeof(nhdr);
		const uint64_t desc = name + ((nhdr.n_namesz + 3ull) & ~3ull);
		if (nhdr.n_type == NT_GNU_BUILD_ID && nhdr.n_namesz == 4 && nhdr.n_descsz &&
		    nhdr.n_descsz <= CPROF_BUILD_ID_MAX && desc + nhdr.n_descsz <= size) {
			const uint8_t *owner = cprof_image_at(image, offset + name, 4);
			const uint8_t *id = cprof_image_at(image, offset + desc, nhdr.n_descsz);
			if (owner && id && memcmp(owner, "GNU", 4) == 0) {
				memcpy(build_id, id, nhdr.n_descsz);
				return (uint8_t)nhdr.n_descsz;
			}
		}
		at = desc + ((nhdr.n_descsz + 3ull) & ~3ull);
	}
	return 0;
}

uint8_t cprof_elf_headers_build_id(const struct cprof_elf_headers *headers, uint8_t *build_id)
{
	uint8_t len = 0;
	uint64_t left = NOTE_BYTES;
	for (size_t i = 0; i < headers->n_segments && !len && left; i++) {
		const Elf64_Phdr phdr = cprof_elf_headers_segment(headers, i);
		if (phdr.p_type != PT_NOTE)
			continue;
		const uint64_t size = phdr.p_filesz < left ? phdr.p_filesz : left;
		len = cprof_elf_headers_build_id_in(headers->image, phdr.p_offset, size, build_id);
		left -= size;
	}
	return len;
}
