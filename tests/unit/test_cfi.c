/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolize/unwind/cfi.h"

#include <dwarf.h>

#include "tests/unit/test.h"

#define EH_ADDR  0x10000u /* where the test's .eh_frame, its header and its code are */
#define HDR_ADDR 0x18000u
#define CODE     0x20000u

/* ---- sections, byte by byte ---- */

struct bytes {
	uint8_t at[4096];
	size_t n;
};

static void put(struct bytes *b, uint64_t value, size_t n)
{
	memcpy(b->at + b->n, &value, n);
	b->n += n;
}

static void put_all(struct bytes *b, const void *from, size_t n)
{
	memcpy(b->at + b->n, from, n);
	b->n += n;
}

/* Write the length field of the entry that begins at `start`. */
static void close_entry(struct bytes *b, size_t start)
{
	while (b->n % 4)
		put(b, DW_CFA_nop, 1);
	uint32_t length = (uint32_t)(b->n - start - 4);
	memcpy(b->at + start, &length, 4);
}

/* A CIE as gcc writes it: CFA = rsp + 8, return address at CFA - 8. */
static void put_cie(struct bytes *b, const char *augmentation)
{
	static const uint8_t program[] = { DW_CFA_def_cfa, 7, 8, DW_CFA_offset | 16, 1 };
	size_t start = b->n;
	put(b, 0, 4);
	put(b, 0, 4);
	put(b, 1, 1);
	put_all(b, augmentation, strlen(augmentation) + 1);
	put(b, 1, 1);    /* code alignment */
	put(b, 0x78, 1); /* data alignment -8 */
	put(b, 16, 1);
	put(b, 1, 1); /* augmentation data: one byte, the encoding */
	put(b, 0x1b, 1);
	put_all(b, program, sizeof(program));
	close_entry(b, start);
}

static size_t put_fde(struct bytes *b, size_t cie, uint64_t start_addr, uint32_t size,
		      const uint8_t *program, size_t n)
{
	size_t start = b->n;
	put(b, 0, 4);
	put(b, b->n - cie, 4);
	put(b, start_addr - (EH_ADDR + b->n), 4);
	put(b, size, 4);
	put(b, 0, 1);
	put_all(b, program, n);
	close_entry(b, start);
	return start;
}

static struct cprof_cfi_section section(const struct bytes *b, uint64_t addr)
{
	return (struct cprof_cfi_section){ .bytes = b->n ? b->at : NULL,
					   .size = b->n,
					   .addr = addr };
}

static struct cprof_cfi_section bytes_of(const uint8_t *at, size_t n)
{
	return (struct cprof_cfi_section){ .bytes = at, .size = n, .addr = EH_ADDR };
}

static struct cprof_cfi *open_eh(const struct bytes *eh, const struct bytes *hdr)
{
	struct cprof_cfi *cfi;
	CHECK(!cprof_cfi_new(section(eh, EH_ADDR), section(hdr, HDR_ADDR),
			     (struct cprof_cfi_section){ 0 }, &cfi));
	return cfi;
}

static bool row_at(struct cprof_cfi *cfi, uint64_t addr, struct cprof_cfi_row *row)
{
	struct cprof_cfi_fde fde;
	uint32_t steps = 10000;
	return cprof_cfi_find(cfi, addr, &fde) && cprof_cfi_run(&fde, addr, &steps, row);
}

/* push rbp; mov rsp,rbp; ...; leave; ret */
static const uint8_t frame_program[] = {
	DW_CFA_advance_loc | 1,
	DW_CFA_def_cfa_offset,
	16,
	DW_CFA_offset | 6,
	2,
	DW_CFA_advance_loc | 3,
	DW_CFA_def_cfa_register,
	6,
	DW_CFA_advance_loc1,
	40,
	DW_CFA_remember_state,
	DW_CFA_def_cfa,
	7,
	8,
	DW_CFA_restore | 6,
	DW_CFA_advance_loc2,
	1,
	0,
	DW_CFA_restore_state,
};

static const struct bytes no_bytes;

TEST(cfi_rows_follow_a_prologue_and_an_epilogue)
{
	static const struct {
		uint64_t at;
		uint8_t cfa_reg;
		int64_t cfa_offset;
		enum cprof_cfi_how rbp;
	} want[] = {
		{ 0, 7, 8, CPROF_CFI_SAME },     { 1, 7, 16, CPROF_CFI_AT_CFA },
		{ 3, 7, 16, CPROF_CFI_AT_CFA },  { 4, 6, 16, CPROF_CFI_AT_CFA },
		{ 43, 6, 16, CPROF_CFI_AT_CFA }, { 44, 7, 8, CPROF_CFI_SAME },
		{ 45, 6, 16, CPROF_CFI_AT_CFA }, { 99, 6, 16, CPROF_CFI_AT_CFA },
	};
	struct bytes eh = { 0 };
	put_cie(&eh, "zR");
	put_fde(&eh, 0, CODE, 100, frame_program, sizeof(frame_program));
	struct cprof_cfi *cfi = open_eh(&eh, &no_bytes);
	for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
		struct cprof_cfi_row row;
		CHECK(row_at(cfi, CODE + want[i].at, &row));
		CHECK_UINT(row.cfa.how, CPROF_CFI_IN_REG);
		CHECK_UINT(row.cfa.reg, want[i].cfa_reg);
		CHECK_UINT(row.cfa.offset, want[i].cfa_offset);
		CHECK_UINT(row.regs[6].how, want[i].rbp);
		CHECK_UINT(row.regs[16].how, CPROF_CFI_AT_CFA);
		CHECK_UINT(row.regs[16].offset, -8);
		CHECK(!row.signal);
	}
	struct cprof_cfi_row row;
	CHECK(!row_at(cfi, CODE - 1, &row));
	CHECK(!row_at(cfi, CODE + 100, &row));
	cprof_cfi_free(cfi);
}

/* ---- the table in .eh_frame_hdr ---- */

static void put_hdr(struct bytes *hdr, uint32_t n, const uint64_t (*rows)[2])
{
	static const uint8_t head[] = { 1, 0x1b, 0x03, 0x3b };
	put_all(hdr, head, sizeof(head));
	put(hdr, EH_ADDR - (HDR_ADDR + 4), 4);
	put(hdr, n, 4);
	for (uint32_t i = 0; i < n; i++) {
		put(hdr, rows[i][0] - HDR_ADDR, 4);
		put(hdr, rows[i][1] - HDR_ADDR, 4);
	}
}

TEST(cfi_finds_every_function_whether_the_table_is_true_lying_or_missing)
{
	struct bytes eh = { 0 };
	put_cie(&eh, "zR");
	uint64_t rows[3][2];
	for (size_t i = 0; i < 3; i++) {
		rows[i][0] = CODE + 200 * i;
		rows[i][1] = EH_ADDR + put_fde(&eh, 0, rows[i][0], 100, frame_program, 2);
	}
	const uint64_t unsorted[3][2] = { { rows[2][0], rows[2][1] },
					  { rows[0][0], rows[0][1] },
					  { rows[1][0], rows[1][1] } };
	const uint64_t wild[3][2] = { { rows[0][0], 0x7fff0000 },
				      { rows[1][0], rows[0][1] },
				      { rows[2][0], EH_ADDR } };
	struct {
		const char *what;
		struct bytes bytes;
	} hdr[6] = { { .what = "true" }, { .what = "none" },  { .what = "unsorted" },
		     { .what = "wild" }, { .what = "short" }, { .what = "count too large" } };
	put_hdr(&hdr[0].bytes, 3, rows);
	put_hdr(&hdr[2].bytes, 3, unsorted);
	put_hdr(&hdr[3].bytes, 3, wild);
	put_hdr(&hdr[4].bytes, 3, rows);
	hdr[4].bytes.n = 17;
	put_hdr(&hdr[5].bytes, 3, rows);
	memset(hdr[5].bytes.at + 8, 0xff, 4);
	for (size_t i = 0; i < sizeof(hdr) / sizeof(hdr[0]); i++) {
		struct cprof_cfi *cfi = open_eh(&eh, &hdr[i].bytes);
		for (size_t k = 0; k < 3; k++) {
			struct cprof_cfi_fde fde;
			if (!cprof_cfi_find(cfi, rows[k][0] + 50, &fde) || fde.start != rows[k][0])
				TEST_FAIL("%s: function %zu not found", hdr[i].what, k);
			if (cprof_cfi_find(cfi, rows[k][0] + 150, &fde))
				TEST_FAIL("%s: found something behind function %zu", hdr[i].what,
					  k);
		}
		cprof_cfi_free(cfi);
	}
}

/* ---- variants of entries ---- */

TEST(cfi_signal_frames_are_told_apart_by_their_augmentation)
{
	struct bytes eh = { 0 };
	put_cie(&eh, "zRS");
	put_fde(&eh, 0, CODE, 10, frame_program, 0);
	struct cprof_cfi *cfi = open_eh(&eh, &no_bytes);
	struct cprof_cfi_row row;
	CHECK(row_at(cfi, CODE, &row));
	CHECK(row.signal);
	cprof_cfi_free(cfi);
}

TEST(cfi_debug_frame_is_read_where_eh_frame_has_nothing)
{
	struct bytes debug = { 0 };
	size_t start = debug.n;
	static const uint8_t program[] = { DW_CFA_def_cfa, 7, 8, DW_CFA_offset | 16, 1 };
	put(&debug, 0, 4);
	put(&debug, 0xffffffff, 4);
	put(&debug, 4, 1); /* version 4: address size, segment size */
	put(&debug, 0, 1);
	put(&debug, 8, 1);
	put(&debug, 0, 1);
	put(&debug, 1, 1);
	put(&debug, 0x78, 1);
	put(&debug, 16, 1);
	put_all(&debug, program, sizeof(program));
	close_entry(&debug, start);
	start = debug.n;
	put(&debug, 0, 4);
	put(&debug, 0, 4);
	put(&debug, CODE, 8);
	put(&debug, 100, 8);
	put_all(&debug, frame_program, sizeof(frame_program));
	close_entry(&debug, start);
	struct cprof_cfi *cfi;
	struct cprof_cfi_row row;
	struct cprof_cfi_section none = { 0 };
	CHECK(!cprof_cfi_new(none, none, section(&debug, 0), &cfi));
	CHECK(row_at(cfi, CODE + 10, &row));
	CHECK_UINT(row.cfa.reg, 6);
	cprof_cfi_free(cfi);
}

/* ---- bad input ---- */

TEST(cfi_bad_programs_give_no_row)
{
	static const struct {
		const char *what;
		uint8_t program[33];
		size_t n;
	} bad[] = {
		{ "unknown instruction", { 0x3f }, 1 },
		{ "restore_state with nothing remembered", { DW_CFA_restore_state }, 1 },
		{ "remember_state 33 times",
		  { 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10,
		    10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10 },
		  33 },
		{ "def_cfa with a vector register", { DW_CFA_def_cfa, 60, 8 }, 3 },
		{ "offset of an expression CFA",
		  { DW_CFA_def_cfa_expression, 2, 0x77, 0, DW_CFA_def_cfa_offset, 8 },
		  6 },
		{ "expression longer than the entry", { DW_CFA_def_cfa_expression, 100, 0x77 }, 3 },
		{ "register in a vector register", { DW_CFA_register, 3, 40 }, 3 },
		{ "LEB128 without an end",
		  { DW_CFA_def_cfa_offset, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80 },
		  8 },
		{ "advance_loc4 cut off", { DW_CFA_nop, DW_CFA_nop, DW_CFA_advance_loc4 }, 3 },
	};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct bytes eh = { 0 };
		struct cprof_cfi_row row;
		put_cie(&eh, "zR");
		/* Nops in front, so that the program ends where the entry ends. */
		uint8_t program[36] = { 0 };
		size_t pad = (4 - (17 + bad[i].n) % 4) % 4;
		memcpy(program + pad, bad[i].program, bad[i].n);
		put_fde(&eh, 0, CODE, 100, program, pad + bad[i].n);
		struct cprof_cfi *cfi = open_eh(&eh, &no_bytes);
		if (row_at(cfi, CODE + 50, &row))
			TEST_FAIL("%s: gave a row", bad[i].what);
		cprof_cfi_free(cfi);
	}
}

TEST(cfi_unusable_common_entries_give_no_row)
{
	static const char *const augmentations[] = { "zX", "X", "zXR", "RX", "" };
	for (size_t i = 0; i < sizeof(augmentations) / sizeof(augmentations[0]); i++) {
		struct bytes eh = { 0 };
		struct cprof_cfi_row row;
		put_cie(&eh, augmentations[i]);
		put_fde(&eh, 0, CODE, 100, frame_program, sizeof(frame_program));
		struct cprof_cfi *cfi = open_eh(&eh, &no_bytes);
		CHECK(!row_at(cfi, CODE, &row));
		cprof_cfi_free(cfi);
	}
}

TEST(cfi_letters_to_come_are_skipped_where_their_length_is_told)
{
	static const struct {
		const char *augmentation;
		bool signal;
	} good[] = { { "zRX", false }, { "zRXS", true }, { "zRSX", true } };
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		struct bytes eh = { 0 };
		struct cprof_cfi_row row;
		put_cie(&eh, good[i].augmentation);
		put_fde(&eh, 0, CODE, 100, frame_program, sizeof(frame_program));
		struct cprof_cfi *cfi = open_eh(&eh, &no_bytes);
		CHECK(row_at(cfi, CODE, &row));
		CHECK(row.signal == good[i].signal);
		cprof_cfi_free(cfi);
	}
}

TEST(cfi_cut_off_or_with_any_byte_changed_is_read_within_its_bounds)
{
	struct bytes eh = { 0 };
	put_cie(&eh, "zR");
	put_fde(&eh, 0, CODE, 100, frame_program, sizeof(frame_program));
	for (size_t n = 0; n <= eh.n; n++) {
		for (int value = 0; value < 256; value += n < eh.n ? 1 : 256) {
			/* In a block of its own, so that a sanitizer sees a byte too many. */
			uint8_t *copy = malloc(eh.n);
			struct cprof_cfi *cfi;
			struct cprof_cfi_row row;
			struct cprof_cfi_section none = { 0 };
			memcpy(copy, eh.at, eh.n);
			if (n < eh.n)
				copy[n] = (uint8_t)value;
			CHECK(!cprof_cfi_new(bytes_of(copy, eh.n), none, none, &cfi));
			row_at(cfi, CODE + 50, &row);
			cprof_cfi_free(cfi);
			free(copy);
		}
		uint8_t *cut = malloc(n + 1);
		struct cprof_cfi *cfi;
		struct cprof_cfi_row row;
		struct cprof_cfi_section none = { 0 };
		memcpy(cut, eh.at, n);
		CHECK(!cprof_cfi_new(bytes_of(cut, n), none, none, &cfi));
		CHECK(n == eh.n || !row_at(cfi, CODE + 50, &row));
		cprof_cfi_free(cfi);
		free(cut);
	}
}

TEST(cfi_a_huge_program_ends_with_the_budget)
{
	struct bytes eh = { 0 };
	static uint8_t nops[3000];
	struct cprof_cfi_fde fde;
	struct cprof_cfi_row row;
	put_cie(&eh, "zR");
	put_fde(&eh, 0, CODE, 100, nops, sizeof(nops));
	struct cprof_cfi *cfi = open_eh(&eh, &no_bytes);
	uint32_t steps = 1000;
	CHECK(cprof_cfi_find(cfi, CODE, &fde));
	CHECK(!cprof_cfi_run(&fde, CODE, &steps, &row));
	CHECK_UINT(steps, 0);
	steps = 4000;
	CHECK(cprof_cfi_run(&fde, CODE, &steps, &row));
	cprof_cfi_free(cfi);
}

/* ---- expressions ---- */

static bool read_words(void *ctx, uint64_t addr, void *buf, size_t n)
{
	(void)ctx;
	if (addr < 0x1000 || addr > 0x1100)
		return false;
	uint64_t word = 0xabcd00 + addr;
	memcpy(buf, &word, n);
	return true;
}

TEST(cfi_expressions)
{
	static const struct {
		const char *what;
		uint8_t bytes[16];
		size_t n;
		bool ok;
		uint64_t want;
	} cases[] = {
		{ "empty", { 0 }, 0, false, 0 },
		{ "register and offset", { DW_OP_breg7, 8 }, 2, true, 0x1008 },
		{ "negative offset", { DW_OP_breg7, 0x78 }, 2, true, 0xff8 },
		{ "a load", { DW_OP_breg7, 0, DW_OP_deref }, 3, true, 0xabcd00 + 0x1000 },
		{ "a load of one byte", { DW_OP_breg7, 1, DW_OP_deref_size, 1 }, 4, true, 0x01 },
		{ "a load of nine bytes", { DW_OP_breg7, 0, DW_OP_deref_size, 9 }, 4, false, 0 },
		{ "a load from nowhere", { DW_OP_lit0, DW_OP_deref }, 2, false, 0 },
		{ "binding stub, not yet pushed",
		  { DW_OP_breg7, 8, DW_OP_breg16, 0, DW_OP_lit15, DW_OP_and, DW_OP_lit11, DW_OP_ge,
		    DW_OP_lit3, DW_OP_shl, DW_OP_plus },
		  11,
		  true,
		  0x1008 },
		{ "a register itself", { DW_OP_reg7 }, 1, true, 0x1000 },
		{ "a register by its number", { DW_OP_regx, 7 }, 2, true, 0x1000 },
		{ "unknown register", { DW_OP_breg0 + 5, 0 }, 2, false, 0 },
		{ "pop from an empty stack", { DW_OP_plus }, 1, false, 0 },
		{ "one operand of two", { DW_OP_lit1, DW_OP_plus }, 2, false, 0 },
		{ "division by zero", { DW_OP_lit1, DW_OP_lit0, DW_OP_div }, 3, false, 0 },
		{ "modulo zero", { DW_OP_lit1, DW_OP_lit0, DW_OP_mod }, 3, false, 0 },
		{ "shift by 64", { DW_OP_lit1, DW_OP_const1u, 64, DW_OP_shl }, 4, true, 0 },
		{ "arithmetic shift",
		  { DW_OP_const1s, 0xf0, DW_OP_const1u, 70, DW_OP_shra },
		  5,
		  true,
		  UINT64_MAX },
		{ "branch taken",
		  { DW_OP_lit7, DW_OP_lit1, DW_OP_bra, 1, 0, DW_OP_drop },
		  6,
		  true,
		  7 },
		{ "an endless loop", { DW_OP_skip, 0xfd, 0xff }, 3, false, 0 },
		{ "a jump out", { DW_OP_skip, 100, 0 }, 3, false, 0 },
		{ "a jump before the start", { DW_OP_skip, 0xf0, 0xff }, 3, false, 0 },
		{ "rotation",
		  { DW_OP_lit1, DW_OP_lit2, DW_OP_lit3, DW_OP_rot, DW_OP_minus },
		  5,
		  true,
		  (uint64_t)-1 },
		{ "pick", { DW_OP_lit5, DW_OP_lit6, DW_OP_pick, 1 }, 4, true, 5 },
		{ "pick too deep", { DW_OP_lit5, DW_OP_pick, 1 }, 3, false, 0 },
		{ "no such operation", { 0xff }, 1, false, 0 },
		{ "constant cut off", { DW_OP_const8u, 1, 2 }, 3, false, 0 },
	};
	struct cprof_regs regs = { .pc = 0x40000a, .valid = 1u << 7 };
	const struct cprof_cfi_machine machine = { &regs, 16, read_words, NULL };
	regs.r[7] = 0x1000;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint64_t value = 0;
		uint8_t *copy = malloc(cases[i].n + 1);
		memcpy(copy, cases[i].bytes, cases[i].n);
		bool ok = cprof_cfi_evaluate((struct cprof_cfi_expr){ copy, cases[i].n }, NULL,
					     &machine, &value);
		free(copy);
		if (ok != cases[i].ok || (ok && value != cases[i].want))
			TEST_FAIL("%s: %s, 0x%" PRIx64, cases[i].what, ok ? "ok" : "refused",
				  value);
	}
}
