/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/heap/inject/heap_sharers.h"

#include <ctype.h>
#include <dirent.h>
#include <linux/kcmp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "attach/target/thread_proc.h"
#include "base/cleanup.h"

#define MOMENT_NS 50000000
#define MOMENTS   60 /* longer than a child takes from vfork to exec, on a busy machine too */

static bool same_memory(pid_t a, pid_t b)
{
	return syscall(SYS_kcmp, a, b, KCMP_VM, 0, 0) == 0;
}

/*
 * A thread of `pid` that has memory: the kernel finds one that has ended alike with kernel threads and with all others that
 * have ended, which have none. The pid where nobody lives any more.
 */
static pid_t living(pid_t pid)
{
	char text[1024];
	struct cprof_thread_stat stat;
	CPROF_AUTO(free) pid_t *tids = NULL;
	size_t n = 0;
	if (cprof_thread_read(pid, pid, "stat", text, sizeof(text)) > 0 &&
	    cprof_thread_stat_parse(text, &stat) && stat.state != 'Z' && stat.state != 'X')
		return pid;
	cprof_error_free(cprof_thread_list(pid, &tids, &n));
	return n > 1 ? tids[1] : pid;
}

/* A process that shares the memory of `pid`, other than `but`; 0: none. */
static pid_t find_sharer(pid_t pid, pid_t but)
{
	CPROF_AUTO(closedir) DIR *dir = opendir("/proc");
	const pid_t ours = living(pid);
	struct dirent *entry;
	while (dir && (entry = readdir(dir))) {
		if (!isdigit((unsigned char)entry->d_name[0]))
			continue;
		pid_t other = (pid_t)strtol(entry->d_name, NULL, 10);
		if (other == pid || other == but)
			continue;
		if (same_memory(ours, other) || same_memory(ours, living(other)))
			return other;
	}
	return 0;
}

pid_t cprof_heap_sharer(pid_t pid)
{
	const struct timespec moment = { .tv_nsec = MOMENT_NS };
	pid_t transient = 0;
	for (unsigned turn = 0; turn < 3; turn++) {
		pid_t found = find_sharer(pid, transient);
		const pid_t ours = living(pid), theirs = found ? living(found) : 0;
		for (unsigned i = 0; i < MOMENTS && found && same_memory(ours, theirs); i++)
			nanosleep(&moment, NULL);
		if (!found || same_memory(ours, theirs))
			return found;
		transient = found;
	}
	return 0;
}
