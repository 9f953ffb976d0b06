/* SPDX-License-Identifier: Apache-2.0 */
/* chain_calls plt|vdso|kernel - most of the time in binding stubs, in the kernel's library, or in the kernel. */
#include <fcntl.h>
#include <time.h>

#include "chain.h"

static NOINLINE void plt_loop(void)
{
	while (!chain_stop) {
		for (int i = 0; i < 1000; i++)
			chain_sink += (uint64_t)ffsll((long long)chain_sink);
	}
}

static NOINLINE void vdso_loop(void)
{
	struct timespec now;
	while (!chain_stop) {
		clock_gettime(CLOCK_MONOTONIC, &now);
		chain_sink += (uint64_t)now.tv_nsec;
	}
}

static NOINLINE void kernel_loop(int fd)
{
	static char bytes[1 << 20];
	while (!chain_stop && read(fd, bytes, sizeof(bytes)) > 0)
		chain_sink++;
}

int main(int argc, char **argv)
{
	if (argc > 1 && strcmp(argv[1], "vdso") == 0) {
		printf("chain *;vdso_loop;main\n");
		chain_ready();
		vdso_loop();
	} else if (argc > 1 && strcmp(argv[1], "kernel") == 0) {
		int fd = open("/dev/zero", O_RDONLY);
		printf("chain *;kernel_loop;main\n");
		chain_ready();
		kernel_loop(fd);
	} else {
		printf("chain ?;plt_loop;main\n");
		chain_ready();
		plt_loop();
	}
	NOT_TAIL();
	return 0;
}
