/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/target/thread_look.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>

#include "attach/target/stop_effect.h"
#include "attach/target/thread_probe.h"
#include "attach/target/thread_proc.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/file.h"
#include "cprof/buffer.h"

#define TEXT_MAX  4096
#define VFORK     0x00004000u /* CLONE_VFORK */
#define GROUP_MAX 4096
#define ANSWER_NS CPROF_NS_PER_S
#define PAUSE_NS  100000

/* ---- the cgroup ---- */

bool cprof_thread_look_group(const char *text, const char *controller, char *ret_path, size_t n)
{
	for (const char *line = text; line && *line; line = strchr(line, '\n')) {
		line += *line == '\n';
		const char *name = strchr(line, ':'), *end = strchr(line, '\n');
		const char *path = name ? strchr(name + 1, ':') : NULL;
		if (!path || (end && path > end))
			continue;
		size_t len = (size_t)(path - name - 1), path_len = strcspn(path + 1, "\n");
		if (len != strlen(controller) || strncmp(name + 1, controller, len) != 0 ||
		    path_len >= n)
			continue;
		memcpy(ret_path, path + 1, path_len);
		ret_path[path_len] = 0;
		return true;
	}
	return false;
}

/* Does `file` of the group of `pid` hold `word`? Where it is mounted is a habit, and where it is not nothing is known. */
static bool group_says(const char *groups, const char *controller, const char *mount,
		       const char *file, const char *word)
{
	char group[GROUP_MAX], path[GROUP_MAX + 128];
	CPROF_AUTO(buffer) struct cprof_buffer text = { 0 };
	if (!cprof_thread_look_group(groups, controller, group, sizeof(group)))
		return false;
	snprintf(path, sizeof(path), "%s%s/%s", mount, group, file);
	struct cprof_error *err = cprof_file_read(path, TEXT_MAX, &text);
	bool says = !err && strstr(cprof_buffer_text(&text), word);
	cprof_error_free(err);
	return says;
}

static bool is_frozen(pid_t pid)
{
	char path[64];
	CPROF_AUTO(buffer) struct cprof_buffer text = { 0 };
	snprintf(path, sizeof(path), "/proc/%d/cgroup", (int)pid);
	struct cprof_error *err = cprof_file_read(path, 1 << 16, &text);
	cprof_error_free(err);
	const char *groups = cprof_buffer_text(&text);
	return group_says(groups, "", "/sys/fs/cgroup", "cgroup.events", "frozen 1") ||
	       group_says(groups, "", "/sys/fs/cgroup/unified", "cgroup.events", "frozen 1") ||
	       group_says(groups, "freezer", "/sys/fs/cgroup/freezer", "freezer.state", "FR");
}

/* ---- the threads ---- */

static void note_blocked(pid_t pid, pid_t tid, struct cprof_thread_look *look)
{
	char text[TEXT_MAX];
	struct cprof_thread_status status;
	if (look->n_blocked < CPROF_THREAD_LOOK_BLOCKED_MAX &&
	    cprof_thread_read(pid, tid, "status", text, sizeof(text)) > 0 &&
	    cprof_thread_status_parse(text, &status) && status.state == 'D')
		look->blocked[look->n_blocked++] =
			(struct cprof_thread_blocked){ .tid = tid, .switches = status.switches };
}

static bool read_call(pid_t pid, pid_t tid, struct cprof_thread_call *ret)
{
	char text[TEXT_MAX];
	return cprof_thread_read(pid, tid, "syscall", text, sizeof(text)) > 0 &&
	       cprof_thread_call_parse(text, ret) && ret->kind == CPROF_CALL_BLOCKED;
}

static void note_asleep(pid_t pid, pid_t tid, struct cprof_thread_look *look)
{
	struct cprof_thread_call call;
	if (!read_call(pid, tid, &call))
		return;
	enum cprof_stop_effect effect = cprof_stop_effect(call.nr, call.args);
	if (effect == CPROF_STOP_CUT_SHORT) {
		look->cut_short++;
		look->cut_short_tid = tid;
	}
	look->interrupted += effect == CPROF_STOP_INTERRUPTED;
}

void cprof_thread_look_take(pid_t pid, struct cprof_thread_look *ret_look)
{
	CPROF_AUTO(free) pid_t *tids = NULL;
	size_t n = 0;
	*ret_look = (struct cprof_thread_look){ 0 };
	cprof_error_free(cprof_thread_list(pid, &tids, &n));
	ret_look->n_threads = n;
	for (size_t i = 0; i < n; i++) {
		char text[TEXT_MAX];
		struct cprof_thread_stat stat;
		if (cprof_thread_read(pid, tids[i], "stat", text, sizeof(text)) <= 0 ||
		    !cprof_thread_stat_parse(text, &stat))
			continue;
		if (stat.state == 'D')
			note_blocked(pid, tids[i], ret_look);
		else if (stat.state == 'S')
			note_asleep(pid, tids[i], ret_look);
	}
	ret_look->frozen = is_frozen(pid);
}

/* ---- the end of a call ---- */

static bool read_writes(pid_t pid, pid_t tid, uint64_t *ret)
{
	char text[TEXT_MAX];
	return cprof_thread_read(pid, tid, "io", text, sizeof(text)) > 0 &&
	       cprof_thread_io_parse(text, ret);
}

/* Which calls the kernel counts as writes (Linux, inc_syscw()). */
static bool is_counted(const struct cprof_thread_call *call)
{
	return call->nr == SYS_write || call->nr == SYS_writev || call->nr == SYS_sendfile;
}

/* Of a counted call the counter tells; of others, that the thread is somewhere else, or runs. */
static bool has_ended(pid_t pid, pid_t tid, const struct cprof_thread_call *first, uint64_t before)
{
	struct cprof_thread_call now;
	uint64_t writes;
	if (!read_writes(pid, tid, &writes) || writes != before)
		return true;
	bool asleep = read_call(pid, tid, &now);
	return asleep ? !cprof_thread_call_same(first, &now) : !is_counted(first);
}

bool cprof_thread_look_await_end(pid_t pid, pid_t tid, uint64_t until_ns)
{
	const struct timespec pause = { .tv_nsec = PAUSE_NS };
	struct cprof_thread_call first;
	uint64_t before;
	if (!read_writes(pid, tid, &before))
		return false;
	if (!read_call(pid, tid, &first))
		return true;
	while (cprof_clock_mono_ns() < until_ns) {
		nanosleep(&pause, NULL);
		if (has_ended(pid, tid, &first, before))
			return true;
	}
	return false;
}

pid_t cprof_thread_look_stuck(const struct cprof_thread_look *before,
			      const struct cprof_thread_look *now)
{
	for (size_t i = 0; i < now->n_blocked; i++) {
		for (size_t k = 0; k < before->n_blocked; k++) {
			if (now->blocked[i].tid == before->blocked[k].tid &&
			    now->blocked[i].switches == before->blocked[k].switches)
				return now->blocked[i].tid;
		}
	}
	return 0;
}

/* ---- words ---- */

static bool is_vfork(const struct cprof_thread_call *call)
{
#ifdef SYS_vfork
	if (call->nr == SYS_vfork)
		return true;
#endif
	return call->nr == SYS_clone3 || (call->nr == SYS_clone && (call->args[0] & VFORK));
}

pid_t cprof_thread_look_vforks(pid_t pid, const struct cprof_thread_look *look)
{
	for (size_t i = 0; i < look->n_blocked; i++) {
		struct cprof_thread_call call;
		if (read_call(pid, look->blocked[i].tid, &call) && is_vfork(&call))
			return look->blocked[i].tid;
	}
	return 0;
}

struct cprof_error *cprof_thread_look_hangs(pid_t pid, pid_t tid)
{
	struct cprof_thread_call call;
	bool known = read_call(pid, tid, &call);
	if (known && is_vfork(&call)) {
		struct cprof_error *err = cprof_error_new(
			CPROF_ERR_UNSUPPORTED,
			"thread %d of process %d cannot be stopped: it waits for a vfork child that "
			"has not begun its program yet",
			(int)tid, (int)pid);
		return cprof_error_hint(err, "try again when that is over");
	}
	char where[48] = "where it is in no system call";
	if (known)
		snprintf(where, sizeof(where), "in system call %lld", (long long)call.nr);
	struct cprof_error *err = cprof_error_new(
		CPROF_ERR_UNSUPPORTED,
		"thread %d of process %d cannot be stopped: it hangs in the kernel (state D), %s",
		(int)tid, (int)pid, where);
	return cprof_error_hint(err,
				"it waits for a disk, a network file system or another device: "
				"try again when that is over");
}

struct cprof_error *cprof_thread_look_memory(const struct cprof_target *target)
{
	char dir[64];
	struct cprof_thread_look look;
	cprof_thread_look_take(target->pid, &look);
	if (!look.n_blocked)
		return NULL;
	snprintf(dir, sizeof(dir), "/proc/%d/task/%d", (int)target->pid,
		 (int)cprof_target_living_tid(target));
	if (cprof_thread_probe_answers(dir, ANSWER_NS))
		return NULL;
	return cprof_error_wrap(cprof_thread_look_hangs(target->pid, look.blocked[0].tid),
				"the memory of process %d does not answer", (int)target->pid);
}

struct cprof_error *cprof_thread_look_frozen(pid_t pid)
{
	return cprof_error_hint(cprof_error_new(CPROF_ERR_UNSUPPORTED,
						"process %d is frozen by its cgroup and makes no "
						"system call",
						(int)pid),
				"try again when it has been thawed");
}
