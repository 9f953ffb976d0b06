/* SPDX-License-Identifier: Apache-2.0 */
#include "base/file.h"
#include "cprof/arch.h"
#include "cprof/buffer.h"
#include "cprof/hash.h"
#include "cprof/intern.h"
#include "tests/unit/test.h"

#include <stdio.h>

TEST(map64_finds_every_key_again_while_it_grows_and_zero_is_a_key_like_others)
{
	struct cprof_map64 map = { 0 };
	CHECK(!cprof_map64_get(&map, 0));
	for (uint64_t key = 0; key < 10000; key++) {
		bool is_new;
		*cprof_map64_put(&map, key * 0x1000, &is_new) = key + 1;
		CHECK(is_new);
	}
	CHECK_UINT(map.len, 10000);
	for (uint64_t key = 0; key < 10000; key++)
		CHECK_UINT(*cprof_map64_get(&map, key * 0x1000), key + 1);
	CHECK(!cprof_map64_get(&map, 7));
	bool is_new;
	CHECK_UINT(*cprof_map64_put(&map, 0x1000, &is_new), 2);
	CHECK(!is_new);
	cprof_map64_deinit(&map);
}

TEST(intern_numbers_strings_in_order_of_first_appearance_from_the_empty_one)
{
	struct cprof_intern table;
	uint32_t id;
	CHECK(!cprof_intern_init(&table));
	CHECK(!cprof_intern_text(&table, "cpu", &id));
	CHECK_UINT(id, 1);
	CHECK(!cprof_intern_bytes(&table, "a\0b", 3, &id));
	CHECK_UINT(id, 2);
	CHECK(!cprof_intern_text(&table, "a", &id));
	CHECK_UINT(id, 3);
	CHECK(!cprof_intern_text(&table, "", &id));
	CHECK_UINT(id, 0);
	CHECK(!cprof_intern_bytes(&table, "a\0b", 3, &id));
	CHECK_UINT(id, 2);
	cprof_intern_deinit(&table);
}

TEST(intern_text_never_moves)
{
	struct cprof_intern table;
	uint32_t id;
	char text[32];
	CHECK(!cprof_intern_init(&table));
	CHECK(!cprof_intern_text(&table, "first", &id));
	const char *first = cprof_intern_get(&table, id);
	for (int i = 0; i < 50000; i++) {
		snprintf(text, sizeof(text), "string number %d", i);
		CHECK(!cprof_intern_text(&table, text, &id));
		CHECK_STR(cprof_intern_get(&table, id), text);
	}
	CHECK(cprof_intern_get(&table, 1) == first);
	CHECK_STR(first, "first");
	cprof_intern_deinit(&table);
}

TEST(buffer_text_is_always_terminated_and_prints_longer_than_its_room)
{
	struct cprof_buffer buf = { 0 };
	CHECK_STR(cprof_buffer_text(&buf), "");
	for (int i = 0; i < 100; i++) {
		cprof_buffer_printf(&buf, "%d,", i);
		CHECK_UINT(strlen(cprof_buffer_text(&buf)), buf.len);
	}
	cprof_buffer_printf(&buf, "%500s", "x");
	CHECK_UINT(buf.len, 10 * 2 + 90 * 3 + 500);
	CHECK(!cprof_buffer_error(&buf));
	cprof_buffer_deinit(&buf);
}

TEST(buffer_remembers_that_an_append_failed)
{
	struct cprof_buffer buf = { 0 };
	CHECK(!cprof_buffer_reserve(&buf, SIZE_MAX));
	cprof_buffer_puts(&buf, "more");
	CHECK(cprof_buffer_error(&buf));
	cprof_buffer_deinit(&buf);
}

TEST(file_read_tells_a_process_that_is_gone_from_a_file_that_is_missing)
{
	/* clang-format off */
	static const struct {
		const char *path;
		size_t limit;
		enum cprof_error_code want;
	} cases[] = {
		{ "/proc/4194305/maps", 4096, CPROF_ERR_NO_TARGET }, /* above the largest pid */
		{ "/nonexistent", 4096, CPROF_ERR_OS },
		{ "/proc/self/maps", 16, CPROF_ERR_BAD_DATA },
		{ "/", 4096, CPROF_ERR_OS },
	};
	/* clang-format on */
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct cprof_buffer out = { 0 };
		struct cprof_error *err = cprof_file_read(cases[i].path, cases[i].limit, &out);
		if (!err || err->code != cases[i].want)
			TEST_FAIL("%s: %s", cases[i].path, err ? err->message : "was read");
		CHECK(strstr(err->message, cases[i].path));
		cprof_error_free(err);
		cprof_buffer_deinit(&out);
	}
}

TEST(arch_perf_registers_land_under_their_dwarf_numbers)
{
	const struct cprof_arch *const archs[] = { &cprof_arch_x86_64, &cprof_arch_aarch64 };
	for (size_t i = 0; i < 2; i++) {
		const struct cprof_arch *arch = archs[i];
		uint64_t values[64];
		struct cprof_regs regs;
		CHECK_UINT((uint64_t)__builtin_popcountll(arch->perf_regs_mask), arch->n_perf_regs);
		for (size_t n = 0; n < arch->n_perf_regs; n++)
			values[n] = 100 + n;
		cprof_arch_regs_from_perf(arch, values, &regs);
		CHECK(regs.pc >= 100);
		CHECK(regs.valid >> arch->sp & 1);
		CHECK(regs.valid >> arch->fp & 1);
		CHECK(cprof_arch_by_machine(arch->elf_machine) == arch);
	}
	/* perf's order on x86-64 is AX BX CX DX SI DI BP SP IP; DWARF's is AX DX CX BX SI DI BP SP. */
	uint64_t values[17] = { 0, 1, 2, 3, 4, 5, 6, 7, 8 };
	struct cprof_regs regs;
	cprof_arch_regs_from_perf(&cprof_arch_x86_64, values, &regs);
	CHECK_UINT(regs.r[1], 3);
	CHECK_UINT(regs.r[3], 1);
	CHECK_UINT(regs.r[7], 7);
	CHECK_UINT(regs.pc, 8);
}

/* What undoes a multiplication by an odd number, modulo 2^64. */
static uint64_t inverse(uint64_t odd)
{
	uint64_t x = odd;
	for (int i = 0; i < 6; i++)
		x *= 2 - odd * x;
	return x;
}

/* The key whose hash is `hash`: cprof_hash_u64() backwards, as an attacker would. */
static uint64_t key_of(uint64_t hash)
{
	hash ^= hash >> 31 ^ hash >> 62;
	hash *= inverse(0x94d049bb133111ebull);
	hash ^= hash >> 27 ^ hash >> 54;
	hash *= inverse(0xbf58476d1ce4e5b9ull);
	return hash ^ hash >> 30 ^ hash >> 60;
}

TEST(map64_spreads_keys_that_were_chosen_to_meet_in_one_place)
{
	struct cprof_map64 map = { 0 };
	for (uint64_t i = 0; i < 20000; i++) {
		CHECK_UINT(cprof_hash_u64(key_of(i << 32)), i << 32);
		CHECK(cprof_map64_put(&map, key_of(i << 32), NULL));
	}
	size_t longest = 0, run = 0;
	for (size_t i = 0; i < map.cap; i++) {
		run = map.slots[i].used ? run + 1 : 0;
		longest = run > longest ? run : longest;
	}
	/* In one place it would be all of them. */
	CHECK(longest < 1000);
	cprof_map64_deinit(&map);
}
