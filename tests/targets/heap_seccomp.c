/* SPDX-License-Identifier: Apache-2.0 */
/*
 * heap_seccomp - a busy allocator under a seccomp filter.
 *
 * Usage: heap_seccomp errno|kill: prctl fails with EPERM (what a container does to most of what it does not know), or
 * kills. Ends on SIGTERM with "all well".
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static volatile sig_atomic_t stop;

static void on_term(int sig)
{
	(void)sig;
	stop = 1;
}

int main(int argc, char **argv)
{
	uint32_t verdict = argc > 1 && strcmp(argv[1], "kill") == 0 ? SECCOMP_RET_KILL_PROCESS
								    : SECCOMP_RET_ERRNO | EPERM;
	struct sock_filter program[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_prctl, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, verdict),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog filter = { sizeof(program) / sizeof(program[0]), program };
	signal(SIGTERM, on_term);
	printf("pid %d\n", (int)getpid());
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter))
		return 2;
	printf("ready\n");
	fflush(stdout);
	while (!stop) {
		char *block = malloc(20000);
		memset(block, 1, 100);
		free(block);
	}
	puts("all well");
	return 0;
}
