/* SPDX-License-Identifier: Apache-2.0 */
/*
 * jit_spin - one thread in code made at run time, which no file describes until a test writes one.
 *
 * Usage: jit_spin [FILE]; FILE is mapped for reading, and for execution too where that is allowed, as a compiler maps its
 * jitdump. Prints its pid, "code START SIZE" in hexadecimal, and "ready"; runs until SIGTERM.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static volatile sig_atomic_t stop;

static void end(int signal_no)
{
	(void)signal_no;
	stop = 1;
}

int main(int argc, char **argv)
{
	static const unsigned char loop[] = { 0x83, 0x3f, 0x00, /* cmpl $0,(%rdi) */
					      0x74, 0xfb,       /* je back */
					      0xc3 };           /* ret */
	void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int fd = argc > 1 ? open(argv[1], O_RDONLY) : -1;
	if (page == MAP_FAILED)
		return 1;
	memcpy(page, loop, sizeof(loop));
	mprotect(page, 4096, PROT_READ | PROT_EXEC);
	if (fd >= 0 && mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0) == MAP_FAILED &&
	    mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0) == MAP_FAILED)
		return 1;
	signal(SIGTERM, end);
	printf("pid %d\ncode %lx 1000\nready\n", (int)getpid(), (unsigned long)(uintptr_t)page);
	fflush(stdout);
	((void (*)(volatile sig_atomic_t *))(uintptr_t)page)(&stop);
	return 0;
}
