/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/heap/inject/heap_scan.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "attach/target/target_spans.h"
#include "base/cleanup.h"
#include "base/file.h"
#include "cprof/buffer.h"

#define PAGE        4096u
#define CHUNK_PAGES 64u
#define TAIL_BYTES  16u           /* of the chunk before: a context may lie across */
#define FILE_MAX    (64ull << 20) /* larger mappings of files are data */
#define PRESENT     (1ull << 63)  /* proc_pid_pagemap(5) */
#define STATUS_MAX  ((size_t)1 << 16)

/* SIGALRM and other timers, SIGUSR1, SIGUSR2, SIGURG, SIGIO, SIGXCPU and what else has no other use; the real-time ones. */
#define SWITCHING                                                                                  \
	(1ull << (10 - 1) | 1ull << (12 - 1) | 1ull << (14 - 1) | 1ull << (16 - 1) |               \
	 1ull << (23 - 1) | 1ull << (24 - 1) | 1ull << (26 - 1) | 1ull << (27 - 1) |               \
	 1ull << (29 - 1) | 1ull << (30 - 1) | ~0ull << (34 - 1))

bool cprof_heap_scan_catches(const char *text)
{
	const char *at = strstr(text, "\nSigCgt:");
	return !at || (strtoull(at + 8, NULL, 16) & SWITCHING);
}

bool cprof_heap_scan_is_needed(pid_t pid)
{
	char path[64];
	CPROF_AUTO(buffer) struct cprof_buffer text = { 0 };
	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	struct cprof_error *err = cprof_file_read(path, STATUS_MAX, &text);
	cprof_error_free(err);
	return cprof_heap_scan_catches(cprof_buffer_text(&text));
}

/* ---- words ---- */

static bool inside(const struct cprof_shim_range *ranges, size_t n, uint64_t word)
{
	for (size_t i = 0; i < n; i++) {
		if (word - ranges[i].start < ranges[i].end - ranges[i].start)
			return true;
	}
	return false;
}

/* "struct sigcontext_64": rip, then the flags, then the selectors of 64 bit code. */
static bool is_context(const uint64_t *words, size_t n)
{
	enum { FLAGS_MAX = 1 << 22, ALWAYS_SET = 2, USER_CS = 0x33 };
	return n > 2 && words[1] < FLAGS_MAX && (words[1] & ALWAYS_SET) &&
	       (words[2] & 0xffff) == USER_CS;
}

static bool is_but(const struct cprof_heap_scan *scan, uint64_t word)
{
	size_t low = 0, high = scan->n_but;
	while (low < high) {
		size_t middle = (low + high) / 2;
		if (scan->but[middle] < word)
			low = middle + 1;
		else
			high = middle;
	}
	return low < scan->n_but && scan->but[low] == word;
}

bool cprof_heap_scan_words(const struct cprof_heap_scan *scan, const uint64_t *words, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		bool alone = inside(scan->alone, scan->n_alone, words[i]);
		if (alone && !is_but(scan, words[i]))
			return true;
		if ((alone || inside(scan->in_context, scan->n_in_context, words[i])) &&
		    is_context(words + i, n - i))
			return true;
	}
	return false;
}

/* ---- memory ---- */

struct walk {
	const struct cprof_target *target;
	const struct cprof_heap_scan *scan;
	int pagemap;     /* -1: all pages are taken for present */
	uint64_t bytes;  /* looked at so far */
	uint64_t *words; /* owned; TAIL_BYTES and a chunk */
};

/* Present pages from `at` on, at most a chunk; *ret_absent are those before them. */
static size_t present(const struct walk *walk, uint64_t at, uint64_t end, size_t *ret_absent)
{
	uint64_t entries[CHUNK_PAGES];
	size_t n = (end - at) / PAGE < CHUNK_PAGES ? (size_t)((end - at) / PAGE) : CHUNK_PAGES;
	ssize_t got = walk->pagemap < 0 ? -1
					: pread(walk->pagemap, entries, n * sizeof(entries[0]),
						(off_t)(at / PAGE * sizeof(entries[0])));
	*ret_absent = 0;
	if (got <= 0)
		return n;
	n = (size_t)got / sizeof(entries[0]);
	while (*ret_absent < n && !(entries[*ret_absent] & PRESENT))
		++*ret_absent;
	size_t pages = 0;
	while (*ret_absent + pages < n && (entries[*ret_absent + pages] & PRESENT))
		pages++;
	return pages;
}

/* What lies in one of the dead ranges counts for nothing. */
static void blank_dead(const struct walk *walk, const struct cprof_target_span *span)
{
	const struct cprof_heap_scan *scan = walk->scan;
	for (size_t i = 0; i < scan->n_dead; i++) {
		const struct cprof_shim_range *dead = &scan->dead[i];
		const uint64_t start = dead->start > span->addr ? dead->start : span->addr;
		const uint64_t end =
			dead->end < span->addr + span->n ? dead->end : span->addr + span->n;
		if (start < end)
			memset((uint8_t *)span->buf + (start - span->addr), 0, end - start);
	}
}

static bool chunk_has(struct walk *walk, const struct cprof_map *map, uint64_t at, size_t pages)
{
	const size_t tail = at - map->start >= TAIL_BYTES ? TAIL_BYTES : 0;
	const struct cprof_target_span span = { at - tail, walk->words, tail + pages * PAGE };
	walk->bytes += pages * PAGE;
	/* What went away meanwhile holds nothing. */
	if (!cprof_target_spans_read(walk->target, &span, 1))
		return false;
	blank_dead(walk, &span);
	return cprof_heap_scan_words(walk->scan, walk->words, span.n / 8);
}

static bool is_wanted(const struct walk *walk, const struct cprof_map *map)
{
	const struct cprof_heap_scan *scan = walk->scan;
	return (map->prot & PROT_WRITE) && (!map->inode || map->end - map->start <= FILE_MAX) &&
	       !(map->start < scan->skip_end && map->end > scan->skip_start);
}

static enum cprof_heap_scanned map_has(struct walk *walk, const struct cprof_map *map)
{
	for (uint64_t at = map->start; at < map->end;) {
		size_t absent, pages = present(walk, at, map->end, &absent);
		at += absent * PAGE;
		if (pages && walk->bytes >= walk->scan->bytes_max)
			return CPROF_HEAP_SCAN_TOO_MUCH;
		if (pages && chunk_has(walk, map, at, pages))
			return CPROF_HEAP_SCAN_FOUND;
		at += pages * PAGE;
		if (!pages && !absent)
			break;
	}
	return CPROF_HEAP_SCAN_NOTHING;
}

static int open_pagemap(pid_t pid)
{
	char path[64];
	snprintf(path, sizeof(path), "/proc/%d/pagemap", (int)pid);
	return open(path, O_RDONLY | O_CLOEXEC);
}

enum cprof_heap_scanned cprof_heap_scan(const struct cprof_target *target,
					const struct cprof_maps *maps,
					const struct cprof_heap_scan *scan)
{
	CPROF_AUTO(close) int pagemap = open_pagemap(maps->pid);
	CPROF_AUTO(free) uint64_t *words = malloc(TAIL_BYTES + CHUNK_PAGES * PAGE);
	struct walk walk = { .target = target, .scan = scan, .pagemap = pagemap, .words = words };
	enum cprof_heap_scanned found = words ? CPROF_HEAP_SCAN_NOTHING : CPROF_HEAP_SCAN_FOUND;
	for (size_t i = 0; found == CPROF_HEAP_SCAN_NOTHING && i < maps->n_sorted; i++) {
		if (is_wanted(&walk, maps->sorted[i]))
			found = map_has(&walk, maps->sorted[i]);
	}
	return found;
}
