/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/heap/uprobe/heap_uprobe_program.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "attach/perf/bpf_quiet.h"
#include "base/cleanup.h"

#include "heap.skel.h"

#define EVERY_BELOW 8192u /* such periods record so much that everything is made larger */
#define LIVE_EVERY  (1u << 19)
#define NOTES_EVERY (1u << 17)
#define RING_EVERY  (64u << 20)
#define BATCH       4096u
#define FIRST_ID    (1ull << 62) /* a shim counts from 0 */

/* ---- loading ---- */

void cprof_heap_uprobe_program_tell(struct cprof_heap_uprobe_program *program)
{
	memcpy(program->skel->bss->hooks, program->hooks, sizeof(program->hooks));
	memcpy(program->skel->bss->sites, program->sites, sizeof(program->sites));
	memcpy(program->skel->bss->ranges, program->ranges, sizeof(program->ranges));
}

struct cprof_error *cprof_heap_uprobe_program_not_permitted(struct cprof_error *err)
{
	if (err->os_errno == EPERM || err->os_errno == EACCES) {
		err->code = CPROF_ERR_DENIED;
		return cprof_error_hint(
			err, "uprobes need root, or CAP_BPF and CAP_PERFMON for cprof-attach (and "
			     "CAP_SYS_ADMIN on Linux before 6.13)");
	}
	if (err->code == CPROF_ERR_OS)
		err->code = CPROF_ERR_UNSUPPORTED;
	return err;
}

static void fill(const struct cprof_heap_uprobe_program *program,
		 const struct cprof_heap_uprobe_way *way)
{
	struct heap_bpf *skel = program->skel;
	for (unsigned i = 0; i < CPROF_HEAP_BPF_QUANTILES; i++)
		skel->rodata->quantile[i] =
			(uint32_t)lround(-log1p(-(double)i / CPROF_HEAP_BPF_QUANTILES) * (1 << 24));
	skel->rodata->size_min = cprof_heap_sizes_least(&program->sizes);
	skel->rodata->size_span = cprof_heap_sizes_span(&program->sizes);
	skel->data->period_bytes = program->period;
	skel->data->next_id = FIRST_ID;
	if (program->period < EVERY_BELOW) {
		bpf_map__set_max_entries(skel->maps.live, LIVE_EVERY);
		bpf_map__set_max_entries(skel->maps.notes, NOTES_EVERY);
		bpf_map__set_max_entries(skel->maps.samples, RING_EVERY);
	}
	bpf_program__set_expected_attach_type(skel->progs.on_call, way->attach_type);
}

static struct cprof_error *load(struct cprof_heap_uprobe_program *program,
				const struct cprof_heap_uprobe_way *way)
{
	libbpf_print_fn_t before = cprof_bpf_quiet_begin();
	program->skel = heap_bpf__open();
	int why = program->skel ? 0 : errno;
	if (program->skel) {
		fill(program, way);
		why = -heap_bpf__load(program->skel);
	}
	cprof_bpf_quiet_end(before);
	if (!why) {
		cprof_heap_uprobe_program_tell(program);
		return NULL;
	}
	/* EACCES is the verifier's: another kernel than the program was made for. */
	struct cprof_error *err = cprof_error_os(why, "load the BPF program for uprobes");
	if (why == EACCES)
		err->code = CPROF_ERR_UNSUPPORTED;
	else
		err = cprof_heap_uprobe_program_not_permitted(err);
	return err->hint ? err
			 : cprof_error_hint(err,
					    "uprobes need Linux 5.15 or later, with BPF and BTF");
}

/* ---- samples ---- */

/* The shim's own form. The weight of a sample that an allocator took itself is marked as one. */
static struct cprof_shim_cell cell_of(const struct cprof_heap_bpf_event *event)
{
	return (struct cprof_shim_cell){
		.entry = event->hook,
		.image = CPROF_HEAP_SAMPLE_BY_UPROBE,
		.id = event->id,
		.ptr = event->ptr,
		.size = event->size,
		.period = event->hook & CPROF_HEAP_BPF_SITE_HOOK
				  ? CPROF_HEAP_SAMPLE_WEIGHED |
					    (event->period & ~CPROF_HEAP_SAMPLE_WEIGHED)
				  : event->period,
		.sp = event->sp,
		.ret = event->ret,
		.rbx = event->rbx,
		.rbp = event->rbp,
		.r12 = event->r12,
		.r13 = event->r13,
		.r14 = event->r14,
		.r15 = event->r15,
		.stack_bytes = event->stack_bytes <= CPROF_HEAP_BPF_STACK ? event->stack_bytes : 0,
	};
}

/* Negative ends the poll: after an error, and now and then, so that other work is done where samples never end. */
static int on_record(void *ctx, void *data, size_t size)
{
	struct cprof_heap_uprobe_program *program = ctx;
	const struct cprof_heap_bpf_event *event = data;
	if (size < sizeof(*event))
		return 0;
	const struct cprof_shim_cell cell = cell_of(event);
	program->err = program->fn(program->ctx, &cell, event->stack);
	return program->err || ++program->n_samples >= BATCH ? -EAGAIN : 0;
}

/* ---- all of it ---- */

struct cprof_error *cprof_heap_uprobe_program_open(struct cprof_heap_uprobe_program *program,
						   const struct cprof_heap_uprobe_way *way)
{
	cprof_heap_uprobe_program_close(program);
	struct cprof_error *err = load(program, way);
	if (err)
		return err;
	program->ring = ring_buffer__new(bpf_map__fd(program->skel->maps.samples), on_record,
					 program, NULL);
	return program->ring ? NULL : cprof_error_os(errno, "map the ring of the BPF program");
}

void cprof_heap_uprobe_program_close(struct cprof_heap_uprobe_program *program)
{
	ring_buffer__free(program->ring);
	heap_bpf__destroy(program->skel);
	program->ring = NULL;
	program->skel = NULL;
}

int cprof_heap_uprobe_program_fd(const struct cprof_heap_uprobe_program *program)
{
	return bpf_program__fd(program->skel->progs.on_call);
}

void cprof_heap_uprobe_program_enable(struct cprof_heap_uprobe_program *program, bool on)
{
	if (program->skel)
		program->skel->bss->enabled = on;
}

void cprof_heap_uprobe_program_set_period(struct cprof_heap_uprobe_program *program,
					  uint64_t period)
{
	program->period = period;
	program->skel->data->period_bytes = period;
}

struct cprof_error *cprof_heap_uprobe_program_poll(struct cprof_heap_uprobe_program *program,
						   cprof_heap_sample_fn *fn, void *ctx,
						   size_t *ret_samples)
{
	program->fn = fn;
	program->ctx = ctx;
	program->n_samples = 0;
	ring_buffer__consume(program->ring);
	*ret_samples = program->n_samples;
	struct cprof_error *err = program->err;
	program->err = NULL;
	return err;
}

struct cprof_error *cprof_heap_uprobe_program_live(const struct cprof_heap_uprobe_program *program,
						   struct cprof_map64 *ids)
{
	CPROF_AUTO(free) uint64_t *keys = calloc(BATCH, sizeof(*keys));
	CPROF_AUTO(free) uint64_t *values = calloc(BATCH, sizeof(*values));
	if (!keys || !values)
		return cprof_error_no_memory();
	const int fd = bpf_map__fd(program->skel->maps.live);
	uint32_t at, next;
	bool first = true;
	for (int why = 0; why != ENOENT; first = false, at = next) {
		uint32_t n = BATCH;
		why = bpf_map_lookup_batch(fd, first ? NULL : &at, &next, keys, values, &n, NULL)
			      ? errno
			      : 0;
		if (why && why != ENOENT)
			return cprof_error_os(why, "read the table of live blocks");
		for (uint32_t i = 0; i < n; i++) {
			if (!cprof_map64_put(ids, values[i], NULL))
				return cprof_error_no_memory();
		}
	}
	return NULL;
}

uint64_t cprof_heap_uprobe_program_open_calls(const struct cprof_heap_uprobe_program *program)
{
	const int fd = bpf_map__fd(program->skel->maps.notes);
	uint64_t at, next, n = 0;
	const uint64_t *from = NULL;
	for (uint32_t i = 0; i < NOTES_EVERY && !bpf_map_get_next_key(fd, from, &next); i++) {
		struct cprof_heap_bpf_note note;
		if (!bpf_map_lookup_elem(fd, &next, &note))
			n += note.sampled;
		at = next;
		from = &at;
	}
	return n;
}

const struct cprof_heap_bpf_counts *
cprof_heap_uprobe_program_counts(const struct cprof_heap_uprobe_program *program)
{
	return &program->skel->bss->counts;
}
