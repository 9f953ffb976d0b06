/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolize/elf/elf_digest.h"
#include "tests/unit/test.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"

static struct cprof_content_key key;

/* Zeros in it would hide what they are multiplied with. */
static void make_key(void)
{
	uint64_t state = 42;
	for (size_t i = 0; i < CPROF_CONTENT_HASH_WORDS; i++) {
		state = state * 6364136223846793005ull + 1442695040888963407ull;
		key.words[i] = state ^ state >> 31;
	}
	key.point = state >> 5;
}

/* This program, which has debug information, in a file that can be written to. */
static int copy_of_ourselves(void)
{
	char name[] = "/tmp/cprof-test-XXXXXX";
	struct stat st;
	make_key();
	int from = open("/proc/self/exe", O_RDONLY | O_CLOEXEC), to = mkstemp(name);
	CHECK(from >= 0 && to >= 0 && fstat(from, &st) == 0 && unlink(name) == 0);
	for (off_t left = st.st_size; left > 0;) {
		ssize_t n = sendfile(to, from, NULL, (size_t)left);
		CHECK(n > 0);
		left -= n;
	}
	close(from);
	return to;
}

static struct cprof_elf *open_elf(int fd)
{
	struct cprof_image *image;
	struct cprof_elf *elf;
	CHECK(!cprof_image_open(fd, "a copy", NULL, &image));
	CHECK(!cprof_elf_open(image, false, &elf));
	return elf;
}

static uint64_t digest(struct cprof_elf *elf)
{
	uint64_t number = 0;
	CHECK(cprof_elf_digest(elf, &key, &number));
	return number;
}

static uint64_t digest_anew(int fd)
{
	struct cprof_elf *elf = open_elf(fd);
	uint64_t number = digest(elf);
	cprof_elf_free(elf);
	return number;
}

static void flip(int fd, uint64_t at)
{
	uint8_t byte;
	CHECK(pread(fd, &byte, 1, (off_t)at) == 1);
	byte ^= 0x20;
	CHECK(pwrite(fd, &byte, 1, (off_t)at) == 1);
}

TEST(elf_digest_is_of_what_makes_names_and_of_nothing_else)
{
	CPROF_AUTO(close) int fd = copy_of_ourselves();
	struct cprof_elf *elf = open_elf(fd);
	static const char *const counts[] = { ".symtab",     ".strtab",    ".debug_info",
					      ".debug_line", ".debug_str", ".dynsym" };
	uint64_t want = digest(elf);
	CHECK_UINT(digest_anew(fd), want);
	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		const struct cprof_section *section = cprof_elf_section(elf, counts[i]);
		if (!section)
			test_skip("the tests are built without debug information");
		uint64_t at = section->offset + section->size / 2;
		flip(fd, at);
		CHECK(digest_anew(fd) != want);
		flip(fd, at);
	}
	const struct cprof_section *code = cprof_elf_section(elf, ".text");
	flip(fd, code->offset + code->size / 2);
	CHECK_UINT(digest_anew(fd), want);
	cprof_elf_free(elf);
}

TEST(elf_digest_is_of_what_was_read_even_if_the_file_was_changed_and_changed_back)
{
	CPROF_AUTO(close) int fd = copy_of_ourselves();
	struct cprof_elf *elf = open_elf(fd);
	uint64_t want = digest(elf);
	const struct cprof_section *table = cprof_elf_section(elf, ".debug_info");
	if (!table) /* ends of the file were read already, with its section table */
		test_skip("the tests are built without debug information");
	uint64_t at = table->offset + table->size / 2;
	flip(fd, at); /* after the number was taken, other names are there to be read, ... */
	CHECK(cprof_section_at(table, 0, table->size));
	flip(fd, at); /* ... and then the true ones again */
	CHECK_UINT(digest_anew(fd), want);
	CHECK(digest(elf) != want);
	cprof_elf_free(elf);
}
