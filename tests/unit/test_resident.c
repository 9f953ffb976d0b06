/* SPDX-License-Identifier: Apache-2.0 */
#include <sys/mman.h>
#include <unistd.h>

#include "attach/heap/heap_baseline.h"
#include "attach/heap/resident/page_bits.h"
#include "attach/heap/resident/resident.h"
#include "attach/heap/resident/smaps.h"
#include "attach/heap/resident/stack_claims.h"
#include "tests/unit/test.h"

static const char text[] =
	"1000-3000 r-xp 00000000 fe:00 7                          /bin/a b\n"
	"Size:                  8 kB\n"
	"Rss:                   8 kB\n"
	"Shared_Clean:          4 kB\n"
	"Private_Clean:         4 kB\n"
	"Anonymous:             0 kB\n"
	"VmFlags: rd ex mr mw me \n"
	"3000-5000 rw-p 00002000 fe:00 7                          /bin/a b\n"
	"Rss:                   8 kB\n"
	"Anonymous:             4 kB\n"
	"5000-9000 rw-p 00000000 00:00 0                          [heap]\n"
	"Rss:                  12 kB\n"
	"Anonymous:            12 kB\n"
	"Swap:                  4 kB\n"
	"a000-b000 ---p 00000000 00:00 0 \n"
	"Rss:                   0 kB\n"
	"b000-1b000 rw-p 00000000 00:00 0 \n"
	"Rss:                  16 kB\n"
	"Anonymous:            16 kB\n"
	"20000-24000 rw-p 00000000 00:00 0                        [anon:pool]\n"
	"Rss:                   4 kB\n"
	"Shared_Dirty:          4 kB\n"
	"Anonymous:             4 kB\n"
	"30000-34000 rw-s 00000000 00:01 9                        /memfd:x (deleted)\n"
	"Rss:                   4 kB\n"
	"7ffff000-80000000 r-xp 00000000 00:00 0                  [vdso]\n"
	"Rss:                   4 kB\n";

static struct cprof_error *parse(const char *from, struct cprof_smaps *smaps)
{
	*smaps = (struct cprof_smaps){ 0 };
	cprof_buffer_puts(&smaps->text, from);
	return cprof_smaps_parse(smaps);
}

static uint64_t sum(const struct cprof_resident *resident)
{
	uint64_t bytes = 0;
	for (size_t i = 0; i < CPROF_RESIDENT_LINES; i++)
		bytes += resident->lines[i].bytes;
	return bytes;
}

static uint64_t line(struct cprof_resident *resident, const char *what)
{
	return resident->lines[cprof_resident_line(resident, what)].bytes;
}

TEST(smaps_tells_each_mapping_and_their_sum)
{
	struct cprof_smaps smaps;
	CHECK(!parse(text, &smaps));
	CHECK_UINT(smaps.n, 8);
	CHECK_UINT(smaps.rss, 56 * 1024);
	CHECK_UINT(smaps.swap, 4096);
	CHECK_STR(smaps.rows[0].name, "/bin/a b");
	CHECK(!smaps.rows[0].write && smaps.rows[1].write && smaps.rows[6].shared);
	CHECK_UINT(smaps.rows[0].common, 4096);
	CHECK_STR(smaps.rows[3].name, "");
	CHECK(cprof_smaps_find(&smaps, 0x9fff) == NULL);
	CHECK(cprof_smaps_find(&smaps, 0xa000) == &smaps.rows[3]);
	cprof_smaps_deinit(&smaps);
}

TEST(smaps_refuses_what_no_kernel_writes)
{
	static const char *const bad[] = {
		"Rss: 8 kB\n",
		"1000-1000 r--p 00000000 00:00 0\n",
		"3000-1000 r--p 00000000 00:00 0\n",
		"1000-3000 r--p 00000000 00:00\n",
		"1000-3000 r--p 0 00:00 0 \n2000-4000 r--p 0 00:00 0 \n",
		"1000-2000 r--p 0 00:00 0 \nRss: 8 kB\n",
		"1000-2000 r--p 0 00:00 0 \nRss: 4 kB\nAnonymous: 8 kB\n",
		"1000-2000 r--p 0 00:00 0 \nRss: x kB\n",
		"1000-2000 r--p 0 00:00 0 \nRss: 18446744073709551615 kB\n",
		"1000-2000 r--p 0 00:00 0 \nfoo\n",
		"1000-2000 r--p 0 00:00 0 \nShared_Clean: 4 kB\n",
	};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct cprof_smaps smaps;
		struct cprof_error *err = parse(bad[i], &smaps);
		if (!err || err->code != CPROF_ERR_BAD_DATA)
			TEST_FAIL("taken: %s", bad[i]);
		cprof_error_free(err);
		cprof_smaps_deinit(&smaps);
	}
}

TEST(resident_heap_like_memory_has_no_stacks_of_threads_in_it)
{
	struct cprof_smaps smaps;
	struct cprof_resident resident = { 0 };
	uint64_t bytes = 0, sps[] = { 0xc100 };
	CHECK(!parse(text, &smaps));
	CHECK(!cprof_heap_baseline_of(&smaps, &resident, &bytes));
	CHECK_UINT(bytes, (12 + 4 + 16 + 4) * 1024);
	cprof_resident_deinit(&resident);
	CHECK(!cprof_stack_claims_add(&resident, &smaps, sps, 1, 0x10000, 0));
	CHECK(!cprof_heap_baseline_of(&smaps, &resident, &bytes));
	CHECK_UINT(bytes, (12 + 4 + 4) * 1024);
	cprof_resident_deinit(&resident);
	cprof_smaps_deinit(&smaps);
}

TEST(resident_lines_add_up_without_a_claim)
{
	struct cprof_smaps smaps;
	struct cprof_resident resident = { 0 };
	struct cprof_buffer out = { 0 };
	CHECK(!parse(text, &smaps));
	CHECK(!cprof_resident_settle(&resident, &smaps, NULL, NULL));
	CHECK_UINT(sum(&resident), smaps.rss);
	CHECK_UINT(line(&resident, "pages of files: code, constants"), 12 * 1024);
	CHECK_UINT(line(&resident, "written data of programs and libraries"), 4 * 1024);
	CHECK_UINT(line(&resident, "memory named [anon:pool]"), 4 * 1024);
	CHECK_UINT(line(&resident, "shared memory: memfd"), 4 * 1024);
	CHECK_UINT(resident.lines[cprof_resident_rest(&resident)].bytes, 16 * 1024);
	cprof_resident_text(&resident, "a, pid 7", &out);
	CHECK(strstr(cprof_buffer_text(&out),
		     "resident memory of a, pid 7: 56.0 KiB, of which\n") != NULL);
	CHECK(strstr(cprof_buffer_text(&out),
		     "4.0 KiB   7.1 %  memory named [anon:pool] (4.0 KiB of it in other") != NULL);
	cprof_buffer_deinit(&out);
	cprof_resident_deinit(&resident);
	cprof_smaps_deinit(&smaps);
}

TEST(resident_memory_of_a_process_that_has_ended_is_nothing)
{
	const struct cprof_resident resident = { 0 };
	struct cprof_buffer out = { 0 };
	cprof_resident_text(&resident, "a, pid 7", &out);
	CHECK_STR(cprof_buffer_text(&out), "resident memory of a, pid 7: 0.0 KiB");
	cprof_buffer_deinit(&out);
}

/* Every page has as many bytes resident as asked for. */
static bool all_resident(void *ctx, uint64_t start, uint64_t end, bool common, uint64_t *ret_bytes)
{
	(void)ctx;
	(void)common;
	*ret_bytes = end - start;
	return true;
}

TEST(resident_gives_a_byte_to_one_claim_only)
{
	struct cprof_smaps smaps;
	struct cprof_resident resident = { 0 };
	CHECK(!parse(text, &smaps));
	const uint32_t a = cprof_resident_line(&resident, "a"),
		       b = cprof_resident_line(&resident, "b");
	CHECK(!cprof_resident_claim(&resident, 0x5800, 0x6800, a, 0));
	CHECK(!cprof_resident_claim(&resident, 0x8000, 0x8800, a, 0));
	CHECK(!cprof_resident_claim(&resident, 0x5000, 0x7000, b, 1));
	CHECK(!cprof_resident_claim(&resident, 0x6000, 0x6400, b, 1));
	CHECK(!cprof_resident_claim(&resident, 0x9000, 0xb000, a, 1)); /* a hole */
	CHECK(!cprof_resident_settle(&resident, &smaps, all_resident, NULL));
	CHECK_UINT(line(&resident, "a"), 0x1800);
	CHECK_UINT(line(&resident, "b"), 0x1000);
	CHECK_UINT(resident.cut, 0);
	CHECK_UINT(sum(&resident), smaps.rss);
	cprof_resident_deinit(&resident);
	cprof_smaps_deinit(&smaps);
}

TEST(resident_cuts_what_a_mapping_never_had)
{
	struct cprof_smaps smaps;
	struct cprof_resident resident = { 0 };
	CHECK(!parse(text, &smaps));
	const uint32_t a = cprof_resident_line(&resident, "a");
	CHECK(!cprof_resident_claim(&resident, 0xb000, 0x1a000, a, 0));
	CHECK(!cprof_resident_settle(&resident, &smaps, all_resident, NULL));
	CHECK_UINT(line(&resident, "a"), 16 * 1024);
	CHECK_UINT(resident.cut, 0xf000 - 16 * 1024);
	CHECK_UINT(sum(&resident), smaps.rss);
	CHECK_UINT(cprof_resident_move(&resident, a, cprof_resident_rest(&resident), 1 << 20),
		   16 * 1024);
	CHECK_UINT(sum(&resident), smaps.rss);
	cprof_resident_deinit(&resident);
	cprof_smaps_deinit(&smaps);
}

TEST(resident_goes_by_proportion_where_pages_are_not_told)
{
	struct cprof_smaps smaps;
	struct cprof_resident resident = { 0 };
	CHECK(!parse(text, &smaps));
	const uint32_t a = cprof_resident_line(&resident, "a");
	CHECK(!cprof_resident_claim(&resident, 0x5000, 0x7000, a, 0));
	CHECK(!cprof_resident_settle(&resident, &smaps, NULL, NULL));
	CHECK_UINT(line(&resident, "a"), 6 * 1024);
	CHECK_UINT(resident.guessed, 6 * 1024);
	CHECK_UINT(sum(&resident), smaps.rss);
	cprof_resident_deinit(&resident);
	cprof_smaps_deinit(&smaps);
}

TEST(resident_has_room_for_any_number_of_names)
{
	struct cprof_smaps smaps;
	struct cprof_resident resident = { 0 };
	struct cprof_buffer many = { 0 };
	for (unsigned i = 1; i <= 200; i++)
		cprof_buffer_printf(&many, "%x000-%x800 rw-p 0 00:00 0 [anon:%u]\nRss: 1 kB\n", i,
				    i, i);
	cprof_buffer_puts(&many, "fff000-fff800 rw-p 0 00:00 0 \nRss: 2 kB\n");
	CHECK(!parse(cprof_buffer_text(&many), &smaps));
	CHECK(!cprof_resident_settle(&resident, &smaps, NULL, NULL));
	CHECK_UINT(sum(&resident), smaps.rss);
	CHECK_UINT(resident.lines[cprof_resident_rest(&resident)].bytes, 2048);
	CHECK(resident.lines[CPROF_RESIDENT_LINES - 1].bytes > 100 * 1024);
	cprof_buffer_deinit(&many);
	cprof_resident_deinit(&resident);
	cprof_smaps_deinit(&smaps);
}

TEST(stack_claims_are_where_a_stack_pointer_is_and_behind_a_like_guard)
{
	static const char stacks[] =
		"10000-11000 ---p 0 00:00 0 \nRss: 0 kB\n"
		"11000-20000 rw-p 0 00:00 0 \nRss: 8 kB\n"
		"20000-21000 ---p 0 00:00 0 \nRss: 0 kB\n"
		"21000-30000 rw-p 0 00:00 0 \nRss: 12 kB\n"      /* runs */
		"30000-38000 rw-p 0 00:00 0 \nRss: 4 kB\n"       /* none */
		"100000-200000 rw-p 0 00:00 0 \nRss: 1024 kB\n"; /* grown together */
	struct cprof_smaps smaps;
	struct cprof_resident resident = { 0 };
	uint64_t sps[] = { 0x180000, 0x1ff80 };
	CHECK(!parse(stacks, &smaps));
	CHECK(!cprof_stack_claims_add(&resident, &smaps, sps, 2, 0x10000, 0));
	CHECK(!cprof_resident_settle(&resident, &smaps, all_resident, NULL));
	CHECK_UINT(line(&resident, "stacks of threads"), 20 * 1024 + 0x20000);
	CHECK_UINT(sum(&resident), smaps.rss);
	cprof_resident_deinit(&resident);
	cprof_smaps_deinit(&smaps);
}

TEST(page_bits_leave_out_swap_and_the_page_of_zeros)
{
	const uint64_t present = 1ull << 63, swapped = 1ull << 62, file = 1ull << 61,
		       exclusive = 1ull << 56;
	CHECK(cprof_page_bits_counts(present | exclusive, false));
	CHECK(cprof_page_bits_counts(present | file, false));
	CHECK(cprof_page_bits_counts(present, true));
	CHECK(!cprof_page_bits_counts(present, false));
	CHECK(!cprof_page_bits_counts(swapped, true));
	CHECK(!cprof_page_bits_counts(0, true));
}

TEST(page_bits_of_this_process_are_what_it_touched)
{
	struct cprof_page_bits bits;
	uint64_t got;
	char *memory =
		mmap(NULL, 64 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(memory != MAP_FAILED && !madvise(memory, 64 * 4096, MADV_NOHUGEPAGE));
	for (unsigned i = 0; i < 64; i += 4)
		memory[i * 4096] = 1;
	CHECK(((volatile char *)memory)[2 * 4096] == 0); /* the page of zeros */
	CHECK(!cprof_page_bits_open(getpid(), &bits));
	CHECK(cprof_page_bits_resident(&bits, (uintptr_t)memory, (uintptr_t)memory + 64 * 4096,
				       false, &got));
	CHECK_UINT(got, 16 * 4096);
	CHECK(cprof_page_bits_resident(&bits, (uintptr_t)memory + 100, (uintptr_t)memory + 4200,
				       false, &got));
	CHECK_UINT(got, 3996);
	CHECK(!cprof_page_bits_resident(&bits, 0, UINT64_MAX, false, &got));
	cprof_page_bits_close(&bits);
	CHECK(!munmap(memory, 64 * 4096));
}
