/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolize/unwind/unwind_impl.h"

#define PAGE 4096u
/* The first look into the live process: most walks that outgrow their copy need only a little more. */
#define LIVE_FIRST_BYTES 8192u
#define LIVE_REFILLS_MAX 512u   /* 32 MB of stack */
#define COPY_MAX         65536u /* a perf sample's stack copy is shorter than this */

static bool read_from(const struct cprof_memory *memory, uint64_t addr, void *buf, size_t n)
{
	return memory && memory->read && memory->read(memory->ctx, addr, buf, n);
}

static bool fail(struct cprof_walk *w, uint64_t addr)
{
	if (!w->failed)
		w->failed_addr = addr;
	w->failed = true;
	return false;
}

/* ---- the live process ---- */

/* Is the word at `addr` in what was read of the live stack? */
static bool held(const struct cprof_walk *w, uint64_t addr)
{
	return addr >= w->live_start && w->live_size >= sizeof(uint64_t) &&
	       addr - w->live_start <= w->live_size - sizeof(uint64_t);
}

/*
 * The outer frames of a stack hold still while the inner ones come and go. That they did is seen from the
 * return addresses that the walk came through last: they must stand, together with the live words, where
 * they stood in the sample.
 */
static bool anchors_hold(struct cprof_walk *w)
{
	for (unsigned i = 0; i < w->n_anchors; i++) {
		uint64_t now, addr = w->anchors[i].addr;
		if (held(w, addr))
			memcpy(&now, w->unwinder->live + (addr - w->live_start), sizeof(now));
		else if (!read_from(w->input->live, addr, &now, sizeof(now)))
			return false;
		if ((now & w->unwinder->arch->code_addr_mask) != w->anchors[i].value)
			return false;
	}
	return true;
}

static bool fill(struct cprof_walk *w, uint64_t start, size_t size)
{
	if (size == 0 || size > CPROF_WALK_LIVE_BYTES ||
	    !read_from(w->input->live, start, w->unwinder->live, size))
		return false;
	w->live_start = start;
	w->live_size = size;
	return true;
}

/*
 * Where to begin reading: at the frame, better still at the return addresses below it, so that those and
 * what is built on them are read by one system call; at `addr` itself where it is too far from there.
 */
static uint64_t fill_start(const struct cprof_walk *w, uint64_t addr)
{
	uint64_t start = w->regs.r[w->unwinder->arch->sp];
	if (addr < start || addr - start > CPROF_WALK_LIVE_BYTES / 2)
		return addr;
	for (unsigned i = 0; i < w->n_anchors; i++) {
		if (w->anchors[i].addr < start && start - w->anchors[i].addr < PAGE)
			start = w->anchors[i].addr;
	}
	return start & ~7ull;
}

/* Read a piece of the live stack that holds the word at `addr`. */
static bool refill(struct cprof_walk *w, uint64_t addr)
{
	uint64_t start = fill_start(w, addr);
	size_t size = w->live_refills++ ? CPROF_WALK_LIVE_BYTES : LIVE_FIRST_BYTES;
	if (addr + sizeof(uint64_t) - start > size)
		size = CPROF_WALK_LIVE_BYTES;
	if (w->live_refills > LIVE_REFILLS_MAX)
		return false;
	const struct cprof_map *map = cprof_maps_find(w->input->maps, start);
	if (map && size > map->end - start)
		size = (size_t)(map->end - start);
	/* Maps lag behind reality; the rest of the page can be read if the word can. */
	if (!fill(w, start, size) &&
	    !fill(w, start, (size_t)(((addr + 7) | (PAGE - 1)) + 1 - start)))
		return false;
	if (anchors_hold(w))
		return true;
	w->mismatch = true;
	return false;
}

static bool live_word(struct cprof_walk *w, uint64_t addr, uint64_t *ret_value)
{
	uint64_t copied;
	if (addr > UINT64_MAX - 2 * CPROF_WALK_LIVE_BYTES)
		return fail(w, addr);
	if (!held(w, addr) && (!refill(w, addr) || !held(w, addr)))
		return fail(w, addr);
	memcpy(ret_value, w->unwinder->live + (addr - w->live_start), sizeof(*ret_value));
	/* One frame, one moment: what the copy has of this frame must be what stands there now. */
	if (read_from(w->input->stack, addr, &copied, sizeof(copied)) && copied != *ret_value) {
		w->mismatch = true;
		return fail(w, addr);
	}
	return true;
}

bool cprof_walk_slow_word(struct cprof_walk *w, uint64_t addr, uint64_t *ret_value)
{
	if (w->live)
		return live_word(w, addr, ret_value);
	return read_from(w->input->stack, addr, ret_value, sizeof(*ret_value)) || fail(w, addr);
}

bool cprof_walk_read(void *walk, uint64_t addr, void *buf, size_t n)
{
	uint64_t value;
	if (n > sizeof(value) || !cprof_walk_word(walk, addr, &value))
		return false;
	memcpy(buf, &value, n);
	return true;
}

bool cprof_walk_go_live(struct cprof_walk *w)
{
	if (w->live || !w->input->live || !w->input->live->read || !w->unwinder->live)
		return false;
	w->live = true;
	w->live_size = 0;
	w->failed = false;
	return true;
}

void cprof_walk_anchor(struct cprof_walk *w, uint64_t addr, uint64_t value)
{
	for (unsigned i = CPROF_WALK_ANCHORS - 1; i > 0; i--)
		w->anchors[i] = w->anchors[i - 1];
	w->anchors[0] = (struct cprof_walk_anchor){ addr, value };
	if (w->n_anchors < CPROF_WALK_ANCHORS)
		w->n_anchors++;
}

/* Does the copy begin at the sampled stack pointer and end before COPY_MAX, as one of perf does? */
static bool copy_is_short(struct cprof_walk *w)
{
	uint8_t byte;
	return w->input->stack && !read_from(w->input->stack, w->sample_sp + COPY_MAX, &byte, 1);
}

enum cprof_stop cprof_walk_why_unreadable(struct cprof_walk *w)
{
	if (w->mismatch || (!w->live && copy_is_short(w)))
		return CPROF_STOP_COPY_END;
	return CPROF_STOP_UNREADABLE;
}

/* ---- code ---- */

static bool file_code(const struct cprof_module *module, const struct cprof_map *map, uint64_t addr,
		      void *buf, size_t n)
{
	if (!module || !module->image)
		return false;
	const uint8_t *bytes = cprof_image_at(module->image, addr - map->start + map->offset, n);
	if (bytes)
		memcpy(buf, bytes, n);
	return bytes;
}

bool cprof_walk_code(void *walk, uint64_t addr, void *buf, size_t n)
{
	struct cprof_walk *w = walk;
	struct cprof_module *module;
	const struct cprof_map *map = cprof_walk_map(w, addr, &module);
	if (!map || n > map->end - addr)
		return false;
	return file_code(module, map, addr, buf, n) || read_from(w->input->live, addr, buf, n) ||
	       read_from(&w->input->maps->memory, addr, buf, n);
}
