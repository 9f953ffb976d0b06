/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/threads/thread_text.h"
#include "attach/threads/thread_words.h"
#include "tests/unit/test.h"

#include <stdio.h>

/* A snapshot of threads without stacks or with one frame in no mapping, and names that know nothing. */
struct fixture {
	struct cprof_modules modules;
	struct cprof_maps maps;
	struct cprof_thread_names names;
	struct cprof_thread threads[4];
	struct cprof_stack_frame frames[4];
	struct cprof_thread_snapshot snapshot;
};

static void set_up(struct fixture *f, size_t n)
{
	static const struct cprof_symbolizer_options options = { 0 };
	*f = (struct fixture){ 0 };
	cprof_modules_init(&f->modules);
	cprof_maps_init(&f->maps, 0, (struct cprof_memory){ 0 });
	CHECK(!cprof_thread_names_init(&f->names, &options, &f->modules, &f->maps));
	for (size_t i = 0; i < n; i++) {
		f->threads[i] = (struct cprof_thread){ .tid = (pid_t)(100 + i),
						       .state = 'S',
						       .cpu = 1,
						       .owner = SIZE_MAX,
						       .means = CPROF_MEANS_ITER,
						       .call = { .kind = CPROF_CALL_BLOCKED } };
		snprintf(f->threads[i].name, sizeof(f->threads[i].name), "t%zu", i);
		f->threads[i].wait.call = "read";
		f->frames[i].addr = 0x1000;
		f->threads[i].frames = &f->frames[i];
		f->threads[i].n_frames = 1;
	}
	f->snapshot = (struct cprof_thread_snapshot){ .threads = f->threads, .n = n };
}

static void tear_down(struct fixture *f)
{
	cprof_thread_names_deinit(&f->names);
	cprof_maps_deinit(&f->maps);
	cprof_modules_deinit(&f->modules);
}

static void check_text(struct fixture *f, bool group, bool go_words, const char *want)
{
	const struct cprof_thread_text_options options = { .group = group, .go_words = go_words };
	struct cprof_buffer text = { 0 };
	CHECK(!cprof_thread_text_write(&f->snapshot, &f->names, &options, &text));
	CHECK_STR(cprof_buffer_text(&text), want);
	cprof_buffer_deinit(&text);
}

TEST(thread_text_duration_has_two_units_at_most)
{
	static const struct {
		uint64_t ns;
		const char *want;
	} cases[] = {
		{ 0, "0ms" },
		{ 999999, "0ms" },
		{ 250000000, "250ms" },
		{ 1000000000, "1.0s" },
		{ 12345000000, "12.3s" },
		{ 59999000000, "59.9s" },
		{ 60000000000, "1m0s" },
		{ 312000000000, "5m12s" },
		{ 3600000000000, "1h0m" },
		{ 11040000000000, "3h4m" },
		{ UINT64_MAX, "5124095h34m" },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char buf[32];
		CHECK_STR(cprof_thread_words_duration(cases[i].ns, buf), cases[i].want);
	}
}

TEST(thread_text_header_tells_state_wait_time_and_cpu)
{
	struct fixture f;
	set_up(&f, 1);
	f.threads[0].idle_ns = 5000000000;
	f.threads[0].cpu_ns = 520000000;
	f.threads[0].stuck_ns = 2000000000;
	check_text(&f, false, false,
		   "thread 100 \"t0\" [read, 5.0s, S, cpu 1, 0.52s CPU, stuck for 2.0s]:\n"
		   "[unknown]+0x1000(...)\n\t?\n\n");
	tear_down(&f);
}

TEST(thread_text_names_lock_and_owner_in_every_form)
{
	/* clang-format off */
	static const struct {
		struct cprof_lock_wait wait;
		size_t owner;
		char state;
		const char *want;
	} cases[] = {
		{ { .kind = CPROF_LOCK_MUTEX, .addr = 0x50, .owner = 101, .call = "futex" }, 1, 'S', "mutex 0x50 held by 101 \"t1\"" },
		{ { .kind = CPROF_LOCK_MUTEX, .addr = 0x50, .owner = 100, .call = "futex" }, 0, 'S', "mutex 0x50 held by itself" },
		{ { .kind = CPROF_LOCK_MUTEX, .addr = 0x50, .gone_owner = 7, .call = "futex" }, SIZE_MAX, 'S', "mutex 0x50 held by 7, which has ended" },
		{ { .kind = CPROF_LOCK_MUTEX, .addr = 0x50, .owner = 101, .timed = true, .call = "futex" }, 1, 'S', "mutex 0x50 held by 101 \"t1\" with a timeout" },
		{ { .kind = CPROF_LOCK_RWLOCK_WRITE, .addr = 0x50, .readers = 1, .call = "futex" }, SIZE_MAX, 'S', "rwlock write 0x50 held by 1 reader" },
		{ { .kind = CPROF_LOCK_RWLOCK_WRITE, .addr = 0x50, .readers = 3, .call = "futex" }, SIZE_MAX, 'S', "rwlock write 0x50 held by 3 readers" },
		{ { .kind = CPROF_LOCK_JOIN, .addr = 0x50, .owner = 101, .call = "futex" }, 1, 'S', "join of 101 \"t1\"" },
		{ { .kind = CPROF_LOCK_CONDVAR, .addr = 0x50, .timed = true, .call = "futex" }, SIZE_MAX, 'S', "condvar 0x50" },
		{ { .kind = CPROF_LOCK_CONDVAR, .addr = 0x50, .call = "futex" }, SIZE_MAX, 'T', "stopped in condvar 0x50" },
		{ { .call = "epoll_wait" }, SIZE_MAX, 'S', "epoll_wait" },
		{ { .call = "" }, SIZE_MAX, 'S', "system call 0" },
	};
	/* clang-format on */
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct fixture f;
		char want[160];
		set_up(&f, 2);
		f.snapshot.n = 1;
		f.snapshot.n = 2;
		f.threads[0].wait = cases[i].wait;
		f.threads[0].owner = cases[i].owner;
		f.threads[0].state = cases[i].state;
		const struct cprof_thread_text_options options = { 0 };
		struct cprof_buffer text = { 0 };
		CHECK(!cprof_thread_text_write(&f.snapshot, &f.names, &options, &text));
		snprintf(want, sizeof(want), "thread 100 \"t0\" [%s, %c, cpu 1]:\n", cases[i].want,
			 cases[i].state);
		if (strncmp(cprof_buffer_text(&text), want, strlen(want)) != 0)
			TEST_FAIL("%s, want %s", cprof_buffer_text(&text), want);
		cprof_buffer_deinit(&text);
		tear_down(&f);
	}
}

TEST(thread_text_says_why_there_is_no_stack)
{
	struct fixture f;
	set_up(&f, 1);
	f.threads[0].n_frames = 0;
	f.threads[0].means = CPROF_MEANS_NONE;
	f.threads[0].state = 'Z';
	f.threads[0].why = "it has ended";
	check_text(&f, false, false,
		   "thread 100 \"t0\" [ended, Z, cpu 1]:\n(no stack: it has ended)\n\n");
	f.threads[0].n_frames = 1;
	f.threads[0].state = 'S';
	f.threads[0].why = NULL;
	f.threads[0].means = CPROF_MEANS_PROC;
	f.threads[0].stop = CPROF_STOP_NO_RULE;
	check_text(&f, false, false,
		   "thread 100 \"t0\" [read, S, cpu 1]:\n[unknown]+0x1000(...)\n\t?\n"
		   "(the stack ends here: no unwind information)\n\n");
	tear_down(&f);
}

TEST(thread_text_tells_what_a_freezer_holds)
{
	struct fixture f;
	set_up(&f, 1);
	strcpy(f.threads[0].wchan, "get_signal");
	check_text(&f, false, false,
		   "thread 100 \"t0\" [read, frozen, S, cpu 1]:\n[unknown]+0x1000(...)\n\t?\n\n");
	f.threads[0].call.kind = CPROF_CALL_OUTSIDE;
	f.threads[0].wait.call = "";
	f.threads[0].state = 'D';
	strcpy(f.threads[0].wchan, "__refrigerator");
	check_text(&f, false, false,
		   "thread 100 \"t0\" [frozen, D, cpu 1]:\n[unknown]+0x1000(...)\n\t?\n\n");
	strcpy(f.threads[0].wchan, "folio_wait_bit");
	check_text(&f, false, false,
		   "thread 100 \"t0\" [page fault at folio_wait_bit, D, cpu 1]:\n"
		   "[unknown]+0x1000(...)\n\t?\n\n");
	tear_down(&f);
}

TEST(thread_text_tells_a_whole_stack_that_was_not_read_with_the_others)
{
	struct fixture f;
	set_up(&f, 1);
	f.threads[0].why = "it cannot be traced";
	check_text(&f, false, false,
		   "thread 100 \"t0\" [read, S, cpu 1]:\n[unknown]+0x1000(...)\n\t?\n"
		   "(not stopped with the others: it cannot be traced)\n\n");
	tear_down(&f);
}

TEST(thread_text_groups_equal_stacks_with_equal_waits_only)
{
	struct fixture f;
	set_up(&f, 4);
	f.threads[2].wait.call = "write";
	f.threads[3].idle_ns = 9000000000;
	check_text(&f, true, false,
		   "3 threads [read, up to 9.0s]: 100 \"t0\", 101 \"t1\", 103 \"t3\":\n"
		   "[unknown]+0x1000(...)\n\t?\n\n"
		   "thread 102 \"t2\" [write, S, cpu 1]:\n[unknown]+0x1000(...)\n\t?\n\n");
	tear_down(&f);
}

TEST(thread_text_writes_headers_that_readers_of_go_dumps_know)
{
	struct fixture f;
	set_up(&f, 2);
	f.threads[0].idle_ns = 59ull * 1000000000;
	f.threads[1].idle_ns = 301ull * 1000000000;
	check_text(&f, false, true,
		   "goroutine 100 [read]:\n[unknown]+0x1000(...)\n\t?\n\n"
		   "goroutine 101 [read, 5 minutes]:\n[unknown]+0x1000(...)\n\t?\n\n");
	tear_down(&f);
}

TEST(thread_text_tells_a_deadlock_with_who_waits_behind)
{
	struct fixture f;
	set_up(&f, 3);
	for (size_t i = 0; i < 3; i++) {
		f.threads[i].wait = (struct cprof_lock_wait){ .kind = CPROF_LOCK_MUTEX,
							      .addr = 0x50 + i,
							      .call = "futex" };
		f.threads[i].owner = i == 2 ? 0 : 1 - i;
	}
	f.threads[0].cycle = f.threads[1].cycle = f.snapshot.n_cycles = 1;
	f.threads[0].waiters = 1;
	struct cprof_buffer text = { 0 };
	cprof_thread_text_deadlocks(&f.snapshot, &text);
	CHECK_STR(cprof_buffer_text(&text),
		  "deadlock: 2 threads wait for each other\n"
		  "  thread 100 \"t0\" waits for mutex 0x50 held by 101 \"t1\"\n"
		  "  thread 101 \"t1\" waits for mutex 0x51 held by 100 \"t0\"\n"
		  "  1 more wait behind them\n");
	cprof_buffer_deinit(&text);
	tear_down(&f);
}
