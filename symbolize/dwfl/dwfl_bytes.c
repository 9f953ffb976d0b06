/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolize/dwfl/dwfl_bytes.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cleanup.h"

#define SECTIONS_MAX (1u << 20)
#define PIECE        (1u << 20)

static struct cprof_error *unreadable(void)
{
	return cprof_error_new(
		CPROF_ERR_BAD_DATA,
		"it cannot be copied for libdw: it is broken, was cut short, or takes "
		"more than the budget allows");
}

static bool copy(struct cprof_image *image, uint64_t offset, uint64_t len, uint8_t *map)
{
	/* What a header promises beyond the end is not there for libelf either. */
	if (offset >= image->size)
		return true;
	len = len < image->size - offset ? len : image->size - offset;
	return cprof_account_charge(image->account, CPROF_BUDGET_HELD, len) &&
	       cprof_image_look(image, offset, map + offset, len);
}

/* Program text and data have no names in them. */
static bool is_wanted(const Elf64_Shdr *shdr)
{
	const bool code_or_data = (shdr->sh_flags & (SHF_WRITE | SHF_EXECINSTR)) != 0;
	return shdr->sh_type != SHT_NOBITS &&
	       !((shdr->sh_flags & SHF_ALLOC) && shdr->sh_type == SHT_PROGBITS && code_or_data);
}

static bool copy_sections(struct cprof_image *image, const Elf64_Ehdr *ehdr, uint8_t *map)
{
	Elf64_Shdr shdr;
	uint64_t n = ehdr->e_shnum;
	if (!cprof_image_look(image, ehdr->e_shoff, (uint8_t *)&shdr, sizeof(shdr)))
		return false;
	n = n ? n : shdr.sh_size; /* more than 0xff00 */
	if (n > SECTIONS_MAX || ehdr->e_shentsize != sizeof(shdr) ||
	    !copy(image, ehdr->e_shoff, n * sizeof(shdr), map))
		return false;
	for (uint64_t i = 0; i < n; i++) {
		const uint64_t at = ehdr->e_shoff + i * sizeof(shdr);
		if (at > image->size || sizeof(shdr) > image->size - at)
			return false;
		memcpy(&shdr, map + at, sizeof(shdr));
		if (is_wanted(&shdr) && !copy(image, shdr.sh_offset, shdr.sh_size, map))
			return false;
	}
	return true;
}

static bool copy_wanted(struct cprof_image *image, uint8_t *map)
{
	Elf64_Ehdr ehdr;
	if (image->size < sizeof(ehdr) ||
	    !cprof_image_look(image, 0, (uint8_t *)&ehdr, sizeof(ehdr)))
		return false;
	/* Without section headers, names are found by way of segments; relocatable files are changed all over. */
	if (!ehdr.e_shoff || ehdr.e_type == ET_REL)
		return copy(image, 0, image->size, map);
	return copy(image, 0, sizeof(ehdr), map) &&
	       copy(image, ehdr.e_phoff, (uint64_t)ehdr.e_phnum * sizeof(Elf64_Phdr), map) &&
	       copy_sections(image, &ehdr, map);
}

struct cprof_error *cprof_dwfl_bytes_copy(struct cprof_image *image,
					  struct cprof_dwfl_bytes *ret_bytes)
{
	void *map = mmap(NULL, image->size, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (map == MAP_FAILED)
		return cprof_error_no_memory();
	struct cprof_dwfl_bytes bytes = { map, image->size };
	if (!copy_wanted(image, map)) {
		cprof_dwfl_bytes_free(&bytes);
		return unreadable();
	}
	*ret_bytes = bytes;
	return NULL;
}

void cprof_dwfl_bytes_free(struct cprof_dwfl_bytes *bytes)
{
	if (bytes->map)
		munmap(bytes->map, bytes->size);
	*bytes = (struct cprof_dwfl_bytes){ 0 };
}

/* ---- with a descriptor ---- */

static bool write_all(int fd, const uint8_t *bytes, size_t n)
{
	for (size_t done = 0; done < n;) {
		const ssize_t now = write(fd, bytes + done, n - done);
		if (now < 0 && errno == EINTR)
			continue;
		if (now <= 0)
			return false;
		done += (size_t)now;
	}
	return true;
}

static bool write_image(struct cprof_image *image, int fd)
{
	CPROF_AUTO(free) uint8_t *piece = malloc(PIECE);
	for (uint64_t at = 0, n; piece && at < image->size; at += n) {
		n = image->size - at < PIECE ? image->size - at : PIECE;
		if (!cprof_account_charge(image->account, CPROF_BUDGET_HELD, n) ||
		    !cprof_image_look(image, at, piece, n) || !write_all(fd, piece, n))
			return false;
	}
	return piece != NULL;
}

struct cprof_error *cprof_dwfl_bytes_sealed(struct cprof_image *image, int *ret_fd)
{
	CPROF_AUTO(close)
	int fd = memfd_create("cprof-debug-file", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return cprof_error_os(errno, "memfd_create");
	if (!write_image(image, fd))
		return unreadable();
	if (fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) < 0)
		return cprof_error_os(errno, "seal a copy in memory");
	*ret_fd = cprof_take_fd(&fd);
	return NULL;
}
