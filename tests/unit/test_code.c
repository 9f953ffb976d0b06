/* SPDX-License-Identifier: Apache-2.0 */
/* What is proved about machine code: objects made of a few bytes, and this program itself. */
#include <stdio.h>

#include "attach/heap/code/code_flow.h"
#include "attach/heap/code/code_landing.h"
#include "attach/heap/code/code_proof.h"
#include "attach/heap/code/code_reach.h"
#include "attach/heap/inject/patch.h"
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

/* ---- the ways through a function ---- */

/* "exits N", then what is told of it. */
static void tell(const uint8_t *code, size_t n, char *text, size_t size)
{
	struct made made;
	struct cprof_code_flow flow;
	make(&made, code, n);
	CHECK(!cprof_code_flow_find(&made.object, CODE, &flow));
	snprintf(text, size, "exits %zu%s%s%s%s", flow.n_exits, flow.lost ? ", lost" : "",
		 flow.stack_trick ? ", trick" : "", flow.reads_stack_arguments ? ", arguments" : "",
		 flow.reads_scratch ? ", scratch" : "");
	cprof_code_flow_deinit(&flow);
	unmake(&made);
}

TEST(code_flow_finds_the_exits_and_what_is_done_to_the_stack)
{
	/* clang-format off */
	static const struct {
		const char *what, *want;
		uint8_t bytes[40];
		size_t n;
	} rows[] = {
		{ "ret", "exits 1", { 0xc3 }, 1 },
		{ "rep ret, bnd ret", "exits 2", { 0x48, 0x85, 0xff, 0x74, 2, 0xf3, 0xc3, 0xf2, 0xc3 }, 9 },
		{ "push rbx; pop rbx; ret", "exits 1", { 0x53, 0x5b, 0xc3 }, 3 },
		{ "push rbp; mov rsp,rbp; sub rdi,rsp; leave; ret", "exits 1",
		  { 0x55, 0x48, 0x89, 0xe5, 0x48, 0x29, 0xfc, 0xc9, 0xc3 }, 9 },
		{ "push rbp; mov rsp,rbp; and -32,rsp; leave; ret", "exits 1",
		  { 0x55, 0x48, 0x89, 0xe5, 0x48, 0x83, 0xe4, 0xe0, 0xc9, 0xc3 }, 10 },
		{ "push rbx; ret: to rbx", "exits 1, trick", { 0x53, 0xc3 }, 2 },
		{ "mov rdi,(rsp); ret", "exits 1, trick", { 0x48, 0x89, 0x3c, 0x24, 0xc3 }, 5 },
		{ "mov rdi,rsp; ret", "exits 1, trick", { 0x48, 0x89, 0xfc, 0xc3 }, 4 },
		{ "xchg rdi,rsp; ret", "exits 1, trick", { 0x48, 0x87, 0xe7, 0xc3 }, 4 },
		{ "pop rsp; ret", "exits 1, trick", { 0x5c, 0xc3 }, 2 },
		{ "leave without a frame; ret", "exits 1, trick", { 0xc9, 0xc3 }, 2 },
		{ "mov 15,eax; syscall: rt_sigreturn", "exits 1, trick", { 0xb8, 15, 0, 0, 0, 0x0f, 0x05, 0xc3 }, 8 },
		{ "mov 9,eax; syscall: mmap", "exits 1", { 0xb8, 9, 0, 0, 0, 0x0f, 0x05, 0xc3 }, 8 },
		{ "int 0x80", "exits 1, trick", { 0xcd, 0x80, 0xc3 }, 3 },
		{ "mov 8(rsp),rax", "exits 1, arguments", { 0x48, 0x8b, 0x44, 0x24, 8, 0xc3 }, 6 },
		{ "push rbx; mov 8(rsp),rax: the return address", "exits 1", { 0x53, 0x48, 0x8b, 0x44, 0x24, 8, 0x5b, 0xc3 }, 8 },
		{ "push rbx; mov 16(rsp),rax", "exits 1, arguments", { 0x53, 0x48, 0x8b, 0x44, 0x24, 16, 0x5b, 0xc3 }, 8 },
		{ "push rbp; mov rsp,rbp; mov 16(rbp),rax", "exits 1, arguments",
		  { 0x55, 0x48, 0x89, 0xe5, 0x48, 0x8b, 0x45, 16, 0x5d, 0xc3 }, 10 },
		{ "the same with -8(rbp)", "exits 1", { 0x55, 0x48, 0x89, 0xe5, 0x48, 0x8b, 0x45, 0xf8, 0x5d, 0xc3 }, 10 },
		{ "lea 8(rsp),r10", "exits 1, arguments", { 0x4c, 0x8d, 0x54, 0x24, 8, 0xc3 }, 6 },
		{ "mov rsp,r11", "exits 1, arguments", { 0x49, 0x89, 0xe3, 0xc3 }, 4 },
		{ "test al,al", "exits 1, scratch", { 0x84, 0xc0, 0xc3 }, 3 },
		{ "mov 8(r10),rax", "exits 1, scratch", { 0x49, 0x8b, 0x42, 8, 0xc3 }, 5 },
		{ "sbb eax,eax", "exits 1, scratch", { 0x19, 0xc0, 0xc3 }, 3 },
		{ "call to what follows; pop r9; mov rdx,rax", "exits 1, scratch", { 0xe8, 0, 0, 0, 0, 0x41, 0x59, 0x48, 0x89, 0xc2, 0xc3 }, 11 },
		{ "xor eax,eax; test al,al", "exits 1", { 0x31, 0xc0, 0x84, 0xc0, 0xc3 }, 5 },
		{ "push rax; pop rcx: room", "exits 1", { 0x50, 0x59, 0xc3 }, 3 },
		{ "jmp rax", "exits 0, lost, arguments, scratch", { 0xff, 0xe0 }, 2 },
		{ "a jump into its own first instruction", "exits 1, lost, arguments, scratch", { 0xeb, 0xff, 0xc0, 0xc3 }, 4 },
		{ "what is no instruction", "exits 0, lost, arguments, scratch", { 0x06 }, 1 },
		{ "jmp through the slot of malloc", "exits 1", { 0xff, 0x25, 0x7a, 0x20, 0, 0 }, 6 },
		{ "ud2", "exits 0", { 0x0f, 0x0b }, 2 },
	};
	/* clang-format on */
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char got[128];
		tell(rows[i].bytes, rows[i].n, got, sizeof(got));
		if (strcmp(got, rows[i].want) != 0)
			TEST_FAIL("%s: %s, want %s", rows[i].what, got, rows[i].want);
	}
}

TEST(code_flow_follows_a_switch_by_its_table)
{
	/* cmp 2,edi; ja 9f; lea table(rip),rdx; movslq (rdx,rdi,4),rax; add rdx,rax; notrack jmp rax; 3 times ret; 9: ret */
	static const uint8_t code[] = { 0x83, 0xff, 2,    0x77, 22,   0x48, 0x8d, 0x15, 0xf4, 0x1f,
					0,    0,    0x48, 0x63, 0x04, 0xba, 0x48, 0x01, 0xd0, 0x3e,
					0xff, 0xe0, 0xc3, 0x90, 0xc3, 0x90, 0xc3, 0xc3 };
	struct made made;
	struct cprof_code_flow flow;
	make(&made, code, sizeof(code));
	for (uint32_t i = 0; i < 3; i++) {
		const int32_t distance = (int32_t)(CODE + 22 + 2 * i) - (int32_t)DATA;
		memcpy(made.bytes + 256 + 4 * i, &distance, sizeof(distance));
	}
	CHECK(!cprof_code_flow_find(&made.object, CODE, &flow));
	CHECK(!flow.lost);
	CHECK_UINT(flow.n_exits, 4);
	for (uint32_t i = 0; i < 3; i++)
		CHECK_UINT(flow.exits[i].addr, CODE + 22 + 2 * i);
	cprof_code_flow_deinit(&flow);
	unmake(&made);
}

/* ---- proofs ---- */

/* What stands against "it only ever returns", where `second` is the other function. */
static void why_not(const uint8_t *code, size_t n, const uint8_t *second, size_t n_second,
		    char *text, size_t size)
{
	struct made made;
	char *why;
	make(&made, code, n);
	memcpy(made.bytes + 128, second, n_second);
	CHECK(!cprof_code_proof_returns(&made.object, CODE, &why));
	snprintf(text, size, "%s", why ? why : "");
	free(why);
	unmake(&made);
}

TEST(code_proof_believes_only_what_is_followed_or_known)
{
	/* clang-format off */
	static const struct {
		const char *what, *want; /* "": it is proved */
		uint8_t bytes[16];
		size_t n;
		uint8_t second[16];
		size_t n_second;
	} rows[] = {
		{ "nothing is called", "", { 0xc3 }, 1, { 0xc3 }, 1 },
		{ "malloc, with a version", "", { 0xff, 0x15, 0x7a, 0x20, 0, 0, 0xc3 }, 7, { 0xc3 }, 1 },
		{ "printf", "first calls printf, which may throw or be cancelled", { 0xff, 0x15, 0x82, 0x20, 0, 0, 0xc3 }, 7, { 0xc3 }, 1 },
		{ "a pointer", "calls what a pointer leads to", { 0xff, 0xd0, 0xc3 }, 3, { 0xc3 }, 1 },
		{ "the other one", "", { 0xe8, 0x7b, 0, 0, 0, 0xc3 }, 6, { 0xc3 }, 1 },
		{ "the other one, which calls printf", "second calls printf", { 0xe8, 0x7b, 0, 0, 0, 0xc3 }, 6,
		  { 0xff, 0x15, 0x02, 0x20, 0, 0, 0xc3 }, 7 },
		{ "goes on to the other one, which calls a pointer", "first calls what a pointer", { 0xe9, 0x7b, 0, 0, 0 }, 5, { 0xff, 0xd0, 0xc3 }, 3 },
		{ "the other one, which changes the stack", "second: it loads the stack pointer", { 0xe8, 0x7b, 0, 0, 0, 0xc3 }, 6, { 0x48, 0x89, 0xfc, 0xc3 }, 4 },
		{ "each other", "", { 0xe8, 0x7b, 0, 0, 0, 0xc3 }, 6, { 0xe8, 0x7b, 0xff, 0xff, 0xff, 0xc3 }, 6 },
	};
	/* clang-format on */
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char got[256];
		why_not(rows[i].bytes, rows[i].n, rows[i].second, rows[i].n_second, got,
			sizeof(got));
		if (*rows[i].want ? !strstr(got, rows[i].want) : *got != 0)
			TEST_FAIL("%s: \"%s\", want \"%s\"", rows[i].what, got, rows[i].want);
	}
}

/* ---- real objects ---- */

/* The object that this process has mapped from a file whose name begins so; skips where it has none. */
static struct cprof_code_object *mapped(struct cprof_modules *modules, const char *name)
{
	char line[512];
	struct cprof_module *module;
	struct cprof_code_object *object;
	FILE *maps = fopen("/proc/self/maps", "re");
	CHECK(maps);
	while (fgets(line, sizeof(line), maps)) {
		char *path = strchr(line, '/');
		if (!path || strncmp(strrchr(path, '/') + 1, name, strlen(name)) != 0)
			continue;
		path[strcspn(path, "\n")] = 0;
		fclose(maps);
		CHECK(!cprof_modules_open(modules, path, &module));
		CHECK(!cprof_code_object_new(module, &object));
		return object;
	}
	fclose(maps);
	test_skip("this program has no such library");
}

TEST(code_reach_has_nothing_against_the_allocator_of_the_c_library)
{
	static const char *const names[] = { "malloc",  "free",     "calloc",
					     "realloc", "memalign", "posix_memalign" };
	struct cprof_modules modules;
	struct cprof_code_reaches reaches;
	const struct cprof_symbols *symbols;
	struct cprof_code_place places[16];
	size_t n = 0;
	cprof_modules_init(&modules);
	struct cprof_code_object *object = mapped(&modules, "libc.so.6");
	CHECK(!cprof_code_object_symbols(object, &symbols));
	for (size_t i = 0; i < symbols->n && n < 16; i++) {
		for (size_t k = 0; k < sizeof(names) / sizeof(names[0]); k++) {
			if (strcmp(symbols->all[i].name, names[k]) == 0)
				places[n++] =
					(struct cprof_code_place){ symbols->all[i].start,
								   symbols->all[i].start + 64 };
		}
	}
	CHECK(n >= 3); /* of the names of one address one is kept */
	CHECK(!cprof_code_reaches_find(object, places, n, &reaches));
	for (size_t i = 0; i < n; i++) {
		const struct cprof_code_reach *reach;
		struct cprof_code_flow flow;
		CHECK(!cprof_code_reaches_in(&reaches, places[i].start + 1, places[i].start + 12,
					     &reach));
		CHECK(!reach);
		CHECK(!cprof_code_flow_find(object, places[i].start, &flow));
		if (flow.lost)
			TEST_FAIL("function at 0x%" PRIx64 ": %s at 0x%" PRIx64, places[i].start,
				  flow.lost, flow.lost_at);
		CHECK(flow.n_exits > 0 && !flow.reads_stack_arguments && !flow.reads_scratch);
		cprof_code_flow_deinit(&flow);
	}
	cprof_code_reaches_deinit(&reaches);
	cprof_code_object_free(object);
	cprof_modules_deinit(&modules);
}

struct pads {
	const struct cprof_code_object *object;
	size_t n, outside, in_the_middle;
};

static struct cprof_error *count_pad(void *ctx, uint64_t from, uint64_t to)
{
	struct pads *pads = ctx;
	const struct cprof_code_section *section = cprof_code_object_section(pads->object, to, 1);
	pads->n++;
	pads->outside += !section || !section->executable;
	pads->in_the_middle += to > from;
	return NULL;
}

TEST(code_landing_reads_where_a_library_in_cxx_catches)
{
	struct cprof_modules modules;
	struct cprof_module *module;
	struct cprof_code_object *object;
	cprof_modules_init(&modules);
	struct cprof_error *err =
		cprof_modules_open(&modules, "/usr/lib/x86_64-linux-gnu/libstdc++.so.6", &module);
	if (err)
		test_skip("there is no libstdc++");
	CHECK(!cprof_code_object_new(module, &object));
	struct pads pads = { .object = object };
	CHECK(!cprof_code_landing_each(object, count_pad, &pads));
	CHECK(pads.n > 500);
	CHECK_UINT(pads.outside, 0);
	CHECK_UINT(pads.in_the_middle, pads.n);
	cprof_code_object_free(object);
	cprof_modules_deinit(&modules);
}

/* ---- patches ---- */

static const char *somebody_comes(void *ctx, uint64_t end)
{
	const uint64_t *to = ctx;
	return *to < end ? "somebody comes" : NULL;
}

TEST(patch_plan_asks_about_each_place_where_the_jump_could_be)
{
	/* cmp imm32,rdi stays if the jump may be behind it; the jump fits in its place as well */
	const uint8_t code[64] = { 0x48, 0x81, 0xff, 0, 0x10, 0, 0, 0x0f, 0x87, 0, 1, 0, 0, 0x90 };
	const uint64_t addr = 0x7f0000001000, image = addr + 0x100000;
	struct cprof_patch patch;
	uint64_t comes = addr + 40;
	const struct cprof_patch_ways ways = { somebody_comes, &comes };
	CHECK(!cprof_patch_plan(code, sizeof(code), addr, image, image + 256, 1, &ways, &patch));
	CHECK_UINT(patch.addr, addr + 7);
	comes = addr + 7;
	CHECK(!cprof_patch_plan(code, sizeof(code), addr, image, image + 256, 1, &ways, &patch));
	CHECK_UINT(patch.addr, addr);
	CHECK_UINT(patch.displaced, 7);
	comes = addr + 3;
	struct cprof_error *err =
		cprof_patch_plan(code, sizeof(code), addr, image, image + 256, 1, &ways, &patch);
	CHECK(err && strstr(err->message, "somebody comes"));
	cprof_error_free(err);
}
