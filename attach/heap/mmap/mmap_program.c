/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/heap/mmap/mmap_program.h"

#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "attach/heap/mmap/mmap_bpf.h"
#include "attach/perf/bpf_load.h"
#include "attach/perf/bpf_quiet.h"

#include "mmap.skel.h"

struct cprof_mmap_program {
	struct mmap_bpf *skel; /* owned */
};

struct perf_event_attr cprof_mmap_program_attr(void)
{
	return (struct perf_event_attr){
		.type = PERF_TYPE_SOFTWARE,
		.config = PERF_COUNT_SW_BPF_OUTPUT,
		.sample_type = PERF_SAMPLE_RAW,
		.sample_period = 1,
	};
}

int cprof_mmap_program_call(const struct cprof_perf_record *record)
{
	struct cprof_mmap_bpf_event event;
	if (!record->sample.raw || record->sample.n_raw < sizeof(event))
		return -1;
	memcpy(&event, record->sample.raw, sizeof(event));
	return event.nr <= CPROF_MMAP_BPF_SHMDT ? (int)event.nr : -1;
}

static struct cprof_error *give_rings(const struct bpf_map *map,
				      const struct cprof_perf_source *source)
{
	for (size_t i = 0; i < source->n_rings; i++) {
		const struct cprof_perf_source_ring *ring = &source->rings[i];
		const uint32_t cpu = (uint32_t)ring->cpu;
		const int fd = ring->event->fd;
		if (ring->cpu >= 0 &&
		    bpf_map__update_elem(map, &cpu, sizeof(cpu), &fd, sizeof(fd), 0))
			return cprof_error_os(errno, "give CPU %d's ring to the BPF program",
					      ring->cpu);
	}
	return NULL;
}

static struct cprof_error *load(struct cprof_mmap_program *program, pid_t pid)
{
	libbpf_print_fn_t before = cprof_bpf_quiet_begin();
	program->skel = mmap_bpf__open();
	int why = program->skel ? 0 : errno;
	if (program->skel) {
		program->skel->rodata->target_tgid = (uint32_t)pid;
		why = -mmap_bpf__load(program->skel);
	}
	cprof_bpf_quiet_end(before);
	return cprof_bpf_load_error(why);
}

struct cprof_error *cprof_mmap_program_open(pid_t pid, const struct cprof_perf_source *with_stack,
					    const struct cprof_perf_source *without_stack,
					    struct cprof_mmap_program **ret_program)
{
	struct cprof_error *err = cprof_bpf_check_namespace();
	if (err)
		return err;
	struct cprof_mmap_program *program = calloc(1, sizeof(*program));
	if (!program)
		return cprof_error_no_memory();
	err = load(program, pid);
	if (!err)
		err = give_rings(program->skel->maps.with_stack, with_stack);
	if (!err)
		err = give_rings(program->skel->maps.without_stack, without_stack);
	if (!err)
		err = cprof_bpf_load_error(-mmap_bpf__attach(program->skel));
	if (err) {
		cprof_mmap_program_close(program);
		return err;
	}
	*ret_program = program;
	return NULL;
}

void cprof_mmap_program_close(struct cprof_mmap_program *program)
{
	if (!program)
		return;
	if (program->skel)
		mmap_bpf__destroy(program->skel);
	free(program);
}
