/* SPDX-License-Identifier: Apache-2.0 */
#include "cprof/unwind.h"

#include <dwarf.h>
#include <stdio.h>
#include <sys/mman.h>

#include "symbolize/unwind/cfi.h"
#include "tests/unit/test.h"

/*
 * A made-up process: one page of code of one module with call frame information written by hand, and a stack.
 * The walk needs nothing of this machine, so both CPUs are tested on either.
 */
#define CODE     0x400000u
#define FUNCTION 0x100u /* every function has so many bytes: A at CODE, B behind it, ... */
#define STACK    0x7ffd00000000ull
#define WORDS    1024

enum { A, B, C, D, ROOT, NO_CFI };

#define FN(n)   (CODE + (n)*FUNCTION)
#define CALL(n) (FN(n) + 0x40) /* the return address of the call in function n */

struct world {
	const struct cprof_arch *arch;
	uint8_t code[4096];
	uint8_t eh[4096];
	size_t n_eh;
	size_t cie;
	struct cprof_cfi *cfi;
	struct cprof_module module;
	struct cprof_maps maps;
	struct cprof_modules modules;
	struct cprof_unwinder *unwinder;
	uint64_t copy[WORDS], live[WORDS]; /* the stack as it was, and as it is now */
	size_t n_copy, n_live;
	struct cprof_regs regs;
	struct cprof_frame frames[64];
	struct cprof_stack stack;
};

static void put(struct world *w, uint64_t value, size_t n)
{
	memcpy(w->eh + w->n_eh, &value, n);
	w->n_eh += n;
}

static void close_entry(struct world *w, size_t start)
{
	while (w->n_eh % 4)
		put(w, DW_CFA_nop, 1);
	uint32_t length = (uint32_t)(w->n_eh - start - 4);
	memcpy(w->eh + start, &length, 4);
}

static void put_cie(struct world *w, const char *letters)
{
	bool x86 = w->arch == &cprof_arch_x86_64;
	size_t start = w->n_eh;
	w->cie = start;
	put(w, 0, 8);
	put(w, 1, 1);
	memcpy(w->eh + w->n_eh, letters, strlen(letters) + 1);
	w->n_eh += strlen(letters) + 1;
	put(w, x86 ? 1 : 4, 1);
	put(w, 0x78, 1);
	put(w, w->arch->ra, 1);
	put(w, 1, 1);
	put(w, 0, 1); /* absolute addresses */
	put(w, DW_CFA_def_cfa, 1);
	put(w, w->arch->sp, 1);
	put(w, x86 ? 8 : 0, 1);
	if (x86) {
		put(w, DW_CFA_offset | 16, 1);
		put(w, 1, 1);
	}
	close_entry(w, start);
}

static void put_fde(struct world *w, unsigned function, const uint8_t *program, size_t n)
{
	size_t start = w->n_eh;
	put(w, 0, 4);
	put(w, w->n_eh - w->cie, 4);
	put(w, FN(function), 8);
	put(w, FUNCTION, 8);
	put(w, 0, 1);
	memcpy(w->eh + w->n_eh, program, n);
	w->n_eh += n;
	close_entry(w, start);
}

#define FDE(w, function, ...)                                                                      \
	put_fde((w), (function), (const uint8_t[]){ __VA_ARGS__ },                                 \
		sizeof((const uint8_t[]){ __VA_ARGS__ }))

static bool read_part(const uint64_t *words, size_t n_words, uint64_t addr, void *buf, size_t n)
{
	if (addr < STACK || addr - STACK > n_words * 8 || n > n_words * 8 - (addr - STACK))
		return false;
	memcpy(buf, (const uint8_t *)words + (addr - STACK), n);
	return true;
}

static bool read_copy(void *ctx, uint64_t addr, void *buf, size_t n)
{
	const struct world *w = ctx;
	/* As perf copies: nothing below sp. */
	return addr >= w->regs.r[w->arch->sp] && read_part(w->copy, w->n_copy, addr, buf, n);
}

static bool read_live(void *ctx, uint64_t addr, void *buf, size_t n)
{
	const struct world *w = ctx;
	return read_part(w->live, w->n_live, addr, buf, n);
}

static bool read_code(void *ctx, uint64_t addr, void *buf, size_t n)
{
	const struct world *w = ctx;
	if (addr < CODE || addr - CODE > sizeof(w->code) || n > sizeof(w->code) - (addr - CODE))
		return false;
	memcpy(buf, w->code + (addr - CODE), n);
	return true;
}

static void put_call(struct world *w, unsigned function)
{
	static const uint8_t call_x86[] = { 0xe8, 0, 1, 0, 0 }, call_arm[] = { 0x40, 0, 0, 0x94 };
	if (w->arch == &cprof_arch_x86_64)
		memcpy(w->code + (CALL(function) - CODE) - 5, call_x86, 5);
	else
		memcpy(w->code + (CALL(function) - CODE) - 4, call_arm, 4);
}

static struct world *world_new(const struct cprof_arch *arch)
{
	struct world *w = calloc(1, sizeof(*w));
	w->arch = arch;
	/* No instruction of either CPU does anything here: int3, an undefined one. */
	memset(w->code, arch == &cprof_arch_x86_64 ? 0xcc : 0, sizeof(w->code));
	for (unsigned i = A; i <= NO_CFI; i++)
		put_call(w, i);
	put_cie(w, "zR");
	w->n_copy = w->n_live = WORDS;
	w->regs.valid = (1ull << (arch->n_regs - 1)) - 1;
	w->regs.r[arch->sp] = STACK;
	return w;
}

static void world_open(struct world *w)
{
	struct cprof_cfi_section none = { 0 };
	const struct cprof_cfi_section eh = { .bytes = w->eh, .size = w->n_eh, .addr = 0x1000 };
	const struct cprof_map map = { .start = CODE,
				       .end = CODE + sizeof(w->code),
				       .offset = CODE,
				       .prot = PROT_READ | PROT_EXEC,
				       .dev = 1,
				       .inode = 1,
				       .path = "/made-up" };
	static struct cprof_segment segment = { CODE, CODE, 4096, 4096, 5 };
	const struct cprof_map *added;
	CHECK(!cprof_cfi_new(eh, none, none, &w->cfi));
	cprof_modules_init(&w->modules);
	cprof_maps_init(&w->maps, 1, (struct cprof_memory){ read_code, w });
	CHECK(!cprof_maps_add(&w->maps, &map, &added));
	w->module = (struct cprof_module){ .kind = CPROF_MODULE_FILE,
					   .arch = w->arch,
					   .segments = &segment,
					   .n_segments = 1,
					   .unwind = { w->cfi, NULL } };
	w->maps.all[added->id]->module = &w->module;
	CHECK(!cprof_unwinder_new(w->arch, &w->modules, &w->unwinder));
}

static void walk(struct world *w, size_t cap, bool live)
{
	const struct cprof_memory copy = { read_copy, w }, now = { read_live, w };
	const struct cprof_unwind_input input = {
		.maps = &w->maps, .regs = &w->regs, .stack = &copy, .live = live ? &now : NULL
	};
	w->stack = (struct cprof_stack){ .frames = w->frames, .cap = cap };
	cprof_unwind(w->unwinder, &input, &w->stack);
}

/* Walk, and compare the stop reason and all addresses, innermost first. */
static void expect(struct world *w, bool live, enum cprof_stop stop, const uint64_t *addrs,
		   size_t n)
{
	char got[1024] = "";
	bool same = true;
	if (!w->unwinder)
		world_open(w);
	walk(w, 64, live);
	for (size_t i = 0; i < w->stack.len; i++) {
		size_t len = strlen(got);
		snprintf(got + len, sizeof(got) - len, " %" PRIx64, w->frames[i].code.addr);
		same = same && i < n && w->frames[i].code.addr == addrs[i];
	}
	if (!same || w->stack.len != n || w->stack.stop != stop)
		TEST_FAIL("%zu frames%s, stop %s; want %zu, stop %s", w->stack.len, got,
			  cprof_stop_name(w->stack.stop), n, cprof_stop_name(stop));
}

#define EXPECT(w, live, stop, ...)                                                                 \
	expect((w), (live), (stop), (const uint64_t[]){ __VA_ARGS__ },                             \
	       sizeof((const uint64_t[]){ __VA_ARGS__ }) / 8)

static void world_free(struct world *w)
{
	cprof_unwinder_free(w->unwinder);
	cprof_maps_deinit(&w->maps);
	cprof_modules_deinit(&w->modules);
	cprof_cfi_free(w->cfi);
	free(w);
}

/* ---- x86-64 ---- */

/* A (leaf) called by B (frame of 32 bytes) called by ROOT; the stack holds two words for each. */
static struct world *three_frames(void)
{
	struct world *w = world_new(&cprof_arch_x86_64);
	FDE(w, A, DW_CFA_nop);
	FDE(w, B, DW_CFA_def_cfa_offset, 32, DW_CFA_offset | 6, 2);
	FDE(w, ROOT, DW_CFA_undefined, 16);
	w->regs.pc = FN(A) + 10;
	w->copy[0] = CALL(B);
	w->copy[3] = 0x1234; /* rbp */
	w->copy[4] = CALL(ROOT);
	memcpy(w->live, w->copy, sizeof(w->copy));
	return w;
}

TEST(walk_ends_at_a_frame_whose_return_address_is_undefined)
{
	struct world *w = three_frames();
	EXPECT(w, false, CPROF_STOP_ROOT, FN(A) + 10, CALL(B), CALL(ROOT));
	CHECK(!w->frames[0].code.is_return && w->frames[1].code.is_return);
	CHECK_UINT(w->frames[0].how, CPROF_FRAME_SAMPLE);
	CHECK_UINT(w->frames[1].how, CPROF_FRAME_RULE);
	world_free(w);
}

TEST(walk_stops_with_the_reason_that_it_met)
{
	struct world *w = three_frames();
	world_open(w);
	walk(w, 2, false);
	CHECK_UINT(w->stack.len, 2);
	CHECK_UINT(w->stack.stop, CPROF_STOP_DEPTH);

	w->copy[4] = 0x999000;
	EXPECT(w, false, CPROF_STOP_NO_MAP, FN(A) + 10, CALL(B));
	w->copy[4] = 0;
	EXPECT(w, false, CPROF_STOP_ROOT, FN(A) + 10, CALL(B));
	w->copy[4] = CALL(NO_CFI);
	w->regs.r[6] = 5; /* no frame pointer */
	EXPECT(w, false, CPROF_STOP_NO_RULE, FN(A) + 10, CALL(B), CALL(NO_CFI));
	w->n_copy = 3;
	EXPECT(w, false, CPROF_STOP_COPY_END, FN(A) + 10, CALL(B));
	w->n_copy = 0;
	EXPECT(w, false, CPROF_STOP_COPY_END, FN(A) + 10);
	w->regs.r[7] = 0x10;
	EXPECT(w, true, CPROF_STOP_UNREADABLE, FN(A) + 10);
	world_free(w);
}

TEST(walk_in_a_circle_is_bounded)
{
	struct world *w = world_new(&cprof_arch_x86_64);
	/* The CFA is where rbp says, and rbp says the same again and again. */
	FDE(w, B, DW_CFA_def_cfa, 6, 16, DW_CFA_offset | 6, 2);
	w->regs.pc = FN(B) + 10;
	w->regs.r[6] = STACK + 80;
	w->copy[10] = STACK + 80;
	w->copy[11] = CALL(B);
	world_open(w);
	walk(w, 64, false);
	CHECK_UINT(w->stack.stop, CPROF_STOP_NOT_ADVANCING);
	CHECK(w->stack.len < 5);
	/* Down and up by turns: as stack switches do, but not for ever. */
	w->copy[10] = STACK;
	w->copy[0] = STACK + 80;
	w->copy[1] = CALL(B);
	walk(w, 64, false);
	CHECK_UINT(w->stack.stop, CPROF_STOP_NOT_ADVANCING);
	CHECK(w->stack.len < 25);
	world_free(w);
}

TEST(walk_goes_on_in_the_live_process_and_marks_it)
{
	struct world *w = three_frames();
	w->n_copy = 2;
	EXPECT(w, true, CPROF_STOP_ROOT, FN(A) + 10, CALL(B), CALL(ROOT));
	CHECK(!w->frames[1].live && w->frames[2].live);
	struct cprof_unwind_stats stats;
	cprof_unwinder_stats(w->unwinder, &stats);
	CHECK_UINT(stats.live, 1);
	world_free(w);
}

TEST(walk_does_not_mix_two_moments)
{
	struct world *w = three_frames();
	w->n_copy = 2;
	w->live[0] = CALL(D); /* by now A was called from elsewhere: B's frame may be another one */
	EXPECT(w, true, CPROF_STOP_COPY_END, FN(A) + 10, CALL(B));
	w->live[0] = CALL(B);
	w->n_copy = 4;       /* B's rbp is in the copy, its return address is not... */
	w->live[3] = 0x4321; /* ...and the rbp is another one now */
	EXPECT(w, true, CPROF_STOP_COPY_END, FN(A) + 10, CALL(B));
	world_free(w);
}

TEST(walk_through_an_epilogue_keeps_the_register_that_was_popped)
{
	struct world *w = world_new(&cprof_arch_x86_64);
	/* After pop %rbp; gcc goes on saying that rbp is stored below what is now the stack. */
	FDE(w, A, DW_CFA_offset | 6, 2);
	FDE(w, B, DW_CFA_def_cfa, 6, 16, DW_CFA_offset | 6, 2);
	FDE(w, ROOT, DW_CFA_undefined, 16);
	w->regs.pc = FN(A) + 10;
	w->regs.r[6] = STACK + 40;
	w->copy[0] = CALL(B);
	w->copy[5] = 0;
	w->copy[6] = CALL(ROOT);
	EXPECT(w, false, CPROF_STOP_ROOT, FN(A) + 10, CALL(B), CALL(ROOT));
	world_free(w);
}

TEST(walk_through_a_realigned_frame)
{
	struct world *w = world_new(&cprof_arch_x86_64);
	/* As gcc: CFA = *(rbp - 8), rbp stored at rbp. */
	FDE(w, A, DW_CFA_def_cfa_expression, 3, DW_OP_breg6, 0x78, DW_OP_deref, DW_CFA_expression,
	    6, 2, DW_OP_breg6, 0);
	FDE(w, B, DW_CFA_def_cfa, 6, 16, DW_CFA_offset | 6, 2);
	FDE(w, ROOT, DW_CFA_undefined, 16);
	w->regs.pc = FN(A) + 10;
	w->regs.r[6] = STACK + 5 * 8;
	w->copy[4] = STACK + 20 * 8; /* the CFA */
	w->copy[5] = STACK + 30 * 8; /* the caller's rbp */
	w->copy[19] = CALL(B);
	w->copy[31] = CALL(ROOT);
	EXPECT(w, false, CPROF_STOP_ROOT, FN(A) + 10, CALL(B), CALL(ROOT));
	world_free(w);
}

TEST(walk_guesses_by_frame_pointer_only_what_follows_a_call)
{
	struct world *w = world_new(&cprof_arch_x86_64);
	FDE(w, ROOT, DW_CFA_undefined, 16);
	w->regs.pc = FN(NO_CFI) + 10;
	w->regs.r[6] = STACK + 80;
	w->copy[10] = 7;
	w->copy[11] = CALL(ROOT);
	EXPECT(w, false, CPROF_STOP_ROOT, FN(NO_CFI) + 10, CALL(ROOT));
	CHECK_UINT(w->frames[1].how, CPROF_FRAME_GUESS);
	w->copy[11] = CALL(ROOT) + 1;
	EXPECT(w, false, CPROF_STOP_NO_RULE, FN(NO_CFI) + 10);
	w->regs.r[6] = STACK + 81;
	w->copy[11] = CALL(ROOT);
	EXPECT(w, false, CPROF_STOP_NO_RULE, FN(NO_CFI) + 10);
	world_free(w);
}

TEST(walk_finds_the_return_address_behind_a_word_of_the_stub_at_a_java_methods_entry)
{
	/* {caller's frame pointer, a mark, return address}, as the stub leaves them that asks whether a method may be entered. */
	struct world *w = world_new(&cprof_arch_x86_64);
	w->regs.pc = FN(A) + 10;
	w->regs.r[6] = STACK + 80;
	w->copy[0] = CALL(B);
	w->copy[10] = 0;
	w->copy[11] = UINT64_MAX;
	w->copy[12] = CALL(ROOT);
	world_open(w);
	w->module.kind = CPROF_MODULE_ANONYMOUS;
	EXPECT(w, false, CPROF_STOP_ROOT, FN(A) + 10, CALL(B), CALL(ROOT));
	w->copy[12] = CALL(ROOT) + 1; /* no call stands before it */
	EXPECT(w, false, CPROF_STOP_NO_RULE, FN(A) + 10, CALL(B));
	world_free(w);
}

TEST(walk_reads_the_rule_off_the_code_where_there_is_no_other)
{
	/* sub $24,%rsp; (here) add $24,%rsp; pop %rbx; ret, with nothing in rbp. */
	static const uint8_t code[] = { 0x48, 0x83, 0xc4, 0x18, 0x5b, 0xc3 };
	struct world *w = world_new(&cprof_arch_x86_64);
	FDE(w, B, DW_CFA_def_cfa, 3, 16); /* its CFA comes from rbx */
	FDE(w, ROOT, DW_CFA_undefined, 16);
	memcpy(w->code + (FN(NO_CFI) - CODE) + 4, code, sizeof(code));
	w->regs.pc = FN(NO_CFI) + 4;
	w->regs.r[6] = 1;
	w->copy[3] = STACK + 80;
	w->copy[4] = CALL(B);
	w->copy[11] = CALL(ROOT);
	EXPECT(w, false, CPROF_STOP_ROOT, FN(NO_CFI) + 4, CALL(B), CALL(ROOT));
	CHECK_UINT(w->frames[1].how, CPROF_FRAME_GUESS);
	CHECK_UINT(w->frames[2].how, CPROF_FRAME_RULE);
	world_free(w);
}

TEST(walk_takes_a_zero_in_a_leaf_for_the_end_only_where_the_code_says_so_too)
{
	/* add $8,%rsp; ret: the tables of A say that the return address is at sp. */
	static const uint8_t deeper[] = { 0x48, 0x83, 0xc4, 0x08, 0xc3 }, plain[] = { 0xc3 };
	static const uint64_t no_ends[] = { 0, 0x999000, CALL(ROOT) + 1 };
	struct world *w = three_frames();
	w->regs.r[6] = 5; /* no frame pointer */
	memmove(w->copy + 1, w->copy, 8 * sizeof(w->copy[0]));
	memcpy(w->code + 10, deeper, sizeof(deeper));
	for (size_t i = 0; i < sizeof(no_ends) / sizeof(no_ends[0]); i++) {
		w->copy[0] = no_ends[i];
		EXPECT(w, false, CPROF_STOP_ROOT, FN(A) + 10, CALL(B), CALL(ROOT));
		CHECK_UINT(w->frames[1].how, CPROF_FRAME_GUESS);
	}
	w->copy[0] = 0;
	w->copy[1] = 0x1234;
	EXPECT(w, false, CPROF_STOP_NO_RULE, FN(A) + 10);
	w->copy[0] = CALL(B);
	w->copy[3] = w->copy[4];
	w->copy[4] = w->copy[5];
	EXPECT(w, false, CPROF_STOP_ROOT, FN(A) + 10, CALL(B), CALL(ROOT));
	CHECK_UINT(w->frames[1].how, CPROF_FRAME_RULE);
	world_free(w);

	w = three_frames();
	w->regs.r[6] = 5;
	memcpy(w->code + 10, plain, sizeof(plain));
	w->copy[0] = 0;
	EXPECT(w, false, CPROF_STOP_ROOT, FN(A) + 10);
	world_free(w);
}

TEST(walk_through_a_signal_frame_does_not_step_back_from_the_interrupted_pc)
{
	struct world *w = world_new(&cprof_arch_x86_64);
	static const uint8_t sigreturn[] = { 0x48, 0xc7, 0xc0, 0x0f, 0, 0, 0, 0x0f, 0x05 };
	FDE(w, A, DW_CFA_nop);
	FDE(w, C, DW_CFA_nop);
	FDE(w, ROOT, DW_CFA_undefined, 16);
	memcpy(w->code + (FN(NO_CFI) - CODE), sigreturn, sizeof(sigreturn));
	w->regs.pc = FN(A) + 10;
	w->copy[0] = FN(NO_CFI);
	w->copy[1 + 160 / 8] = STACK + 100 * 8; /* the interrupted rsp, on another stack or not */
	w->copy[1 + 168 / 8] = FN(C);           /* and its pc: the first byte of C */
	w->copy[100] = CALL(ROOT);
	EXPECT(w, false, CPROF_STOP_ROOT, FN(A) + 10, FN(NO_CFI), FN(C), CALL(ROOT));
	CHECK(!w->frames[1].code.is_return && !w->frames[2].code.is_return);
	CHECK_UINT(w->frames[2].how, CPROF_FRAME_RULE);
	world_free(w);
}

/* A in a signal's handler that has interrupted the first byte of C, called by ROOT, on a stack that is not in the copy. */
static struct world *handler_on_another_stack(void)
{
	struct world *w = world_new(&cprof_arch_x86_64);
	static const uint8_t sigreturn[] = { 0x48, 0xc7, 0xc0, 0x0f, 0, 0, 0, 0x0f, 0x05 };
	FDE(w, A, DW_CFA_nop);
	FDE(w, C, DW_CFA_nop);
	FDE(w, ROOT, DW_CFA_undefined, 16);
	memcpy(w->code + (FN(NO_CFI) - CODE), sigreturn, sizeof(sigreturn));
	w->regs.pc = FN(A) + 10;
	w->copy[0] = FN(NO_CFI);
	w->copy[1 + 160 / 8] = STACK + 100 * 8;
	w->copy[1 + 168 / 8] = FN(C);
	w->copy[100] = CALL(ROOT);
	memcpy(w->live, w->copy, sizeof(w->copy));
	w->n_copy = 50;
	return w;
}

TEST(walk_out_of_a_handler_goes_on_in_the_live_process_whatever_became_of_the_handler)
{
	struct world *w = handler_on_another_stack();
	memset(w->live, 0x55, 50 * sizeof(w->live[0]));
	EXPECT(w, true, CPROF_STOP_ROOT, FN(A) + 10, FN(NO_CFI), FN(C), CALL(ROOT));
	CHECK(!w->frames[2].live && w->frames[3].live);
	EXPECT(w, false, CPROF_STOP_COPY_END, FN(A) + 10, FN(NO_CFI), FN(C));
	world_free(w);
}

TEST(walk_out_of_a_handler_believes_nothing_but_a_return_address_in_its_place)
{
	struct world *w = handler_on_another_stack();
	w->live[100] = FN(C) + 3; /* code, but no call before it */
	w->live[101] = CALL(ROOT);
	EXPECT(w, true, CPROF_STOP_COPY_END, FN(A) + 10, FN(NO_CFI), FN(C));
	w->live[100] = 0x777000;
	EXPECT(w, true, CPROF_STOP_COPY_END, FN(A) + 10, FN(NO_CFI), FN(C));
	world_free(w);
}

TEST(walk_from_within_sigreturn_is_one_from_its_trampoline)
{
	struct world *w = handler_on_another_stack();
	w->n_copy = WORDS;
	memmove(w->copy, w->copy + 1, 50 * sizeof(w->copy[0]));
	w->regs.pc = w->regs.r[2] = FN(NO_CFI) + 9;
	EXPECT(w, false, CPROF_STOP_ROOT, FN(NO_CFI) + 9, FN(C), CALL(ROOT));
	w->regs.r[2] = 1; /* another function's first byte */
	w->regs.r[6] = 5;
	walk(w, 64, false);
	CHECK(w->stack.len == 1 && w->stack.stop != CPROF_STOP_ROOT);
	world_free(w);
}

/* ---- AArch64 ---- */

/* stp x29,x30,[sp,#-32]!; mov x29,sp as gcc describes it. */
#define ARM_FRAME DW_CFA_def_cfa_offset, 32, DW_CFA_offset | 29, 4, DW_CFA_offset | 30, 3

static struct world *arm_world(void)
{
	struct world *w = world_new(&cprof_arch_aarch64);
	FDE(w, A, DW_CFA_nop);
	FDE(w, B, ARM_FRAME);
	FDE(w, C, 0x2d, ARM_FRAME); /* DW_CFA_AARCH64_negate_ra_state: signed from here on */
	FDE(w, ROOT, DW_CFA_undefined, 30);
	return w;
}

TEST(walk_on_aarch64_from_a_leaf_whose_return_address_is_in_x30)
{
	struct world *w = arm_world();
	w->regs.pc = FN(A) + 8;
	w->regs.r[30] = CALL(B);
	w->copy[0] = STACK + 32; /* x29, x30 of B's frame */
	w->copy[1] = CALL(ROOT);
	EXPECT(w, false, CPROF_STOP_ROOT, FN(A) + 8, CALL(B), CALL(ROOT));
	world_free(w);
}

TEST(walk_on_aarch64_clears_pointer_authentication)
{
	struct world *w = arm_world();
	w->regs.pc = FN(A) + 8;
	w->regs.r[30] = CALL(C) | 0x2a5c000000000000ull;
	w->copy[1] = CALL(B) | 0x005f000000000000ull;
	w->copy[5] = CALL(ROOT) | 0xb400000000000000ull;
	EXPECT(w, false, CPROF_STOP_ROOT, FN(A) + 8, CALL(C), CALL(B), CALL(ROOT));
	memcpy(w->live, w->copy, sizeof(w->copy));
	w->n_copy = 4; /* anchors carry the authentication code too */
	EXPECT(w, true, CPROF_STOP_ROOT, FN(A) + 8, CALL(C), CALL(B), CALL(ROOT));
	CHECK(w->frames[3].live);
	world_free(w);
}

TEST(walk_on_aarch64_uses_a_return_address_in_a_register_once)
{
	struct world *w = arm_world();
	w->regs.pc = FN(A) + 8;
	w->regs.r[30] = CALL(A); /* a caller that has not stored x30 cannot be told of */
	w->regs.r[29] = 5;
	EXPECT(w, false, CPROF_STOP_NO_RULE, FN(A) + 8, CALL(A));
	world_free(w);
}

TEST(walk_on_aarch64_through_a_signal_frame)
{
	static const uint8_t sigreturn[] = { 0x68, 0x11, 0x80, 0xd2, 0x01, 0, 0, 0xd4 };
	struct world *w = arm_world();
	memcpy(w->code + (FN(NO_CFI) - CODE), sigreturn, sizeof(sigreturn));
	w->regs.pc = FN(A) + 8;
	w->regs.r[30] = FN(NO_CFI);
	w->copy[552 / 8] = CALL(B);        /* x30 */
	w->copy[560 / 8] = STACK + 90 * 8; /* sp */
	w->copy[568 / 8] = FN(A);          /* pc: interrupted at its first instruction */
	w->copy[91] = CALL(ROOT);
	EXPECT(w, false, CPROF_STOP_ROOT, FN(A) + 8, FN(NO_CFI), FN(A), CALL(B), CALL(ROOT));
	CHECK(!w->frames[1].code.is_return && !w->frames[2].code.is_return);
	world_free(w);
}

TEST(walk_on_aarch64_guesses_by_frame_pointer)
{
	struct world *w = arm_world();
	w->regs.pc = FN(NO_CFI) + 8;
	w->regs.r[29] = STACK + 64;
	w->copy[8] = STACK + 128;
	w->copy[9] = CALL(ROOT) | 0x7f00000000000000ull;
	EXPECT(w, false, CPROF_STOP_ROOT, FN(NO_CFI) + 8, CALL(ROOT));
	CHECK_UINT(w->frames[1].how, CPROF_FRAME_GUESS);
	world_free(w);
}

/* ---- what differs between CPUs ---- */

TEST(arch_knows_a_call_by_the_bytes_before_a_return_address)
{
	static const struct {
		const struct cprof_arch *arch;
		bool is;
		uint8_t n, bytes[8];
	} cases[] = {
		{ &cprof_arch_x86_64, true, 5, { 0xe8, 1, 2, 3, 4 } },
		{ &cprof_arch_x86_64, true, 2, { 0xff, 0xd0 } },             /* call *%rax */
		{ &cprof_arch_x86_64, true, 3, { 0x41, 0xff, 0xd4 } },       /* call *%r12 */
		{ &cprof_arch_x86_64, true, 3, { 0xff, 0x50, 0x18 } },       /* call *24(%rax) */
		{ &cprof_arch_x86_64, true, 4, { 0xff, 0x54, 0x24, 8 } },    /* call *8(%rsp) */
		{ &cprof_arch_x86_64, true, 6, { 0xff, 0x15, 1, 2, 3, 4 } }, /* call *x(%rip) */
		{ &cprof_arch_x86_64, true, 6, { 0xff, 0x90, 1, 2, 3, 4 } },
		{ &cprof_arch_x86_64, true, 7, { 0xff, 0x14, 0xc5, 1, 2, 3, 4 } },
		{ &cprof_arch_x86_64, true, 3, { 0xff, 0x14, 0xc8 } }, /* call *(%rax,%rcx,8) */
		{ &cprof_arch_x86_64, false, 2, { 0xff, 0xe0 } },      /* jmp *%rax */
		{ &cprof_arch_x86_64, false, 5, { 0xe9, 1, 2, 3, 4 } },
		{ &cprof_arch_x86_64, false, 4, { 0xe8, 1, 2, 3 } },
		{ &cprof_arch_x86_64,
		  false,
		  8,
		  { 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0xff } },
		{ &cprof_arch_x86_64, false, 0, { 0 } },
		{ &cprof_arch_x86_64, false, 2, { 0xff, 0x14 } },
		{ &cprof_arch_aarch64, true, 4, { 0x01, 0, 0, 0x94 } },       /* bl */
		{ &cprof_arch_aarch64, true, 4, { 0x20, 0, 0x3f, 0xd6 } },    /* blr x1 */
		{ &cprof_arch_aarch64, true, 4, { 0x22, 0x08, 0x3f, 0xd7 } }, /* blraa x1,x2 */
		{ &cprof_arch_aarch64, true, 4, { 0x3f, 0x08, 0x3f, 0xd6 } }, /* blraaz x1 */
		{ &cprof_arch_aarch64, false, 4, { 0x01, 0, 0, 0x14 } },      /* b */
		{ &cprof_arch_aarch64, false, 4, { 0x20, 0, 0x1f, 0xd6 } },   /* br x1 */
		{ &cprof_arch_aarch64, false, 3, { 0, 0, 0x94 } },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		/* Its own block: a sanitizer sees a byte too many on either side. */
		uint8_t *bytes = malloc(cases[i].n + 1);
		memcpy(bytes, cases[i].bytes, cases[i].n);
		bool is = cases[i].arch->ends_in_call(bytes, cases[i].n);
		free(bytes);
		if (is != cases[i].is)
			TEST_FAIL("case %zu", i);
	}
}
