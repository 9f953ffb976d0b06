/* SPDX-License-Identifier: Apache-2.0 */
/*
 * turns - a process that changes what it is. Usage: turns WHAT
 *   exec LINE...  works in before_exec(); a line on stdin makes it exec the rest of its arguments
 *   fork          forks a child that works in child_work() while the parent works in parent_work()
 *   dlopen LIB    loads LIB, calls its plugin_work() for a while, unloads it, over and over
 *   kernel        spends its time in read(2) of /dev/zero
 *   lost          works on a stack that leads nowhere: a page of nonsense
 *   pipe          waits for a line, then ends
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

static volatile uint64_t sink;

static __attribute__((noinline)) void before_exec(void)
{
	struct pollfd in = { .fd = 0, .events = POLLIN };
	while (poll(&in, 1, 0) == 0) {
		for (int i = 0; i < 100000; i++)
			sink += (uint64_t)i;
	}
}

static __attribute__((noinline)) void child_work(void)
{
	for (;;)
		sink += 3;
}

static __attribute__((noinline)) void parent_work(void)
{
	for (;;)
		sink += 5;
}

static __attribute__((noinline)) void use_plugin(const char *path)
{
	void *plugin = dlopen(path, RTLD_NOW);
	void (*work)(void) = plugin ? (void (*)(void))dlsym(plugin, "plugin_work") : NULL;
	if (!work) {
		fprintf(stderr, "%s\n", dlerror());
		exit(1);
	}
	work();
	dlclose(plugin);
}

static __attribute__((noinline)) void kernel_work(void)
{
	static char page[1 << 20];
	int fd = open("/dev/zero", O_RDONLY);
	while (read(fd, page, sizeof(page)) > 0)
		sink++;
}

/* Leaves its stack for one of nonsense and never returns: nobody can tell who called. */
static __attribute__((noinline)) void no_way_back(void)
{
	char *page =
		mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	memset(page, 0x11, 1 << 20); /* a zero would say that this is the outermost frame */
#if defined(__x86_64__)
	__asm__ volatile("mov %0, %%rsp\n\txor %%ebp, %%ebp\n1:\tincq %1\n\tjmp 1b"
			 :
			 : "r"(page + (1 << 19)), "m"(sink)
			 : "memory");
#elif defined(__aarch64__)
	__asm__ volatile("mov sp, %0\n\tmov x29, xzr\n\tmov x30, xzr\n1:\tadd x1, x1, #1\n\tb 1b"
			 :
			 : "r"(page + (1 << 19))
			 : "x1", "memory");
#endif
	for (;;)
		sink++;
}

static void on_term(int signal_no)
{
	(void)signal_no;
	_exit(0);
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";
	signal(SIGTERM, on_term);
	if (strcmp(what, "fork") == 0 && fork() == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		child_work();
	}
	printf("pid %d\nready\n", (int)getpid());
	fflush(stdout);
	if (strcmp(what, "exec") == 0) {
		before_exec();
		execv(argv[2], argv + 2);
		perror("execv");
		return 1;
	}
	if (strcmp(what, "fork") == 0)
		parent_work();
	if (strcmp(what, "kernel") == 0)
		kernel_work();
	while (strcmp(what, "dlopen") == 0)
		use_plugin(argv[2]);
	if (strcmp(what, "lost") == 0)
		no_way_back();
	return getchar() == EOF;
}
