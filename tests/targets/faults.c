/* SPDX-License-Identifier: Apache-2.0 */
/*
 * faults FILE - reads a mapped file of 32 MB that is in nobody's memory, by page faults, 20 times; then prints "major N slept M":
 * how many of them had to read from the disk, and how often it was put to sleep meanwhile (a disk may answer at once).
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#define BYTES ((size_t)32 << 20)
#define STEP  ((size_t)64 * 4096)

static volatile char sink;

static __attribute__((noinline)) void touch_pages(const char *bytes)
{
	for (size_t at = 0; at < BYTES; at += STEP)
		sink += bytes[at];
}

int main(int argc, char **argv)
{
	static char block[1 << 20];
	struct rusage before, usage;
	int fd = open(argc > 1 ? argv[1] : "faults.dat", O_RDWR | O_CREAT | O_TRUNC, 0600);
	if (fd < 0)
		return 1;
	for (size_t at = 0; at < BYTES; at += sizeof(block)) {
		if (write(fd, block, sizeof(block)) != (ssize_t)sizeof(block))
			return 1;
	}
	fsync(fd);
	printf("pid %d\nready\n", (int)getpid());
	fflush(stdout);
	getrusage(RUSAGE_SELF, &before);
	for (int round = 0; round < 20; round++) {
		posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
		char *bytes = mmap(NULL, BYTES, PROT_READ, MAP_SHARED, fd, 0);
		if (bytes == MAP_FAILED)
			return 1;
		madvise(bytes, BYTES, MADV_RANDOM);
		touch_pages(bytes);
		munmap(bytes, BYTES);
	}
	getrusage(RUSAGE_SELF, &usage);
	if (argc > 1)
		unlink(argv[1]);
	printf("major %ld slept %ld\n", usage.ru_majflt - before.ru_majflt,
	       usage.ru_nvcsw - before.ru_nvcsw);
	return 0;
}
