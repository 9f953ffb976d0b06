/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/heap/code/code_near.h"

#include <Zydis/Zydis.h>

#define SHORT 2u   /* bytes of such a branch, without prefixes */
#define REACH 130u /* and how far it leads, from its first byte */
/* Further back instructions are not followed: by then the decoder is in step. Where no function begins, this much. */
#define LEAD_MAX (64u << 10)
#define GAP_MAX  1024u

struct near_search {
	struct cprof_code_object *object;
	uint64_t start, end;
	cprof_code_near_fn *fn;
	void *ctx;
	ZydisDecoder decoder;
};

/* Intel SDM Vol. 2 "Opcode Map": jmp, jcc, loopne, loope, loop, jrcxz. */
static bool is_short_branch(uint8_t opcode)
{
	return opcode == 0xeb || (opcode & 0xf0) == 0x70 || (opcode & 0xfc) == 0xe0;
}

static struct cprof_error *look_at(struct near_search *search, uint64_t addr, const uint8_t *code)
{
	if (!is_short_branch(code[0]))
		return NULL;
	uint64_t to = addr + SHORT + (uint64_t)(int64_t)(int8_t)code[1];
	return to >= search->start && to < search->end ? search->fn(search->ctx, addr + 1, to)
						       : NULL;
}

static struct cprof_error *look_at_every_byte(struct near_search *search, uint64_t from,
					      uint64_t to)
{
	struct cprof_error *err = NULL;
	for (uint64_t addr = from; !err && addr < to; addr++) {
		const uint8_t *code = cprof_code_object_bytes(search->object, addr, SHORT);
		if (code)
			err = look_at(search, addr, code);
	}
	return err;
}

/* Instructions one behind the other; *ret_whole is false if one of those in [from, to) could not be decoded. */
static struct cprof_error *decode(struct near_search *search, uint64_t begin, uint64_t from,
				  uint64_t to, bool *ret_whole)
{
	struct cprof_error *err = NULL;
	uint64_t addr = begin;
	while (!err && addr < to) {
		ZydisDecodedInstruction insn;
		const uint8_t *code = cprof_code_object_bytes(search->object, addr, to - addr);
		if (!code || !ZYAN_SUCCESS(ZydisDecoderDecodeInstruction(&search->decoder, NULL,
									 code, to - addr, &insn))) {
			/* In front of what counts there may be data. The last one may be cut short. */
			if (addr >= from && to - addr >= ZYDIS_MAX_INSTRUCTION_LENGTH)
				*ret_whole = false;
			addr++;
			continue;
		}
		/* In front of the opcode there may be prefixes. */
		if (addr + insn.length > from && insn.raw.imm[0].is_relative &&
		    insn.raw.imm[0].size == 8)
			err = look_at(search, addr + insn.length - SHORT,
				      code + insn.length - SHORT);
		addr += insn.length;
	}
	return err;
}

/* What lies in [from, to) is one function's. */
static struct cprof_error *look_at_function(struct near_search *search, uint64_t function,
					    uint64_t from, uint64_t to)
{
	bool whole = true;
	if (from - function > LEAD_MAX)
		function = from - LEAD_MAX;
	struct cprof_error *err = decode(search, function, from, to, &whole);
	return err || whole ? err : look_at_every_byte(search, from, to);
}

static bool is_described(const struct near_search *search, uint64_t addr)
{
	uint64_t start, end;
	return cprof_code_object_function(search->object, addr, &start, &end);
}

/* Between functions is padding, or code that nobody describes: [*addr, ...), which *addr is moved behind. */
static struct cprof_error *look_at_gap(struct near_search *search,
				       const struct cprof_code_section *section, uint64_t *addr,
				       uint64_t stop)
{
	uint64_t begin = *addr, end = *addr + 1;
	while (begin > section->addr && *addr - begin < GAP_MAX && !is_described(search, begin - 1))
		begin--;
	while (end < stop && !is_described(search, end))
		end++;
	struct cprof_error *err = look_at_function(search, begin, *addr, end);
	*addr = end;
	return err;
}

struct cprof_error *cprof_code_near_each(struct cprof_code_object *object, uint64_t start,
					 uint64_t end, cprof_code_near_fn *fn, void *ctx)
{
	struct near_search search = { object, start, end, fn, ctx, { 0 } };
	const struct cprof_code_section *section = cprof_code_object_section(object, start, 1);
	struct cprof_error *err = NULL;
	if (!section)
		return NULL;
	ZydisDecoderInit(&search.decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
	uint64_t addr = start - section->addr > REACH ? start - REACH : section->addr;
	uint64_t stop = section->addr + section->size;
	if (stop - end > REACH && stop > end)
		stop = end + REACH;
	while (!err && addr < stop) {
		uint64_t function, limit;
		if (cprof_code_object_function(object, addr, &function, &limit) &&
		    function <= addr && limit > addr) {
			if (limit > stop)
				limit = stop;
			err = look_at_function(&search, function, addr, limit);
			addr = limit;
		} else {
			err = look_at_gap(&search, section, &addr, stop);
		}
	}
	return err;
}
