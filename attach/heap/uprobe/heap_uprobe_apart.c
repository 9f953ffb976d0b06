/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/heap/uprobe/heap_uprobe_apart.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

/* Nobody's signals but SIGKILL reach the child: what ends us must not make it do anything else. */
static pid_t fork_quietly(unsigned long flags, sigset_t *before)
{
	sigset_t all;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, before);
	return (pid_t)syscall(SYS_clone, flags | SIGCHLD, 0, 0, 0, 0);
}

static void wait_for(pid_t child)
{
	while (child > 0 && waitpid(child, NULL, 0) < 0 && errno == EINTR)
		;
}

void cprof_heap_uprobe_apart(void (*fn)(void *ctx), void *ctx)
{
	sigset_t before;
	const pid_t child = fork_quietly(CLONE_FILES, &before);
	if (child == 0) {
		fn(ctx);
		_exit(0);
	}
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (child < 0)
		fn(ctx);
	wait_for(child);
}

void *cprof_heap_uprobe_shared_new(size_t n)
{
	void *memory = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	return memory == MAP_FAILED ? NULL : memory;
}

void cprof_heap_uprobe_shared_free(void *memory, size_t n)
{
	if (memory)
		munmap(memory, n);
}

static void close_all(const int *fds, size_t n)
{
	while (n)
		close(fds[--n]);
}

/* The child's copies hold everything in place until our own are closed, or we are dead: then the pipe ends. */
_Noreturn static void wait_and_end(const int wait_fds[2])
{
	char byte;
	close(wait_fds[1]);
	while (read(wait_fds[0], &byte, 1) < 0 && errno == EINTR)
		;
	_exit(0);
}

void cprof_heap_uprobe_release(const int *fds, size_t n)
{
	int wait_fds[2];
	sigset_t before;
	if (!n)
		return;
	if (pipe2(wait_fds, O_CLOEXEC)) {
		close_all(fds, n);
		return;
	}
	const pid_t child = fork_quietly(0, &before);
	if (child == 0)
		wait_and_end(wait_fds);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	close_all(fds, n);
	close_all(wait_fds, 2);
	wait_for(child); /* gone only after its descriptors */
}
