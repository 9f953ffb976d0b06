/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/context/tls_place.h"

#include <elf.h>

#define MODULES_MAX 65536       /* numbers of blocks that are believed */
#define FAR         (1ll << 30) /* no static block is so far from the thread pointer */

/* Facts about thread-local storage: a row for each CPU and C library. */
struct facts {
	uint16_t machine;
	bool musl;
	bool above; /* static blocks lie above the thread pointer (variant I), else below it (variant II) */
	uint8_t gap;     /* above: bytes between the pointer and the first block */
	int8_t dtv_at;   /* from the thread pointer */
	int8_t count_at; /* of the vector: its number of entries, from where the pointer leads */
	uint8_t entry;
};
static const struct facts facts[] = {
	{ .machine = EM_X86_64, .dtv_at = 8, .count_at = -16, .entry = 16 },
	{ .machine = EM_X86_64, .musl = true, .dtv_at = 8, .count_at = 0, .entry = 8 },
	{ .machine = EM_AARCH64,
	  .above = true,
	  .gap = 16,
	  .dtv_at = 0,
	  .count_at = -16,
	  .entry = 16 },
	{ .machine = EM_AARCH64,
	  .musl = true,
	  .above = true,
	  .gap = 16,
	  .dtv_at = -8,
	  .count_at = 0,
	  .entry = 8 },
};

static const struct facts *facts_of(uint16_t machine, bool musl)
{
	for (size_t i = 0; i < sizeof(facts) / sizeof(facts[0]); i++) {
		if (facts[i].machine == machine && facts[i].musl == musl)
			return &facts[i];
	}
	return NULL;
}

/* As linkers place it: the block's addresses keep what they are modulo its alignment. */
int64_t cprof_tls_place_own(const struct cprof_tls_symbol *symbol)
{
	const struct facts *fact = facts_of(symbol->machine, false);
	const uint64_t mask = symbol->block_align - 1;
	if (fact && fact->above)
		return (int64_t)(fact->gap + ((symbol->block_addr - fact->gap) & mask) +
				 symbol->value);
	return (int64_t)(symbol->value - symbol->block_bytes -
			 ((0 - symbol->block_addr - symbol->block_bytes) & mask));
}

static bool is_near(const struct facts *fact, int64_t offset)
{
	return fact->above ? offset > 0 && offset < FAR : offset < 0 && offset > -FAR;
}

static enum cprof_tls_answer fixed(const struct facts *fact, int64_t offset,
				   struct cprof_context_place *place)
{
	if (!is_near(fact, offset))
		return CPROF_TLS_LATER;
	*place = (struct cprof_context_place){ .how = CPROF_CONTEXT_FIXED, .offset = offset };
	return CPROF_TLS_FOUND;
}

static enum cprof_tls_answer dynamic(const struct facts *fact, uint64_t module, uint64_t value,
				     struct cprof_context_place *place)
{
	if (!module || module > MODULES_MAX)
		return CPROF_TLS_LATER;
	*place = (struct cprof_context_place){
		.how = CPROF_CONTEXT_DYNAMIC,
		.module = (uint32_t)module,
		.offset = (int64_t)value,
		.dtv_at = fact->dtv_at,
		.dtv_count_at = fact->count_at,
		.dtv_entry = fact->entry,
	};
	return CPROF_TLS_FOUND;
}

/* What the descriptor's function is given: a distance, or where a module and an offset in its block are. */
static enum cprof_tls_answer described(const struct cprof_tls_symbol *symbol,
				       const struct facts *fact, uint64_t given, int64_t further,
				       const struct cprof_memory *memory,
				       struct cprof_context_place *place)
{
	uint64_t index[2];
	if (is_near(fact, (int64_t)given))
		return fixed(fact, (int64_t)given + further, place);
	if (!given || !memory->read(memory->ctx, given, index, sizeof(index)) ||
	    index[1] != (uint64_t)symbol->addend)
		return CPROF_TLS_LATER;
	return dynamic(fact, index[0], symbol->value, place);
}

enum cprof_tls_answer cprof_tls_place_find(const struct cprof_tls_symbol *symbol,
					   const struct cprof_tls_image *image,
					   const struct cprof_memory *memory,
					   struct cprof_context_place *ret_place)
{
	const struct facts *fact = facts_of(symbol->machine, image->musl);
	const int64_t further = (int64_t)(symbol->value - (uint64_t)symbol->addend);
	uint64_t words[2] = { 0 };
	if (!fact)
		return CPROF_TLS_UNTOLD;
	if (image->program)
		return fixed(fact, cprof_tls_place_own(symbol), ret_place) == CPROF_TLS_FOUND
			       ? CPROF_TLS_FOUND
			       : CPROF_TLS_UNTOLD;
	if (symbol->way == CPROF_TLS_NONE)
		return CPROF_TLS_UNTOLD;
	const size_t n = symbol->way == CPROF_TLS_DESCRIPTOR ? sizeof(words) : sizeof(words[0]);
	if (!memory->read(memory->ctx, image->word_addr, words, n))
		return CPROF_TLS_LATER;
	switch (symbol->way) {
	case CPROF_TLS_OFFSET:
		return fixed(fact, (int64_t)words[0] + further, ret_place);
	case CPROF_TLS_MODULE:
		return dynamic(fact, words[0], symbol->value, ret_place);
	default:
		return described(symbol, fact, words[1], further, memory, ret_place);
	}
}
