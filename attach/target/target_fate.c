/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/target/target_fate.h"

#include <assert.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>

#include "attach/target/memory_cgroup.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/file.h"

#define TEXT_MAX (1u << 20)
#define LOOK_NS  5000000ull /* between two looks at one whose parent has not waited for it yet */
#define CODE_AT  50         /* fields between the state and the exit code, the state counted */

/* include/uapi/linux/pidfd.h of Linux 6.15, which headers of today do not have. */
struct info {
	uint64_t mask, cgroup;
	uint32_t ids[11];
	int32_t exit_code;
};
static_assert(sizeof(struct info) == 64, "PIDFD_INFO_SIZE_VER0");
#define GET_INFO  _IOWR(0xff, 11, struct info)
#define INFO_EXIT (1u << 3)

/* ---- memory ---- */

static bool find_group(pid_t pid, struct cprof_memory_cgroup *group)
{
	char path[64];
	CPROF_AUTO(buffer) struct cprof_buffer names = { 0 }, mounts = { 0 };
	snprintf(path, sizeof(path), "/proc/%d/cgroup", (int)pid);
	struct cprof_error *err = cprof_file_read(path, TEXT_MAX, &names);
	if (!err)
		err = cprof_file_read("/proc/self/mountinfo", TEXT_MAX, &mounts);
	const bool found = !err && cprof_memory_cgroup_find(cprof_buffer_text(&names),
							    cprof_buffer_text(&mounts), "",
							    group) == CPROF_MEMORY_CGROUP_FOUND;
	cprof_error_free(err);
	return found && !group->wild;
}

/* Of version 2 a file of its own says it, of version 1 a line of memory.oom_control. */
static bool read_killed(const char *events, uint64_t *ret)
{
	CPROF_AUTO(buffer) struct cprof_buffer text = { 0 };
	struct cprof_error *err = cprof_file_read(events, TEXT_MAX, &text);
	const char *line = err ? NULL : strstr(cprof_buffer_text(&text), "oom_kill ");
	cprof_error_free(err);
	if (!line)
		return false;
	*ret = strtoull(line + strlen("oom_kill "), NULL, 10);
	return true;
}

void cprof_target_fate_start(struct cprof_target_fate *fate, const struct cprof_target *target)
{
	struct cprof_memory_cgroup group;
	*fate = (struct cprof_target_fate){ 0 };
	if (find_group(target->pid, &group))
		snprintf(fate->events, sizeof(fate->events), "%s/%s", group.dir,
			 group.v2 ? "memory.events" : "memory.oom_control");
	else /* then of the whole machine */
		snprintf(fate->events, sizeof(fate->events), "/proc/vmstat");
	if (!read_killed(fate->events, &fate->killed))
		fate->events[0] = 0;
}

/* ---- how it ended ---- */

bool cprof_target_fate_parse(const char *text, int *ret_status)
{
	const char *at = strrchr(text, ')');
	char state, *end;
	if (!at || sscanf(at + 1, " %c", &state) != 1 || (state != 'Z' && state != 'X'))
		return false;
	at++;
	for (int i = 0; i < CODE_AT - 1; i++) {
		at += strspn(at, " ");
		at += strcspn(at, " ");
	}
	const long status = strtol(at, &end, 10);
	if (end == at || status < 0 || status > 0xffff)
		return false;
	*ret_status = (int)status;
	return true;
}

/* 0 is what the kernel shows to those who may not know, too. False: it is no zombie (any more). */
static bool read_zombie(const struct cprof_target *target, struct cprof_target_fate *fate)
{
	char path[64];
	CPROF_AUTO(buffer) struct cprof_buffer text = { 0 };
	snprintf(path, sizeof(path), "/proc/%d/stat", (int)target->pid);
	struct cprof_error *err = cprof_file_read(path, TEXT_MAX, &text);
	int status;
	const bool is = !err && cprof_target_fate_parse(cprof_buffer_text(&text), &status);
	cprof_error_free(err);
	if (is && status) {
		fate->known = true;
		fate->status = status;
	}
	return is;
}

static bool ask_pidfd(const struct cprof_target *target, struct cprof_target_fate *fate)
{
	struct info info = { .mask = INFO_EXIT };
	if (target->pidfd < 0 || ioctl(target->pidfd, GET_INFO, &info) != 0 ||
	    !(info.mask & INFO_EXIT))
		return false;
	fate->known = true;
	fate->status = info.exit_code;
	return true;
}

void cprof_target_fate_end(struct cprof_target_fate *fate, const struct cprof_target *target,
			   uint64_t most_ns)
{
	const uint64_t until = cprof_clock_mono_ns() + most_ns;
	uint64_t killed;
	bool waits = true;
	while (waits && !fate->known) {
		waits = read_zombie(target, fate) && cprof_clock_mono_ns() < until;
		if (fate->known || ask_pidfd(target, fate) || !waits)
			break;
		const struct timespec pause = { 0, LOOK_NS };
		nanosleep(&pause, NULL);
	}
	if (fate->events[0] && read_killed(fate->events, &killed))
		fate->oom = killed > fate->killed;
	else if (fate->events[0] && read_killed("/proc/vmstat", &killed))
		fate->oom = false; /* its group has gone with it: nobody knows */
}

/* "SIGSEGV" */
static void put_signal(int number, struct cprof_buffer *out)
{
	const char *name = sigabbrev_np(number);
	cprof_buffer_printf(out, "signal %d", number);
	if (name)
		cprof_buffer_printf(out, " (SIG%s)", name);
}

void cprof_target_fate_describe(const struct cprof_target_fate *fate, struct cprof_buffer *out)
{
	const int status = fate->status;
	if (!fate->known) {
		cprof_buffer_puts(out, "has ended, and its parent alone knows how (before Linux "
				       "6.15 the kernel tells nobody else)");
	} else if (WIFSIGNALED(status)) {
		cprof_buffer_puts(out, "was ended by ");
		put_signal(WTERMSIG(status), out);
		if (WCOREDUMP(status))
			cprof_buffer_puts(out, ", with a core dump");
	} else {
		cprof_buffer_printf(out, "has ended with status %d", WEXITSTATUS(status));
	}
	if (fate->oom && (!fate->known || (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)))
		cprof_buffer_printf(out,
				    "; the kernel's OOM killer has ended a process meanwhile "
				    "%s, most likely this one",
				    strcmp(fate->events, "/proc/vmstat") == 0
					    ? "on this machine"
					    : "in its memory group");
}
