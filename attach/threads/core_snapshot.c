/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/threads/core_snapshot.h"

#include <stdlib.h>
#include <string.h>

#include "attach/target/thread_regs.h"

static struct cprof_error *fill(const struct cprof_core_file *core,
				const struct cprof_core_thread *from, size_t stack_bytes,
				struct cprof_thread *thread)
{
	const struct cprof_arch *arch = cprof_arch_host();
	uint64_t words[CPROF_THREAD_REGS_WORDS];
	memcpy(words, from->regs, sizeof(words));
	thread->tid = from->tid;
	thread->cpu = -1;
	memcpy(thread->name, core->comm, sizeof(core->comm));
	thread->means = CPROF_MEANS_CORE;
	cprof_thread_regs_from_kernel(words, &thread->regs);
	cprof_thread_regs_call(words, &thread->call);

	size_t n = 0;
	uint64_t sp = thread->regs.r[arch->sp];
	const uint8_t *bytes = cprof_core_file_dumped(core, sp, &n);
	if (!bytes) {
		thread->why = "its stack is not in the core file";
		return NULL;
	}
	if (n > stack_bytes)
		n = stack_bytes;
	thread->stack = malloc(n);
	if (!thread->stack)
		return cprof_error_no_memory();
	memcpy(thread->stack, bytes, n);
	thread->stack_addr = sp;
	thread->n_stack = n;
	return NULL;
}

struct cprof_error *cprof_core_snapshot_make(const struct cprof_core_file *core, size_t stack_bytes,
					     struct cprof_thread_snapshot *ret_snapshot)
{
	struct cprof_thread_snapshot snapshot = { 0 };
	snapshot.threads = calloc(core->n_threads + 1, sizeof(*snapshot.threads));
	if (!snapshot.threads)
		return cprof_error_no_memory();
	struct cprof_error *err = NULL;
	for (size_t i = 0; !err && i < core->n_threads; i++) {
		err = fill(core, &core->threads[i], stack_bytes, &snapshot.threads[i]);
		snapshot.n++;
		snapshot.by_means[CPROF_MEANS_CORE]++;
	}
	if (err) {
		cprof_thread_snapshot_deinit(&snapshot);
		return err;
	}
	cprof_thread_snapshot_sort(&snapshot);
	*ret_snapshot = snapshot;
	return NULL;
}
