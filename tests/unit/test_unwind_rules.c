/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolize/unwind/unwind_rules.h"

#include <string.h>

#include "tests/unit/test.h"

#if defined(__x86_64__) /* reading rules off code needs Zydis's own CPU */

#define CODE 0x7f0000001000ull

/* Code made at run time: what stands at CODE, and how often it was read. */
struct jit {
	uint8_t bytes[64];
	unsigned reads;
};

static bool read_code(void *ctx, uint64_t addr, void *buf, size_t n)
{
	struct jit *jit = ctx;
	if (addr < CODE || addr - CODE > sizeof(jit->bytes) ||
	    n > sizeof(jit->bytes) - (addr - CODE))
		return false;
	jit->reads++;
	memcpy(buf, jit->bytes + (addr - CODE), n);
	return true;
}

static int64_t frame_size(struct cprof_unwind_rules *rules, const struct cprof_unwind_where *where)
{
	bool after_call;
	uint32_t steps = 100000;
	const struct cprof_unwind_rule *rule =
		cprof_unwind_rules_get(rules, where, &after_call, &steps);
	return rule ? rule->offset : -1;
}

TEST(unwind_rules_of_code_made_at_run_time_are_read_again_in_another_epoch)
{
	/* sub $56,%rsp; call *%rdi; add $56,%rsp; ret and the same with 24; the return address is at 6. */
	static const uint8_t first[] = { 0x48, 0x83, 0xec, 0x38, 0xff, 0xd7,
					 0x48, 0x83, 0xc4, 0x38, 0xc3 };
	static const uint8_t second[] = { 0x48, 0x83, 0xec, 0x18, 0xff, 0xd7,
					  0x48, 0x83, 0xc4, 0x18, 0xc3 };
	struct jit jit = { .reads = 0 };
	struct cprof_unwind_rules rules;
	struct cprof_module module = { .kind = CPROF_MODULE_ANONYMOUS };
	struct cprof_map map = { .start = CODE, .end = CODE + 4096, .path = "" };
	const struct cprof_memory bytes = { read_code, &jit };
	const struct cprof_unwind_where where = { .code = { CODE + 6, true },
						  .map = &map,
						  .module = &module,
						  .pid = 1,
						  .bytes = &bytes };
	CHECK(!cprof_unwind_rules_init(&rules, &cprof_arch_x86_64));
	memcpy(jit.bytes, first, sizeof(first));
	CHECK_UINT(frame_size(&rules, &where), 64);
	unsigned reads = jit.reads;
	CHECK_UINT(frame_size(&rules, &where), 64);
	CHECK_UINT(jit.reads, reads); /* remembered */
	memcpy(jit.bytes, second, sizeof(second));
	CHECK_UINT(frame_size(&rules, &where), 64);
	rules.epoch++;
	CHECK_UINT(frame_size(&rules, &where), 32);
	rules.epoch = UINT32_MAX;
	CHECK_UINT(frame_size(&rules, &where), 32);
	cprof_unwind_rules_deinit(&rules);
}

#endif
