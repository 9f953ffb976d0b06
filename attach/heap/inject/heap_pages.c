/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/heap/inject/heap_pages.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "attach/target/target_spans.h"
#include "base/cleanup.h"

#ifndef MADV_WIPEONFORK
#define MADV_WIPEONFORK 18
#endif
#ifndef PR_SET_VMA
#define PR_SET_VMA           0x53564d41
#define PR_SET_VMA_ANON_NAME 0
#endif

/* Most of the data is never touched: it is not to count against what the machine has promised. */
#define MAP_FLAGS (MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE | MAP_NORESERVE)
#define PAGE      4096u

void cprof_heap_pages_init(struct cprof_heap_pages *pages, struct cprof_target *target,
			   struct cprof_maps *maps)
{
	*pages = (struct cprof_heap_pages){ .target = target, .maps = maps };
}

void cprof_heap_pages_deinit(struct cprof_heap_pages *pages)
{
	for (uint32_t i = 0; i < CPROF_HEAP_IMAGES_MAX; i++)
		free(pages->images[i].copy);
	*pages = (struct cprof_heap_pages){ 0 };
}

/* ---- data, while the target runs or stands ---- */

bool cprof_heap_pages_read(const struct cprof_heap_pages *pages, uint64_t addr, void *buf, size_t n)
{
	const struct cprof_target_span span = { addr, buf, n };
	return cprof_target_spans_read(pages->target, &span, 1);
}

bool cprof_heap_pages_write(const struct cprof_heap_pages *pages, uint64_t addr, const void *buf,
			    size_t n)
{
	const struct cprof_target_span span = { addr, (void *)(uintptr_t)buf, n };
	return cprof_target_spans_write(pages->target, &span, 1);
}

static uint64_t data_at(const struct cprof_heap_pages *pages, size_t offset)
{
	return pages->data + offset;
}

#define AT(pages, member) data_at(pages, offsetof(struct cprof_shim_data, member))

static struct cprof_error *put(const struct cprof_heap_pages *pages, uint64_t addr, const void *buf,
			       size_t n)
{
	if (cprof_heap_pages_write(pages, addr, buf, n))
		return NULL;
	if (errno == EFAULT || errno == ENOMEM) /* a page that the target could not have */
		return cprof_head_room_refused(pages->target->pid, "memory", n, ENOMEM);
	return cprof_error_os(errno, "write %zu bytes at 0x%" PRIx64 " of process %d", n, addr,
			      (int)pages->target->pid);
}

void cprof_heap_pages_put_to_sleep(const struct cprof_heap_pages *pages)
{
	const uint64_t off = 0;
	uint64_t magic;
	/* Where another thing lies meanwhile nothing is written. */
	if (pages->data_mapped &&
	    cprof_heap_pages_read(pages, pages->data, &magic, sizeof(magic)) &&
	    magic == pages->nonce)
		cprof_heap_pages_write(pages, AT(pages, control.enabled), &off, sizeof(off));
}

/* ---- what the shim finds ---- */

static void draw_quantiles(uint32_t *quantile)
{
	for (unsigned i = 0; i < CPROF_SHIM_QUANTILES; i++)
		quantile[i] =
			(uint32_t)lround(-log1p(-(double)i / CPROF_SHIM_QUANTILES) * (1 << 24));
}

void cprof_heap_pages_enter_stack(struct cprof_shim_slot *slot,
				  const struct cprof_heap_stack *stack)
{
	slot->stack_start = stack->start;
	slot->stack_end = stack->end;
	slot->record = stack->record;
	slot->block = stack->block;
	slot->block_bytes = stack->block_bytes;
}

/* A slot for a thread we have in our hands: its first gap drawn, the bounds of its stack known. */
static struct cprof_error *put_slot(const struct cprof_heap_pages *pages,
				    const struct cprof_tracee *thread,
				    struct cprof_shim_slot *taken)
{
	const uint64_t mask = (1u << CPROF_SHIM_SLOTS_LOG2) - 1;
	uint64_t tp = thread->regs.fs_base;
	if (!tp)
		return NULL;
	uint64_t at = tp * CPROF_SHIM_HASH >> (64 - CPROF_SHIM_SLOTS_LOG2);
	for (uint64_t i = 0; i < 8; i++) {
		struct cprof_shim_slot *slot = &taken[(at + i) & mask];
		if (slot->key == tp)
			return NULL;
		if (slot->key ||
		    slot == taken) /* the first is for those without a thread pointer */
			continue;
		slot->key = tp;
		slot->period = pages->period;
		double unit = -log1p(-drand48());
		slot->left = pages->period <= CPROF_SHIM_EVERY
				     ? 0
				     : (uint64_t)(unit * (double)pages->period) + 1;
		slot->random = (uint32_t)lrand48() << 1 | 1;
		struct cprof_heap_stack stack;
		if (cprof_heap_threads_stack(pages->maps, thread->regs.rsp, tp, &stack))
			cprof_heap_pages_enter_stack(slot, &stack);
		return put(pages, AT(pages, slots) + ((at + i) & mask) * sizeof(*slot), slot,
			   sizeof(*slot));
	}
	return NULL; /* it will find one of its own */
}

static struct cprof_error *put_slots(const struct cprof_heap_pages *pages,
				     const struct cprof_ptrace *trace)
{
	CPROF_AUTO(free)
	struct cprof_shim_slot *slots = calloc(1u << CPROF_SHIM_SLOTS_LOG2, sizeof(*slots));
	if (!slots)
		return cprof_error_no_memory();
	srand48((long)(pages->nonce >> 1));
	for (size_t i = 0; i < trace->n; i++) {
		if (trace->threads[i].state != CPROF_TRACEE_STOPPED)
			continue;
		struct cprof_error *err = put_slot(pages, &trace->threads[i], slots);
		if (err)
			return err;
	}
	return NULL;
}

struct cprof_error *cprof_heap_pages_fill(const struct cprof_heap_pages *pages,
					  const struct cprof_ptrace *trace)
{
	static uint32_t quantile[CPROF_SHIM_QUANTILES];
	draw_quantiles(quantile);
	struct cprof_shim_control control = { .magic = pages->nonce,
					      .enabled = 1,
					      .period = pages->period };
	memcpy(control.lasting, pages->lasting.ranges, sizeof(control.lasting));
	struct cprof_error *err = put(pages, AT(pages, quantile), quantile, sizeof(quantile));
	if (!err)
		err = put_slots(pages, trace);
	if (!err)
		err = put(pages, AT(pages, control), &control, sizeof(control));
	return err;
}

/* The start goes first, and both only move outwards: whatever the shim sees of it is true. */
void cprof_heap_pages_tell_lasting(const struct cprof_heap_pages *pages)
{
	const struct cprof_shim_range *ranges = pages->lasting.ranges;
	for (size_t i = 0; i < CPROF_SHIM_LASTING && ranges[i].end; i++) {
		const uint64_t at = AT(pages, control.lasting) + i * sizeof(ranges[i]);
		if (!cprof_heap_pages_write(pages, at, &ranges[i].start, sizeof(uint64_t)) ||
		    !cprof_heap_pages_write(pages, at + sizeof(uint64_t), &ranges[i].end,
					    sizeof(uint64_t)))
			return;
	}
}

/* ---- mappings ---- */

/* The second argument is how many bytes; a limit that is in the way is the target's. */
static struct cprof_error *remote_call(struct cprof_remote *remote, const char *what, long number,
				       const uint64_t args[6])
{
	int64_t result;
	struct cprof_error *err = cprof_remote_syscall(remote, number, args, &result);
	if (!err && result < 0 && result > -4096)
		err = cprof_head_room_refused(remote->trace->pid, what, args[1], (int)-result);
	return err ? cprof_error_wrap(err, "heap profile") : NULL;
}

static struct cprof_error *remote_map(struct cprof_remote *remote, uint64_t addr, uint64_t bytes,
				      uint64_t prot)
{
	const uint64_t args[6] = { addr, bytes, prot, MAP_FLAGS, UINT64_MAX, 0 };
	return remote_call(remote, "mmap", SYS_mmap, args);
}

static struct cprof_error *remote_unmap(struct cprof_remote *remote, uint64_t addr, uint64_t bytes)
{
	const uint64_t args[6] = { addr, bytes };
	return remote_call(remote, "munmap", SYS_munmap, args);
}

static struct cprof_error *remote_advise(struct cprof_remote *remote, uint64_t addr, uint64_t bytes,
					 uint64_t advice)
{
	const uint64_t args[6] = { addr, bytes, advice };
	return remote_call(remote, "madvise", SYS_madvise, args);
}

/* "[anon:cprof-shim]" in maps; kernels without CONFIG_ANON_VMA_NAME refuse, which does no harm. */
static void remote_name(struct cprof_remote *remote, uint64_t addr, uint64_t bytes,
			uint64_t name_addr)
{
	const uint64_t args[6] = { PR_SET_VMA, PR_SET_VMA_ANON_NAME, addr, bytes, name_addr };
	int64_t result;
	cprof_error_free(cprof_remote_syscall(remote, SYS_prctl, args, &result));
}

/* A zero into each page of zeros from `addr` to `end`: the page is the target's own from then on. */
static struct cprof_error *touch(const struct cprof_heap_pages *pages, uint64_t addr, uint64_t end)
{
	uint8_t zero = 0;
	while (addr < end) {
		struct cprof_target_span spans[CPROF_TARGET_SPANS_MAX];
		size_t n = 0;
		for (; n < CPROF_TARGET_SPANS_MAX && addr < end; addr += PAGE)
			spans[n++] = (struct cprof_target_span){ addr, &zero, sizeof(zero) };
		if (!cprof_target_spans_write(pages->target, spans, n))
			return cprof_head_room_refused(pages->target->pid, "memory", n * PAGE,
						       errno == EFAULT ? ENOMEM : errno);
	}
	return NULL;
}

/* Cells that the profile is to do without look taken for ever: their stacks are never touched. */
static struct cprof_error *close_cells(const struct cprof_heap_pages *pages)
{
	CPROF_AUTO(free)
	struct cprof_shim_cell *cells = calloc(CPROF_SHIM_CELLS, sizeof(*cells));
	if (!cells)
		return cprof_error_no_memory();
	for (uint32_t i = 0; i < CPROF_SHIM_CELLS; i++) {
		if (!cprof_heap_size_cell_is_open(&pages->size, i))
			cells[i].state = CPROF_SHIM_CELL_TAKEN;
	}
	return put(pages, AT(pages, cells), cells, CPROF_SHIM_CELLS * sizeof(*cells));
}

/* All that the profile can ever touch of the data, while it is zero and known how much memory is left. */
static struct cprof_error *touch_data(const struct cprof_heap_pages *pages)
{
	struct cprof_error *err = touch(pages, pages->data, AT(pages, stacks));
	for (uint32_t i = 0; !err && i < CPROF_SHIM_CELLS; i++) {
		const uint64_t stack = AT(pages, stacks) + (uint64_t)i * CPROF_SHIM_STACK_BYTES;
		if (cprof_heap_size_cell_is_open(&pages->size, i))
			err = touch(pages, stack, stack + CPROF_SHIM_STACK_BYTES);
	}
	if (!err)
		err = touch(pages, AT(pages, live), pages->data + pages->data_bytes);
	return err ? err : close_cells(pages);
}

/* It was given up waiting for the call, which the thread makes all the same when it gets to it. */
static bool may_come(const struct cprof_remote *remote)
{
	return remote->thread->state == CPROF_TRACEE_RUNNING;
}

static struct cprof_error *map_data(struct cprof_heap_pages *pages, struct cprof_remote *remote)
{
	struct cprof_error *err =
		remote_map(remote, pages->data, pages->data_bytes, PROT_READ | PROT_WRITE);
	pages->data_unsure = err && may_come(remote);
	pages->data_mapped = !err || pages->data_unsure;
	if (err)
		return err;
	err = remote_advise(remote, pages->data, pages->data_bytes, MADV_WIPEONFORK);
	if (!err)
		err = remote_advise(remote, pages->data, pages->data_bytes, MADV_DONTDUMP);
	if (err)
		return err;
	/* A few pages are touched: a huge one for that would be somebody's 2 MiB. */
	cprof_error_free(remote_advise(remote, pages->data, pages->data_bytes, MADV_NOHUGEPAGE));
	return pages->size.touch ? touch_data(pages) : NULL;
}

struct cprof_error *cprof_heap_pages_map(struct cprof_heap_pages *pages, struct cprof_ptrace *trace,
					 struct cprof_remote *remote)
{
	const uint64_t locked = cprof_head_room_locked(pages->target->pid);
	for (uint32_t i = 0; i < pages->n_images; i++) {
		struct cprof_heap_image *image = &pages->images[i];
		struct cprof_error *err =
			remote_map(remote, image->addr, pages->image_bytes, PROT_READ | PROT_EXEC);
		image->unsure = err && may_come(remote);
		image->mapped = !err || image->unsure;
		if (err)
			return err;
		err = cprof_ptrace_write(trace, image->addr, image->copy, pages->image_bytes);
		if (err)
			return err;
	}
	/* mlockall(MCL_FUTURE) cannot be seen but by what it does: the images are locked. So would all of the data be. */
	struct cprof_error *err = NULL;
	if (cprof_head_room_locked(pages->target->pid) > locked)
		err = cprof_heap_size_check_locked(&pages->room, &pages->size, pages->n_images,
						   pages->image_bytes);
	if (!err)
		err = map_data(pages, remote);
	if (err)
		return err;
	/* The name is read from the target's memory; it is in the data for this moment only. */
	const char name[] = "cprof-shim";
	uint64_t at = AT(pages, stacks);
	err = put(pages, at, name, sizeof(name));
	if (err)
		return err;
	for (uint32_t i = 0; i < pages->n_images; i++)
		remote_name(remote, pages->images[i].addr, pages->image_bytes, at);
	remote_name(remote, pages->data, pages->data_bytes, at);
	return NULL;
}

/* What can be unmapped is; what cannot is left to -repair, which finds it by its first bytes. */
void cprof_heap_pages_unmap(struct cprof_heap_pages *pages, struct cprof_remote *remote)
{
	if (pages->data_mapped) {
		struct cprof_error *err = remote_unmap(remote, pages->data, pages->data_bytes);
		pages->data_mapped = err != NULL;
		pages->data_unsure |= err && may_come(remote);
		cprof_error_free(err);
	}
	for (uint32_t i = 0; i < pages->n_images; i++) {
		struct cprof_heap_image *image = &pages->images[i];
		if (!image->mapped)
			continue;
		struct cprof_error *err = remote_unmap(remote, image->addr, pages->image_bytes);
		image->mapped = err != NULL;
		image->unsure |= err && may_come(remote);
		cprof_error_free(err);
	}
}

struct cprof_error *cprof_heap_pages_rewrite(const struct cprof_heap_pages *pages,
					     const struct cprof_ptrace *trace)
{
	for (uint32_t i = 0; i < pages->n_images; i++) {
		const struct cprof_heap_image *image = &pages->images[i];
		struct cprof_error *err =
			cprof_ptrace_write(trace, image->addr, image->copy, pages->image_bytes);
		if (err)
			return err;
	}
	return NULL;
}

struct cprof_error *cprof_heap_pages_retire(const struct cprof_heap_pages *pages,
					    const struct cprof_ptrace *trace)
{
	const uint32_t retired = 1;
	for (uint32_t i = 0; i < pages->n_images; i++) {
		uint64_t at = pages->images[i].addr + offsetof(struct cprof_shim_image, retired);
		if (!pages->images[i].mapped)
			continue;
		struct cprof_error *err = cprof_ptrace_write(trace, at, &retired, sizeof(retired));
		if (err)
			return err;
	}
	return NULL;
}

/* ---- are they there? ---- */

bool cprof_heap_pages_any(const struct cprof_heap_pages *pages)
{
	bool any = pages->data_mapped;
	for (uint32_t i = 0; i < pages->n_images; i++)
		any |= pages->images[i].mapped;
	return any;
}

/* Where the call was not seen to its end the target may have mapped its own meanwhile: the place must be ours to the byte. */
static bool is_exactly(const struct cprof_map *map, uint64_t addr, uint64_t bytes, unsigned prot)
{
	return map->start == addr && map->end - map->start == bytes && map->prot == prot &&
	       !map->inode;
}

static bool image_is_there(const struct cprof_heap_pages *pages,
			   const struct cprof_heap_image *image)
{
	uint64_t head[2];
	const struct cprof_map *map = cprof_maps_find(pages->maps, image->addr);
	if (!map || map->start != image->addr ||
	    !cprof_heap_pages_read(pages, image->addr, head, sizeof(head)))
		return false;
	if (image->unsure &&
	    !is_exactly(map, image->addr, pages->image_bytes, PROT_READ | PROT_EXEC))
		return false;
	return head[0] == image->copy->magic || (image->unsure && !head[0]);
}

bool cprof_heap_pages_gone(const struct cprof_heap_pages *pages)
{
	for (uint32_t i = 0; i < pages->n_images; i++) {
		if (pages->images[i].mapped && image_is_there(pages, &pages->images[i]))
			return false;
	}
	return true;
}

static bool data_is_there(const struct cprof_heap_pages *pages)
{
	uint64_t magic;
	const struct cprof_map *map = cprof_maps_find(pages->maps, pages->data);
	if (!map || !pages->data_unsure)
		return map;
	return is_exactly(map, pages->data, pages->data_bytes, PROT_READ | PROT_WRITE) &&
	       cprof_heap_pages_read(pages, pages->data, &magic, sizeof(magic)) &&
	       (!magic || magic == pages->images[0].copy->nonce);
}

void cprof_heap_pages_look(struct cprof_heap_pages *pages)
{
	for (uint32_t i = 0; i < pages->n_images; i++) {
		struct cprof_heap_image *image = &pages->images[i];
		image->mapped = image->mapped && image_is_there(pages, image);
	}
	pages->data_mapped = pages->data_mapped && data_is_there(pages);
}

/* ---- the calls ---- */

static void add(struct cprof_seccomp_call *calls, size_t *n, struct cprof_seccomp_call call)
{
	calls[(*n)++] = call;
}

static void add_calls(struct cprof_seccomp_call *calls, size_t *n, bool map, uint64_t addr,
		      uint64_t bytes, uint64_t prot, uint64_t name)
{
	if (map) {
		add(calls, n,
		    (struct cprof_seccomp_call){
			    "mmap", SYS_mmap, { addr, bytes, prot, MAP_FLAGS, UINT64_MAX } });
		add(calls, n,
		    (struct cprof_seccomp_call){
			    "prctl",
			    SYS_prctl,
			    { PR_SET_VMA, PR_SET_VMA_ANON_NAME, addr, bytes, name } });
	}
	add(calls, n, (struct cprof_seccomp_call){ "munmap", SYS_munmap, { addr, bytes } });
}

size_t cprof_heap_pages_calls(const struct cprof_heap_pages *pages, bool map,
			      struct cprof_seccomp_call calls[CPROF_HEAP_PAGES_CALLS_MAX])
{
	static const uint64_t advice[] = { MADV_WIPEONFORK, MADV_DONTDUMP, MADV_NOHUGEPAGE };
	const uint64_t data = pages->data, bytes = pages->data_bytes, name = AT(pages, stacks);
	size_t n = 0;
	for (uint32_t i = 0; i < pages->n_images; i++)
		add_calls(calls, &n, map, pages->images[i].addr, pages->image_bytes,
			  PROT_READ | PROT_EXEC, name);
	if (map || pages->data_mapped)
		add_calls(calls, &n, map, data, bytes, PROT_READ | PROT_WRITE, name);
	for (size_t i = 0; map && i < sizeof(advice) / sizeof(advice[0]); i++)
		add(calls, &n,
		    (struct cprof_seccomp_call){
			    "madvise", SYS_madvise, { data, bytes, advice[i] } });
	return n;
}
