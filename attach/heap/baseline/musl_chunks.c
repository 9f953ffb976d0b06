/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/heap/baseline/musl_chunks.h"

#include <string.h>

#define PAGE        CPROF_BASELINE_PAGE
#define USER_SPACE  (1ull << 47)
#define HEADER      CPROF_MUSL_OLD_HEADER
#define UNIT        CPROF_MUSL_OLD_UNIT
#define IN_USE      1ull
#define RINGS       64
#define RINGS_LEAST 4    /* that are empty, and say so; or lead to a chunk that leads back */
#define TRIES_MAX   4096 /* places that look like a ring */
#define LOCK_BITS   0xffff00000001ull /* of two numbers: held, and how many wait */
#define CHAIN       8                 /* chunks in a row that are believed */

/* ---- finding ---- */

/* The map of rings that are not empty, and the rings: a lock, the first and the last chunk. */
struct rings {
	uint64_t map;
	struct {
		uint64_t lock, head, tail;
	} all[RINGS];
};

static bool is_chunk(uint64_t addr)
{
	return addr >= PAGE && addr < USER_SPACE && addr % UNIT == HEADER;
}

/* A ring was never asked for (0), or is empty (itself), or its first chunk leads back to it. */
static bool is_ring(struct cprof_baseline_memory *memory, const struct rings *rings, uint64_t at,
		    unsigned i, unsigned *good, unsigned *odd, unsigned *led)
{
	const uint64_t head = rings->all[i].head, tail = rings->all[i].tail;
	const uint64_t itself = at + 8 + i * 24ull + 8 - HEADER;
	uint64_t prev;
	const bool filled = rings->map >> i & 1;
	if (rings->all[i].lock & ~LOCK_BITS)
		return false;
	if (!head && !tail)
		return !filled;
	if (head == itself && tail == itself) {
		*good += !filled;
		*odd += filled;
		return true;
	}
	*odd += !filled;
	if (!is_chunk(head) || !is_chunk(tail))
		return false;
	if (filled && cprof_baseline_memory_read(memory, head + 24, &prev, 8) && prev == itself)
		++*led;
	return true;
}

static bool is_rings(struct cprof_baseline_memory *memory, const struct rings *rings, uint64_t at)
{
	unsigned good = 0, odd = 0, led = 0, i = 0;
	while (i < RINGS && is_ring(memory, rings, at, i, &good, &odd, &led))
		i++;
	/* A heap in use has a free chunk; one just taken out or put in is not yet in the map as it is. */
	return i == RINGS && led && good + led >= RINGS_LEAST && odd <= 2;
}

/* There may be a ring at `ring`: are the others around it, whichever it is? */
static bool is_around(struct cprof_baseline_memory *memory, uint64_t ring, uint64_t start,
		      uint64_t end)
{
	uint8_t near[2 * sizeof(struct rings)];
	struct rings rings;
	const uint64_t low = ring - start < sizeof(rings) ? start : ring - sizeof(rings);
	const uint64_t high = end - ring < sizeof(rings) ? end : ring + sizeof(rings);
	if (!cprof_baseline_memory_read(memory, low, near, (size_t)(high - low)))
		return false;
	for (unsigned i = 0; i < RINGS; i++) {
		const uint64_t at = ring - 8 - i * sizeof(rings.all[0]);
		if (at < low || at > ring || high - at < sizeof(rings))
			continue;
		memcpy(&rings, near + (at - low), sizeof(rings));
		if (is_rings(memory, &rings, at))
			return true;
	}
	return false;
}

/* Words of variables, the second of which is at `addr`: a lock, the first and last chunk of a ring, and the next one's lock? */
static bool may_be_ring(const uint64_t words[4], uint64_t addr)
{
	const uint64_t itself = addr - HEADER;
	return !(words[0] & ~LOCK_BITS) && !(words[3] & ~LOCK_BITS) &&
	       ((words[1] == itself && words[2] == itself) ||
		(is_chunk(words[1]) && is_chunk(words[2])));
}

bool cprof_musl_rings_find(struct cprof_baseline_memory *memory, uint64_t start, uint64_t end)
{
	uint64_t words[PAGE / 8];
	unsigned tries = 0;
	start = (start + 7) & ~7ull;
	for (uint64_t at = cprof_baseline_memory_next(memory, start, end); at < end;
	     at = cprof_baseline_memory_next(memory, at, end)) {
		const uint64_t page_end = (at | (PAGE - 1)) + 1;
		const size_t n = (size_t)((page_end < end ? page_end : end) - at) / 8;
		const bool ok = n && cprof_baseline_memory_read(memory, at, words, n * 8);
		for (size_t i = 0; ok && i + 3 < n && tries < TRIES_MAX; i++) {
			const uint64_t ring = at + 8 * i;
			if (!may_be_ring(words + i, ring + 8))
				continue;
			tries++;
			if (is_around(memory, ring, start, end))
				return true;
		}
		at = page_end;
	}
	return false;
}

/* ---- chunks ---- */

struct words {
	uint64_t before, own;
};

struct walk {
	struct cprof_baseline_memory *memory;
	const struct cprof_musl_chunk_fns *fns;
	void *ctx;
	uint64_t end; /* of the memory */
	uint64_t *budget;
};

static bool look(struct walk *walk, uint64_t at, struct words *words)
{
	if (at >= walk->end || walk->end - at < sizeof(*words))
		return false;
	const uint8_t *bytes =
		cprof_baseline_memory_at(walk->memory, at, sizeof(*words), walk->end);
	if (bytes)
		memcpy(words, bytes, sizeof(*words));
	return bytes;
}

static uint64_t size_of(uint64_t word)
{
	return word & ~IN_USE;
}

/* Does a chunk of that word fit between `at` and the end, with room for what closes the area? */
static bool fits(const struct walk *walk, uint64_t at, uint64_t word)
{
	const uint64_t size = size_of(word);
	return size && size % UNIT == 0 && size < walk->end - at && walk->end - at - size >= HEADER;
}

/* Do several chunks follow one another from `at` on, or does the area end? */
static bool leads_on(struct walk *walk, uint64_t at)
{
	struct words words, next;
	if (!look(walk, at, &words))
		return false;
	for (unsigned i = 0; i < CHAIN; i++) {
		if (words.own == IN_USE)
			return i > 0;
		if (!*walk->budget || !fits(walk, at, words.own) ||
		    !look(walk, at + size_of(words.own), &next) || next.before != words.own)
			return false;
		--*walk->budget;
		at += size_of(words.own);
		words = next;
	}
	return true;
}

/* From a chunk that does not fit to the next one that does; the end of the memory: there is none. */
static uint64_t go_on(struct walk *walk, uint64_t at)
{
	struct words words;
	for (at += UNIT; at < walk->end && *walk->budget; at += UNIT) {
		--*walk->budget;
		if (!look(walk, at, &words)) {
			/* The next page that is there, where chunks can be. */
			const uint64_t next = cprof_baseline_memory_next(
				walk->memory, (at | (PAGE - 1)) + 1, walk->end);
			at = next < walk->end ? next + HEADER - UNIT : next;
			continue;
		}
		if (size_of(words.own) && leads_on(walk, at))
			return at;
	}
	return walk->end;
}

static struct cprof_error *tell(struct walk *walk, enum cprof_musl_chunk_kind kind, uint64_t addr,
				uint64_t bytes)
{
	const struct cprof_musl_chunk chunk = { .kind = kind, .addr = addr, .bytes = bytes };
	return walk->fns->chunk(walk->ctx, &chunk);
}

/* One chunk; where a word does not fit, all up to where it goes on. *at is the next one's. */
static struct cprof_error *step(struct walk *walk, uint64_t *at, const struct words *words)
{
	struct words next;
	const uint64_t from = *at;
	if (fits(walk, from, words->own) && look(walk, from + size_of(words->own), &next) &&
	    next.before == words->own) {
		*at += size_of(words->own);
		return tell(walk, words->own & IN_USE ? CPROF_MUSL_USED : CPROF_MUSL_FREE, from,
			    *at - from);
	}
	*at = go_on(walk, from);
	return tell(walk, CPROF_MUSL_BROKEN, from, *at - from);
}

static struct cprof_error *walk_area(struct walk *walk, uint64_t start, uint64_t *ret_end)
{
	struct words words;
	uint64_t at = start + HEADER;
	struct cprof_error *err = tell(walk, CPROF_MUSL_ENDS, start, HEADER);
	while (!err && look(walk, at, &words) && words.own != IN_USE)
		err = step(walk, &at, &words);
	const uint64_t end = walk->end - at < HEADER ? walk->end : at + HEADER;
	if (!err && end > at)
		err = tell(walk, CPROF_MUSL_ENDS, at, end - at);
	*ret_end = end;
	return err ? err : walk->fns->area(walk->ctx, start, end);
}

/* A large block's mapping: its header says how far in it begins, and how long it is. */
static uint64_t mapped_bytes(const struct walk *walk, uint64_t at, const struct words *words)
{
	const uint64_t whole = words->own + HEADER;
	return words->before == HEADER && words->own >= UNIT && whole % PAGE == 0 &&
			       whole <= walk->end - at
		       ? whole
		       : 0;
}

static struct cprof_error *take_mapped(struct walk *walk, uint64_t at, uint64_t bytes)
{
	const struct cprof_musl_chunk chunk = {
		.kind = CPROF_MUSL_USED, .addr = at, .bytes = bytes, .mapped = true
	};
	struct cprof_error *err = walk->fns->chunk(walk->ctx, &chunk);
	return err ? err : walk->fns->area(walk->ctx, at, at + bytes);
}

struct cprof_error *cprof_musl_chunks_each(struct cprof_baseline_memory *memory, uint64_t start,
					   uint64_t end, const struct cprof_musl_chunk_fns *fns,
					   void *ctx, uint64_t *budget)
{
	struct walk walk = { memory, fns, ctx, end, budget };
	struct cprof_error *err = NULL;
	uint64_t at = (start + PAGE - 1) & ~(PAGE - 1);
	while (!err && at < end && *budget) {
		struct words words;
		at = cprof_baseline_memory_next(memory, at, end);
		--*budget;
		if (!look(&walk, at + HEADER, &words)) {
			at += PAGE;
			continue;
		}
		const uint64_t bytes = mapped_bytes(&walk, at, &words);
		uint64_t to = at + PAGE;
		if (bytes) {
			err = take_mapped(&walk, at, bytes);
			to = at + bytes;
		} else if (words.before == IN_USE && leads_on(&walk, at + HEADER)) {
			err = walk_area(&walk, at, &to);
		}
		at = (to + PAGE - 1) & ~(PAGE - 1);
	}
	return err;
}
