/* SPDX-License-Identifier: Apache-2.0 */
#include "base/array.h"

#include <stdlib.h>
#include <string.h>

#define FIRST 16 /* entries */

/* A cap for n + extra entries, at most `most`; 0: that is too many. */
static size_t bigger(size_t n, size_t cap, size_t extra, size_t most)
{
	if (n > most || extra > most - n)
		return 0;
	size_t want = n + extra, grown = cap > most - cap / 2 ? most : cap + cap / 2;
	if (grown < FIRST && FIRST <= most)
		grown = FIRST;
	return grown < want ? want : grown;
}

static bool resize(void *array, size_t entries, size_t entry_bytes)
{
	void *old, *moved;
	memcpy(&old, array, sizeof(old)); /* the pointer has a type of its own */
	moved = entries ? reallocarray(old, entries, entry_bytes) : NULL;
	if (!moved)
		return false;
	memcpy(array, &moved, sizeof(moved));
	return true;
}

bool cprof_array_room(void *array, size_t n, size_t *cap, size_t extra, size_t entry_bytes)
{
	if (n <= *cap && extra <= *cap - n)
		return true;
	size_t entries = bigger(n, *cap, extra, SIZE_MAX / (entry_bytes ? entry_bytes : 1));
	if (!resize(array, entries, entry_bytes))
		return false;
	*cap = entries;
	return true;
}

bool cprof_array_room32(void *array, uint32_t n, uint32_t *cap, size_t extra, size_t entry_bytes)
{
	if (n <= *cap && extra <= *cap - n)
		return true;
	size_t entries = bigger(n, *cap, extra, UINT32_MAX);
	if (!resize(array, entries, entry_bytes))
		return false;
	*cap = (uint32_t)entries;
	return true;
}
