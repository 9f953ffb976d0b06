/* SPDX-License-Identifier: Apache-2.0 */
/*
 * heap_shared - runs with a child that is a process of its own in the same memory (clone with CLONE_VM); ends on SIGTERM.
 */
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static char stack[65536];

static int child(void *arg)
{
	while (!arg)
		pause();
	return 0;
}

int main(void)
{
	sigset_t ends;
	int signal_no;
	sigemptyset(&ends);
	sigaddset(&ends, SIGTERM);
	pid_t pid = clone(child, stack + sizeof(stack), CLONE_VM | SIGCHLD, NULL);
	sigprocmask(SIG_BLOCK, &ends, NULL);
	printf("pid %d\nchild %d\nready\n", (int)getpid(), (int)pid);
	fflush(stdout);
	sigwait(&ends, &signal_no);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	puts("all well");
	return 0;
}
