/* SPDX-License-Identifier: Apache-2.0 */
/* Which processes are meant, and that they are noticed as they come and go. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "attach/targets/target_ids.h"
#include "attach/targets/target_news.h"
#include "attach/targets/target_pending.h"
#include "attach/targets/target_rules.h"
#include "attach/targets/target_scan.h"
#include "attach/targets/target_set.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "tests/unit/test.h"

TEST(target_rules_match_names_programs_groups_and_units)
{
	static const char v2[] =
		"0::/system.slice/system-postgresql.slice/postgresql@15-main.service\n";
	static const char v1[] =
		"9:name=systemd:/user.slice/user-7.slice/user@7.service/app.slice/job.service\n"
		"4:memory:/kube/pod1/abc\n0::/\n";
	static const struct {
		const char *name, *group, *unit, *comm, *exe, *cgroups;
		bool want;
	} rows[] = {
		{ "redis-server", NULL, NULL, "redis-server", "/usr/bin/redis-check-rdb", "",
		  true },
		{ "redis-check-rdb", NULL, NULL, "redis-server", "/usr/bin/redis-check-rdb", "",
		  true },
		{ "redis", NULL, NULL, "redis-server", "/usr/bin/redis-server", "", false },
		{ "redis*", NULL, NULL, "redis-server", "", "", true },
		{ "/usr/*/redis-server", NULL, NULL, "x", "/usr/bin/redis-server", "", true },
		{ "/usr/*/redis-server", NULL, NULL, "redis-server", "/opt/redis-server", "",
		  false },
		{ "*", NULL, NULL, "", "", "", false },
		{ "a-name-longer-than-the-kernel-keeps", NULL, NULL, "a-name-longer-t",
		  "/x/a-name-longer-than-the-kernel-keeps", "", true },
		{ NULL, "/system.slice", NULL, "x", "/x", v2, true },
		{ NULL, "/system", NULL, "x", "/x", v2, false },
		{ NULL, "/kube/pod1", NULL, "x", "/x", v1, true },
		{ NULL, "/kube/pod1/abc/d", NULL, "x", "/x", v1, false },
		{ NULL, "/", NULL, "x", "/x", v2, true },
		{ NULL, "/a", NULL, "x", "/x", "no line of a kernel\n1:2\n:::\n0::\n", false },
		{ NULL, NULL, "postgresql@15-main.service", "x", "/x", v2, true },
		{ NULL, NULL, "postgresql@15-main", "x", "/x", v2, true },
		{ NULL, NULL, "postgresql@*", "x", "/x", v2, true },
		{ NULL, NULL, "postgresql", "x", "/x", v2, false },
		{ NULL, NULL, "system-postgresql.slice", "x", "/x", v2, true },
		{ NULL, NULL, "job", "x", "/x", v1, true },
		{ NULL, NULL, "user@7", "x", "/x", v1, true },
		{ NULL, NULL, "app", "x", "/x", v1, false },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct cprof_target_rules rules = {
			.names = &rows[i].name,
			.n_names = rows[i].name != NULL,
			.groups = &rows[i].group,
			.n_groups = rows[i].group != NULL,
			.units = &rows[i].unit,
			.n_units = rows[i].unit != NULL,
		};
		const struct cprof_target_traits traits = { rows[i].comm, rows[i].exe,
							    rows[i].cgroups };
		if (cprof_target_rules_match(&rules, &traits) != rows[i].want)
			TEST_FAIL("row %zu: %s %s %s", i, rows[i].name ? rows[i].name : "",
				  rows[i].group ? rows[i].group : "",
				  rows[i].unit ? rows[i].unit : "");
	}
}

TEST(target_rules_know_a_directory_of_a_control_group)
{
	static const char mounts[] =
		"31 25 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - tmpfs tmpfs ro\n"
		"32 31 0:27 / /sys/fs/cgroup/unified rw shared:10 - cgroup2 cgroup2 rw\n"
		"33 31 0:28 /docker/abc /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
		"nonsense\n\n";
	static const struct {
		const char *path, *want;
	} rows[] = {
		{ "/sys/fs/cgroup/unified/system.slice/x.service/", "/system.slice/x.service" },
		{ "/sys/fs/cgroup/memory/inner", "/docker/abc/inner" },
		{ "/sys/fs/cgroup/memory", "/docker/abc" },
		{ "/sys/fs/cgroup/unified", "/" },
		{ "/system.slice", "/system.slice" },
		{ "system.slice//", "/system.slice" },
		{ "", "/" },
		{ "/sys/fs/cgroup/memoryless", "/sys/fs/cgroup/memoryless" },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		CPROF_AUTO(buffer) struct cprof_buffer got = { 0 };
		cprof_target_rules_group_path(mounts, rows[i].path, &got);
		CHECK_STR(cprof_buffer_text(&got), rows[i].want);
	}
}

struct seen {
	pid_t wanted; /* 0: nobody */
	size_t n, n_wanted;
	pid_t pids[64], parents[64];
};

static void on_pid(void *ctx, pid_t pid)
{
	struct seen *seen = ctx;
	if (seen->n < 64)
		seen->pids[seen->n] = pid;
	seen->n++;
	seen->n_wanted += pid == seen->wanted;
}

static void on_news(void *ctx, pid_t pid, pid_t parent)
{
	struct seen *seen = ctx;
	if (seen->n < 64)
		seen->parents[seen->n] = parent;
	on_pid(ctx, pid);
}

static pid_t start_child(const char *name)
{
	const pid_t pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		prctl(PR_SET_NAME, name);
		for (;;)
			pause();
	}
	return pid;
}

static void end_child(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

TEST(target_scan_hands_out_who_is_new_and_everybody_by_turns)
{
	struct cprof_target_scan scan = { 0 };
	struct seen all = { 0 };
	CHECK(!cprof_target_scan_look(&scan, 1, on_pid, &all));
	CHECK(all.n > 0 && all.n == scan.n);
	const pid_t pid = start_child("scanned");
	struct seen child = { .wanted = pid }, turns = child;
	CHECK(!cprof_target_scan_look(&scan, 1000000007, on_pid, &child));
	CHECK_UINT(child.n_wanted, 1);
	for (int i = 0; i < 5; i++)
		CHECK(!cprof_target_scan_look(&scan, 5, on_pid, &turns));
	CHECK_UINT(turns.n_wanted, 1);
	end_child(pid);
	cprof_target_scan_deinit(&scan);
}

TEST(target_news_of_any_bytes_is_safe_and_of_the_kernels_is_read)
{
	/* A fork of 7 (thread 9) into 100, as Linux 6.1 wrote it; behind it the exec of 100. */
	static const uint8_t fork_event[] = {
		76, 0, 0, 0, 3, 0, 0,  0, 0,   0, 0, 0, 0,   0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0,
		0,  0, 0, 0, 0, 0, 40, 0, 0,   0, 1, 0, 0,   0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
		9,  0, 0, 0, 7, 0, 0,  0, 100, 0, 0, 0, 100, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
	};
	struct seen seen = { 0 };
	cprof_target_news_parse(fork_event, sizeof(fork_event), on_news, &seen);
	CHECK_UINT(seen.n, 1);
	CHECK_UINT(seen.pids[0], 100);
	CHECK_UINT(seen.parents[0], 7);
	uint8_t copy[sizeof(fork_event)];
	for (size_t at = 0; at < sizeof(copy); at++) {
		memcpy(copy, fork_event, sizeof(copy));
		copy[at] ^= 0xff;
		cprof_target_news_parse(copy, sizeof(copy), on_news, &seen);
		cprof_target_news_parse(fork_event, at, on_news, &(struct seen){ 0 });
	}
}

/* ---- the set ---- */

struct log {
	pid_t came[64], went[64];
	size_t n_came, n_went, n_said;
	bool ended;
};

static void on_came(void *ctx, struct cprof_target *target)
{
	struct log *log = ctx;
	if (log->n_came < 64)
		log->came[log->n_came++] = target->pid;
	cprof_target_close(target);
}

static void on_went(void *ctx, pid_t pid, uint64_t start_ticks, bool ended)
{
	struct log *log = ctx;
	CHECK(start_ticks != 0);
	if (log->n_went < 64)
		log->went[log->n_went++] = pid;
	log->ended = ended;
}

static void on_say(void *ctx, const char *text)
{
	struct log *log = ctx;
	log->n_said += *text != 0;
}

/* Until there are so many; a minute at most. */
static void run_until(struct cprof_target_set *set, const size_t *count, size_t want)
{
	const uint64_t until = cprof_clock_mono_ns() + 60 * CPROF_NS_PER_S;
	while (*count < want) {
		const uint64_t now = cprof_clock_mono_ns(), due = cprof_target_set_due_mono_ns(set);
		CHECK(now < until);
		struct pollfd fd = { .fd = cprof_target_set_fd(set), .events = POLLIN };
		poll(&fd, 1,
		     due > now ? (int)((due < until ? due - now : until - now) / 1000000 + 1) : 0);
		cprof_target_set_run(set, cprof_clock_mono_ns());
	}
}

TEST(target_set_tells_of_a_named_process_and_of_its_end)
{
	struct log log = { 0 };
	const struct cprof_target_set_events events = { on_came, on_went, on_say, &log };
	const pid_t pid = start_child("set-named");
	const struct cprof_target_rules rules = { .pids = &pid, .n_pids = 1 };
	struct cprof_target_set *set;
	CHECK(!cprof_target_set_open(&rules, &events, &set));
	CHECK_UINT(log.n_came, 1);
	CHECK_UINT(log.came[0], pid);
	CHECK(cprof_target_set_due_mono_ns(set) == UINT64_MAX);
	end_child(pid);
	run_until(set, &log.n_went, 1);
	CHECK_UINT(log.went[0], pid);
	CHECK(log.ended);
	cprof_target_set_close(set);
	struct cprof_error *err = cprof_target_set_open(&rules, &events, &set);
	CHECK(err && err->code == CPROF_ERR_NO_TARGET);
	cprof_error_free(err);
}

/* What runs this very program counts as a profiler: this one runs another. It has another name once it gets SIGUSR1. */
static pid_t start_sleeper(const char *name, int quiet_fd)
{
	const pid_t pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(quiet_fd, 0);
		execl("/bin/sh", "sh", "-c",
		      "trap 'printf cprof-set-b >/proc/self/comm' USR1; printf %s \"$0\" >/proc/self/comm; "
		      "while :; do read x; done",
		      name, (char *)NULL);
		_exit(127);
	}
	return pid;
}

TEST(target_set_tells_who_comes_later_and_who_has_another_name_now)
{
	struct log log = { 0 };
	const char *const names[] = { "cprof-set-a*" };
	const struct cprof_target_set_events events = { on_came, on_went, on_say, &log };
	const struct cprof_target_rules rules = { .names = names, .n_names = 1 };
	const struct cprof_target_rules nobody = { .children = true };
	struct cprof_target_set *set;
	int quiet[2];
	CHECK(pipe(quiet) == 0);
	const pid_t first = start_sleeper("cprof-set-a1", quiet[0]);
	CHECK(!cprof_target_set_open(&rules, &events, &set));
	run_until(set, &log.n_came, 1);
	CHECK_UINT(log.came[0], first);
	const pid_t second = start_sleeper("cprof-set-a2", quiet[0]);
	run_until(set, &log.n_came, 2);
	CHECK_UINT(log.came[1], second);
	end_child(second);
	run_until(set, &log.n_went, 1);
	CHECK_UINT(log.went[0], second);
	CHECK(log.ended);
	kill(first, SIGUSR1);
	run_until(set, &log.n_went, 2);
	CHECK_UINT(log.went[1], first);
	CHECK(!log.ended);
	cprof_target_set_again(set, &nobody);
	cprof_target_set_close(set);
	end_child(first);
}

TEST(target_set_takes_other_rules)
{
	struct log log = { 0 };
	const struct cprof_target_set_events events = { on_came, on_went, on_say, &log };
	const pid_t pids[] = { start_child("set-one"), start_child("set-two") };
	const struct cprof_target_rules one = { .pids = pids, .n_pids = 1 },
					two = { .pids = pids + 1, .n_pids = 1 };
	struct cprof_target_set *set;
	CHECK(!cprof_target_set_open(&one, &events, &set));
	cprof_target_set_again(set, &two);
	CHECK_UINT(log.n_came, 2);
	CHECK_UINT(log.came[1], pids[1]);
	CHECK_UINT(log.n_went, 1);
	CHECK_UINT(log.went[0], pids[0]);
	CHECK(!log.ended);
	cprof_target_set_close(set);
	end_child(pids[0]);
	end_child(pids[1]);
}

/* Rules that name somebody who is not there count all the same: the ones before may be gone. */
TEST(target_set_says_who_is_not_there_and_takes_the_others)
{
	struct log log = { 0 };
	const struct cprof_target_set_events events = { on_came, on_went, on_say, &log };
	const pid_t pids[] = { start_child("set-one"), start_child("set-two") };
	const pid_t none_and_two[] = { 999999999, pids[1] };
	struct cprof_target_rules before = { .pids = pids, .n_pids = 1 };
	const struct cprof_target_rules after = { .pids = none_and_two, .n_pids = 2 };
	struct cprof_target_set_stats stats;
	struct cprof_target_set *set;
	CHECK(!cprof_target_set_open(&before, &events, &set));
	cprof_target_set_again(set, &after);
	before = (struct cprof_target_rules){ .pids = (const pid_t *)1, .n_pids = 1 };
	CHECK_UINT(log.n_said, 1);
	CHECK_UINT(log.n_came, 2);
	CHECK_UINT(log.came[1], pids[1]);
	CHECK_UINT(log.n_went, 1);
	/* It has been there once, and is not looked for again; the other one is. */
	end_child(pids[1]);
	run_until(set, &log.n_went, 2);
	cprof_target_set_again(set, &after);
	CHECK_UINT(log.n_said, 2);
	cprof_target_set_stats(set, &stats);
	CHECK_UINT(stats.members, 0);
	cprof_target_set_close(set);
	end_child(pids[0]);
}

/* What was read from the file may be where the last reading was: nothing is compared with the rules before. */
TEST(target_set_takes_an_id_that_comes_in_the_same_place)
{
	struct log log = { 0 };
	const struct cprof_target_set_events events = { on_came, on_went, on_say, &log };
	const pid_t pids[] = { start_child("set-one"), start_child("set-two") };
	struct cprof_target_rules rules = { .pids = pids, .n_pids = 1 };
	struct cprof_target_set *set;
	CHECK(!cprof_target_set_open(&rules, &events, &set));
	rules.n_pids = 2;
	cprof_target_set_again(set, &rules);
	CHECK_UINT(log.n_came, 2);
	CHECK_UINT(log.came[1], pids[1]);
	cprof_target_set_close(set);
	end_child(pids[0]);
	end_child(pids[1]);
}

TEST(target_set_keeps_a_member_that_is_named_by_its_id_now)
{
	struct log log = { 0 };
	const char *const names[] = { "cprof-set-c*" };
	const struct cprof_target_set_events events = { on_came, on_went, on_say, &log };
	const struct cprof_target_rules by_name = { .names = names, .n_names = 1 };
	struct cprof_target_set *set;
	int quiet[2];
	CHECK(pipe(quiet) == 0);
	const pid_t pid = start_sleeper("cprof-set-c", quiet[0]);
	const struct cprof_target_rules by_id = { .pids = &pid, .n_pids = 1 };
	CHECK(!cprof_target_set_open(&by_name, &events, &set));
	run_until(set, &log.n_came, 1);
	cprof_target_set_again(set, &by_id);
	CHECK_UINT(log.n_came, 1);
	CHECK_UINT(log.n_went, 0);
	cprof_target_set_close(set);
	end_child(pid);
}

TEST(target_ids_are_a_set)
{
	static const pid_t order[] = { 5, 1, 9, 5, 3, 9 };
	struct cprof_target_ids ids = { 0 };
	for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++)
		CHECK(cprof_target_ids_add(&ids, order[i]));
	CHECK_UINT(ids.n, 4);
	for (pid_t pid = 0; pid < 11; pid++)
		CHECK_UINT(cprof_target_ids_has(&ids, pid),
			   pid == 1 || pid == 3 || pid == 5 || pid == 9);
	cprof_target_ids_remove(&ids, 4);
	cprof_target_ids_remove(&ids, 9);
	cprof_target_ids_remove(&ids, 1);
	CHECK_UINT(ids.n, 2);
	CHECK(cprof_target_ids_has(&ids, 3) && cprof_target_ids_has(&ids, 5));
	cprof_target_ids_deinit(&ids);
}

static void on_settled(void *ctx, pid_t pid, pid_t parent)
{
	struct seen *seen = ctx;
	CHECK_UINT(parent, pid + 1);
	on_news(seen, pid, parent);
}

TEST(target_pending_hands_out_the_oldest_first_a_piece_at_a_time_and_has_a_bound)
{
	struct cprof_target_pending pending = { 0 };
	struct seen first = { 0 }, second = { 0 };
	pid_t most = 0;
	while (most < 1000000 && cprof_target_pending_add(&pending, most + 1, most + 2))
		most++;
	CHECK(most < 1000000);
	CHECK(cprof_target_pending_add(&pending, most, most + 1)); /* it is told of twice */
	CHECK_UINT(pending.n, most);
	const uint64_t due = pending.due_mono_ns;
	cprof_target_pending_take(&pending, due - 1, on_settled, &first);
	CHECK_UINT(first.n, 0);
	cprof_target_pending_take(&pending, due, on_settled, &first);
	CHECK(first.n > 0 && first.n < (size_t)most);
	CHECK_UINT(pending.n, (size_t)most - first.n);
	CHECK(pending.due_mono_ns > due);
	cprof_target_pending_take(&pending, pending.due_mono_ns, on_settled, &second);
	CHECK_UINT(first.pids[0], 1);
	CHECK_UINT(second.pids[0], first.n + 1);
	cprof_target_pending_deinit(&pending);
}
