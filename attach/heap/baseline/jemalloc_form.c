/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/heap/baseline/jemalloc_form.h"

#include <string.h>

#include "attach/heap/baseline/baseline_memory.h"

#define USER_SPACE (1ull << 47)
#define PAGE       CPROF_BASELINE_PAGE

/* What a descriptor's first word has, and how an entry is put: of one word, and of two. */
#define BITS_5_3                                                                                   \
	.alignment = 128, .state_shift = 17, .state_bits = 3, .class_shift = 20, .free_shift = 28, \
	.is_5_3 = true
#define BITS_5_1                                                                                   \
	.alignment = 64, .state_shift = 16, .state_bits = 2, .class_shift = 18, .free_shift = 26
#define BITS_5_0                                                                                   \
	.alignment = 64, .state_shift = 15, .state_bits = 2, .class_shift = 17, .free_shift = 25
#define OF_48 .levels = 2, .level_bits = 18, .entry_words = 1
#define OF_57 .levels = 3, .level_bits = 15, .entry_words = 2

const struct cprof_jemalloc_form cprof_jemalloc_forms[CPROF_JEMALLOC_FORMS] = {
	{ OF_48, BITS_5_3, .flags = 0x1f }, { OF_57, BITS_5_3, .entry_class_shift = 5 },
	{ OF_48, BITS_5_1, .flags = 1 },    { OF_57, BITS_5_1, .entry_slab_shift = 32 },
	{ OF_48, BITS_5_0, .flags = 1 },    { OF_57, BITS_5_0, .entry_slab_shift = 32 },
};

uint64_t cprof_jemalloc_class_bytes(unsigned class)
{
	if (class < 5)
		return class ? 16ull * class : 8;
	/* Four classes from each power of two to the next. */
	const unsigned group = (class - 5) / 4, step = (class - 5) % 4;
	return group > 50 ? 0 : (64ull << group) + (16ull << group) * (step + 1);
}

/* The address and, in one word with it or in one of its own, size class and flags. */
static bool decode_one(const struct cprof_jemalloc_form *form, uint64_t word,
		       struct cprof_jemalloc_entry *entry)
{
	*entry = (struct cprof_jemalloc_entry){
		.descriptor = word & (USER_SPACE - 1) & ~(uint64_t)(form->alignment - 1),
		.class = (unsigned)(word >> 48),
		.slab = word & 1,
	};
	return !(word >> 47 & 1) && !(word & (form->alignment - 1) & ~(uint64_t)form->flags);
}

static bool decode_two(const struct cprof_jemalloc_form *form, const uint64_t *words,
		       struct cprof_jemalloc_entry *entry)
{
	/* What is beside the flag is padding, or bits of the class. */
	const bool apart = form->entry_slab_shift;
	*entry = (struct cprof_jemalloc_entry){
		.descriptor = words[0],
		.class = (unsigned)(words[1] >> form->entry_class_shift) & (apart ? ~0u : 0xff),
		.slab = words[1] >> form->entry_slab_shift & 1,
	};
	return words[0] < USER_SPACE && words[0] % form->alignment == 0 &&
	       (apart ? words[1] >> 33 == 0 : words[1] >> 13 == 0);
}

bool cprof_jemalloc_entry_decode(const struct cprof_jemalloc_form *form, const uint64_t *words,
				 struct cprof_jemalloc_entry *ret_entry)
{
	return (form->entry_words == 1 ? decode_one(form, words[0], ret_entry)
				       : decode_two(form, words, ret_entry)) &&
	       ret_entry->class <= CPROF_JEMALLOC_CLASSES;
}

struct words { /* extent_t, edata_t */
	uint64_t bits, addr, size, rest[5], bitmap[CPROF_JEMALLOC_REGIONS / 64];
};
_Static_assert(sizeof(struct words) == CPROF_JEMALLOC_DESCRIPTOR,
	       "include/jemalloc/internal/edata.h: sizeof(edata_t) is 128 bytes");

static unsigned field(uint64_t bits, unsigned shift, unsigned width)
{
	return (unsigned)(bits >> shift & ((1u << width) - 1));
}

bool cprof_jemalloc_extent_decode(const struct cprof_jemalloc_form *form, uint64_t addr,
				  const uint8_t bytes[CPROF_JEMALLOC_DESCRIPTOR],
				  struct cprof_jemalloc_extent *ret_extent)
{
	struct words words;
	memcpy(&words, bytes, sizeof(words));
	*ret_extent = (struct cprof_jemalloc_extent){
		.descriptor = addr,
		.start = words.addr & ~(PAGE - 1),
		.size = words.size & ~(PAGE - 1),
		.block = words.addr,
		.arena = field(words.bits, 0, 12),
		.slab = field(words.bits, 12, 1),
		.state = field(words.bits, form->state_shift, form->state_bits),
		.class = field(words.bits, form->class_shift, 8),
		.n_free = field(words.bits, form->free_shift, 10),
	};
	memcpy(ret_extent->free, words.bitmap, sizeof(ret_extent->free));
	return ret_extent->start && ret_extent->start < USER_SPACE && ret_extent->size &&
	       ret_extent->size < USER_SPACE - ret_extent->start &&
	       ret_extent->class <= CPROF_JEMALLOC_CLASSES;
}
