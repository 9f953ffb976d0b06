/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/target/ptrace_denied.h"
#include "attach/target/thread_probe.h"
#include "attach/threads/thread.h"
#include "attach/threads/thread_fp.h"
#include "attach/threads/thread_running.h"
#include "base/clock.h"
#include "tests/unit/test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- the same wait ---- */

TEST(thread_same_wait_needs_unchanged_counters_and_the_same_thread)
{
	const struct cprof_thread one = {
		.tid = 7, .start = 3, .switches = 5, .call = { .kind = CPROF_CALL_BLOCKED, .sp = 9 }
	};
	struct cprof_thread other = one;
	CHECK(cprof_thread_same_wait(&one, &other));
	other.switches++;
	CHECK(!cprof_thread_same_wait(&one, &other));
	other = one;
	other.start++; /* the number was given to another thread */
	CHECK(!cprof_thread_same_wait(&one, &other));
	other = one;
	other.call.sp++;
	CHECK(!cprof_thread_same_wait(&one, &other));
	other = one;
	other.call.kind = CPROF_CALL_RUNNING;
	CHECK(!cprof_thread_same_wait(&one, &other));
	const struct cprof_thread uncounted = { .tid = 7, .call = { .kind = CPROF_CALL_BLOCKED } };
	CHECK(!cprof_thread_same_wait(&uncounted, &uncounted)); /* a kernel that does not tell */
}

TEST(thread_snapshot_adds_up_how_long_a_thread_is_stuck)
{
	struct cprof_thread a[] = {
		{ .tid = 1,
		  .switches = 5,
		  .stuck_ns = 100,
		  .call = { .kind = CPROF_CALL_BLOCKED } },
		{ .tid = 2, .switches = 5, .call = { .kind = CPROF_CALL_BLOCKED } },
	};
	struct cprof_thread b[] = {
		{ .tid = 1, .switches = 5, .call = { .kind = CPROF_CALL_BLOCKED } },
		{ .tid = 2, .switches = 6, .call = { .kind = CPROF_CALL_BLOCKED } },
		{ .tid = 3, .switches = 1, .call = { .kind = CPROF_CALL_BLOCKED } },
	};
	const struct cprof_thread_snapshot before = { .threads = a, .n = 2, .mono_ns = 1000 };
	struct cprof_thread_snapshot now = { .threads = b, .n = 3, .mono_ns = 1500 };
	cprof_thread_snapshot_mark_stuck(&now, &before);
	CHECK_UINT(b[0].stuck_ns, 600);
	CHECK_UINT(b[1].stuck_ns, 0);
	CHECK_UINT(b[2].stuck_ns, 0);
	CHECK_UINT(cprof_thread_snapshot_find(&now, 3), 2);
	CHECK_UINT(cprof_thread_snapshot_find(&now, 4), SIZE_MAX);
}

/* ---- calls ---- */

TEST(thread_fp_knows_the_calls_that_can_stand_before_a_return_address)
{
	/* clang-format off */
	static const struct {
		const char *what;
		uint8_t code[7];
		unsigned want;
		bool direct;
		int32_t offset;
	} cases[] = {
		{ "call rel32", { 0x90, 0x90, 0xe8, 0x10, 0, 0, 0 }, 5, true, 16 },
		{ "call rel32 backwards", { 0x90, 0x90, 0xe8, 0xf0, 0xff, 0xff, 0xff }, 5, true, -16 },
		{ "call *%rax", { 0x90, 0x90, 0x90, 0x90, 0x90, 0xff, 0xd0 }, 2, false, 0 },
		{ "call *%r12", { 0x90, 0x90, 0x90, 0x90, 0x41, 0xff, 0xd4 }, 2, false, 0 },
		{ "call *(%rax)", { 0x90, 0x90, 0x90, 0x90, 0x90, 0xff, 0x10 }, 2, false, 0 },
		{ "call *8(%rax)", { 0x90, 0x90, 0x90, 0x90, 0xff, 0x50, 0x08 }, 3, false, 0 },
		{ "call *8(%rsp)", { 0x90, 0x90, 0x90, 0xff, 0x54, 0x24, 0x08 }, 4, false, 0 },
		{ "call *0x100(%rax)", { 0x90, 0xff, 0x90, 0x00, 0x01, 0, 0 }, 6, false, 0 },
		{ "call *got(%rip)", { 0x90, 0xff, 0x15, 0x00, 0x01, 0, 0 }, 6, false, 0 },
		{ "no call", { 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90 }, 0, false, 0 },
		{ "jmp *%rax", { 0x90, 0x90, 0x90, 0x90, 0x90, 0xff, 0xe0 }, 0, false, 0 },
		{ "push (%rax)", { 0x90, 0x90, 0x90, 0x90, 0x90, 0xff, 0x30 }, 0, false, 0 },
	};
	/* clang-format on */
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		bool direct;
		int32_t offset = 0;
		unsigned got = cprof_thread_fp_call_length(cases[i].code, 7, &direct, &offset);
		/* A REX prefix before the call is also the call without it. */
		if (got != cases[i].want || direct != cases[i].direct || offset != cases[i].offset)
			TEST_FAIL("%s: %u %d %d", cases[i].what, got, direct, offset);
	}
}

/* ---- the sample of a running thread ---- */

struct sample {
	struct perf_event_header header;
	uint64_t words[64];
};

static struct sample good_sample(void)
{
	struct sample sample = { .header = { .type = PERF_RECORD_SAMPLE } };
	size_t n = 0, regs = cprof_arch_host()->n_perf_regs;
	sample.words[n++] = PERF_SAMPLE_REGS_ABI_64;
	for (size_t i = 0; i < regs; i++)
		sample.words[n++] = 0x1000 + i;
	sample.words[n++] = 32; /* bytes of stack */
	n += 4;
	sample.words[n++] = 16; /* of which filled */
	sample.header.size = (uint16_t)(sizeof(sample.header) + n * 8);
	return sample;
}

TEST(thread_running_decode_takes_registers_and_the_filled_part_of_the_stack)
{
	struct sample sample = good_sample();
	struct cprof_thread thread = { 0 };
	CHECK(cprof_thread_running_decode(&sample.header, &thread));
	CHECK_UINT(thread.means, CPROF_MEANS_PERF);
	CHECK_UINT(thread.n_stack, 16);
	CHECK_UINT(thread.stack_addr, thread.regs.r[cprof_arch_host()->sp]);
	free(thread.stack);
}

TEST(thread_running_decode_refuses_records_that_break_their_format)
{
	size_t size_at = 1 + cprof_arch_host()->n_perf_regs;
	struct sample whole = good_sample();
	for (uint16_t size = sizeof(whole.header); size < whole.header.size; size++) {
		struct sample cut = whole;
		struct cprof_thread thread = { 0 };
		cut.header.size = size;
		if (cprof_thread_running_decode(&cut.header, &thread))
			TEST_FAIL("accepted %u bytes", size);
		CHECK_UINT(thread.means, CPROF_MEANS_NONE);
	}
	struct cprof_thread thread = { 0 };
	struct sample bad = whole;
	bad.words[0] = PERF_SAMPLE_REGS_ABI_32;
	CHECK(!cprof_thread_running_decode(&bad.header, &thread));
	bad = whole;
	bad.words[size_at] = UINT64_MAX;
	CHECK(!cprof_thread_running_decode(&bad.header, &thread));
	bad = whole;
	bad.words[size_at + 5] = 33; /* more filled than there is */
	CHECK(!cprof_thread_running_decode(&bad.header, &thread));
	bad = whole;
	bad.header.type = PERF_RECORD_LOST;
	CHECK(!cprof_thread_running_decode(&bad.header, &thread));
}

/* ---- the probe ---- */

TEST(thread_probe_gives_up_on_a_file_that_does_not_answer)
{
	static const char *const hangs[] = { "maps", "mem" };
	for (size_t i = 0; i < 2; i++) {
		char dir[] = "/tmp/cprof-probe-XXXXXX", maps[64], mem[64];
		CHECK(mkdtemp(dir) != NULL);
		snprintf(maps, sizeof(maps), "%s/maps", dir);
		snprintf(mem, sizeof(mem), "%s/mem", dir);
		FILE *file = i == 0 ? NULL : fopen(maps, "w");
		if (file) {
			fputs("1000-2000 r--p 00000000 00:00 0\n", file);
			fclose(file);
		}
		CHECK(mkfifo(i == 0 ? maps : mem, 0600) == 0);
		uint64_t start_ns = cprof_clock_mono_ns();
		bool answers = cprof_thread_probe_answers(dir, 50 * 1000000ull);
		uint64_t took_ns = cprof_clock_mono_ns() - start_ns;
		unlink(maps);
		unlink(mem);
		rmdir(dir);
		if (answers) /* nobody opens the other end */
			printf("%s\n", hangs[i]);
		CHECK(!answers);
		CHECK(took_ns >= 50 * 1000000ull);
	}
	CHECK(cprof_thread_probe_answers("/proc/thread-self", 10 * CPROF_NS_PER_S));
	CHECK(cprof_thread_probe_answers("/nowhere", 10 * CPROF_NS_PER_S));
}

/* ---- a denial ---- */

TEST(ptrace_denied_names_the_knob_that_would_help)
{
	static const struct {
		int scope;
		const char *want;
	} cases[] = {
		{ -1, "run as the owner" }, { 0, "run as the owner" },     { 1, "ptrace_scope=0" },
		{ 2, "CAP_SYS_PTRACE" },    { 3, "before the next boot" },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *hint = cprof_ptrace_denied_hint(cases[i].scope);
		CHECK(strstr(hint, cases[i].want) != NULL);
		CHECK(strstr(hint, "kernel.yama.ptrace_scope") != NULL);
	}
	struct cprof_error *err = cprof_ptrace_denied(getpid(), getpid(), EPERM);
	CHECK_UINT(err->code, CPROF_ERR_DENIED);
	CHECK(err->hint != NULL);
	cprof_error_free(err);
}
