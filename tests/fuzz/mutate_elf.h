/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/fuzz/mutate_elf.h - libFuzzer's mutator for ELF files: bytes are changed where they mean something.
 *
 * Headers of the file, its sections and segments, words inside of sections. A target that includes it has it.
 */
#ifndef CPROF_TESTS_FUZZ_MUTATE_ELF_H
#define CPROF_TESTS_FUZZ_MUTATE_ELF_H

#include <elf.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed);

static uint64_t next(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static uint64_t nasty(uint64_t *state, uint64_t was, size_t size)
{
	uint64_t n = next(state);
	switch (n % 10) {
	case 0:
		return 0;
	case 1:
		return UINT64_MAX - (n >> 32) % 64;
	case 2:
		return 1ull << (n >> 32) % 64;
	case 3:
		return was + (n >> 32) % 32 - 16;
	case 4:
		return size - (n >> 32) % 64;
	case 5:
		return (n >> 32) % (size + 1);
	case 6:
		return (n >> 32) % 64;
	case 7:
		return 0x7fffffff + (n >> 32) % 3;
	default:
		return was ^ 1ull << (n >> 32) % 64;
	}
}

static void change_word(uint8_t *data, size_t size, size_t at, size_t bytes, uint64_t *state)
{
	uint64_t word = 0;
	if (at > size || bytes > size - at)
		return;
	memcpy(&word, data + at, bytes);
	word = nasty(state, word, size);
	memcpy(data + at, &word, bytes);
}

/* A field of entry `index` of a table, or a word in what a section header leads to. */
static void change_section(uint8_t *data, size_t size, const Elf64_Ehdr *ehdr, uint64_t *state)
{
	static const size_t fields[] = { 0, 4, 8, 16, 24, 32, 40, 44, 48, 56 };
	static const size_t widths[] = { 4, 4, 8, 8, 8, 8, 4, 4, 8, 8 };
	uint64_t n = next(state), index = ehdr->e_shnum ? n % ehdr->e_shnum : 0;
	size_t at = ehdr->e_shoff + index * sizeof(Elf64_Shdr), field = (n >> 16) % 10;
	Elf64_Shdr shdr;
	if (at > size || sizeof(shdr) > size - at)
		return;
	memcpy(&shdr, data + at, sizeof(shdr));
	if (n >> 32 & 1) {
		change_word(data, size, at + fields[field], widths[field], state);
	} else if (n >> 33 & 7) {
		size_t word = 1u << (n >> 40) % 4;
		if (shdr.sh_size)
			change_word(data, size, shdr.sh_offset + next(state) % shdr.sh_size, word,
				    state);
	} else {
		/* The bytes of another one. */
		size_t other = ehdr->e_shoff + next(state) % (ehdr->e_shnum + 1u) * sizeof(shdr);
		if (other <= size && sizeof(shdr) <= size - other)
			memcpy(data + at + 24, data + other + 24, 16);
	}
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed)
{
	Elf64_Ehdr ehdr;
	uint64_t state = seed * 0x9e3779b97f4a7c15ull | 1;
	if (size < sizeof(ehdr) || next(&state) % 8 == 0)
		return LLVMFuzzerMutate(data, size, max);
	memcpy(&ehdr, data, sizeof(ehdr));
	for (uint64_t turns = 1 + next(&state) % 4; turns; turns--) {
		uint64_t n = next(&state);
		if (n % 16 == 0)
			change_word(data, size, 16 + (n >> 8) % 48, 1u << (n >> 16) % 4, &state);
		else if (n % 16 < 4 && ehdr.e_phnum)
			change_word(data, size,
				    ehdr.e_phoff + (n >> 8) % ehdr.e_phnum * sizeof(Elf64_Phdr) +
					    (n >> 24) % 7 * 8,
				    8, &state);
		else
			change_section(data, size, &ehdr, &state);
	}
	return size;
}

#endif
