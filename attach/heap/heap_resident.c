/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/heap/heap_resident.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "attach/heap/resident/page_bits.h"
#include "attach/heap/resident/resident.h"
#include "attach/heap/resident/smaps.h"
#include "attach/heap/resident/stack_claims.h"
#include "attach/target/target.h"
#include "base/cleanup.h"

/* Of claims that overlap: a stack may have become one mapping with what an allocator has. */
enum { RANK_ALLOCATOR, RANK_PROGRAM, RANK_STACK, RANK_MAPPED };

static uint64_t page_up(uint64_t addr)
{
	return (addr + 4095) & ~4095ull;
}

/* The part of a writable segment that is not in the file (.bss) is memory without a name. */
static struct cprof_error *claim_zeroes(struct cprof_resident *resident, struct cprof_map *map,
					const struct cprof_module *module)
{
	struct cprof_error *err = NULL;
	for (size_t i = 0; !err && i < module->n_segments; i++) {
		const struct cprof_segment *segment = &module->segments[i];
		uint64_t addr;
		if (!(segment->flags & PF_W) || segment->mem_size <= segment->file_size ||
		    segment->mem_size > UINT32_MAX ||
		    !cprof_module_run_time(module, map, segment->file_addr, &addr))
			continue;
		err = cprof_resident_claim(
			resident, page_up(addr + segment->file_size),
			page_up(addr + segment->mem_size),
			cprof_resident_line(resident, "written data of programs and libraries"),
			RANK_PROGRAM);
	}
	return err;
}

static struct cprof_error *claim_programs(struct cprof_resident *resident, struct cprof_maps *maps,
					  struct cprof_modules *modules)
{
	struct cprof_error *err = NULL;
	for (size_t i = 0; !err && i < maps->n_sorted; i++) {
		struct cprof_map *map = maps->sorted[i];
		struct cprof_module *module;
		if (!map->inode || !(map->prot & PROT_WRITE))
			continue;
		err = cprof_modules_get(modules, maps, map, &module);
		if (!err && module->kind == CPROF_MODULE_FILE)
			err = claim_zeroes(resident, map, module);
	}
	return err;
}

static struct cprof_error *claim_stacks(struct cprof_resident *resident,
					const struct cprof_smaps *smaps,
					const struct cprof_target *target)
{
	CPROF_AUTO(free) pid_t *tids = NULL;
	size_t n = 0;
	struct cprof_error *err = cprof_target_threads(target, &tids, &n);
	return err ? err
		   : cprof_stack_claims_read(resident, smaps, target->pid, tids, n, RANK_STACK);
}

static bool pages_of(void *ctx, uint64_t start, uint64_t end, bool common, uint64_t *ret_bytes)
{
	return cprof_page_bits_resident(ctx, start, end, common, ret_bytes);
}

/* ---- the account ---- */

static void note_account(struct cprof_run_log *log, const struct cprof_target *target,
			 const struct cprof_resident *resident, const struct cprof_smaps *smaps)
{
	char whose[CPROF_COMM_MAX + 32];
	CPROF_AUTO(buffer) struct cprof_buffer text = { 0 };
	snprintf(whose, sizeof(whose), "%s, pid %d", target->comm, (int)target->pid);
	cprof_resident_text(resident, whose, &text);
	if (smaps->swap)
		cprof_buffer_printf(&text, "\n  beside that %" PRIu64 " KiB are swapped out",
				    smaps->swap / 1024);
	if (smaps->huge)
		cprof_buffer_printf(
			&text,
			"\n  beside that %" PRIu64
			" KiB are huge pages of hugetlbfs, which do not count as resident",
			smaps->huge / 1024);
	if (resident->cut)
		cprof_buffer_printf(&text,
				    "\n  it changed while it was read: %" PRIu64
				    " KiB more were found in the lines' places than smaps had told",
				    resident->cut / 1024);
	if (resident->guessed)
		cprof_buffer_printf(&text,
				    "\n  %" PRIu64
				    " KiB of it were given to lines in proportion, for which pages "
				    "are resident could not be read",
				    resident->guessed / 1024);
	cprof_run_log_note(log, CPROF_NOTE_FACT, "%s", cprof_buffer_text(&text));
}

/* ---- allocators ---- */

/* Bytes of a part that are in memory. */
static uint64_t resident_in(const struct cprof_baseline_totals *totals,
			    enum cprof_baseline_part part)
{
	const struct cprof_baseline_sum *sum = &totals->parts[part];
	return sum->bytes > sum->absent ? sum->bytes - sum->absent : 0;
}

static const struct {
	enum cprof_baseline_part part;
	const char *what;
} others[] = {
	{ CPROF_BASELINE_CACHED, "free inside the allocator" },
	{ CPROF_BASELINE_FREE, "free inside the allocator" },
	{ CPROF_BASELINE_TOP, "free inside the allocator" },
	{ CPROF_BASELINE_OWN, "the allocator's own" },
	{ CPROF_BASELINE_UNTOLD, "not to be told by the allocator" },
};
#define N_OTHERS (sizeof(others) / sizeof(others[0]))

static uint32_t line_of(struct cprof_resident *resident, const char *what, const char *name)
{
	char text[96];
	snprintf(text, sizeof(text), "%s: %s", what, name);
	return cprof_resident_line(resident, text);
}

static uint32_t in_use_line(struct cprof_resident *resident,
			    const struct cprof_baseline_account *account, uint32_t allocator)
{
	return line_of(resident, account->before ? "in use, allocated before the attach" : "in use",
		       account->allocators[allocator].name);
}

/* Lines are shown in the order in which they are made. */
static void make_lines(struct cprof_resident *resident,
		       const struct cprof_baseline_account *account)
{
	for (uint32_t i = 0; account && i < account->n_allocators; i++)
		in_use_line(resident, account, i);
	for (uint32_t i = 0; account && i < account->n_allocators; i++) {
		for (size_t k = 0; k < N_OTHERS; k++)
			line_of(resident, others[k].what, account->allocators[i].name);
	}
}

static struct cprof_error *claim_allocators(struct cprof_resident *resident,
					    const struct cprof_baseline_account *account)
{
	struct cprof_error *err = NULL;
	for (uint32_t i = 0; account && !err && i < account->n_ranges; i++) {
		const struct cprof_baseline_range *range = &account->ranges[i];
		err = cprof_resident_claim(resident, range->start, range->end,
					   in_use_line(resident, account, range->allocator),
					   RANK_ALLOCATOR);
	}
	return err;
}

/* Bytes of the allocator's blocks in use that were there before the attach. */
static uint64_t before_of(const struct cprof_baseline_account *account, uint32_t allocator)
{
	uint64_t bytes = 0;
	for (uint32_t i = 0; i < account->n_rows; i++)
		bytes += account->rows[i].class.allocator == allocator ? account->rows[i].bytes : 0;
	return bytes;
}

/*
 * All that is resident in an allocator's ranges went to its line of blocks in use. What is free or its own goes to other
 * lines; of the rest, what was not there before the attach has come since.
 */
static void divide(struct cprof_resident *resident, const struct cprof_baseline_account *account,
		   uint32_t allocator, uint32_t since)
{
	const struct cprof_baseline_allocator *one = &account->allocators[allocator];
	const struct cprof_baseline_sum *in_use = &one->totals.parts[CPROF_BASELINE_IN_USE];
	const uint32_t line = in_use_line(resident, account, allocator);
	for (size_t i = N_OTHERS; i--;)
		cprof_resident_move(resident, line, line_of(resident, others[i].what, one->name),
				    resident_in(&one->totals, others[i].part));
	const uint64_t before = before_of(account, allocator);
	if (account->before && in_use->bytes > before)
		cprof_resident_move(resident, line, since, in_use->bytes - before);
}

/* What was allocated since, and how much of that the samples explain. */
static uint32_t since_line(struct cprof_resident *resident,
			   const struct cprof_baseline_account *account, double seen_bytes)
{
	char text[96];
	if (!account || !account->n_allocators)
		return cprof_resident_line(resident, "in use by stacks seen");
	snprintf(text, sizeof(text),
		 "in use, allocated since the attach (by stacks seen: %.1f KiB)",
		 seen_bytes / 1024);
	return cprof_resident_line(resident, text);
}

static struct cprof_error *claim_mapped(struct cprof_resident *resident,
					const struct cprof_mapped_set *mapped)
{
	struct cprof_error *err = NULL;
	for (size_t i = 0; mapped && !err && i < mapped->n; i++)
		err = cprof_resident_claim(
			resident, mapped->pieces[i].start, mapped->pieces[i].end,
			cprof_resident_line(
				resident, "mapped past the allocators, by stacks seen (kind=mmap)"),
			RANK_MAPPED);
	return err;
}

static struct cprof_error *claim_all(struct cprof_resident *resident,
				     const struct cprof_smaps *smaps,
				     const struct cprof_heap_resident *known)
{
	struct cprof_error *err = claim_allocators(resident, known->account);
	if (!err)
		err = claim_mapped(resident, known->mapped);
	if (!err)
		err = claim_programs(resident, &known->process->maps, known->modules);
	return err ? err : claim_stacks(resident, smaps, known->process->target);
}

static struct cprof_error *account_for(struct cprof_resident *resident,
				       const struct cprof_smaps *smaps,
				       const struct cprof_heap_resident *known)
{
	struct cprof_page_bits bits = { .fd = -1 };
	const struct cprof_baseline_account *account = known->account;
	const uint32_t since = since_line(resident, account, known->seen_bytes);
	make_lines(resident, account);
	struct cprof_error *err = claim_all(resident, smaps, known);
	if (err)
		return err;
	err = cprof_page_bits_open(cprof_target_living_tid(known->process->target), &bits);
	cprof_error_free(err); /* then it goes by proportion, which is said */
	err = cprof_resident_settle(resident, smaps, bits.fd >= 0 ? pages_of : NULL, &bits);
	cprof_page_bits_close(&bits);
	if (err)
		return err;
	for (uint32_t i = 0; account && i < account->n_allocators; i++)
		divide(resident, account, i, since);
	/* Where no allocator tells, the samples do. */
	if ((!account || !account->n_allocators) && known->seen_bytes > 0)
		cprof_resident_move(resident, cprof_resident_rest(resident), since,
				    (uint64_t)known->seen_bytes);
	return NULL;
}

struct cprof_error *cprof_heap_resident_note(struct cprof_run_log *log,
					     const struct cprof_heap_resident *known)
{
	struct cprof_smaps read = { 0 };
	const struct cprof_smaps *smaps = known->smaps ? known->smaps : &read;
	struct cprof_resident *resident = calloc(1, sizeof(*resident));
	struct cprof_error *err = NULL;
	if (!resident)
		return cprof_error_no_memory();
	if (!known->smaps)
		err = cprof_smaps_read(cprof_target_living_tid(known->process->target), &read);
	if (!err)
		err = account_for(resident, smaps, known);
	if (!err)
		note_account(log, known->process->target, resident, smaps);
	cprof_resident_deinit(resident);
	free(resident);
	cprof_smaps_deinit(&read);
	if (!err || err->code == CPROF_ERR_NO_MEMORY)
		return err;
	cprof_run_log_note(log, CPROF_NOTE_WARNING, "no account of resident memory: %s",
			   err->message);
	cprof_error_free(err);
	return NULL;
}
