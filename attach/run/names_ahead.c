/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/run/names_ahead.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "attach/run/module_addresses.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "symbolize/names/names.h"

#define FIRST_WAIT_NS (CPROF_NS_PER_S / 2)
#define MOST_WAIT_NS  (600 * CPROF_NS_PER_S)
#define FRAMES_MAX    64 /* at one address, as in symbolizer.c */

/* In a piece: one for each module, its answers behind it. */
struct head {
	uint32_t module, n;
};
static_assert(sizeof(struct head) == 8, "what the child writes is read by its parent");

/* ---- in the child ---- */

/* Only of modules that are open: those of others would not be found again. */
static struct cprof_error *name_module(void *ctx, struct cprof_module *module,
				       const uint64_t *file_addrs, size_t n)
{
	bool *asked = ctx;
	struct cprof_names *names = module->names.data;
	struct cprof_dwarf_frame found[FRAMES_MAX];
	size_t n_found;
	if (!names)
		return NULL;
	names->keeps = true;
	asked[module->id] = true;
	struct cprof_error *err = cprof_names_learn(names, file_addrs, n);
	for (size_t i = 0; i < n && !err; i++)
		err = cprof_names_frames(names, file_addrs[i], found, FRAMES_MAX, &n_found);
	return err;
}

/* Bytes written; 0: there are none, or no room for them. */
static size_t give(const struct cprof_names *names, uint8_t *room, size_t cap)
{
	CPROF_AUTO(buffer) struct cprof_buffer bytes = { 0 };
	struct head head = { .module = names->module->id };
	cprof_error_free(cprof_names_give_answers(names, &bytes));
	if (!bytes.len || bytes.failed || bytes.len > UINT32_MAX || cap < sizeof(head) ||
	    bytes.len > cap - sizeof(head))
		return 0;
	head.n = (uint32_t)bytes.len;
	memcpy(room, &head, sizeof(head));
	memcpy(room + sizeof(head), bytes.data, bytes.len);
	return sizeof(head) + bytes.len;
}

static size_t look_up(void *ctx, uint8_t *room, size_t cap)
{
	const struct cprof_names_ahead *ahead = ctx;
	const struct cprof_modules *modules = ahead->numbers->modules;
	CPROF_AUTO(free) bool *asked = calloc(modules->n + 1, sizeof(*asked));
	size_t made = 0;
	bool any = false, saved;
	if (!asked)
		return 0;
	cprof_budget_start_time(&ahead->numbers->modules->budget);
	cprof_error_free(cprof_module_addresses(ahead->numbers, ahead->from, ahead->until,
						name_module, asked));
	for (size_t i = 0; i < modules->n; i++) {
		if (!asked[i])
			continue;
		struct cprof_names *names = modules->all[i]->names.data;
		cprof_error_free(cprof_names_save(names, &saved));
		any |= saved;
		made += give(names, room + made, cap - made);
	}
	if (any)
		cprof_symbol_cache_trim(ahead->cache_dir);
	return made;
}

/* ---- in the recording ---- */

void cprof_names_ahead_add(struct cprof_names_ahead *ahead, struct cprof_names_ahead_turn *turn,
			   struct cprof_prefetch *prefetch,
			   const struct cprof_mapping_numbers *numbers, const char *cache_dir)
{
	const uint64_t now = cprof_clock_mono_ns();
	const uint32_t n_frames = cprof_builder_stacks(numbers->builder)->n_frames;
	if (ahead->piece || turn->n_named == n_frames || now < turn->due_mono_ns)
		return;
	*ahead = (struct cprof_names_ahead){
		.numbers = numbers, .cache_dir = cache_dir, .from = turn->n_named, .until = n_frames
	};
	ahead->piece = cprof_prefetch_add(prefetch, look_up, ahead, CPROF_NAMES_AHEAD_MAX);
	if (!ahead->piece)
		return;
	/* What goes wrong in the child would go wrong again: it is asked once. */
	turn->n_named = n_frames;
	turn->wait_ns = turn->wait_ns ? turn->wait_ns * 2 : FIRST_WAIT_NS;
	turn->wait_ns = turn->wait_ns < MOST_WAIT_NS ? turn->wait_ns : MOST_WAIT_NS;
	turn->due_mono_ns = now + turn->wait_ns;
}

void cprof_names_ahead_take(struct cprof_names_ahead *ahead, struct cprof_modules *modules)
{
	size_t left = 0;
	const uint8_t *at = ahead->piece ? cprof_prefetch_piece_bytes(ahead->piece, &left) : NULL;
	struct head head;
	while (at && left >= sizeof(head)) {
		memcpy(&head, at, sizeof(head));
		at += sizeof(head);
		left -= sizeof(head);
		if (head.n > left)
			break;
		if (head.module < modules->n && modules->all[head.module]->names.data)
			cprof_names_take_answers(modules->all[head.module]->names.data, at, head.n);
		at += head.n;
		left -= head.n;
	}
	cprof_names_ahead_deinit(ahead);
}

void cprof_names_ahead_deinit(struct cprof_names_ahead *ahead)
{
	cprof_prefetch_piece_free(ahead->piece);
	*ahead = (struct cprof_names_ahead){ 0 };
}
