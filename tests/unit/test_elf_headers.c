/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolize/elf/elf_headers.h"
#include "tests/unit/test.h"

#include <stddef.h>
#include <string.h>

#include "cprof/build_id.h"

#define PHDRS_AT 64
#define NOTES_AT 512
#define SIZE     1024

/* A file with two program headers, the second of notes: a foreign one, then the build-id of four bytes. */
static void make(uint8_t *bytes)
{
	Elf64_Ehdr ehdr = { .e_phoff = PHDRS_AT,
			    .e_phentsize = sizeof(Elf64_Phdr),
			    .e_phnum = 2,
			    .e_machine = EM_X86_64 };
	const Elf64_Phdr phdrs[] = { { .p_type = PT_LOAD, .p_filesz = SIZE, .p_memsz = SIZE },
				     { .p_type = PT_NOTE, .p_offset = NOTES_AT, .p_filesz = 56 } };
	const Elf64_Nhdr foreign = { 5, 2, NT_GNU_BUILD_ID }, own = { 4, 4, NT_GNU_BUILD_ID };
	memset(bytes, 0, SIZE);
	memcpy(ehdr.e_ident, ELFMAG "\2\1\1", SELFMAG + 3);
	memcpy(bytes, &ehdr, sizeof(ehdr));
	memcpy(bytes + PHDRS_AT, phdrs, sizeof(phdrs));
	memcpy(bytes + NOTES_AT, &foreign, sizeof(foreign));
	memcpy(bytes + NOTES_AT + 12, "Xorg", 5);
	memcpy(bytes + NOTES_AT + 24, &own, sizeof(own));
	memcpy(bytes + NOTES_AT + 36, "GNU\0\xde\xad\xbe\xef", 8);
}

/* What is read of the first `size` bytes: the build-id's length, -1 for an error. */
static int read_id(uint8_t *bytes, size_t size, uint8_t *build_id)
{
	struct cprof_image *image;
	struct cprof_elf_headers headers;
	CHECK(!cprof_image_borrow(bytes, size, &image));
	struct cprof_error *err = cprof_elf_headers_read(image, &headers);
	int len = err ? -1 : cprof_elf_headers_build_id(&headers, build_id);
	cprof_error_free(err);
	cprof_image_free(image);
	return len;
}

TEST(elf_headers_lead_to_the_build_id)
{
	uint8_t bytes[SIZE], build_id[CPROF_BUILD_ID_MAX];
	make(bytes);
	CHECK_UINT(read_id(bytes, SIZE, build_id), 4);
	CHECK(memcmp(build_id, "\xde\xad\xbe\xef", 4) == 0);
}

TEST(elf_headers_that_are_broken_are_refused_or_lead_nowhere)
{
	static const struct {
		const char *what;
		size_t at, n;
		uint64_t value;
		int want;
	} cases[] = {
		{ "no magic", 0, 4, 0, -1 },
		{ "32 bit", EI_CLASS, 1, ELFCLASS32, -1 },
		{ "big-endian", EI_DATA, 1, ELFDATA2MSB, -1 },
		{ "headers of another size", offsetof(Elf64_Ehdr, e_phentsize), 2, 32, -1 },
		{ "headers behind the end", offsetof(Elf64_Ehdr, e_phoff), 8, SIZE - 8, -1 },
		{ "headers around the end of all numbers", offsetof(Elf64_Ehdr, e_phoff), 8,
		  UINT64_MAX - 55, -1 },
		{ "too many headers", offsetof(Elf64_Ehdr, e_phnum), 2, 5000, -1 },
		{ "so many that a section tells, and no sections", offsetof(Elf64_Ehdr, e_phnum), 2,
		  PN_XNUM, 0 },
		{ "no headers", offsetof(Elf64_Ehdr, e_phnum), 2, 0, 0 },
		{ "notes behind the end", PHDRS_AT + 56 + offsetof(Elf64_Phdr, p_offset), 8, SIZE,
		  0 },
		{ "notes around the end of all numbers",
		  PHDRS_AT + 56 + offsetof(Elf64_Phdr, p_offset), 8, UINT64_MAX - 3, 0 },
		{ "notes that are cut off", PHDRS_AT + 56 + offsetof(Elf64_Phdr, p_filesz), 8, 43,
		  0 },
		{ "notes without end", PHDRS_AT + 56 + offsetof(Elf64_Phdr, p_filesz), 8,
		  UINT64_MAX, 4 },
		{ "an endless name", NOTES_AT, 4, UINT32_MAX, 0 },
		{ "an endless build-id", NOTES_AT + 24 + 4, 4, UINT32_MAX, 0 },
		{ "a build-id longer than any", NOTES_AT + 24 + 4, 4, CPROF_BUILD_ID_MAX + 1, 0 },
		{ "an empty build-id", NOTES_AT + 24 + 4, 4, 0, 0 },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint8_t bytes[SIZE], build_id[CPROF_BUILD_ID_MAX];
		make(bytes);
		memcpy(bytes + cases[i].at, &cases[i].value, cases[i].n);
		int got = read_id(bytes, SIZE, build_id);
		if (got != cases[i].want)
			TEST_FAIL("%s: %d, want %d", cases[i].what, got, cases[i].want);
	}
}

TEST(elf_headers_of_a_file_that_is_cut_anywhere)
{
	uint8_t bytes[SIZE], build_id[CPROF_BUILD_ID_MAX];
	make(bytes);
	for (size_t n = 1; n < SIZE; n++) {
		int want = n < PHDRS_AT + 2 * sizeof(Elf64_Phdr) ? -1 : n < NOTES_AT + 44 ? 0 : 4;
		if (read_id(bytes, n, build_id) != want)
			TEST_FAIL("%zu bytes", n);
	}
}

/* Thousands of segments of notes may lie on the same bytes. */
TEST(elf_headers_lead_through_a_megabyte_of_notes_at_most)
{
	static uint8_t bytes[SIZE + (1 << 20)];
	uint8_t build_id[CPROF_BUILD_ID_MAX];
	Elf64_Phdr empty = { .p_type = PT_NOTE, .p_offset = SIZE, .p_filesz = (1 << 20) - 44 };
	make(bytes);
	memcpy(bytes + PHDRS_AT, &empty, sizeof(empty));
	CHECK_UINT(read_id(bytes, sizeof(bytes), build_id), 4);
	empty.p_filesz++;
	memcpy(bytes + PHDRS_AT, &empty, sizeof(empty));
	CHECK_UINT(read_id(bytes, sizeof(bytes), build_id), 0);
}
