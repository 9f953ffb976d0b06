/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/heap/resident/page_bits.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PRESENT     (1ull << 63)
#define SWAPPED     (1ull << 62)
#define OF_FILE     (1ull << 61) /* or of shared memory */
#define EXCLUSIVE   (1ull << 56) /* Linux 4.2 */
#define ENTRIES_MAX (64ull << 20)

struct cprof_error *cprof_page_bits_open(pid_t tid, struct cprof_page_bits *ret_bits)
{
	char path[64];
	struct cprof_page_bits bits = { .left = ENTRIES_MAX };
	snprintf(path, sizeof(path), "/proc/%d/pagemap", (int)tid);
	bits.fd = open(path, O_RDONLY | O_CLOEXEC);
	if (bits.fd < 0)
		return cprof_error_new(errno == ENOENT || errno == ESRCH   ? CPROF_ERR_NO_TARGET
				       : errno == EACCES || errno == EPERM ? CPROF_ERR_DENIED
									   : CPROF_ERR_OS,
				       "open %s: %s", path, strerror(errno));
	bits.page_bytes = (uint64_t)sysconf(_SC_PAGESIZE);
	bits.window = malloc(CPROF_PAGE_BITS_WINDOW * sizeof(*bits.window));
	if (!bits.window) {
		cprof_page_bits_close(&bits);
		return cprof_error_no_memory();
	}
	*ret_bits = bits;
	return NULL;
}

void cprof_page_bits_close(struct cprof_page_bits *bits)
{
	if (bits->window)
		free(bits->window);
	if (bits->fd >= 0)
		close(bits->fd);
	*bits = (struct cprof_page_bits){ .fd = -1 };
}

bool cprof_page_bits_counts(uint64_t entry, bool common)
{
	if (!(entry & PRESENT) || entry & SWAPPED)
		return false;
	return common || entry & (EXCLUSIVE | OF_FILE);
}

/* The window holds `page`, and what of the next `want` pages fits. */
static bool load(struct cprof_page_bits *bits, uint64_t page, uint64_t want)
{
	if (page >= bits->first && page - bits->first < bits->n)
		return true;
	if (want > CPROF_PAGE_BITS_WINDOW)
		want = CPROF_PAGE_BITS_WINDOW;
	if (want > bits->left)
		return false;
	ssize_t n = pread(bits->fd, bits->window, want * sizeof(*bits->window),
			  (off_t)(page * sizeof(*bits->window)));
	bits->n = n > 0 ? (size_t)n / sizeof(*bits->window) : 0;
	bits->first = page;
	bits->left -= bits->n;
	return bits->n > 0;
}

bool cprof_page_bits_resident(struct cprof_page_bits *bits, uint64_t start, uint64_t end,
			      bool common, uint64_t *ret_bytes)
{
	const uint64_t size = bits->page_bytes;
	uint64_t sum = 0;
	if (end > INT64_MAX || start >= end)
		return end <= INT64_MAX ? (*ret_bytes = 0, true) : false;
	const uint64_t last = (end - 1) / size;
	for (uint64_t page = start / size; page <= last; page++) {
		if (!load(bits, page, last - page + 1))
			return false;
		if (!cprof_page_bits_counts(bits->window[page - bits->first], common))
			continue;
		const uint64_t from = page * size < start ? start : page * size;
		const uint64_t to = (page + 1) * size > end ? end : (page + 1) * size;
		sum += to - from;
	}
	*ret_bytes = sum;
	return true;
}
