/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A process that lives close to a limit of its own:
 *
 *     afford none | as MIB | data MIB | maps SPARE | lock
 *
 * `as`, `data`: so much is left to it of RLIMIT_AS, RLIMIT_DATA; `maps`: it has all mappings but SPARE that vm.max_map_count
 * grants; `lock`: it locks what it has and will have. Lines read: "hold KIB" takes memory for good, "churn N" allocates and frees
 * N blocks of all sizes, "brk MIB" lets the heap of brk(2) grow so far, "down KIB" a mapping of its own that grows downwards; all are
 * answered by "ok" or by what failed.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

static unsigned long number_in(const char *path, const char *key)
{
	char line[256];
	unsigned long number = 0;
	FILE *file = fopen(path, "re");
	while (file && fgets(line, sizeof(line), file)) {
		if (strncmp(line, key, strlen(key)) == 0 &&
		    sscanf(line + strlen(key), "%lu", &number) == 1)
			break;
	}
	if (file)
		fclose(file);
	return number;
}

static int leave(int resource, const char *key, unsigned long mib)
{
	const unsigned long now = (number_in("/proc/self/status", key) << 10) + (mib << 20);
	const struct rlimit limit = { now, RLIM_INFINITY };
	return setrlimit(resource, &limit);
}

static unsigned long count_maps(void)
{
	unsigned long n = 0;
	FILE *file = fopen("/proc/self/maps", "re");
	for (int c; file && (c = getc(file)) != EOF;)
		n += c == '\n';
	if (file)
		fclose(file);
	return n;
}

/* Neighbours of different rights do not become one. */
static int use_up_maps(unsigned long spare)
{
	const long page = sysconf(_SC_PAGESIZE);
	const unsigned long most = number_in("/proc/sys/vm/max_map_count", "");
	char *area = mmap(NULL, most * 2 * (unsigned long)page, PROT_NONE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (area == MAP_FAILED)
		return -1;
	/* Each makes two more: itself, and what is left behind it. */
	for (unsigned long n = count_maps(), i = 0; n + 2 + spare <= most; n += 2, i += 2) {
		if (mprotect(area + i * (unsigned long)page, (size_t)page, PROT_READ))
			return -1;
	}
	return 0;
}

static int begin(int argc, char **argv)
{
	const unsigned long n = argc > 2 ? strtoul(argv[2], NULL, 10) : 0;
	if (argc < 2 || strcmp(argv[1], "none") == 0)
		return 0;
	if (strcmp(argv[1], "as") == 0)
		return leave(RLIMIT_AS, "VmSize:", n);
	if (strcmp(argv[1], "data") == 0)
		return leave(RLIMIT_DATA, "VmData:", n);
	if (strcmp(argv[1], "maps") == 0)
		return use_up_maps(n);
	return mlockall(MCL_CURRENT | MCL_FUTURE);
}

static const char *hold(unsigned long kib)
{
	char *block =
		mmap(NULL, kib << 10, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (block == MAP_FAILED)
		return "no memory";
	memset(block, 1, kib << 10);
	return "ok";
}

__attribute__((noinline)) static const char *churn(unsigned long n)
{
	static char *kept[64];
	for (unsigned long i = 0; i < n; i++) {
		char **at = &kept[i % 64];
		free(*at);
		*at = malloc(i * 7 % 3000 + 1);
		if (!*at)
			return "no memory";
		(*at)[0] = 1;
	}
	return "ok";
}

static const char *grow_heap(unsigned long mib)
{
	for (unsigned long i = 0; i < mib; i++) {
		if (sbrk(1 << 20) == (void *)-1)
			return "no memory";
	}
	return "ok";
}

static char *stack;

static const char *grow_stack(unsigned long kib)
{
	for (unsigned long i = 4; i <= kib; i += 4)
		*(volatile char *)(stack - (i << 10)) = 1;
	return "ok";
}

int main(int argc, char **argv)
{
	char line[128];
	unsigned long n;
	setvbuf(stdout, NULL, _IOLBF, 4096);
	if (begin(argc, argv)) {
		perror("afford");
		return 2;
	}
	stack = mmap(NULL, 65536, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN, -1, 0);
	printf("pid %d\nready\n", getpid());
	while (fgets(line, sizeof(line), stdin)) {
		if (sscanf(line, "hold %lu", &n) == 1)
			puts(hold(n));
		else if (sscanf(line, "churn %lu", &n) == 1)
			puts(churn(n));
		else if (sscanf(line, "brk %lu", &n) == 1)
			puts(grow_heap(n));
		else if (sscanf(line, "down %lu", &n) == 1)
			puts(grow_stack(n));
	}
	return 0;
}
