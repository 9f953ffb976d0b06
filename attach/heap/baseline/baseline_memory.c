/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/heap/baseline/baseline_memory.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PRESENT      (1ull << 63)
#define SWAPPED      (1ull << 62)
#define USER_SPACE   (1ull << 47)
#define STRETCH      8192u               /* pages that are asked about at once: 32 MiB */
#define STRETCHES    4096u               /* that are remembered: 128 GiB */
#define ASKED_MAX    ((uint64_t)1 << 28) /* pages, of 1 TiB */
#define GOES_ON      8192 /* bytes behind a block, within which the next one goes on */
#define ASK_LOOKS    16u  /* what asking about a stretch costs */
#define MOVING_TRIES 50
#define MOVING_MAX   50000 /* of all tries */

struct cprof_baseline_pages {
	struct stretch {
		uint64_t number; /* + 1; 0: none */
		uint64_t bits[STRETCH / 64];
	} stretches[STRETCHES]; /* by number modulo */
	uint64_t entries[STRETCH];
};

bool cprof_baseline_memory_init(struct cprof_baseline_memory *memory, pid_t pid,
				struct cprof_memory view)
{
	char path[64];
	*memory = (struct cprof_baseline_memory){
		.memory = view, .pagemap_fd = -1, .asked_left = ASKED_MAX, .left = UINT64_MAX
	};
	snprintf(path, sizeof(path), "/proc/%d/pagemap", (int)pid);
	if (pid)
		memory->pagemap_fd = open(path, O_RDONLY | O_CLOEXEC);
	memory->windows[0].bytes = malloc(CPROF_BASELINE_BLOCK);
	if (memory->pagemap_fd >= 0)
		memory->pages = calloc(1, sizeof(*memory->pages));
	return memory->windows[0].bytes && (memory->pages || memory->pagemap_fd < 0);
}

void cprof_baseline_memory_deinit(struct cprof_baseline_memory *memory)
{
	if (memory->pagemap_fd >= 0)
		close(memory->pagemap_fd);
	for (unsigned i = 0; i < CPROF_BASELINE_WINDOWS; i++)
		free(memory->windows[i].bytes);
	free(memory->pages);
	*memory = (struct cprof_baseline_memory){ .pagemap_fd = -1 };
}

void cprof_baseline_memory_limit(struct cprof_baseline_memory *memory, uint64_t looks)
{
	memory->left = looks;
}

static bool spend(struct cprof_baseline_memory *memory, uint64_t looks)
{
	if (memory->left == UINT64_MAX)
		return true;
	memory->left -= looks < memory->left ? looks : memory->left;
	return memory->left;
}

/* ---- which pages there are ---- */

/* Where the kernel tells nothing all pages count as being there: reading says what is. */
static void ask(struct cprof_baseline_memory *memory, struct stretch *stretch, uint64_t number)
{
	uint64_t *entries = memory->pages->entries;
	const size_t bytes = sizeof(memory->pages->entries);
	memory->reads++;
	const ssize_t got = pread(memory->pagemap_fd, entries, bytes, (off_t)(number * bytes));
	const size_t n = got > 0 ? (size_t)got / sizeof(*entries) : 0;
	*stretch = (struct stretch){ .number = number + 1 };
	for (size_t i = 0; i < STRETCH; i++)
		stretch->bits[i / 64] |= (uint64_t)(i >= n || entries[i] & PRESENT) << (i % 64);
}

static bool has_page(struct cprof_baseline_memory *memory, uint64_t page)
{
	const uint64_t number = page / STRETCH, at = page % STRETCH;
	if (memory->pagemap_fd < 0)
		return true;
	if (page >= USER_SPACE / CPROF_BASELINE_PAGE)
		return false;
	struct stretch *stretch = &memory->pages->stretches[number % STRETCHES];
	if (!memory->left || (stretch->number != number + 1 && !spend(memory, ASK_LOOKS)))
		return false;
	if (stretch->number != number + 1)
		ask(memory, stretch, number);
	return stretch->bits[at / 64] >> (at % 64) & 1;
}

static bool read_entry(struct cprof_baseline_memory *memory, uint64_t page, uint64_t *ret_entry)
{
	memory->reads++;
	return pread(memory->pagemap_fd, ret_entry, sizeof(*ret_entry),
		     (off_t)(page * sizeof(*ret_entry))) == sizeof(*ret_entry);
}

/*
 * A page that the kernel is moving looks as if it were swapped out, for the microseconds that takes; it is asked for
 * again, a bounded number of times in all.
 */
static bool has_page_there(struct cprof_baseline_memory *memory, uint64_t page)
{
	uint64_t entry = 0;
	if (memory->pagemap_fd < 0)
		return true;
	if (page >= USER_SPACE / CPROF_BASELINE_PAGE)
		return false;
	if (has_page(memory, page))
		return true;
	for (unsigned i = 0; i < MOVING_TRIES; i++) {
		if (!read_entry(memory, page, &entry))
			return true;
		if (!(entry & SWAPPED) || memory->moving >= MOVING_MAX)
			break;
		memory->moving++;
		sched_yield();
	}
	return entry & PRESENT;
}

bool cprof_baseline_memory_present(struct cprof_baseline_memory *memory, uint64_t addr)
{
	return has_page(memory, addr / CPROF_BASELINE_PAGE);
}

uint64_t cprof_baseline_memory_absent(struct cprof_baseline_memory *memory, uint64_t start,
				      uint64_t end)
{
	uint64_t sum = 0;
	if (start >= end)
		return 0;
	/* A process can say that anything is its allocator's. */
	const uint64_t pages = (end - start) / CPROF_BASELINE_PAGE;
	if (pages >= memory->asked_left)
		return end - start;
	memory->asked_left -= pages;
	for (uint64_t at = start; at < end;) {
		const uint64_t page_end = (at | (CPROF_BASELINE_PAGE - 1)) + 1;
		const uint64_t to = page_end < end ? page_end : end;
		if (!cprof_baseline_memory_present(memory, at))
			sum += to - at;
		at = to;
	}
	return sum;
}

/* A word of the bits at a time: reserved memory is large and empty. */
uint64_t cprof_baseline_memory_next(struct cprof_baseline_memory *memory, uint64_t addr,
				    uint64_t end)
{
	const uint64_t word = CPROF_BASELINE_PAGE * 64;
	while (!cprof_baseline_memory_spent(memory) && addr < end &&
	       !cprof_baseline_memory_present(memory, addr)) {
		const uint64_t page = addr / CPROF_BASELINE_PAGE;
		const struct stretch *stretch =
			&memory->pages->stretches[page / STRETCH % STRETCHES];
		const bool empty = addr % word == 0 && !stretch->bits[page % STRETCH / 64];
		addr = empty ? addr + word : (addr | (CPROF_BASELINE_PAGE - 1)) + 1;
	}
	return addr < end && !cprof_baseline_memory_spent(memory) ? addr : end;
}

/* ---- reading ---- */

/* Where `addr` is, or what goes on with it: *ret_window. */
static bool find_window(struct cprof_baseline_memory *memory, uint64_t addr, uint64_t beyond,
			unsigned *ret_window)
{
	for (unsigned i = 0; i < CPROF_BASELINE_WINDOWS; i++) {
		const struct cprof_baseline_window *window = &memory->windows[i];
		if (window->n && addr - window->addr < window->n + beyond) {
			*ret_window = i;
			return true;
		}
	}
	return false;
}

/* One that was not used yet, or for the longest time. */
static unsigned oldest(struct cprof_baseline_memory *memory)
{
	unsigned at = 0;
	for (unsigned i = 0; i < CPROF_BASELINE_WINDOWS; i++) {
		struct cprof_baseline_window *window = &memory->windows[i];
		if (!window->bytes)
			window->bytes = malloc(CPROF_BASELINE_BLOCK);
		if (window->bytes && window->asked < memory->windows[at].asked)
			at = i;
	}
	return at;
}

/*
 * How much is read: what is left of a page, where somebody goes from one large block to the next or here and there; four times as much with
 * each time that goes on where the last one ended.
 */
static struct cprof_baseline_window *make_window(struct cprof_baseline_memory *memory,
						 uint64_t addr, size_t n)
{
	const bool goes_on = find_window(memory, addr, GOES_ON, &memory->window);
	if (!goes_on)
		memory->window = oldest(memory);
	struct cprof_baseline_window *window = &memory->windows[memory->window];
	const size_t page_left = (size_t)(CPROF_BASELINE_PAGE - addr % CPROF_BASELINE_PAGE);
	window->ahead = goes_on ? window->ahead * 4 : page_left;
	if (window->ahead < n)
		window->ahead = n;
	if (window->ahead > CPROF_BASELINE_BLOCK)
		window->ahead = CPROF_BASELINE_BLOCK;
	else if (goes_on && window->ahead < CPROF_BASELINE_PAGE)
		window->ahead = CPROF_BASELINE_PAGE;
	return window;
}

/* From `addr` on, as far as pages are there, up to `end` or `most` bytes. */
static size_t reach(struct cprof_baseline_memory *memory, uint64_t addr, uint64_t end, size_t most)
{
	uint64_t to = addr;
	while (to < end && to - addr < most && cprof_baseline_memory_present(memory, to))
		to = (to | (CPROF_BASELINE_PAGE - 1)) + 1;
	if (to > end)
		to = end;
	return to - addr < most ? (size_t)(to - addr) : most;
}

void cprof_baseline_memory_forget(struct cprof_baseline_memory *memory)
{
	for (unsigned i = 0; i < CPROF_BASELINE_WINDOWS; i++)
		memory->windows[i].n = 0;
}

static bool fill(struct cprof_baseline_memory *memory, struct cprof_baseline_window *window,
		 uint64_t addr, size_t n)
{
	window->addr = addr;
	window->n = 0;
	window->asked = ++memory->reads;
	if (!n || !memory->memory.read(memory->memory.ctx, addr, window->bytes, n))
		return false;
	window->n = n;
	memory->bytes_read += n;
	return true;
}

static const uint8_t *bytes_in(const struct cprof_baseline_window *window, uint64_t addr, size_t n)
{
	const uint64_t at = addr - window->addr;
	return at < window->n && window->n - at >= n ? window->bytes + at : NULL;
}

static const uint8_t *read_window(struct cprof_baseline_memory *memory, uint64_t addr, size_t n,
				  uint64_t end)
{
	struct cprof_baseline_window *window = make_window(memory, addr, n);
	size_t there = reach(memory, addr, end, window->ahead);
	if (there < n) {
		if (!has_page_there(memory, addr / CPROF_BASELINE_PAGE) ||
		    !has_page_there(memory, (addr + n - 1) / CPROF_BASELINE_PAGE))
			return NULL;
		there = n;
	}
	/* Where the whole cannot be read, a page of it is gone by now: then only what is asked for. */
	return fill(memory, window, addr, there) || fill(memory, window, addr, n) ? window->bytes
										  : NULL;
}

const uint8_t *cprof_baseline_memory_at(struct cprof_baseline_memory *memory, uint64_t addr,
					size_t n, uint64_t end)
{
	const uint8_t *bytes = bytes_in(&memory->windows[memory->window], addr, n);
	if (bytes)
		return bytes;
	if (find_window(memory, addr, 0, &memory->window))
		bytes = bytes_in(&memory->windows[memory->window], addr, n);
	if (bytes) {
		memory->windows[memory->window].asked = memory->reads;
		return bytes;
	}
	if (n > CPROF_BASELINE_BLOCK / 2 || end < addr || end - addr < n || !spend(memory, 1))
		return NULL;
	return read_window(memory, addr, n, end);
}

bool cprof_baseline_memory_read(struct cprof_baseline_memory *memory, uint64_t addr, void *buf,
				size_t n)
{
	if (!n || addr + n < addr || !spend(memory, 1))
		return false;
	for (uint64_t page = addr / CPROF_BASELINE_PAGE;
	     page <= (addr + n - 1) / CPROF_BASELINE_PAGE; page++) {
		if (!has_page(memory, page))
			return false;
	}
	return memory->memory.read(memory->memory.ctx, addr, buf, n);
}
