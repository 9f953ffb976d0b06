/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stops_jail - a process that has shut itself in: its seccomp filter refuses getppid(2), which threads of it try for ever.
 *
 * Usage: stops_jail [THREADS]. Ends on SIGTERM with "tries N out M": M calls got through, where none may.
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static atomic_bool stop;
static _Atomic unsigned long tries, out;

static void on_term(int sig)
{
	(void)sig;
	stop = true;
}

static void *knock(void *arg)
{
	while (!stop) {
		out += syscall(SYS_getppid) >= 0;
		tries++;
		if (tries % 64 == 0) {
			void *volatile block = malloc(5000);
			free(block);
		}
	}
	return arg;
}

int main(int argc, char **argv)
{
	struct sock_filter program[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getppid, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog filter = { sizeof(program) / sizeof(program[0]), program };
	int n = argc > 1 ? atoi(argv[1]) : 3;
	signal(SIGTERM, on_term);
	printf("pid %d\n", (int)getpid());
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) || syscall(SYS_getppid) >= 0)
		return 2;
	for (int i = 0; i < n; i++) {
		pthread_t thread;
		if (pthread_create(&thread, NULL, knock, NULL))
			return 2;
	}
	printf("ready\n");
	fflush(stdout);
	while (!stop)
		usleep(1000);
	printf("tries %lu out %lu\n", tries, out);
	return out != 0;
}
