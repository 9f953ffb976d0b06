/* What is proved about machine code: objects made of a few bytes, and this program itself. */
#include <stdio.h>

#include "attach/heap/code/code_flow.h"
#include "attach/heap/code/code_proof.h"
#include "attach/heap/code/code_reach.h"
#include "tests/unit/test.h"

#define CODE 0x1000u /* file addresses of the made-up objects */
#define DATA 0x3000u

/* ---- objects of a few bytes ---- */

struct made {
	uint8_t bytes[512]; /* 256 of code, 256 of data */
	struct cprof_code_section sections[2];
	struct cprof_code_slot slots[2];
	struct cprof_code_object object;
};

/* A function of 64 bytes at CODE, another one at CODE + 128. */
static void make(struct made *made, const uint8_t *code, size_t n)
{
	static const struct cprof_symbol symbols[] = {
		{ .start = CODE,
		  .end = CODE + 64,
		  .name = "first",
		  .rank = CPROF_SYMBOL_FUNCTION | CPROF_SYMBOL_SIZED },
		{ .start = CODE + 128,
		  .end = CODE + 192,
		  .name = "second",
		  .rank = CPROF_SYMBOL_FUNCTION | CPROF_SYMBOL_SIZED },
	};
	memset(made, 0, sizeof(*made));
	memset(made->bytes, 0x90, 256);
	memcpy(made->bytes, code, n);
	made->sections[0] =
		(struct cprof_code_section){ .addr = CODE, .size = 256, .executable = true };
	made->sections[1] = (struct cprof_code_section){ .addr = DATA, .size = 256, .offset = 256 };
	made->slots[0] = (struct cprof_code_slot){ .place = DATA + 0x80, .name = "malloc@V1" };
	made->slots[1] = (struct cprof_code_slot){ .place = DATA + 0x88, .name = "printf" };
	made->object = (struct cprof_code_object){
		.sections = made->sections, .n_sections = 2, .slots = made->slots, .n_slots = 2
	};
	CHECK(!cprof_image_borrow(made->bytes, sizeof(made->bytes), &made->object.image));
	for (size_t i = 0; i < 2; i++)
		CHECK(!cprof_symbols_add(&made->object.symbols, &symbols[i]));
}

static void unmake(struct made *made)
{
	cprof_symbols_deinit(&made->object.symbols);
	cprof_image_free(made->object.image);
}

/* Who comes to CODE + 1 ... CODE + 9, where `more` bytes stand at `at`. */
static const char *way_in(const uint8_t *more, size_t n, uint64_t at)
{
	struct made made;
	const struct cprof_code_place place = { CODE, CODE + 10 };
	const struct cprof_code_reach *reach;
	struct cprof_code_reaches reaches;
	make(&made, (const uint8_t *)"\x90", 1);
	memcpy(made.bytes + (at < DATA ? at - CODE : at - DATA + 256), more, n);
	CHECK(!cprof_code_reaches_find(&made.object, &place, 1, &reaches));
	CHECK(!cprof_code_reaches_in(&reaches, CODE + 1, CODE + 10, &reach));
	const char *name = reach ? cprof_code_way_name(reach->way) : "nobody";
	cprof_code_reaches_deinit(&reaches);
	unmake(&made);
	return name;
}

TEST(code_reach_sees_every_way_into_the_middle_of_a_function)
{
	/* clang-format off */
	static const struct {
		const char *what, *want;
		uint8_t bytes[16];
		size_t n;
		uint64_t at;
	} rows[] = {
		{ "nothing", "nobody", { 0x90 }, 1, CODE },
		{ "a call from elsewhere", "a call", { 0xe8, 0x7f, 0xff, 0xff, 0xff }, 5, CODE + 128 },
		{ "a call of the beginning", "nobody", { 0xe8, 0x7b, 0xff, 0xff, 0xff }, 5, CODE + 128 },
		{ "a jump from elsewhere", "a jump", { 0xe9, 0x7f, 0xff, 0xff, 0xff }, 5, CODE + 128 },
		{ "a jump where no symbol is", "a jump", { 0xe9, 0x3f, 0xff, 0xff, 0xff }, 5, CODE + 192 },
		{ "a condition with four bytes", "a jump", { 0x0f, 0x85, 0x7e, 0xff, 0xff, 0xff }, 6, CODE + 128 },
		{ "the way out of a transaction", "a jump", { 0xc7, 0xf8, 0x7e, 0xff, 0xff, 0xff }, 6, CODE + 128 },
		{ "a loop back with one byte", "a jump", { 0xeb, 0xe4 }, 2, CODE + 32 },
		{ "a loop with a prefix", "a jump", { 0x3e, 0x75, 0xe3 }, 3, CODE + 32 },
		{ "jrcxz", "a jump", { 0xe3, 0xe4 }, 2, CODE + 32 },
		{ "the same bytes as a number", "nobody", { 0xb8, 0x90, 0xeb, 0xe4, 0x90 }, 5, CODE + 32 },
		{ "a call in the middle of a number", "nobody", { 0x48, 0xb8, 0x90, 0xe8, 0x7b, 0xff, 0xff, 0xff, 0x90, 0x90 }, 10, CODE + 128 },
		{ "its address is taken", "an instruction that takes its address",
		  { 0x48, 0x8d, 0x05, 0x7d, 0xff, 0xff, 0xff }, 7, CODE + 128 },
		{ "a table of distances from itself", "a table of jumps", { 0x04, 0xe0, 0xff, 0xff }, 4, DATA },
		{ "a distance from somewhere", "nobody", { 0x04, 0x80, 0xff, 0xff }, 4, DATA + 4 },
		{ "endbr64", "an indirect branch (endbr64)", { 0xf3, 0x0f, 0x1e, 0xfa }, 4, CODE + 4 },
	};
	/* clang-format on */
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char *got = way_in(rows[i].bytes, rows[i].n, rows[i].at);
		if (strcmp(got, rows[i].want) != 0)
			TEST_FAIL("%s: %s, want %s", rows[i].what, got, rows[i].want);
	}
}
