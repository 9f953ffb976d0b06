/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/tools/tell_heap.c - what the readers of allocators tell of a process, as lines for a test to read.
 *
 *     tell_heap PID
 *
 * "allocator NAME", then "part NAME OBJECTS BYTES ABSENT" of each of its parts, "error OBJECTS BYTES RESYNCS", "untold WHY",
 * "ranges BYTES"; a "row ALLOCATOR, ARENA LOW HIGH OBJECTS BYTES TYPE" each; "took NANOSECONDS".
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "attach/heap/baseline/baseline_sources.h"
#include "attach/run/process.h"

static const char *const parts[] = { "in_use", "cached", "free", "top", "own", "untold" };

static void tell(const struct cprof_baseline_account *account)
{
	for (uint32_t i = 0; i < account->n_allocators; i++) {
		const struct cprof_baseline_allocator *one = &account->allocators[i];
		uint64_t bytes = 0;
		printf("allocator %s\n", one->name);
		for (unsigned p = 0; p < CPROF_BASELINE_N_PARTS; p++)
			printf("part %s %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", parts[p],
			       one->totals.parts[p].objects, one->totals.parts[p].bytes,
			       one->totals.parts[p].absent);
		printf("error %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", one->totals.error_objects,
		       one->totals.error_bytes, one->totals.resyncs);
		if (one->untold_why)
			printf("untold %s\n", one->untold_why);
		for (uint32_t r = 0; r < account->n_ranges; r++) {
			if (account->ranges[r].allocator == i)
				bytes += account->ranges[r].end - account->ranges[r].start;
		}
		printf("ranges %" PRIu64 "\n", bytes);
	}
	for (uint32_t i = 0; i < account->n_rows; i++) {
		const struct cprof_baseline_row *row = &account->rows[i];
		printf("row %s, %s %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %s\n",
		       account->allocators[row->class.allocator].name,
		       cprof_intern_get(&account->texts, row->class.arena), row->class.low,
		       row->class.high, row->objects, row->bytes,
		       cprof_intern_get(&account->texts, row->class.type));
	}
	printf("took %" PRIu64 "\n", account->took_ns);
}

static struct cprof_error *read_it(struct cprof_process *process, struct cprof_modules *modules)
{
	struct cprof_baseline_memory memory;
	struct cprof_baseline_account account;
	const struct cprof_baseline_target target = { .maps = &process->maps,
						      .modules = modules,
						      .memory = &memory };
	struct cprof_error *err = cprof_process_refresh(process, 0);
	if (!err)
		err = cprof_baseline_account_init(&account, NULL);
	if (err)
		return err;
	if (!cprof_baseline_memory_init(&memory, process->target->pid,
					cprof_target_mem_view(&process->mem)))
		err = cprof_error_no_memory();
	cprof_target_mem_begin(&process->mem);
	if (!err)
		err = cprof_baseline_read(&target, &account);
	if (!err)
		tell(&account);
	cprof_baseline_memory_deinit(&memory);
	cprof_baseline_account_deinit(&account);
	return err;
}

int main(int argc, char **argv)
{
	struct cprof_target *target;
	struct cprof_process process;
	struct cprof_modules modules;
	if (argc != 2)
		return 2;
	struct cprof_error *err = cprof_target_open((pid_t)atoi(argv[1]), &target);
	if (!err) {
		cprof_modules_init(&modules);
		err = cprof_process_open(&process, target);
		if (!err)
			err = read_it(&process, &modules);
		cprof_process_close(&process);
		cprof_modules_deinit(&modules);
		cprof_target_close(target);
	}
	if (err)
		fprintf(stderr, "tell_heap: %s\n", err->message);
	const int status = err ? 1 : 0;
	cprof_error_free(err);
	return status;
}
