#include "attach/heap/inject/heap_sharers.h"

#include <ctype.h>
#include <dirent.h>
#include <linux/kcmp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"

#define MOMENT_NS 50000000
#define MOMENTS   60 /* longer than a child takes from vfork to exec, on a busy machine too */

static bool same_memory(pid_t a, pid_t b)
{
	return syscall(SYS_kcmp, a, b, KCMP_VM, 0, 0) == 0;
}

/* A process that shares the memory of `pid`, other than `but`; 0: none. */
static pid_t find_sharer(pid_t pid, pid_t but)
{
	CPROF_AUTO(closedir) DIR *dir = opendir("/proc");
	struct dirent *entry;
	while (dir && (entry = readdir(dir))) {
		if (!isdigit((unsigned char)entry->d_name[0]))
			continue;
		pid_t other = (pid_t)strtol(entry->d_name, NULL, 10);
		if (other != pid && other != but && same_memory(pid, other))
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
		for (unsigned i = 0; i < MOMENTS && found && same_memory(pid, found); i++)
			nanosleep(&moment, NULL);
		if (!found || same_memory(pid, found))
			return found;
		transient = found;
	}
	return 0;
}
