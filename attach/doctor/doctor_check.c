/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/doctor/doctor_check.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "attach/doctor/doctor_grant.h"
#include "attach/run/run_log.h"
#include "attach/run/run_runner.h"
#include "attach/run/window.h"
#include "attach/target/ptrace_denied.h"
#include "base/cache_dir.h"
#include "base/cleanup.h"
#include "base/state_dir.h"
#include "cprof/profile.h"
#include "symbolize/names/kernel.h"

#define OTHERS_MAX 16
#define TRY_NS     1000000ull /* how long a mode runs: what it lacks shows before its window opens */

/* ---- access ---- */

struct cprof_error *cprof_doctor_check_access(const struct cprof_target *target)
{
	/* process_vm_readv(2) checks as PTRACE_ATTACH does, before it finds that nothing lies at this address. */
	char byte;
	const struct iovec here = { &byte, 1 }, nowhere = { (void *)(uintptr_t)8, 1 };
	const pid_t tid = cprof_target_living_tid(target);
	if (process_vm_readv(tid, &here, 1, &nowhere, 1, 0) >= 0 || errno == EFAULT)
		return NULL;
	const int why = errno;
	return why == ESRCH ? cprof_error_os(why, "process %d", (int)target->pid)
			    : cprof_ptrace_denied(target->pid, tid, why);
}

/* And is there nobody who does so already? */
static struct cprof_error *check_stop(const struct cprof_target *target)
{
	const pid_t tid = cprof_target_living_tid(target);
	struct cprof_error *err = cprof_doctor_check_access(target);
	if (err || !cprof_ptrace_tracer(target->pid, tid))
		return err;
	return cprof_ptrace_denied(target->pid, tid, EPERM);
}

static struct cprof_error *try_access(const struct cprof_doctor_patient *patient,
				      struct cprof_run_log *log)
{
	(void)log;
	return check_stop(patient->target);
}

/* One that lets us is enough: some let nobody. A zombie or a thread of the kernel cannot be asked. */
static struct cprof_error *try_others(const struct cprof_doctor_patient *patient,
				      struct cprof_run_log *log)
{
	CPROF_AUTO(closedir) DIR *dir = opendir("/proc");
	struct cprof_error *refused = NULL;
	unsigned n = 0;
	(void)patient, (void)log;
	for (struct dirent *entry; n < OTHERS_MAX && dir && (entry = readdir(dir));) {
		struct stat st;
		const struct cprof_target other = { .pid = (pid_t)strtol(entry->d_name, NULL, 10),
						    .pidfd = -1 };
		if (other.pid <= 0 || fstatat(dirfd(dir), entry->d_name, &st, 0) ||
		    st.st_uid == geteuid())
			continue;
		struct cprof_error *err = cprof_doctor_check_access(&other);
		if (err && err->code == CPROF_ERR_NO_TARGET) {
			cprof_error_free(err);
			continue;
		}
		cprof_error_free(refused);
		refused = err;
		if (!err)
			break;
		n++;
	}
	return refused;
}

/* ---- modes ---- */

static void choose_open(struct cprof_mode_requests *requests, const char *means)
{
	requests->cpu.strategy = means;
}

static void choose_event(struct cprof_mode_requests *requests, const char *means)
{
	requests->cpu.event = means;
}

static void choose_heap(struct cprof_mode_requests *requests, const char *means)
{
	requests->heap.method = means;
}

static void choose_waits(struct cprof_mode_requests *requests, const char *means)
{
	requests->waits.method = means;
}

static void choose_wall(struct cprof_mode_requests *requests, const char *means)
{
	requests->wall.method = means;
}

static void choose_threads(struct cprof_mode_requests *requests, const char *means)
{
	requests->threads.means = means;
}

static void choose_nothing(struct cprof_mode_requests *requests, const char *means)
{
	(void)requests, (void)means;
}

static struct cprof_error *run_mode(const struct cprof_doctor_check *check,
				    const struct cprof_doctor_patient *patient,
				    struct cprof_target *target, struct cprof_run_log *log)
{
	CPROF_AUTO(profile) struct cprof_profile *profile = NULL;
	struct cprof_window window = {
		.length_ns = TRY_NS, .stop_fd = -1, .targets = &target, .n_targets = 1
	};
	const struct cprof_run run = {
		.targets = &target,
		.n_targets = 1,
		.window = &window,
		.log = log,
		.naming = patient->naming,
	};
	struct cprof_mode_requests requests = cprof_mode_defaults;
	const struct cprof_mode *mode;
	struct cprof_error *err = cprof_mode_find(check->group, &mode);
	check->choose(&requests, check->means);
	if (!err)
		err = cprof_mode_run(mode, &run, &requests, &profile);
	cprof_window_deinit(&window);
	return err;
}

/* It worked on ours; would the process that was named let us, too? */
static struct cprof_error *ask_named(const struct cprof_doctor_check *check,
				     const struct cprof_doctor_patient *patient,
				     struct cprof_run_log *log)
{
	struct cprof_target *target = patient->target;
	const struct cprof_run run = { .targets = &target, .n_targets = 1, .log = log };
	const struct cprof_mode *mode;
	struct cprof_error *err = cprof_mode_find(check->group, &mode);
	if (!err)
		err = cprof_run_check_runner(&run, mode->effect);
	if (err)
		return err;
	return check->stops ? check_stop(target) : cprof_doctor_check_access(target);
}

struct cprof_error *cprof_doctor_check_try(const struct cprof_doctor_check *check,
					   const struct cprof_doctor_patient *patient,
					   struct cprof_run_log *log)
{
	if (check->try_it)
		return check->try_it(patient, log);
	struct cprof_error *err =
		run_mode(check, patient, check->changes ? patient->own : patient->target, log);
	return !err && check->changes && patient->named ? ask_named(check, patient, log) : err;
}

/* ---- names ---- */

static struct cprof_error *try_kernel_names(const struct cprof_doctor_patient *patient,
					    struct cprof_run_log *log)
{
	struct cprof_kernel kernel = { 0 };
	struct cprof_error *err = cprof_kernel_read(&kernel, NULL);
	(void)patient, (void)log;
	if (!err && kernel.restricted)
		err = cprof_error_new(CPROF_ERR_DENIED,
				      "/proc/kallsyms hides the addresses of functions");
	cprof_kernel_deinit(&kernel);
	return err;
}

/* Any mapping will do: whose file is there still is refused all the same. */
static struct cprof_error *try_deleted_files(const struct cprof_doctor_patient *patient,
					     struct cprof_run_log *log)
{
	char path[64];
	(void)log;
	snprintf(path, sizeof(path), "/proc/%d/map_files", (int)patient->target->pid);
	CPROF_AUTO(closedir) DIR *dir = opendir(path);
	struct dirent *entry = NULL;
	while (dir && (entry = readdir(dir)) && entry->d_name[0] == '.')
		;
	if (!entry)
		return cprof_error_os(dir ? ENOENT : errno, "read %s", path);
	/* Following the link is what takes the capability; access(2) would ask without it. */
	struct stat st;
	if (fstatat(dirfd(dir), entry->d_name, &st, 0) == 0)
		return NULL;
	return cprof_error_os(errno, "follow a link in %s", path);
}

/* ---- what is kept ---- */

/* Takes `dir`, which is NULL where there is none; nothing is made. */
static struct cprof_error *judge_dir(char *dir, const char *variable, const char *option)
{
	CPROF_AUTO(free) char *taken = dir;
	if (taken)
		return NULL;
	struct cprof_error *err = cprof_error_new(
		CPROF_ERR_UNSUPPORTED,
		"there is no directory for it that is ours alone: $HOME does not exist or is "
		"somebody else's, or cprof-attach has more rights than its caller");
	return cprof_error_hint(err, "set %s%s", variable, option);
}

static struct cprof_error *try_cache(const struct cprof_doctor_patient *patient,
				     struct cprof_run_log *log)
{
	(void)patient, (void)log;
	return judge_dir(cprof_cache_dir_default(), "XDG_CACHE_HOME",
			 "; without it each profile looks all names up anew");
}

static struct cprof_error *try_spool(const struct cprof_doctor_patient *patient,
				     struct cprof_run_log *log)
{
	(void)patient, (void)log;
	return judge_dir(cprof_state_dir_default("spool"), "XDG_STATE_HOME",
			 ", or give -spool DIR");
}

/* ---- the table ---- */

#define KERNEL_BPF                                                                                 \
	(CPROF_GRANT_PERFMON | CPROF_GRANT_BPF | CPROF_GRANT_PTRACE | CPROF_GRANT_HOST_PID |       \
	 CPROF_GRANT_LOCKDOWN)
#define EVENTS                                                                                     \
	(CPROF_GRANT_PERFMON | CPROF_GRANT_PTRACE | CPROF_GRANT_PARANOID | CPROF_GRANT_YAMA |      \
	 CPROF_GRANT_LOCKDOWN)
#define STOPS (CPROF_GRANT_PTRACE | CPROF_GRANT_YAMA)
#define SLEEP (CPROF_GRANT_DAC | STOPS)

/* clang-format off */
const struct cprof_doctor_check cprof_doctor_checks[] = {
	{ .group = "access", .means = "process", .tells = "its memory may be read, and it may be stopped", .whole = true, .needs = STOPS, .try_it = try_access },
	{ .group = "access", .means = "others", .tells = "processes of other users, too", .extra = true, .others = true, .needs = CPROF_GRANT_PTRACE, .try_it = try_others },

	{ .group = "cpu", .means = "cpu", .tells = "an event a CPU and a filter, for any number of threads", .whole = true, .needs = CPROF_GRANT_PERFMON | CPROF_GRANT_BPF | CPROF_GRANT_PTRACE | CPROF_GRANT_LOCKDOWN, .choose = choose_open },
	{ .group = "cpu", .means = "thread-cpu", .tells = "events per thread and CPU", .whole = true, .needs = EVENTS, .choose = choose_open },
	{ .group = "cpu", .means = "thread", .tells = "an event a thread; threads that live shortly are missed", .needs = EVENTS, .choose = choose_open },
	{ .group = "cpu", .means = "cycles", .tells = "the processor's own counters, as -event cycles", .extra = true, .needs = EVENTS, .choose = choose_event },

	{ .group = "heap", .means = "inline", .tells = "jumps put into the process", .whole = true, .changes = true, .stops = true, .needs = STOPS, .choose = choose_heap },
	{ .group = "heap", .means = "uprobe", .tells = "nothing injected, slower", .whole = true, .changes = true, .needs = CPROF_GRANT_PERFMON | CPROF_GRANT_BPF | CPROF_GRANT_ADMIN | CPROF_GRANT_PTRACE | CPROF_GRANT_LOCKDOWN, .choose = choose_heap },

	{ .group = "block", .means = "bpf", .tells = "every wait, also with -block all", .whole = true, .needs = KERNEL_BPF, .choose = choose_waits },
	{ .group = "block", .means = "perf", .tells = "waits for locks, by tracepoints", .needs = EVENTS | CPROF_GRANT_DAC, .choose = choose_waits },
	{ .group = "block", .means = "proc", .tells = "by looking every so often", .needs = SLEEP, .choose = choose_waits },

	{ .group = "mutex", .means = "bpf", .tells = "every release", .whole = true, .needs = KERNEL_BPF, .choose = choose_waits },
	{ .group = "mutex", .means = "perf", .tells = "every release, by tracepoints", .whole = true, .needs = EVENTS, .choose = choose_waits },

	{ .group = "wall", .means = "bpf", .tells = "every switch of every thread", .whole = true, .needs = KERNEL_BPF, .choose = choose_wall },
	{ .group = "wall", .means = "perf", .tells = "samples on a CPU, and off it by looking every so often", .needs = EVENTS | CPROF_GRANT_DAC, .choose = choose_wall },
	{ .group = "wall", .means = "proc", .tells = "by looking every so often; time on a CPU without stacks", .needs = SLEEP, .choose = choose_wall },

	{ .group = "threads", .means = "bpf", .tells = "by the kernel's list; nobody is stopped", .whole = true, .needs = KERNEL_BPF, .choose = choose_threads },
	{ .group = "threads", .means = "proc", .tells = "by /proc and samples of those that run; nobody is stopped", .whole = true, .needs = SLEEP | CPROF_GRANT_PERFMON, .choose = choose_threads },
	{ .group = "threads", .means = "ptrace", .tells = "by stopping every thread for a moment", .changes = true, .stops = true, .needs = STOPS, .choose = choose_threads },

	{ .group = "threadcreate", .means = "perf", .tells = "calls that start threads, by tracepoints", .whole = true, .needs = EVENTS, .choose = choose_nothing },

	{ .group = "names", .means = "kernel", .anyone = true, .tells = "the kernel's functions, by /proc/kallsyms", .needs = CPROF_GRANT_SYSLOG | CPROF_GRANT_KPTR | CPROF_GRANT_PARANOID, .try_it = try_kernel_names },
	{ .group = "names", .means = "deleted", .tells = "files that were deleted or replaced, by /proc/PID/map_files", .needs = CPROF_GRANT_CHECKPOINT | CPROF_GRANT_DAC, .try_it = try_deleted_files },

	{ .group = "keep", .means = "cache", .tells = "names for the next profile", .extra = true, .anyone = true, .try_it = try_cache },
	{ .group = "keep", .means = "spool", .tells = "profiles whose server is away, with -spool default", .extra = true, .anyone = true, .try_it = try_spool },
};
/* clang-format on */
const size_t cprof_doctor_n_checks = sizeof(cprof_doctor_checks) / sizeof(cprof_doctor_checks[0]);
