/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/heap/mmap/mapped_set.h"

#include <stdlib.h>
#include <string.h>

#include "base/array.h"

void cprof_mapped_set_deinit(struct cprof_mapped_set *set)
{
	free(set->pieces);
	*set = (struct cprof_mapped_set){ 0 };
}

/* The first piece that ends behind `addr`; set->n where none does. */
static size_t first_behind(const struct cprof_mapped_set *set, uint64_t addr)
{
	size_t low = 0, high = set->n;
	while (low < high) {
		const size_t middle = low + (high - low) / 2;
		if (set->pieces[middle].end <= addr)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* There is room. */
static void insert(struct cprof_mapped_set *set, size_t at, struct cprof_mapped_piece piece)
{
	memmove(&set->pieces[at + 1], &set->pieces[at], (set->n - at) * sizeof(piece));
	set->pieces[at] = piece;
	set->n++;
}

/* Where the range was. There is room for one piece more. */
static size_t cut_out(struct cprof_mapped_set *set, uint64_t start, uint64_t end)
{
	size_t at = first_behind(set, start);
	if (at < set->n && set->pieces[at].start < start) {
		struct cprof_mapped_piece *piece = &set->pieces[at];
		const struct cprof_mapped_piece right = { end, piece->end, piece->call };
		piece->end = start;
		at++;
		if (right.start < right.end) {
			insert(set, at, right);
			return at;
		}
	}
	size_t last = at;
	while (last < set->n && set->pieces[last].end <= end)
		last++;
	memmove(&set->pieces[at], &set->pieces[last], (set->n - last) * sizeof(set->pieces[0]));
	set->n -= last - at;
	if (at < set->n && set->pieces[at].start < end)
		set->pieces[at].start = end;
	return at;
}

struct cprof_error *cprof_mapped_set_remove(struct cprof_mapped_set *set, uint64_t start,
					    uint64_t end)
{
	if (start >= end)
		return NULL;
	if (!CPROF_ARRAY_ROOM(set->pieces, set->n, set->cap, 1))
		return cprof_error_no_memory();
	cut_out(set, start, end);
	return NULL;
}

struct cprof_error *cprof_mapped_set_add(struct cprof_mapped_set *set, uint64_t start, uint64_t end,
					 uint32_t call)
{
	if (start >= end)
		return NULL;
	if (!CPROF_ARRAY_ROOM(set->pieces, set->n, set->cap, 2))
		return cprof_error_no_memory();
	insert(set, cut_out(set, start, end), (struct cprof_mapped_piece){ start, end, call });
	return NULL;
}
