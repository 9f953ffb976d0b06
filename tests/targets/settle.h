/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/targets/settle.h - until the other threads of this process sleep, for programs that say "ready" then. Neither a time nor
 * their own word would do: a thread that has said that it is about to block may not have been let run since.
 */
#ifndef CPROF_TESTS_SETTLE_H
#define CPROF_TESTS_SETTLE_H

#include <dirent.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

struct settle_thread {
	char name[16], state;
	unsigned long switches;
};

/* This thread's id as /proc has it, which may be that of another namespace of processes. */
static inline pid_t settle_own_tid(void)
{
	char where[64] = "";
	const ssize_t n = readlink("/proc/thread-self", where, sizeof(where) - 1);
	const char *slash = n > 0 ? strrchr(where, '/') : NULL;
	return slash ? (pid_t)atoi(slash + 1) : 0;
}

/* By proc_pid_status(5), which needs nothing of the address space; false for a thread that has ended. */
static inline bool settle_look(pid_t tid, struct settle_thread *ret)
{
	static char text[8192];
	char path[64];
	unsigned long voluntary = 0, other = 0;
	snprintf(path, sizeof(path), "/proc/self/task/%d/status", (int)tid);
	const int fd = open(path, O_RDONLY | O_CLOEXEC);
	const ssize_t got = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (fd >= 0)
		close(fd);
	text[got > 0 ? got : 0] = 0;
	const char *state = strstr(text, "\nState:"), *v = strstr(text, "\nvoluntary_ctxt"),
		   *n = strstr(text, "\nnonvoluntary_ctxt");
	return sscanf(text, "Name: %15s", ret->name) == 1 && state && v && n &&
	       sscanf(state, " State: %c", &ret->state) == 1 &&
	       sscanf(v, " voluntary_ctxt_switches: %lu", &voluntary) == 1 &&
	       sscanf(n, " nonvoluntary_ctxt_switches: %lu", &other) == 1 &&
	       (ret->switches = voluntary + other, true);
}

static inline bool settle_asleep(const struct settle_thread *thread)
{
	return thread->state == 'S' || thread->state == 'D';
}

static inline bool settle_named(const char *const *names, const char *name)
{
	while (names && *names && strcmp(*names, name) != 0)
		names++;
	return names && *names;
}

/* `awake`: names of threads that never sleep for long, up to a NULL; may be NULL. */
static inline bool settle_all_asleep(const char *const *awake, unsigned long *ret_switches)
{
	DIR *dir = opendir("/proc/self/task");
	const pid_t own = settle_own_tid();
	bool all = dir != NULL;
	*ret_switches = 0;
	for (const struct dirent *entry; all && (entry = readdir(dir));) {
		const pid_t tid = (pid_t)atoi(entry->d_name);
		struct settle_thread thread;
		if (tid == 0 || tid == own || !settle_look(tid, &thread) ||
		    settle_named(awake, thread.name))
			continue;
		all = settle_asleep(&thread);
		*ret_switches += thread.switches;
	}
	if (dir)
		closedir(dir);
	return all;
}

/* A turn of waiting; who waits for two minutes waits for what will not come. */
static inline void settle_turn(unsigned *turns, const char *what)
{
	if (++*turns > 120000) {
		fprintf(stderr, "%s: did not come about\n", what);
		exit(1);
	}
	usleep(1000);
}

/* Twice, and none has run in between: so all of them slept at once, and nobody was left to wake another. */
static inline void settle(const char *const *awake)
{
	unsigned long before, now;
	unsigned turns = 0;
	while (!settle_all_asleep(awake, &before) || !settle_all_asleep(awake, &now) ||
	       now != before)
		settle_turn(&turns, "all threads asleep");
}

/* Until this one waits in the kernel where no signal wakes it. */
static inline void settle_uninterruptible(pid_t tid)
{
	struct settle_thread thread;
	unsigned turns = 0;
	while (settle_look(tid, &thread) && thread.state != 'D')
		settle_turn(&turns, "a wait that no signal ends");
}

#endif
