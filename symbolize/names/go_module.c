/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolize/names/go_module.h"

#include <elf.h>
#include <string.h>

#include "symbolize/elf/elf_relative.h"

#define SCANNED_MAX    (256u << 20) /* bytes of data that are looked through */
#define CANDIDATES_MAX 16
#define WORD           sizeof(uint64_t)

/* Words of moduledata, by number. A slice is pointer, length and capacity. */
enum {
	PC_HEADER = 0,
	NAMES = 1,
	FUNCS = 16,
	N_FUNCS = 17,
	MIN_PC = 20,
	MAX_PC = 21,
	TEXT = 22,
	END_OF_TEXT = 23,
	N_WORDS
};

struct candidates {
	uint64_t at[CANDIDATES_MAX];
	size_t n;
};

static void add(struct candidates *found, uint64_t place)
{
	if (found->n < CANDIDATES_MAX)
		found->at[found->n++] = place;
}

static bool is_data(const struct cprof_section *section)
{
	return section->type == SHT_PROGBITS && (section->flags & SHF_ALLOC) &&
	       (section->flags & SHF_WRITE);
}

/* Words of `section` that are `value`. */
static void scan(const struct cprof_section *section, uint64_t value, struct candidates *found)
{
	const uint8_t *bytes = cprof_section_at(section, 0, section->size);
	uint64_t start = -section->addr % WORD;
	for (uint64_t at = start; bytes && section->size >= WORD && at <= section->size - WORD;
	     at += WORD) {
		if (memcmp(bytes + at, &value, WORD) == 0)
			add(found, section->addr + at);
	}
}

static void find_pointers(struct cprof_elf *elf, uint64_t to, struct candidates *found)
{
	struct cprof_elf_relative relative = { .elf = elf };
	uint64_t place, value, left = SCANNED_MAX;
	while (cprof_elf_relative_next(&relative, &place, &value)) {
		if (value == to)
			add(found, place);
	}
	for (size_t i = 0; i < elf->n_sections; i++) {
		const struct cprof_section *section = &elf->sections[i];
		if (!is_data(section) || section->size > left ||
		    !cprof_account_charge(elf->image->account, CPROF_BUDGET_STEPS,
					  section->size / WORD))
			continue;
		left -= section->size;
		scan(section, to, found);
	}
}

/* The words at `place` as the program has them. */
static bool read_words(struct cprof_elf *elf, uint64_t place, uint64_t words[N_WORDS])
{
	const uint8_t *bytes = NULL;
	for (size_t i = 0; i < elf->n_sections && !bytes; i++) {
		const struct cprof_section *section = &elf->sections[i];
		if (is_data(section) && place >= section->addr)
			bytes = cprof_section_at(section, place - section->addr, N_WORDS * WORD);
	}
	if (!bytes)
		return false;
	memcpy(words, bytes, N_WORDS * WORD);
	struct cprof_elf_relative relative = { .elf = elf };
	uint64_t at, value;
	while (cprof_elf_relative_next(&relative, &at, &value)) {
		if (at >= place && at - place < N_WORDS * WORD && (at - place) % WORD == 0)
			words[(at - place) / WORD] = value;
	}
	return true;
}

static bool fits(const uint64_t words[N_WORDS], const struct cprof_go_module_key *key)
{
	return words[PC_HEADER] == key->table && words[NAMES] == key->names &&
	       words[FUNCS] == key->funcs && words[N_FUNCS] == key->n_funcs + 1 && words[TEXT] &&
	       words[TEXT] <= words[MIN_PC] && words[MIN_PC] < words[MAX_PC] &&
	       words[TEXT] < words[END_OF_TEXT];
}

bool cprof_go_module_text(struct cprof_elf *elf, const struct cprof_go_module_key *key,
			  uint64_t *ret_text)
{
	struct candidates found = { .n = 0 };
	find_pointers(elf, key->table, &found);
	for (size_t i = 0; i < found.n; i++) {
		uint64_t words[N_WORDS];
		if (!read_words(elf, found.at[i], words) || !fits(words, key))
			continue;
		*ret_text = words[TEXT];
		return true;
	}
	return false;
}
