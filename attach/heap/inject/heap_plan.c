#include "attach/heap/inject/heap_plan.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "attach/heap/inject/heap_claim.h"
#include "attach/heap/inject/heap_place.h"
#include "attach/heap/alloc/pool_code.h"
#include "attach/heap/alloc/pool_find.h"
#include "base/cleanup.h"

#define PAGE         4096u
#define FUNCTION_MAX 16384u
#define SPAN_MAX     0x60000000ull /* entries further apart than this get a code mapping of their own */

#define LIVE_SAMPLED (1u << 16) /* at 512 KiB: 16 GiB of live heap at half load */
#define LIVE_EVERY   (1u << 20)
#define EVERY_BELOW  8192u

static size_t blob_bytes(void)
{
	return (size_t)(cprof_shim_blob_end - cprof_shim_blob);
}

uint64_t cprof_heap_plan_image_bytes(void)
{
	return (blob_bytes() + PAGE - 1) / PAGE * PAGE;
}

/* The blob's list of stubs, from the eight bytes at its end. */
static const struct cprof_shim_stub *stubs(uint32_t *ret_n)
{
	uint32_t tail[2];
	memcpy(tail, cprof_shim_blob + (blob_bytes() - sizeof(tail)), sizeof(tail));
	*ret_n = tail[1];
	return (const struct cprof_shim_stub *)(const void *)(cprof_shim_blob + tail[0]);
}

void cprof_heap_plan_refuse(struct cprof_heap_hook *hook, const char *why)
{
	char *copy = strdup(why); /* `why` may be what is there */
	free(hook->refused);
	hook->refused = copy;
}

/* ---- where ---- */

static struct cprof_error *no_room(uint64_t addr)
{
	return cprof_error_new(CPROF_ERR_UNSUPPORTED,
			       "no free address space within 2 GiB of the allocator at 0x%llx",
			       (unsigned long long)addr);
}

/* One code mapping for the entries [first, last], which are near each other. */
static struct cprof_error *add_image(struct cprof_heap_install *install, uint64_t low,
				     uint64_t high)
{
	if (install->n_images == CPROF_HEAP_IMAGES_MAX)
		return cprof_error_new(CPROF_ERR_UNSUPPORTED,
				       "the allocators lie in more than %d places",
				       CPROF_HEAP_IMAGES_MAX);
	struct cprof_heap_image *image = &install->images[install->n_images];
	image->copy = calloc(1, install->image_bytes);
	if (!image->copy)
		return cprof_error_no_memory();
	memcpy(image->copy, cprof_shim_blob, blob_bytes());
	if (!cprof_heap_place_near(install->maps, low, high, install->image_bytes, 0, 0,
				   &image->addr))
		return no_room(low);
	install->n_images++;
	return NULL;
}

/* Entries are sorted by address. */
static struct cprof_error *choose_addresses(struct cprof_heap_install *install)
{
	struct cprof_heap_hook *hooks = install->hooks;
	uint64_t low = 0;
	for (size_t i = 0; i < install->n_hooks; i++) {
		uint64_t addr = hooks[i].entry.addr;
		if (i == 0 || addr - low > SPAN_MAX) {
			size_t end = i;
			while (end < install->n_hooks && hooks[end].entry.addr - addr <= SPAN_MAX)
				end++;
			low = addr;
			struct cprof_error *err =
				add_image(install, low, hooks[end - 1].entry.addr + PAGE);
			if (err)
				return err;
		}
		hooks[i].image = install->n_images - 1;
	}
	const struct cprof_heap_image *first = &install->images[0];
	install->data_bytes = sizeof(struct cprof_shim_data) +
			      install->live_entries * sizeof(struct cprof_shim_live);
	/* Near the first code mapping for no reason but that a place near it is usual for such mappings. */
	if (!cprof_heap_place_near(install->maps, first->addr, first->addr, install->data_bytes,
				   first->addr - PAGE, first->addr + install->image_bytes + PAGE,
				   &install->data))
		return no_room(first->addr);
	return NULL;
}

/* ---- how ---- */

/* A free stub of the right kind, or -1. */
static int64_t take_stub(const struct cprof_heap_install *install, size_t hook)
{
	uint32_t n;
	const struct cprof_shim_stub *all = stubs(&n);
	for (uint32_t s = 0; s < n; s++) {
		bool used = all[s].kind != install->hooks[hook].entry.kind;
		for (size_t i = 0; !used && i < hook; i++)
			used = !install->hooks[i].refused && install->hooks[i].stub == s &&
			       install->hooks[i].image == install->hooks[hook].image;
		if (!used)
			return s;
	}
	return -1;
}

static uint8_t bit_of(const struct cprof_shim_operand *operand)
{
	static const uint8_t bits[CPROF_SHIM_ARGS] = { 1, 2, 4, 8, 16, 32 };
	return operand->arg < CPROF_SHIM_ARGS ? bits[operand->arg] : 0;
}

/* The arguments that the hook's stub and its slow path read, or hand on to another function. */
static uint8_t arguments_of(const struct cprof_alloc_entry *entry)
{
	enum { RDI = 1, RSI = 2, RDX = 4, RCX = 8 };
	static const uint8_t by_kind[CPROF_SHIM_KINDS] = {
		[CPROF_SHIM_ARG0] = RDI,
		[CPROF_SHIM_ARG1] = RSI,
		[CPROF_SHIM_CALLOC] = RDI | RSI,
		[CPROF_SHIM_REALLOC] = RDI | RSI,
		[CPROF_SHIM_POSIX_MEMALIGN] = RDI | RDX,
		[CPROF_SHIM_FREE] = RDI,
		[CPROF_SHIM_XALLOC] = RDI | RSI,
	};
	const struct cprof_shim_pool *pool = &entry->pool;
	uint8_t arguments = by_kind[entry->kind];
	if (entry->kind == CPROF_SHIM_POOL || entry->kind == CPROF_SHIM_POOL_REALLOC ||
	    entry->kind == CPROF_SHIM_POOL_FREE)
		arguments = bit_of(&pool->size) | bit_of(&pool->times) | bit_of(&pool->old);
	/* None that throws has more of them. */
	if (entry->throws)
		arguments |= RDI | RSI | RDX | RCX;
	return arguments;
}

static struct cprof_error *relocate(struct cprof_heap_install *install, size_t index)
{
	struct cprof_heap_hook *hook = &install->hooks[index];
	uint32_t n_stubs;
	const struct cprof_shim_stub *all = stubs(&n_stubs);
	uint8_t code[FUNCTION_MAX];
	uint64_t bytes = hook->entry.end - hook->entry.addr;
	if (bytes < CPROF_PATCH_WINDOW)
		bytes = CPROF_PATCH_WINDOW;
	if (bytes > hook->entry.map->end - hook->entry.addr)
		bytes = hook->entry.map->end - hook->entry.addr;
	if (bytes > sizeof(code))
		bytes = sizeof(code);

	int64_t stub = take_stub(install, index);
	if (stub < 0) {
		hook->beyond_us = true;
		cprof_heap_plan_refuse(hook, "there are more functions of its kind than stubs");
		return NULL;
	}
	if (!install->maps->memory.read(install->maps->memory.ctx, hook->entry.addr, code, bytes)) {
		cprof_heap_plan_refuse(hook, "its code cannot be read");
		return NULL;
	}
	const struct cprof_heap_image *image = &install->images[hook->image];
	hook->stub = (uint32_t)stub;
	hook->trampoline = image->addr + all[stub].trampoline;
	struct cprof_error *err =
		cprof_patch_plan(code, bytes, hook->entry.addr, image->addr + all[stub].stub,
				 hook->trampoline, arguments_of(&hook->entry), &hook->patch);
	if (!err)
		return NULL;
	if (err->code == CPROF_ERR_NO_MEMORY)
		return err;
	cprof_heap_plan_refuse(hook, err->message);
	cprof_error_free(err);
	return NULL;
}

/* The trampoline of the hook at `addr`, whose own jump must not be met again; else the function itself. */
static uint64_t sister_call(const struct cprof_heap_install *install,
			    const struct cprof_heap_hook *hook)
{
	if (!hook->entry.throws)
		return hook->trampoline;
	for (size_t i = 0; i < install->n_hooks; i++) {
		const struct cprof_heap_hook *other = &install->hooks[i];
		if (other->entry.addr == hook->entry.sister && !other->refused)
			return other->trampoline;
	}
	return hook->entry.sister;
}

struct cprof_shim_patch cprof_heap_plan_row(const struct cprof_heap_hook *hook)
{
	const struct cprof_map *map = hook->entry.map;
	struct cprof_shim_patch row = {
		.addr = hook->patch.addr,
		.map_start = map->start,
		.map_dev = map->dev,
		.map_inode = map->inode,
		.map_offset = map->offset,
		.len = CPROF_PATCH_JUMP,
	};
	memcpy(row.original, hook->patch.original, sizeof(row.original));
	memcpy(row.patched, hook->patch.patched, sizeof(row.patched));
	return row;
}

/* A pool's stub learns which arguments count. */
static void enter_pool(struct cprof_shim_image *image, const struct cprof_heap_hook *hook,
		       uint8_t *stub)
{
	uint8_t code[CPROF_POOL_CODE_BYTES];
	image->pools[hook->stub] = hook->entry.pool;
	cprof_pool_code_make(&hook->entry.pool, code);
	memcpy(stub, code,
	       cprof_shim_frees(hook->entry.kind) ? CPROF_SHIM_POOL_OLD_BYTES : sizeof(code));
}

/* Enter a hook in the copy of its code mapping. */
static void enter(struct cprof_heap_install *install, const struct cprof_heap_hook *hook)
{
	struct cprof_heap_image *place = &install->images[hook->image];
	struct cprof_shim_image *image = place->copy;
	uint32_t n;
	uint8_t *stub = (uint8_t *)image + stubs(&n)[hook->stub].stub;
	image->entries[hook->stub] =
		(struct cprof_shim_entry){ hook->trampoline, sister_call(install, hook) };
	image->patches[image->n_patches++] = cprof_heap_plan_row(hook);
	if (hook->entry.kind == CPROF_SHIM_POOL || hook->entry.kind == CPROF_SHIM_POOL_REALLOC ||
	    hook->entry.kind == CPROF_SHIM_POOL_FREE)
		enter_pool(image, hook, stub);
	memcpy(stub - hook->patch.undo_len, hook->patch.undo, hook->patch.undo_len);
	memcpy((uint8_t *)image + (hook->trampoline - place->addr), hook->patch.trampoline,
	       hook->patch.trampoline_len);
}

static void fill_image(struct cprof_heap_install *install, uint32_t index)
{
	struct cprof_heap_image *place = &install->images[index];
	struct cprof_shim_image *image = place->copy;

	image->magic = CPROF_SHIM_MAGIC;
	image->version = CPROF_SHIM_VERSION;
	image->image_bytes = (uint32_t)install->image_bytes;
	image->data = install->data;
	image->data_bytes = install->data_bytes;
	image->live_mask = install->live_entries - 1;
	image->slots = install->data + offsetof(struct cprof_shim_data, slots);
	image->filter = install->data + offsetof(struct cprof_shim_data, filter);
	image->nonce = install->nonce;
	image->index = index;
	cprof_heap_claim_fill(image);
	image->n_ranges = (uint32_t)install->entries.n_ranges;
	memcpy(image->ranges, install->entries.ranges, sizeof(image->ranges));

	for (size_t i = 0; i < install->n_hooks; i++) {
		if (install->hooks[i].image == index && !install->hooks[i].refused)
			enter(install, &install->hooks[i]);
	}
}

/* ---- all of it ---- */

static int by_address(const void *a_, const void *b_)
{
	const struct cprof_heap_hook *a = a_, *b = b_;
	return a->entry.addr < b->entry.addr ? -1 : a->entry.addr > b->entry.addr;
}

static struct cprof_error *make_hooks(struct cprof_heap_install *install)
{
	install->hooks = calloc(install->entries.n + 1, sizeof(*install->hooks));
	if (!install->hooks)
		return cprof_error_no_memory();
	for (size_t i = 0; i < install->entries.n; i++) {
		install->hooks[i].entry = install->entries.all[i];
		if (install->entries.all[i].throws && !install->entries.all[i].sister)
			cprof_heap_plan_refuse(
				&install->hooks[i],
				"it throws, and its object has no variant that does not");
	}
	install->n_hooks = install->entries.n;
	qsort(install->hooks, install->n_hooks, sizeof(*install->hooks), by_address);
	return NULL;
}

static struct cprof_error *nothing(const struct cprof_heap_install *install)
{
	for (size_t i = 0; i < install->n_hooks; i++) {
		const struct cprof_heap_hook *hook = &install->hooks[i];
		if (hook->refused && !cprof_shim_frees(hook->entry.kind))
			return cprof_error_hint(
				cprof_error_new(CPROF_ERR_UNSUPPORTED,
						"no allocator of process %d can be hooked; %s: %s",
						(int)install->target->pid, hook->entry.name,
						hook->refused),
				"where uprobes are permitted, -heap-method uprobe watches them");
	}
	struct cprof_error *err =
		cprof_error_new(CPROF_ERR_UNSUPPORTED,
				"no allocator was found in process %d: no object of it has a "
				"symbol malloc",
				(int)install->target->pid);
	return cprof_error_hint(err,
				"a program that brings its own, or is static and stripped: name "
				"its functions, by address if need be, with -heap-hook");
}

static bool any_alloc(const struct cprof_heap_install *install)
{
	for (size_t i = 0; i < install->n_hooks; i++) {
		if ((!install->hooks[i].refused || install->hooks[i].by_uprobe) &&
		    !cprof_shim_frees(install->hooks[i].entry.kind))
			return true;
	}
	return false;
}

struct cprof_error *cprof_heap_plan_entries(struct cprof_heap_install *install,
					    const struct cprof_pool_specs *pools)
{
	struct cprof_error *err =
		cprof_alloc_find(&install->entries, install->maps, install->modules);
	if (!err && pools)
		err = cprof_pool_find(pools, install->maps, install->modules, &install->entries);
	if (!err)
		err = make_hooks(install);
	if (!err && !install->n_hooks)
		err = nothing(install);
	return err;
}

struct cprof_error *cprof_heap_plan(struct cprof_heap_install *install,
				    const struct cprof_heap_install_options *options)
{
	install->image_bytes = cprof_heap_plan_image_bytes();
	install->period = options->period;
	install->live_entries = options->period < EVERY_BELOW ? LIVE_EVERY : LIVE_SAMPLED;
	if (getrandom(&install->nonce, sizeof(install->nonce), 0) != sizeof(install->nonce) ||
	    !install->nonce)
		install->nonce = (uint64_t)getpid() << 32 | 1;

	struct cprof_error *err = cprof_remote_find_gadgets(install->maps, &install->gadgets);
	if (!err)
		err = cprof_heap_plan_entries(install, options->pools);
	if (!err)
		err = choose_addresses(install);
	for (size_t i = 0; !err && i < install->n_hooks; i++) {
		if (!install->hooks[i].refused)
			err = relocate(install, i);
	}
	if (!err && install->planned)
		err = install->planned(install->planned_ctx, 0);
	if (!err && !any_alloc(install))
		err = nothing(install);
	for (uint32_t i = 0; !err && i < install->n_images; i++)
		fill_image(install, i);
	return err;
}

/* The code mapping that can serve `addr`; n_images if none is near enough. */
static uint32_t image_near(const struct cprof_heap_install *install, uint64_t addr)
{
	for (uint32_t i = 0; i < install->n_images; i++) {
		int64_t distance = (int64_t)(install->images[i].addr - addr);
		if (distance < INT32_MAX - (1 << 20) && distance > INT32_MIN + (1 << 20) &&
		    install->images[i].copy->n_patches < CPROF_SHIM_MAX_ENTRIES)
			return i;
	}
	return install->n_images;
}

struct cprof_error *cprof_heap_plan_more_entries(struct cprof_heap_install *install)
{
	size_t known = install->entries.n;
	struct cprof_error *err =
		cprof_alloc_find(&install->entries, install->maps, install->modules);
	if (err || install->entries.n == known)
		return err;
	size_t n_hooks = install->n_hooks + install->entries.n - known;
	struct cprof_heap_hook *hooks = realloc(install->hooks, n_hooks * sizeof(*hooks));
	if (!hooks)
		return cprof_error_no_memory();
	install->hooks = hooks;
	for (size_t i = known; i < install->entries.n; i++)
		hooks[install->n_hooks++] =
			(struct cprof_heap_hook){ .entry = install->entries.all[i] };
	return NULL;
}

struct cprof_error *cprof_heap_plan_more(struct cprof_heap_install *install)
{
	const size_t from = install->n_hooks;
	struct cprof_error *err = cprof_heap_plan_more_entries(install);
	for (size_t at = from; !err && at < install->n_hooks; at++) {
		struct cprof_heap_hook *hook = &install->hooks[at];
		hook->image = image_near(install, hook->entry.addr);
		if (hook->entry.throws)
			cprof_heap_plan_refuse(hook, "it throws, and came after the attach");
		else if (hook->image == install->n_images)
			cprof_heap_plan_refuse(
				hook, "it came after the attach, too far from the injected page");
		else
			err = relocate(install, at);
	}
	if (!err && install->planned && from < install->n_hooks)
		err = install->planned(install->planned_ctx, from);
	for (size_t at = from; !err && at < install->n_hooks; at++) {
		if (!install->hooks[at].refused)
			enter(install, &install->hooks[at]);
	}
	for (uint32_t i = 0; i < install->n_images; i++) {
		struct cprof_shim_image *image = install->images[i].copy;
		image->n_ranges = (uint32_t)install->entries.n_ranges;
		memcpy(image->ranges, install->entries.ranges, sizeof(image->ranges));
	}
	return err;
}
