/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A hostile guest: it carries a page as a killed heap profile leaves it, which it made up itself.
 *
 *     forged_page PID TICKS PIDNS [code|data|version]
 *
 * The page says that process PID, started at TICKS, made it. `code`: and that `answer` was changed, and had traps in it before;
 * `data`: the same of a word in its data; `version`: that a later version made it. A line read is answered by `answer`.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "attach/heap/shim/shim_proto.h"

#define PAGE 4096ul

static unsigned char word[16] __attribute__((aligned(16))) = "a word of data";

__attribute__((noinline)) static int answer(int n)
{
	return n * 3 + 1;
}

/* The mapping that `addr` lies in, as the page of a real run has it. */
static void describe(struct cprof_shim_patch *row, unsigned long addr)
{
	char line[512];
	FILE *maps = fopen("/proc/self/maps", "re");
	while (maps && fgets(line, sizeof(line), maps)) {
		unsigned long start, end, offset, inode;
		unsigned major, minor;
		if (sscanf(line, "%lx-%lx %*s %lx %x:%x %lu", &start, &end, &offset, &major, &minor,
			   &inode) != 6 ||
		    addr < start || addr >= end)
			continue;
		row->map_start = start;
		row->map_offset = offset;
		row->map_inode = inode;
		row->map_dev = (unsigned long)major << 32 | minor;
	}
	if (maps)
		fclose(maps);
	row->addr = addr;
	row->len = 5;
	memset(row->original, 0xcc, sizeof(row->original));
	memcpy(row->patched, (void *)addr, sizeof(row->patched));
}

int main(int argc, char **argv)
{
	const char *kind = argc > 4 ? argv[4] : "";
	const unsigned long bytes = 64 * PAGE;
	/* Of 61 pages one is marked as ours: heap_place.h. */
	const unsigned long at = (0x200000000000ul / PAGE / 61 * 61 + 17) * PAGE;
	struct cprof_shim_image *image =
		mmap((void *)at, bytes, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	unsigned long *data =
		mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (argc < 4 || image == MAP_FAILED || data == MAP_FAILED)
		return 2;
	image->magic = CPROF_SHIM_MAGIC;
	image->version = CPROF_SHIM_VERSION + (strcmp(kind, "version") == 0);
	image->image_bytes = (unsigned)bytes;
	image->data = (unsigned long)data;
	image->data_bytes = bytes;
	image->tool_pid = strtoul(argv[1], NULL, 10);
	image->tool_start_ticks = strtoul(argv[2], NULL, 10);
	image->tool_pidns = strtoul(argv[3], NULL, 10);
	image->nonce = 7;
	*data = 7;
	if (strcmp(kind, "code") == 0)
		describe(&image->patches[image->n_patches++], (unsigned long)answer);
	if (strcmp(kind, "data") == 0)
		describe(&image->patches[image->n_patches++], (unsigned long)word);
	mprotect(image, bytes, PROT_READ | PROT_EXEC);
	printf("pid %d\nready\n", getpid());
	fflush(stdout);
	for (int n; scanf("%d", &n) == 1; fflush(stdout)) {
		free(malloc(100));
		printf("%d %.16s\n", answer(n), (const char *)word);
	}
	return 0;
}
