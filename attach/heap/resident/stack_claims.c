/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/heap/resident/stack_claims.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "attach/target/thread_proc.h"
#include "base/cleanup.h"
#include "base/file.h"
#include "base/text_line.h"

#define THREADS_MAX 4096
#define LENGTHS_MAX 64 /* distinct ones of stacks */
#define GUARD_MAX   (256u << 10)
#define STACK_BYTES (8u << 20) /* where the limit says nothing */

static bool can_be_stack(const struct cprof_smaps_row *row)
{
	return row->write && row->read && !row->shared && !row->inode &&
	       (!*row->name || (row->name[0] == '[' && row->name[1] == 'a'));
}

/* Is the mapping in front of it a guard, with no gap? Then its length with the guard's; else 0. */
static uint64_t guarded_length(const struct cprof_smaps *smaps, size_t i)
{
	if (!i)
		return 0;
	const struct cprof_smaps_row *guard = &smaps->rows[i - 1], *row = &smaps->rows[i];
	if (guard->end != row->start || guard->read || guard->write || guard->inode ||
	    guard->end - guard->start > GUARD_MAX)
		return 0;
	return row->end - guard->start;
}

struct lengths {
	uint64_t all[LENGTHS_MAX];
	size_t n;
};

static bool has(const struct lengths *lengths, uint64_t length)
{
	for (size_t i = 0; i < lengths->n; i++) {
		if (lengths->all[i] == length)
			return true;
	}
	return false;
}

static struct cprof_error *claim_around(struct cprof_resident *resident,
					const struct cprof_smaps_row *row, uint64_t sp,
					uint64_t stack_bytes, uint32_t line, uint32_t rank)
{
	uint64_t start = row->start, end = row->end;
	if (end - start > stack_bytes + GUARD_MAX) {
		start = sp - start > stack_bytes ? sp - stack_bytes : start;
		end = end - sp > stack_bytes ? sp + stack_bytes : end;
	}
	return cprof_resident_claim(resident, start, end, line, rank);
}

static int ascending(const void *a_, const void *b_)
{
	const uint64_t *a = a_, *b = b_;
	return *a < *b ? -1 : *a > *b;
}

struct cprof_error *cprof_stack_claims_add(struct cprof_resident *resident,
					   const struct cprof_smaps *smaps, uint64_t *sps,
					   size_t n_sps, uint64_t stack_bytes, uint32_t rank)
{
	const uint32_t line = cprof_resident_line(resident, CPROF_STACK_CLAIMS_LINE);
	struct lengths lengths = { 0 };
	struct cprof_error *err = NULL;
	if (n_sps)
		qsort(sps, n_sps, sizeof(*sps), ascending);
	for (size_t i = 0, k = 0; !err && i < smaps->n; i++) {
		const struct cprof_smaps_row *row = &smaps->rows[i];
		for (; k < n_sps && sps[k] < row->end; k++) {
			const uint64_t length = guarded_length(smaps, i);
			if (err || sps[k] < row->start || !can_be_stack(row))
				continue;
			err = claim_around(resident, row, sps[k], stack_bytes, line, rank);
			if (length && length <= stack_bytes + GUARD_MAX && !has(&lengths, length) &&
			    lengths.n < LENGTHS_MAX)
				lengths.all[lengths.n++] = length;
		}
	}
	for (size_t i = 0; !err && i < smaps->n; i++) {
		const uint64_t length = guarded_length(smaps, i);
		if (length && can_be_stack(&smaps->rows[i]) &&
		    (length == stack_bytes || has(&lengths, length)))
			err = cprof_resident_claim(resident, smaps->rows[i].start,
						   smaps->rows[i].end, line, rank);
	}
	return err;
}

/* RLIMIT_STACK, which is what a new thread of glibc gets. */
static uint64_t stack_limit(pid_t pid)
{
	char path[64];
	uint64_t bytes;
	CPROF_AUTO(buffer) struct cprof_buffer text = { 0 };
	snprintf(path, sizeof(path), "/proc/%d/limits", (int)pid);
	struct cprof_error *err = cprof_file_read(path, 65536, &text);
	cprof_error_free(err);
	const char *line = cprof_text_line(cprof_buffer_text(&text), "Max stack size");
	if (err || !line || sscanf(line, "%" SCNu64, &bytes) != 1 || bytes > (uint64_t)1 << 40)
		return STACK_BYTES;
	return bytes;
}

struct cprof_error *cprof_stack_claims_read(struct cprof_resident *resident,
					    const struct cprof_smaps *smaps, pid_t pid,
					    const pid_t *tids, size_t n_tids, uint32_t rank)
{
	size_t n = 0;
	CPROF_AUTO(free) uint64_t *sps = malloc(THREADS_MAX * sizeof(*sps));
	if (!sps)
		return cprof_error_no_memory();
	for (size_t i = 0; i < n_tids && i < THREADS_MAX; i++) {
		char text[512];
		struct cprof_thread_call call;
		if (cprof_thread_read(pid, tids[i], "syscall", text, sizeof(text)) > 0 &&
		    cprof_thread_call_parse(text, &call) &&
		    (call.kind == CPROF_CALL_BLOCKED || call.kind == CPROF_CALL_OUTSIDE))
			sps[n++] = call.sp;
	}
	return cprof_stack_claims_add(resident, smaps, sps, n, stack_limit(pid), rank);
}
