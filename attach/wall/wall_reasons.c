/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/wall/wall_reasons.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"

void cprof_wall_reasons_deinit(struct cprof_wall_reasons *reasons)
{
	free(reasons->reasons);
	cprof_map64_deinit(&reasons->by_hash);
	*reasons = (struct cprof_wall_reasons){ 0 };
}

/* A lock that is waited for all the time holds somebody up, and so does a disk that does not answer. */
static bool idles(struct cprof_wait_verdict verdict)
{
	return verdict.kind != CPROF_WAIT_PAGE_FAULT && verdict.kind != CPROF_WAIT_DISK &&
	       (!verdict.contends || verdict.kind == CPROF_WAIT_JOIN);
}

static struct cprof_wall_reason reason_of(const struct cprof_wait_shown *wait)
{
	struct cprof_wall_reason reason = {
		.kind = cprof_wait_kind_name(wait->verdict.kind),
		.call = cprof_wait_syscall_name(wait->row->syscall),
		.syscall = wait->row->syscall,
		.idles = idles(wait->verdict),
	};
	for (size_t i = 0; i < wait->n_labels; i++) {
		const struct cprof_builder_label *label = &wait->labels[i];
		if (strcmp(label->key, "lock") == 0)
			snprintf(reason.lock, sizeof(reason.lock), "%s", label->str);
		else if (strcmp(label->key, "owner") == 0)
			snprintf(reason.owner, sizeof(reason.owner), "%s", label->str);
	}
	return reason;
}

static uint64_t hash_of(const struct cprof_wall_reason *reason)
{
	uint64_t hash = cprof_hash_bytes(reason->kind, strlen(reason->kind));
	hash = cprof_hash_mix(hash, cprof_hash_bytes(reason->lock, strlen(reason->lock)));
	hash = cprof_hash_mix(hash, cprof_hash_bytes(reason->owner, strlen(reason->owner)));
	return cprof_hash_mix(hash, (uint64_t)reason->syscall << 1 | reason->idles);
}

static bool is_like(const struct cprof_wall_reason *a, const struct cprof_wall_reason *b)
{
	return a->kind == b->kind && a->syscall == b->syscall && a->idles == b->idles &&
	       strcmp(a->lock, b->lock) == 0 && strcmp(a->owner, b->owner) == 0;
}

struct cprof_error *cprof_wall_reasons_add(struct cprof_wall_reasons *reasons,
					   const struct cprof_wait_shown *wait,
					   uint32_t *ret_number)
{
	const struct cprof_wall_reason reason = reason_of(wait);
	uint64_t hash = hash_of(&reason);
	const uint64_t *index;
	for (; (index = cprof_map64_get(&reasons->by_hash, hash)); hash++) {
		if (!is_like(&reasons->reasons[*index], &reason))
			continue;
		*ret_number = (uint32_t)*index;
		return NULL;
	}
	if (!reasons->n)
		reasons->n = 1;
	if (!CPROF_ARRAY_ROOM(reasons->reasons, reasons->n, reasons->cap, 1))
		return cprof_error_no_memory();
	uint64_t *slot = cprof_map64_put(&reasons->by_hash, hash, NULL);
	if (!slot)
		return cprof_error_no_memory();
	*slot = reasons->n;
	*ret_number = (uint32_t)reasons->n;
	reasons->reasons[reasons->n++] = reason;
	return NULL;
}

size_t cprof_wall_reason_labels(const struct cprof_wall_reason *reason, bool place_only,
				struct cprof_builder_label *ret_labels)
{
	size_t n = 0;
	ret_labels[n++] = (struct cprof_builder_label){ .key = "kind", .str = reason->kind };
	if (reason->call)
		ret_labels[n++] =
			(struct cprof_builder_label){ .key = "call", .str = reason->call };
	if (reason->lock[0] && !place_only)
		ret_labels[n++] =
			(struct cprof_builder_label){ .key = "lock", .str = reason->lock };
	if (reason->owner[0] && !place_only)
		ret_labels[n++] =
			(struct cprof_builder_label){ .key = "owner", .str = reason->owner };
	return n;
}

void cprof_wall_reason_frame(int32_t syscall, const char *call, char *ret_text, size_t n)
{
	if (syscall == CPROF_WAIT_NO_SYSCALL)
		snprintf(ret_text, n, "[page fault]");
	else if (call)
		snprintf(ret_text, n, "[%s]", call);
	else
		snprintf(ret_text, n, "[system call %d]", (int)syscall);
}
