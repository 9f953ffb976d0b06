/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/heap/inject/heap_plan.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "attach/heap/alloc/pool_code.h"
#include "attach/heap/inject/heap_blob.h"
#include "attach/heap/inject/heap_claim.h"
#include "attach/heap/inject/heap_code.h"
#include "attach/heap/inject/heap_judge.h"
#include "attach/heap/inject/heap_place.h"
#include "base/cleanup.h"

#define PAGE         4096u
#define FUNCTION_MAX 16384u
#define SPAN_MAX     0x60000000ull /* entries further apart than this get a code mapping of their own */

/* ---- where ---- */

static struct cprof_error *no_room(uint64_t addr)
{
	return cprof_error_new(CPROF_ERR_UNSUPPORTED,
			       "no free address space within 2 GiB of the allocator at 0x%llx",
			       (unsigned long long)addr);
}

/* One code mapping for the entries [first, last], which are near each other. */
static struct cprof_error *add_image(struct cprof_heap_pages *pages, struct cprof_heap_space *space,
				     uint64_t low, uint64_t high)
{
	if (pages->n_images == CPROF_HEAP_IMAGES_MAX)
		return cprof_error_new(CPROF_ERR_UNSUPPORTED,
				       "the allocators lie in more than %d places",
				       CPROF_HEAP_IMAGES_MAX);
	struct cprof_heap_image *image = &pages->images[pages->n_images];
	image->copy = cprof_heap_blob_copy();
	if (!image->copy)
		return cprof_error_no_memory();
	if (!cprof_heap_place_code(space, low, high, pages->image_bytes, &image->addr))
		return no_room(low);
	pages->n_images++;
	return NULL;
}

/* As much as the target can afford. */
static struct cprof_error *choose_size(const struct cprof_heap_hooks *hooks,
				       struct cprof_heap_pages *pages)
{
	struct cprof_error *err =
		cprof_heap_size_choose(&pages->room, pages->period, pages->n_images,
				       pages->image_bytes, hooks->n, &pages->size);
	pages->data_bytes = err ? 0 : cprof_heap_size_mapped(&pages->size);
	return err;
}

/* Entries are sorted by address. */
static struct cprof_error *choose_addresses(struct cprof_heap_hooks *hooks,
					    struct cprof_heap_pages *pages)
{
	struct cprof_heap_hook *all = hooks->all;
	struct cprof_heap_space space;
	uint64_t low = 0;
	struct cprof_error *err =
		cprof_head_room_read(pages->target->pid, pages->maps->n_sorted, &pages->room);
	if (err)
		return err;
	cprof_heap_space_init(&space, pages->maps, pages->room.start_brk, pages->room.stack_bytes);
	for (size_t i = 0; i < hooks->n; i++) {
		uint64_t addr = all[i].entry.addr;
		if (i == 0 || addr - low > SPAN_MAX) {
			size_t end = i;
			while (end < hooks->n && all[end].entry.addr - addr <= SPAN_MAX)
				end++;
			low = addr;
			err = add_image(pages, &space, low, all[end - 1].entry.addr + PAGE);
			if (err)
				return err;
		}
		all[i].image = pages->n_images - 1;
	}
	err = choose_size(hooks, pages);
	if (!err && !cprof_heap_place_data(&space, pages->data_bytes, &pages->data))
		err = cprof_error_new(CPROF_ERR_UNSUPPORTED,
				      "process %d has no gap of %llu bytes in its address space",
				      (int)pages->target->pid,
				      (unsigned long long)pages->data_bytes);
	return err;
}

/* ---- how ---- */

/* A free stub of the right kind, or -1. */
static int64_t take_stub(const struct cprof_heap_hooks *hooks, size_t index)
{
	uint32_t n;
	const struct cprof_shim_stub *stubs = cprof_heap_blob_stubs(&n);
	const struct cprof_heap_hook *all = hooks->all;
	for (uint32_t s = 0; s < n; s++) {
		bool used = stubs[s].kind != all[index].entry.kind;
		for (size_t i = 0; !used && i < index; i++)
			used = cprof_heap_hook_is_inline(&all[i]) && all[i].stub == s &&
			       all[i].image == all[index].image;
		if (!used)
			return s;
	}
	return -1;
}

/* Offset in the code mapping where the jump leads. */
static uint32_t way_in(const struct cprof_heap_hook *hook)
{
	uint32_t n;
	const struct cprof_shim_stub *stub = &cprof_heap_blob_stubs(&n)[hook->stub];
	return hook->light ? stub->light : stub->stub;
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

/* Plan the jump of `hook`, whose first bytes are `bytes`, if its object has nothing against it. */
static struct cprof_error *plan_patch(struct cprof_heap_hook *hook, const uint8_t *bytes, size_t n,
				      uint64_t stub, const struct cprof_heap_code *code)
{
	struct cprof_heap_code_question question = { .code = code, .hook = hook };
	const struct cprof_patch_ways ways = { cprof_heap_code_why_not, &question };
	struct cprof_patch *patch = &hook->patch;
	struct cprof_error *err =
		cprof_patch_plan(bytes, n, hook->entry.addr, stub, hook->trampoline,
				 arguments_of(&hook->entry), &ways, patch);
	if (question.err) {
		cprof_error_free(err);
		return question.err;
	}
	if (!err && !cprof_heap_code_is_original(code, hook, patch->addr,
						 bytes + (patch->addr - hook->entry.addr),
						 patch->displaced))
		return cprof_error_new(CPROF_ERR_UNSUPPORTED,
				       "its first instructions are not those of its file: somebody "
				       "else has changed them");
	return err;
}

static struct cprof_error *relocate(struct cprof_heap_hooks *hooks,
				    const struct cprof_heap_pages *pages,
				    const struct cprof_heap_code *known, size_t index)
{
	struct cprof_heap_hook *hook = &hooks->all[index];
	struct cprof_error *judged = cprof_heap_judge_registers(known, hook);
	if (judged)
		return judged;
	const struct cprof_memory *memory = &hooks->maps->memory;
	uint32_t n_stubs;
	const struct cprof_shim_stub *stubs = cprof_heap_blob_stubs(&n_stubs);
	uint8_t code[FUNCTION_MAX];
	uint64_t bytes = hook->entry.end - hook->entry.addr;
	if (bytes < CPROF_PATCH_WINDOW)
		bytes = CPROF_PATCH_WINDOW;
	if (bytes > hook->entry.map->end - hook->entry.addr)
		bytes = hook->entry.map->end - hook->entry.addr;
	if (bytes > sizeof(code))
		bytes = sizeof(code);

	int64_t stub = take_stub(hooks, index);
	if (stub < 0) {
		cprof_heap_hook_refuse_for_stubs(hook);
		return NULL;
	}
	if (!memory->read(memory->ctx, hook->entry.addr, code, bytes)) {
		cprof_heap_hook_refuse(hook, "its code cannot be read");
		return NULL;
	}
	const struct cprof_heap_image *image = &pages->images[hook->image];
	hook->stub = (uint32_t)stub;
	hook->trampoline =
		image->addr + (hook->light ? stubs[stub].restore : stubs[stub].trampoline);
	struct cprof_error *err = plan_patch(hook, code, bytes, image->addr + way_in(hook), known);
	if (!err)
		return cprof_heap_judge_frame(known, hook);
	if (err->code == CPROF_ERR_NO_MEMORY)
		return err;
	cprof_heap_hook_refuse(hook, err->message);
	cprof_error_free(err);
	return NULL;
}

/* The trampoline of the hook at `addr`, whose own jump must not be met again; else the function itself. */
static uint64_t sister_call(const struct cprof_heap_hooks *hooks,
			    const struct cprof_heap_hook *hook)
{
	if (!hook->entry.throws)
		return hook->trampoline;
	for (size_t i = 0; i < hooks->n; i++) {
		const struct cprof_heap_hook *other = &hooks->all[i];
		if (other->entry.addr == hook->entry.sister && cprof_heap_hook_is_inline(other))
			return other->trampoline;
	}
	return hook->entry.sister;
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
static void enter(const struct cprof_heap_hooks *hooks, struct cprof_heap_pages *pages,
		  const struct cprof_heap_hook *hook)
{
	struct cprof_heap_image *place = &pages->images[hook->image];
	struct cprof_shim_image *image = place->copy;
	uint32_t n;
	uint8_t *stub = (uint8_t *)image + way_in(hook);
	image->entries[hook->stub] =
		(struct cprof_shim_entry){ hook->trampoline, sister_call(hooks, hook) };
	image->patches[image->n_patches++] = cprof_heap_hook_row(hook);
	if (hook->entry.kind == CPROF_SHIM_POOL || hook->entry.kind == CPROF_SHIM_POOL_REALLOC ||
	    hook->entry.kind == CPROF_SHIM_POOL_FREE)
		enter_pool(image, hook,
			   (uint8_t *)image + cprof_heap_blob_stubs(&n)[hook->stub].light);
	if (pages->sizes.given)
		cprof_heap_blob_sieve(image, hook->stub);
	memcpy(stub - hook->patch.undo_len, hook->patch.undo, hook->patch.undo_len);
	memcpy((uint8_t *)image + (hook->trampoline - place->addr), hook->patch.trampoline,
	       hook->patch.trampoline_len);
}

static void fill_head(struct cprof_heap_pages *pages, uint32_t index)
{
	struct cprof_shim_image *image = pages->images[index].copy;

	image->magic = CPROF_SHIM_MAGIC;
	image->version = CPROF_SHIM_VERSION;
	image->entry_end = cprof_heap_blob_entry_end();
	image->image_bytes = (uint32_t)pages->image_bytes;
	image->data = pages->data;
	image->data_bytes = pages->data_bytes;
	image->live_mask = pages->size.live_entries - 1;
	image->slots = pages->data + offsetof(struct cprof_shim_data, slots);
	image->filter = pages->data + offsetof(struct cprof_shim_data, filter);
	image->nonce = pages->nonce;
	image->size_min = cprof_heap_sizes_least(&pages->sizes);
	image->size_span = cprof_heap_sizes_span(&pages->sizes);
	image->index = index;
	cprof_heap_lasting_enter(&pages->lasting, image);
	cprof_heap_claim_fill(image);
}

static void fill_ranges(struct cprof_shim_image *image, const struct cprof_alloc_entries *entries)
{
	image->n_ranges = (uint32_t)entries->n_ranges;
	memcpy(image->ranges, entries->ranges, sizeof(image->ranges));
}

/* ---- all of it ---- */

static void begin(struct cprof_heap_pages *pages, uint64_t period,
		  const struct cprof_heap_sizes *sizes)
{
	pages->sizes = *sizes;
	pages->image_bytes = cprof_heap_blob_image_bytes();
	pages->period = period;
	if (getrandom(&pages->nonce, sizeof(pages->nonce), 0) != sizeof(pages->nonce) ||
	    !pages->nonce)
		pages->nonce = (uint64_t)getpid() << 32 | 1;
}

struct cprof_error *cprof_heap_plan(struct cprof_heap_hooks *hooks, struct cprof_heap_pages *pages,
				    uint64_t period, const struct cprof_heap_sizes *sizes)
{
	begin(pages, period, sizes);
	struct cprof_heap_code *known = NULL;
	struct cprof_error *err = choose_addresses(hooks, pages);
	if (!err)
		err = cprof_heap_code_new(hooks, 0, &known);
	for (size_t i = 0; !err && i < hooks->n; i++) {
		if (hooks->all[i].state == CPROF_HEAP_HOOK_PLANNED)
			err = relocate(hooks, pages, known, i);
	}
	cprof_heap_code_free(known);
	return err;
}

void cprof_heap_plan_enter(const struct cprof_heap_hooks *hooks, struct cprof_heap_pages *pages)
{
	for (uint32_t i = 0; i < pages->n_images; i++)
		fill_head(pages, i);
	cprof_heap_plan_enter_more(hooks, pages, 0);
}

/* The code mapping that can serve `addr`; n_images if none is near enough. */
static uint32_t image_near(const struct cprof_heap_pages *pages, uint64_t addr)
{
	for (uint32_t i = 0; i < pages->n_images; i++) {
		int64_t distance = (int64_t)(pages->images[i].addr - addr);
		if (distance < INT32_MAX - (1 << 20) && distance > INT32_MIN + (1 << 20) &&
		    pages->images[i].copy->n_patches < CPROF_SHIM_MAX_ENTRIES)
			return i;
	}
	return pages->n_images;
}

/* The pages of text that get jumps become the target's own: is there memory for them now? Else none of the new ones is hooked. */
static struct cprof_error *check_room_for_more(struct cprof_heap_hooks *hooks, size_t from)
{
	const struct cprof_need need = { .what = "to hook what was loaded",
					 .resident_bytes = (hooks->n - from) * PAGE };
	struct cprof_head_room room;
	struct cprof_error *err =
		cprof_head_room_read(hooks->target->pid, hooks->maps->n_sorted, &room);
	if (!err)
		err = cprof_head_room_check(&room, &need);
	if (!err || err->code == CPROF_ERR_NO_MEMORY)
		return err;
	for (size_t i = from; i < hooks->n; i++)
		cprof_heap_hook_refuse(&hooks->all[i], err->message);
	cprof_error_free(err);
	return NULL;
}

struct cprof_error *cprof_heap_plan_more(struct cprof_heap_hooks *hooks,
					 const struct cprof_heap_pages *pages, size_t from)
{
	struct cprof_heap_code *known;
	if (from == hooks->n)
		return NULL;
	struct cprof_error *err = check_room_for_more(hooks, from);
	if (!err)
		err = cprof_heap_code_new(hooks, from, &known);
	if (err)
		return err;
	for (size_t i = from; !err && i < hooks->n; i++) {
		struct cprof_heap_hook *hook = &hooks->all[i];
		if (hook->state != CPROF_HEAP_HOOK_PLANNED)
			continue;
		hook->image = image_near(pages, hook->entry.addr);
		if (hook->entry.throws)
			cprof_heap_hook_refuse(hook, "it throws, and came after the attach");
		else if (hook->image == pages->n_images)
			cprof_heap_hook_refuse(
				hook, "it came after the attach, too far from the injected page");
		else
			err = relocate(hooks, pages, known, i);
	}
	cprof_heap_code_free(known);
	return err;
}

void cprof_heap_plan_enter_more(const struct cprof_heap_hooks *hooks,
				struct cprof_heap_pages *pages, size_t from)
{
	for (size_t i = from; i < hooks->n; i++) {
		if (hooks->all[i].state == CPROF_HEAP_HOOK_PLANNED)
			enter(hooks, pages, &hooks->all[i]);
	}
	for (uint32_t i = 0; i < pages->n_images; i++)
		fill_ranges(pages->images[i].copy, &hooks->entries);
}
