/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stops_late - allocates, and shuts itself in while it is being profiled.
 *
 * Usage: stops_late seccomp|dispatch|strict. Told "shut" on stdin its only thread is from then on killed for munmap(2), or has all
 * system calls handed to a handler while it churns, or is killed for all but read, write and exit; answered with "done". "quit"
 * ends with "trapped N".
 */
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SET_DISPATCH 59 /* PR_SET_SYSCALL_USER_DISPATCH */
#define DISPATCH_ON  1

static volatile char selector; /* 0: allow, 1: block */
static volatile unsigned long trapped;

static void on_trap(int sig, siginfo_t *info, void *context)
{
	(void)sig, (void)info, (void)context;
	trapped++;
	selector = 0;
}

static int forbid_munmap(void)
{
	struct sock_filter program[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_munmap, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog filter = { sizeof(program) / sizeof(program[0]), program };
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	       prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter);
}

static int shut(const char *how)
{
	struct sigaction trap = { .sa_sigaction = on_trap, .sa_flags = SA_SIGINFO };
	if (strcmp(how, "seccomp") == 0)
		return forbid_munmap();
	if (strcmp(how, "strict") == 0)
		return prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT);
	sigaction(SIGSYS, &trap, NULL);
	return prctl(SET_DISPATCH, DISPATCH_ON, 0, 0, &selector);
}

static void churn(void)
{
	selector = 1;
	for (int i = 0; i < 20000; i++) {
		char *volatile block = malloc(100);
		*block = 1;
		free(block);
	}
	selector = 0;
}

/* By calls that are allowed in every mode. */
static void say(const char *text)
{
	if (write(1, text, strlen(text)) < 0)
		syscall(SYS_exit, 3);
}

int main(int argc, char **argv)
{
	char line[64];
	const char *how = argc > 1 ? argv[1] : "seccomp";
	bool strict = false;
	snprintf(line, sizeof(line), "pid %d\nready\n", (int)getpid());
	say(line);
	for (;;) {
		struct pollfd in = { .fd = 0, .events = POLLIN };
		churn();
		/* In strict mode there is no poll(2): it sleeps in read until the end. */
		if (!strict && poll(&in, 1, 0) <= 0)
			continue;
		ssize_t n = read(0, line, sizeof(line) - 1);
		if (n <= 0 || strncmp(line, "quit", 4) == 0)
			break;
		if (shut(how))
			return 77;
		strict = strcmp(how, "strict") == 0;
		say("done\n");
	}
	snprintf(line, sizeof(line), "trapped %lu\n", trapped);
	say(line);
	syscall(SYS_exit, trapped != 0);
	return 0;
}
