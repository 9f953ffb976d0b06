/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/heap/baseline/musl_groups.h"

#include <string.h>

#define PAGE       CPROF_BASELINE_PAGE
#define USER_SPACE (1ull << 47)
#define UNIT       16u
#define TAIL       4u /* bytes of a slot that belong to the head of the next one */
#define AREAS_MAX  (1u << 20)
#define BROKEN_MAX (1u << 16)
#define METAS      ((PAGE - 24) / 40)
#define MAPPING    63 /* the class of a slot that is a mapping of its own */

uint64_t cprof_musl_stride(unsigned class)
{
	static const uint16_t units[CPROF_MUSL_CLASSES] = {
		1,    2,    3,    4,    5,    6,    7,    8,    9,    10,   12,   15,
		18,   20,   25,   31,   36,   42,   50,   63,   72,   84,   102,  127,
		146,  170,  204,  255,  292,  340,  409,  511,  584,  682,  818,  1023,
		1169, 1364, 1637, 2047, 2340, 2730, 3276, 4095, 4680, 5460, 6552, 8191,
	};
	return (uint64_t)units[class] * UNIT;
}

/* ---- finding ---- */

/* struct malloc_context up to its areas, where a page's size is known when musl is built, as on x86-64. */
struct context {
	uint64_t secret;
	uint32_t init_done, mmap_counter;
	uint64_t free_metas, avail_metas, n_avail_metas, n_avail_areas, shift;
	uint64_t first_area, last_area, avail_area_pages;
};

static bool is_area(struct cprof_baseline_memory *memory, uint64_t addr, uint64_t secret)
{
	uint64_t check;
	return addr && addr < USER_SPACE && addr % PAGE == 0 &&
	       cprof_baseline_memory_read(memory, addr, &check, sizeof(check)) && check == secret;
}

static bool is_context(struct cprof_baseline_memory *memory, const struct context *context)
{
	return context->init_done == 1 && context->secret && context->shift < 64 &&
	       is_area(memory, context->first_area, context->secret) &&
	       is_area(memory, context->last_area, context->secret);
}

bool cprof_musl_context_find(struct cprof_baseline_memory *memory, uint64_t start, uint64_t end,
			     struct cprof_musl_context *ret_context)
{
	start = (start + 7) & ~7ull;
	for (uint64_t at = cprof_baseline_memory_next(memory, start, end); at < end;
	     at = cprof_baseline_memory_next(memory, at, end)) {
		const uint64_t page_end = (at | (PAGE - 1)) + 1;
		uint8_t bytes[PAGE + sizeof(struct context)];
		struct context context;
		/* What begins in this page and goes on in the next one. */
		uint64_t n = page_end - at + sizeof(context);
		n = n < end - at ? n : end - at;
		if (!cprof_baseline_memory_read(memory, at, bytes, n)) {
			n = page_end < end ? page_end - at : end - at;
			if (!cprof_baseline_memory_read(memory, at, bytes, n))
				n = 0;
		}
		for (uint64_t i = 0; i + sizeof(context) <= n; i += 8) {
			memcpy(&context, bytes + i, sizeof(context));
			if (!is_context(memory, &context))
				continue;
			*ret_context =
				(struct cprof_musl_context){ context.secret, context.first_area };
			return true;
		}
		at = page_end;
	}
	return false;
}

/* ---- groups ---- */

struct meta {
	uint64_t prev, next, mem;
	uint32_t avail, freed;
	uint64_t bits;
};

struct area {
	uint64_t check, next;
	uint32_t n_metas, pad;
	struct meta metas[METAS];
};

static bool decode(const struct meta *meta, struct cprof_musl_group *group)
{
	const unsigned class = meta->bits >> 6 & 63;
	const uint64_t pages = meta->bits >> 12, last = meta->bits & 31;
	if (pages >= USER_SPACE / PAGE || meta->mem >= USER_SPACE || meta->mem % UNIT ||
	    (class >= CPROF_MUSL_CLASSES && (class != MAPPING || last || !pages)))
		return false;
	*group = (struct cprof_musl_group){
		.addr = meta->mem, .n = (unsigned)last + 1, .class = class, .mapped = pages > 0
	};
	group->stride = !last && pages ? pages * PAGE - UNIT : cprof_musl_stride(class);
	group->bytes = pages ? pages * PAGE : UNIT + group->stride * group->n;
	group->in_use = ~(meta->avail | meta->freed) & (uint32_t)((2ull << last) - 1);
	return UNIT + group->stride * group->n <= group->bytes;
}

/* It says itself whose it is. */
static bool is_proved(struct cprof_baseline_memory *memory, const struct cprof_musl_group *group,
		      uint64_t meta_addr)
{
	uint64_t back;
	const uint8_t *bytes;
	/* The groups in its slots come next. */
	if (group->mapped && group->n > 1)
		cprof_baseline_memory_hold(memory, group->addr, group->addr + group->bytes,
					   group->addr + group->bytes);
	bytes = cprof_baseline_memory_at(memory, group->addr, sizeof(back),
					 group->addr + group->bytes);
	if (!bytes)
		return false;
	memcpy(&back, bytes, sizeof(back));
	return back == meta_addr;
}

static struct cprof_error *walk_area(struct cprof_baseline_memory *memory, uint64_t addr,
				     const struct area *area, const struct cprof_musl_fns *fns,
				     void *ctx, uint64_t *broken)
{
	struct cprof_musl_group group;
	struct cprof_error *err = fns->area(ctx, addr, addr + PAGE);
	for (uint32_t i = 0; !err && i < area->n_metas; i++) {
		const struct meta *meta = &area->metas[i];
		if (!meta->mem)
			continue; /* it has no group */
		if (decode(meta, &group) &&
		    (fns->unproved || is_proved(memory, &group, addr + 24 + i * sizeof(*meta))))
			err = fns->group(ctx, &group);
		else
			++*broken;
	}
	return err;
}

struct cprof_error *cprof_musl_groups_each(struct cprof_baseline_memory *memory,
					   const struct cprof_musl_context *context,
					   const struct cprof_musl_fns *fns, void *ctx,
					   uint64_t *ret_broken)
{
	struct area area;
	struct cprof_error *err = NULL;
	uint64_t at = context->areas, mark = 0;
	_Static_assert(sizeof(struct area) <= PAGE, "an area is a page");
	*ret_broken = 0;
	for (unsigned i = 0; !err && at && i < AREAS_MAX; i++, at = area.next) {
		if (at >= USER_SPACE || at % PAGE || at == mark || *ret_broken > BROKEN_MAX ||
		    !cprof_baseline_memory_read(memory, at, &area, sizeof(area)) ||
		    area.check != context->secret || area.n_metas > METAS) {
			++*ret_broken;
			break;
		}
		if (!(i & (i - 1)))
			mark = at; /* a ring comes by here again */
		err = walk_area(memory, at, &area, fns, ctx, ret_broken);
	}
	return err;
}

/* ---- blocks ---- */

static bool read_head(struct cprof_baseline_memory *memory, const struct cprof_musl_group *group,
		      uint64_t addr, uint8_t head[TAIL])
{
	const uint64_t end = group->addr + group->bytes;
	const uint8_t *bytes =
		group->n == 1 ? NULL : cprof_baseline_memory_at(memory, addr - TAIL, TAIL, end);
	if (!bytes)
		return cprof_baseline_memory_read(memory, addr - TAIL, head, TAIL);
	memcpy(head, bytes, TAIL);
	return true;
}

bool cprof_musl_block_read(struct cprof_baseline_memory *memory,
			   const struct cprof_musl_group *group, unsigned i,
			   struct cprof_musl_block *ret_block)
{
	const uint64_t start = group->addr + UNIT + group->stride * i;
	const uint64_t end = start + group->stride - TAIL;
	uint64_t addr = start;
	uint8_t head[TAIL], tail[TAIL];
	uint16_t units;
	if (!read_head(memory, group, addr, head))
		return false;
	if (head[1] >> 5 == 7) { /* it begins so many units later */
		memcpy(&units, head + 2, sizeof(units));
		addr += (uint64_t)units * UNIT;
		if (addr >= end || !read_head(memory, group, addr, head))
			return false;
	}
	uint64_t left = head[1] >> 5;
	if ((head[1] & 31) != i || left == 7)
		return false;
	if (left == 5) {
		uint32_t more;
		if (!read_head(memory, group, end, tail))
			return false;
		memcpy(&more, tail, sizeof(more));
		left = more;
	}
	*ret_block = (struct cprof_musl_block){ .addr = addr,
						.is_group = left == 6 && head[1] >> 5 == 6 };
	ret_block->bytes = ret_block->is_group ? end - addr : end - addr - left;
	return ret_block->is_group || left <= end - addr;
}
