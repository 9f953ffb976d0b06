/* SPDX-License-Identifier: Apache-2.0 */
/* What is done for files with hundreds of megabytes of debug information, with this program's own. */
#include "symbolize/dwarf/dwarf.h"
#include "tests/unit/test.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#define ADDRS_MAX  600
#define FRAMES_MAX 32

/* A copy of this program whose debug information is compressed. */
static int compressed_copy(void)
{
	char path[] = "/tmp/cprof-test-XXXXXX", command[256];
	int fd = mkstemp(path);
	CHECK(fd >= 0);
	close(fd);
	snprintf(command, sizeof(command),
		 "objcopy --compress-debug-sections=zlib /proc/%d/exe %s 2>&1", (int)getpid(),
		 path);
	const bool made = system(command) == 0;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	unlink(path);
	if (!made)
		test_skip("objcopy cannot compress debug sections");
	return fd;
}

static struct cprof_elf *open_elf(int fd)
{
	struct cprof_image *image;
	struct cprof_elf *elf;
	CHECK(fd >= 0 && !cprof_image_open(fd, "ourselves", NULL, &image));
	CHECK(!cprof_elf_open(image, false, &elf));
	close(fd);
	return elf;
}

/* Some of the functions, from all over the program. */
static size_t take_addresses(struct cprof_elf *elf, uint64_t *addrs)
{
	const struct cprof_section *table = cprof_elf_section_of_type(elf, SHT_SYMTAB);
	size_t n = 0, n_symbols = table ? table->size / sizeof(Elf64_Sym) : 0;
	for (size_t i = 0; i < n_symbols && n < ADDRS_MAX; i += 1 + n_symbols / (4 * ADDRS_MAX)) {
		Elf64_Sym symbol;
		const uint8_t *bytes = cprof_section_at(table, i * sizeof(symbol), sizeof(symbol));
		CHECK(bytes);
		memcpy(&symbol, bytes, sizeof(symbol));
		if (ELF64_ST_TYPE(symbol.st_info) == STT_FUNC && symbol.st_value && symbol.st_size)
			addrs[n++] = symbol.st_value + symbol.st_size / 2;
	}
	CHECK(n > ADDRS_MAX / 4);
	return n;
}

static void check_same(struct cprof_dwarf *one, struct cprof_dwarf *other, uint64_t addr)
{
	struct cprof_dwarf_frame want[FRAMES_MAX], got[FRAMES_MAX];
	size_t n = cprof_dwarf_frames(one, addr, want, FRAMES_MAX);
	CHECK_UINT(cprof_dwarf_frames(other, addr, got, FRAMES_MAX), n);
	for (size_t i = 0; i < n; i++) {
		CHECK_STR(got[i].name, want[i].name);
		CHECK_STR(got[i].linkage_name, want[i].linkage_name);
		CHECK_STR(got[i].file, want[i].file);
		CHECK_UINT(got[i].line, want[i].line);
		CHECK_UINT(got[i].start_line, want[i].start_line);
	}
}

TEST(dwarf_says_the_same_after_what_it_read_was_forgotten)
{
	uint64_t addrs[ADDRS_MAX];
	struct cprof_elf *plain = open_elf(open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
	struct cprof_elf *spans = open_elf(compressed_copy());
	struct cprof_dwarf *one, *other;
	spans->spans_from = 1; /* so are only much larger ones, elsewhere */
	CHECK(!cprof_dwarf_new(plain, NULL, &one) && one);
	CHECK(!cprof_dwarf_new(spans, NULL, &other) && other);
	const struct cprof_section *info = cprof_elf_section(spans, ".debug_info");
	CHECK(info && info->image->packed);
	size_t n = take_addresses(plain, addrs);
	for (size_t i = 0; i < n; i++) {
		check_same(one, other, addrs[i]);
		if (i % 25 == 24)
			cprof_dwarf_forget(other, UINT64_MAX);
	}
	CHECK(info->image->had_again > 0); /* else nothing was tried */
	cprof_dwarf_free(one);
	cprof_dwarf_free(other);
	cprof_elf_free(plain);
	cprof_elf_free(spans);
}

TEST(dwarf_forgets_no_more_where_that_is_read_again_and_again)
{
	uint64_t addrs[ADDRS_MAX];
	struct cprof_elf *elf = open_elf(compressed_copy());
	struct cprof_dwarf *dwarf;
	elf->spans_from = 1;
	CHECK(!cprof_dwarf_new(elf, NULL, &dwarf) && dwarf);
	struct cprof_image *image = cprof_elf_section(elf, ".debug_info")->image;
	size_t n = take_addresses(elf, addrs);
	struct cprof_dwarf_frame frames[FRAMES_MAX];
	for (int round = 0; round < 3; round++) {
		for (size_t i = 0; i < n; i++) {
			cprof_dwarf_frames(dwarf, addrs[i], frames, FRAMES_MAX);
			cprof_dwarf_forget(dwarf, UINT64_MAX);
		}
	}
	CHECK(cprof_image_resident(image) > 0);
	CHECK(image->had_again < 3 * image->size);
	cprof_dwarf_free(dwarf);
	cprof_elf_free(elf);
}
