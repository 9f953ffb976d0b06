/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/target/target.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "attach/target/program_head.h"
#include "attach/target/thread_proc.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/file.h"
#include "cprof/arch.h"

#define PROC_TEXT_MAX 65536
#define PF_KTHREAD    0x00200000 /* include/linux/sched.h; field 9 of /proc/PID/stat */

struct stat_line {
	char state;
	unsigned flags;
	uint64_t start_ticks, user_ticks, system_ticks;
};

static struct cprof_error *proc_read(pid_t pid, const char *file, struct cprof_buffer *out)
{
	char path[64];
	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, file);
	return cprof_file_read(path, PROC_TEXT_MAX, out);
}

/* proc(5): the comm in field 2 may hold anything, so count from the last parenthesis. */
static struct cprof_error *read_stat(pid_t pid, struct stat_line *ret)
{
	CPROF_AUTO(buffer) struct cprof_buffer text = { 0 };
	struct cprof_error *err = proc_read(pid, "stat", &text);
	if (err)
		return err;
	const char *after = strrchr(cprof_buffer_text(&text), ')');
	unsigned long long start, user, system;
	if (!after ||
	    sscanf(after + 1,
		   " %c %*d %*d %*d %*d %*d %u %*u %*u %*u %*u %llu %llu %*d %*d %*d %*d %*d "
		   "%*d %llu",
		   &ret->state, &ret->flags, &user, &system, &start) != 5)
		return cprof_error_new(CPROF_ERR_BAD_DATA, "/proc/%d/stat is malformed", (int)pid);
	ret->start_ticks = start;
	ret->user_ticks = user;
	ret->system_ticks = system;
	return NULL;
}

/* The last number on the line `key` of /proc/PID/status, or -1. */
static long status_last(const char *status, const char *key)
{
	const char *line = strstr(status, key);
	if (!line)
		return -1;
	long value = -1;
	for (line += strlen(key); *line && *line != '\n';) {
		char *end;
		long number = strtol(line, &end, 10);
		if (end == line)
			break;
		value = number;
		line = end;
	}
	return value;
}

static struct cprof_error *no_process(pid_t pid)
{
	struct cprof_error *err =
		cprof_error_new(CPROF_ERR_NO_TARGET, "no process has the id %d", (int)pid);
	return cprof_error_hint(err, "list processes with ps -e, or name one with -n");
}

static struct cprof_error *is_thread(pid_t pid, const char *status)
{
	long tgid = status_last(status, "\nTgid:");
	struct cprof_error *err =
		cprof_error_new(CPROF_ERR_USAGE, "%d is a thread of process %ld", (int)pid, tgid);
	return cprof_error_hint(err, "use -p %ld; every sample carries the thread it is from",
				tgid);
}

/* A pidfd can be had for the leader only; before Linux 6.9 a thread's id gives EINVAL, later ENOENT. */
static struct cprof_error *open_pidfd(pid_t pid, int *ret_fd)
{
	if (pid <= 0)
		return cprof_error_new(CPROF_ERR_USAGE, "%d is not a process id", (int)pid);
	int fd = (int)syscall(SYS_pidfd_open, pid, 0u);
	if (fd >= 0) {
		*ret_fd = fd;
		return NULL;
	}
	int why = errno;
	CPROF_AUTO(buffer) struct cprof_buffer status = { 0 };
	struct cprof_error *err = proc_read(pid, "status", &status);
	if (err || why == ESRCH) {
		cprof_error_free(err);
		return no_process(pid);
	}
	if (status_last(cprof_buffer_text(&status), "\nTgid:") != pid)
		return is_thread(pid, cprof_buffer_text(&status));
	return cprof_error_os(why, "pidfd_open %d", (int)pid);
}

static void read_comm(struct cprof_target *target)
{
	CPROF_AUTO(buffer) struct cprof_buffer text = { 0 };
	cprof_error_free(proc_read(target->pid, "comm", &text));
	snprintf(target->comm, sizeof(target->comm), "%s", cprof_buffer_text(&text));
	target->comm[strcspn(target->comm, "\n")] = 0;
}

/* proc(5) "Uid": real, effective, saved, and the one that files are opened with. */
static void read_owner(struct cprof_target *target, const char *status)
{
	unsigned real = 0, effective = 0, saved = 0, files = 0;
	const char *line = strstr(status, "\nUid:");
	if (!line || sscanf(line, "\nUid: %u %u %u %u", &real, &effective, &saved, &files) != 4)
		return;
	target->uid = files;
	target->one_uid = real == files && effective == files && saved == files;
}

/* The namespace a process is active in does not change after its creation. */
static void read_namespace(struct cprof_target *target, const char *status)
{
	char path[64];
	struct stat st;
	long ns_pid = status_last(status, "\nNStgid:");
	target->ns_pid = ns_pid > 0 ? (pid_t)ns_pid : target->pid;
	snprintf(path, sizeof(path), "/proc/%d/ns/pid", (int)target->pid);
	if (stat(path, &st) == 0) {
		target->pidns_dev = st.st_dev;
		target->pidns_inode = st.st_ino;
	}
}

/* A zombie leader is no zombie process as long as other threads run. */
static struct cprof_error *check_state(struct cprof_target *target, const struct stat_line *stat)
{
	if (stat->flags & PF_KTHREAD) {
		struct cprof_error *err = cprof_error_new(
			CPROF_ERR_UNSUPPORTED, "%d (%s) is a kernel thread, it has no program",
			(int)target->pid, target->comm);
		return cprof_error_hint(err, "kernel code shows up as kernel frames of the "
					     "processes that call it");
	}
	if (stat->state != 'Z' && stat->state != 'X')
		return NULL;
	if (cprof_target_alive(target) && cprof_target_living_tid(target) != target->pid) {
		target->leader_gone = true;
		return NULL;
	}
	struct cprof_error *err =
		cprof_error_new(CPROF_ERR_NO_TARGET, "%d (%s) has ended already: it is a zombie",
				(int)target->pid, target->comm);
	return cprof_error_hint(err, "it goes away when its parent waits for it");
}

static struct cprof_error *fill(struct cprof_target *target)
{
	struct stat_line stat = { 0 };
	struct cprof_error *err = read_stat(target->pid, &stat);
	if (err)
		return err;
	target->start_ticks = stat.start_ticks;
	read_comm(target);
	err = check_state(target, &stat);
	if (err)
		return err;

	CPROF_AUTO(buffer) struct cprof_buffer status = { 0 };
	err = proc_read(target->pid, "status", &status);
	if (err)
		return err;
	const char *text = cprof_buffer_text(&status);
	if (status_last(text, "\nTgid:") != target->pid)
		return is_thread(target->pid, text);
	read_owner(target, text);
	read_namespace(target, text);
	return cprof_target_check_program(target);
}

bool cprof_target_cpu_time(const struct cprof_target *target, uint64_t *ret_user_ns,
			   uint64_t *ret_system_ns)
{
	struct stat_line stat;
	struct cprof_error *err = read_stat(target->pid, &stat);
	bool known = !err && stat.start_ticks == target->start_ticks;
	cprof_error_free(err);
	if (!known)
		return false;
	uint64_t tick_ns = CPROF_NS_PER_S / (uint64_t)sysconf(_SC_CLK_TCK);
	*ret_user_ns = stat.user_ticks * tick_ns;
	*ret_system_ns = stat.system_ticks * tick_ns;
	return true;
}

struct cprof_error *cprof_target_open(pid_t pid, struct cprof_target **ret_target)
{
	struct cprof_target *target = calloc(1, sizeof(*target));
	if (!target)
		return cprof_error_no_memory();
	*target = (struct cprof_target){ .pid = pid, .pidfd = -1 };
	struct cprof_error *err = open_pidfd(pid, &target->pidfd);
	if (!err)
		err = fill(target);
	/* Alive still means that everything read above was this process, not one that got its id. */
	if (!err && !cprof_target_alive(target))
		err = cprof_error_new(CPROF_ERR_NO_TARGET, "process %d ended while we looked at it",
				      (int)pid);
	if (err) {
		cprof_target_close(target);
		return err;
	}
	*ret_target = target;
	return NULL;
}

void cprof_target_close(struct cprof_target *target)
{
	if (!target)
		return;
	if (target->pidfd >= 0)
		close(target->pidfd);
	free(target);
}

bool cprof_target_alive(struct cprof_target *target)
{
	struct pollfd pidfd = { .fd = target->pidfd, .events = POLLIN };
	if (!target->exited && poll(&pidfd, 1, 0) > 0)
		cprof_target_ended(target);
	return !target->exited;
}

void cprof_target_ended(struct cprof_target *target)
{
	if (target->exited)
		return;
	target->exited = true;
	target->exited_mono_ns = cprof_clock_mono_ns();
}

void cprof_target_replaced(struct cprof_target *target, uint64_t mono_ns)
{
	if (!target->exited || mono_ns < target->exited_mono_ns)
		target->exited_mono_ns = mono_ns;
	target->exited = true;
}

struct cprof_error *cprof_target_threads(const struct cprof_target *target, pid_t **ret_tids,
					 size_t *ret_n)
{
	return cprof_thread_list(target->pid, ret_tids, ret_n);
}

pid_t cprof_target_living_tid(const struct cprof_target *target)
{
	struct stat_line stat = { 0 };
	struct cprof_error *err = read_stat(target->pid, &stat);
	if (!err && stat.state != 'Z' && stat.state != 'X')
		return target->pid;
	cprof_error_free(err);

	CPROF_AUTO(free) pid_t *tids = NULL;
	size_t n = 0;
	cprof_error_free(cprof_target_threads(target, &tids, &n));
	for (size_t i = 0; i < n; i++) {
		err = tids[i] == target->pid ? NULL : read_stat(tids[i], &stat);
		if (!err && tids[i] != target->pid && stat.state != 'Z' && stat.state != 'X')
			return tids[i];
		cprof_error_free(err);
	}
	return target->pid;
}

static struct cprof_error *wrong_program(const struct cprof_target *target, const char *what)
{
	struct cprof_error *err = cprof_error_new(CPROF_ERR_UNSUPPORTED, "%d (%s) runs %s",
						  (int)target->pid, target->comm, what);
	return cprof_error_hint(err, "only 64-bit programs for %s can be profiled here",
				cprof_arch_host() ? cprof_arch_host()->name : "this CPU");
}

/*
 * ptrace(2) "Ptrace access mode checking": with the user's own ids it is the process that does not want to be looked into
 * (prctl(2) PR_SET_DUMPABLE), or that has more rights than we have.
 */
static struct cprof_error *may_not_look(const struct cprof_target *target, int why,
					const char *path)
{
	const bool own = target->uid == geteuid() && target->one_uid;
	struct cprof_error *err = cprof_error_os(
		why, "process %d (%s) belongs to uid %u%s: open %s", (int)target->pid, target->comm,
		(unsigned)target->uid,
		own ? " as we do, but is not dumpable (PR_SET_DUMPABLE), or has more rights or "
		      "another group than we"
		    : "",
		path);
	if (geteuid() == 0)
		return cprof_error_hint(err,
					"we are root without CAP_SYS_PTRACE, or in another user "
					"namespace: run outside of the container, or give it "
					"CAP_SYS_PTRACE and CAP_PERFMON");
	return cprof_error_hint(
		err, "%s as root (sudo), or give cprof-attach CAP_SYS_PTRACE and CAP_PERFMON",
		own || !target->one_uid ? "run"
					: "run as that user, if the process is dumpable, or");
}

struct cprof_error *cprof_target_check_program(const struct cprof_target *target)
{
	char path[64];
	unsigned char ident[20];
	pid_t tid = cprof_target_living_tid(target);
	snprintf(path, sizeof(path), "/proc/%d/exe", (int)tid);
	int why = cprof_program_head_read(tid, ident, sizeof(ident));
	if (why == EACCES || why == EPERM)
		return may_not_look(target, why, path);
	if (why && why != ENOEXEC)
		return cprof_error_os(why, "open %s", path);
	if (why || memcmp(ident, ELFMAG, SELFMAG) != 0)
		return wrong_program(target, "something that is no ELF program");
	if (ident[EI_CLASS] == ELFCLASS32)
		return wrong_program(target, "a 32-bit program");
	uint16_t machine;
	memcpy(&machine, ident + 18, sizeof(machine));
	if (!cprof_arch_by_machine(machine) || cprof_arch_by_machine(machine) != cprof_arch_host())
		return wrong_program(target, "a program for another CPU");
	return NULL;
}
