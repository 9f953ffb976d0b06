/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolize/names/code_jump.h"

#include <link.h>
#include <stdlib.h>

#include "tests/unit/test.h"

#ifdef __x86_64__

/* Every kind of call and jump, at labels that the table below knows. */
__asm__(".pushsection .text\n"
	"code_jump_other: ret\n"
	"code_jump_start:\n"
	"	call code_jump_other\n"
	"code_jump_after_near:\n"
	"	call *code_jump_slot(%rip)\n"
	"code_jump_after_slot:\n"
	"	call *%rax\n"
	"code_jump_after_register:\n"
	"	je 1f\n"
	"	jmp 1f\n"
	"	je code_jump_other\n"
	"1:	notrack jmp *%rax\n"
	"	jmp *code_jump_slot(%rip)\n"
	"	jmp code_jump_other\n"
	"code_jump_end:\n"
	"code_jump_entry:\n"
	"	endbr64\n"
	"	.byte 0xf2 /* bnd */; jmp *code_jump_slot(%rip)\n"
	"	.skip 16, 0x90\n"
	".popsection\n"
	".pushsection .data\n"
	"code_jump_slot: .quad 0\n"
	".popsection\n");

extern const char code_jump_other[], code_jump_start[], code_jump_after_near[],
	code_jump_after_slot[], code_jump_after_register[], code_jump_end[], code_jump_entry[],
	code_jump_slot[];

static int first_object(struct dl_phdr_info *info, size_t size, void *ctx)
{
	(void)size;
	*(uint64_t *)ctx = info->dlpi_addr;
	return 1;
}

struct self {
	struct cprof_modules modules;
	struct cprof_module *module;
	uint64_t bias;
};

static void open_self(struct self *self)
{
	cprof_modules_init(&self->modules);
	struct cprof_error *err =
		cprof_modules_open(&self->modules, "/proc/self/exe", &self->module);
	if (err)
		TEST_FAIL("%s", err->message);
	dl_iterate_phdr(first_object, &self->bias);
}

static uint64_t at(const struct self *self, const char *label)
{
	return (uint64_t)(uintptr_t)label - self->bias;
}

TEST(code_jump_finds_the_call_before_a_return_address)
{
	struct self self;
	struct cprof_code_jump call;
	open_self(&self);
	CHECK(cprof_code_jump_call(self.module, at(&self, code_jump_after_near), &call));
	CHECK(call.kind == CPROF_JUMP_TO);
	CHECK_UINT(call.to, at(&self, code_jump_other));
	CHECK(cprof_code_jump_call(self.module, at(&self, code_jump_after_slot), &call));
	CHECK(call.kind == CPROF_JUMP_SLOT);
	CHECK_UINT(call.to, at(&self, code_jump_slot));
	CHECK(!cprof_code_jump_call(self.module, at(&self, code_jump_after_register), &call));
	CHECK(!cprof_code_jump_call(self.module, 3, &call));
	CHECK(!cprof_code_jump_call(self.module, UINT64_MAX, &call));
	cprof_modules_deinit(&self.modules);
}

TEST(code_jump_finds_what_leaves_a_function_and_what_only_goes_through_a_word)
{
	struct self self;
	struct cprof_code_jump jumps[8];
	open_self(&self);
	const uint64_t start = at(&self, code_jump_start), end = at(&self, code_jump_end);
	const size_t n = cprof_code_jump_out(self.module, start, end, jumps, 8);
	CHECK_UINT(n, 4);
	CHECK(jumps[0].kind == CPROF_JUMP_TO && jumps[0].to == at(&self, code_jump_other));
	CHECK(jumps[1].kind == CPROF_JUMP_UNKNOWN);
	CHECK(jumps[2].kind == CPROF_JUMP_SLOT && jumps[2].to == at(&self, code_jump_slot));
	CHECK(jumps[3].kind == CPROF_JUMP_TO && jumps[3].to == at(&self, code_jump_other));
	CHECK_UINT(jumps[3].addr, end - 1);
	CHECK_UINT(cprof_code_jump_out(self.module, start, end, jumps, 2), 2);
	CHECK_UINT(cprof_code_jump_out(self.module, UINT64_MAX - 8, UINT64_MAX, jumps, 8), 0);
	CHECK(cprof_code_jump_entry(self.module, at(&self, code_jump_entry), &jumps[0]));
	CHECK_UINT(jumps[0].to, at(&self, code_jump_slot));
	CHECK(!cprof_code_jump_entry(self.module, start, &jumps[0]));
	CHECK(!cprof_code_jump_entry(self.module, at(&self, code_jump_other), &jumps[0]));
	cprof_modules_deinit(&self.modules);
}

#endif
